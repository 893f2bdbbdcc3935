//===- PromptEncoder.cpp - Prompts that an encoder reads ------------------===//
#include "runtime/tasks/PromptEncoder.h"

#include <algorithm>
#include <cstring>

namespace vlmc::rt {

static constexpr const char *kEntry = "encode_prompt";

bool PromptEncoder::isIn(const vlm_model_t *model) {
  const vlm_abi_model *abi = vlm_model_abi(model);
  if (!abi->n_levels)
    return false;
  const vlm_abi_level &level = abi->levels[0];
  return std::any_of(level.entries, level.entries + level.n_entries,
                     [](const vlm_abi_entry &entry) {
                       return std::strcmp(entry.name, kEntry) == 0;
                     });
}

vlm_status_t *PromptEncoder::open(const vlm_model_t *model) {
  if (!isIn(model))
    return nullptr;
  if (vlm_status_t *status = encoder.find(model, kEntry, "read prompts"))
    return status;
  SizeRange range;
  if (vlm_status_t *status = encoder.outputSize("encoder_features", 2, range))
    return status;
  width = range.max;
  takesFeatures = encoder.hasInput("features");
  return nullptr;
}

vlm_status_t *PromptEncoder::run(const vlm_abi_generation &facts,
                                 std::span<const int64_t> given,
                                 std::span<const Picture> pictures,
                                 Floats &rows) const {
  std::vector<int64_t> ids(given.begin(), given.end());
  std::vector<int32_t> row(ids.size(), -1);
  Floats features;
  int64_t next = 0;
  for (const Picture &picture : pictures) {
    for (int64_t i = picture.begin; i < picture.end; ++i)
      if (ids[size_t(i)] == facts.image_token)
        row[size_t(i)] = int32_t(next++);
    features.insert(features.end(), picture.features->begin(),
                    picture.features->end());
  }
  for (size_t i = 0; i < ids.size(); ++i)
    if (row[i] >= 0) // the placeholder may be no word of the vocabulary
      ids[i] = 0;
  if (features.empty())
    features.resize(size_t(width)); // which nobody reads
  int64_t tokens[] = {1, int64_t(ids.size())};
  int64_t dims[] = {int64_t(features.size()) / width, width};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, ids.data(), 2, tokens)};
  if (takesFeatures) {
    in.push_back(denseTensor("features", VLM_F32, features.data(), 2, dims));
    in.push_back(denseTensor("feature_row", VLM_I32, row.data(), 2, tokens));
  }
  rows.resize(ids.size() * size_t(width));
  int64_t all[] = {1, tokens[1], width};
  vlm_tensor_t out =
      denseTensor("encoder_features", VLM_F32, rows.data(), 3, all);
  return vlm_entry_run(encoder.entry, in.data(), in.size(), &out, 1);
}

vlm_status_t *PromptEncoder::memory(int64_t count, int64_t features,
                                    size_t &work, size_t &tensors) const {
  int64_t tokens[] = {1, count};
  int64_t dims[] = {std::max<int64_t>(1, features), width};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, nullptr, 2, tokens)};
  if (takesFeatures) {
    in.push_back(denseTensor("features", VLM_F32, nullptr, 2, dims));
    in.push_back(denseTensor("feature_row", VLM_I32, nullptr, 2, tokens));
  }
  tensors = size_t(count * width) * sizeof(float);
  for (const vlm_tensor_t &tensor : in)
    tensors += tensor.bytes;
  return vlm_entry_memory(encoder.entry, in.data(), in.size(), /*threads=*/0,
                          &work);
}

} // namespace vlmc::rt
