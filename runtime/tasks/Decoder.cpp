//===- Decoder.cpp - Runs of a language model -----------------------------===//
#include "runtime/tasks/Decoder.h"

#include <algorithm>
#include <cstring>

namespace vlmc::rt {

vlm_status_t *Decoder::open(const PromptReader &reader) {
  facts = reader.facts;
  if (vlm_status_t *status =
          entry.find(reader.model, "decode", "generate text"))
    return status;
  SizeRange range;
  if (vlm_status_t *status = entry.inputSize("input_ids", 1, range))
    return status;
  mostTokens = range.max;
  if (vlm_status_t *status = entry.outputSize("logits", 2, range))
    return status;
  words = range.max;
  return findInputs();
}

/// Inputs that are tensors have names; the cache is the one that is none.
vlm_status_t *Decoder::findInputs() {
  for (size_t i = 0; i < vlm_entry_input_count(entry.entry); ++i) {
    vlm_tensor_t input;
    if (vlm_status_t *status = vlm_entry_input(entry.entry, i, &input))
      return status;
    if (input.dtype == VLM_CACHE)
      cacheInput = input;
    if (std::strcmp(input.name, "features") == 0)
      featureWidth = input.dims[1];
  }
  return nullptr;
}

/// Gives each token of a picture its row of features. Only the rows that are
/// read go into the run.
void Decoder::gather(const Slice &slice) {
  int64_t end = slice.first + int64_t(slice.ids.size());
  size_t begin = featureRow.size();
  featureRow.resize(begin + slice.ids.size(), -1);
  for (const Picture &picture : slice.pictures) {
    if (picture.end <= slice.first || picture.begin >= end)
      continue;
    // Between a picture's tokens others may stand.
    int64_t next = 0;
    const int64_t *whole = slice.ids.data() - slice.first;
    // Ids before the slice are there as well: a slice is a part of its
    // sequence's ids.
    for (int64_t i = picture.begin; i < std::min(picture.end, end); ++i) {
      if (whole[i] != facts->image_token)
        continue;
      if (i >= slice.first) {
        featureRow[begin + size_t(i - slice.first)] =
            int32_t(features.size() / size_t(featureWidth));
        auto from = picture.features->begin() + next * featureWidth;
        features.insert(features.end(), from, from + featureWidth);
      }
      ++next;
    }
  }
}

vlm_status_t *Decoder::run(vlm_cache_t *cache, std::span<Slice> slices) {
  ids.clear();
  sequence.clear();
  position.clear();
  featureRow.clear();
  rows.clear();
  features.clear();
  for (Slice &slice : slices) {
    auto count = int64_t(slice.ids.size());
    slice.row = rows.size();
    for (int64_t i = 0; i < count; ++i) {
      if (slice.wantsAll || i + 1 == count)
        rows.push_back(int32_t(ids.size()));
      ids.push_back(slice.ids[size_t(i)]);
      sequence.push_back(slice.sequence);
      position.push_back(int32_t(slice.first + i));
    }
    if (featureWidth > 0)
      gather(slice);
  }
  if (features.empty() && featureWidth > 0)
    features.resize(size_t(featureWidth)); // which nobody reads
  int64_t tokens[] = {1, int64_t(ids.size())};
  int64_t wanted[] = {1, int64_t(rows.size())};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, ids.data(), 2, tokens),
      denseTensor("sequence", VLM_I32, sequence.data(), 2, tokens),
      denseTensor("position", VLM_I32, position.data(), 2, tokens),
      denseTensor("rows", VLM_I32, rows.data(), 2, wanted)};
  if (featureWidth > 0) {
    int64_t dims[] = {int64_t(features.size()) / featureWidth, featureWidth};
    in.push_back(denseTensor("features", VLM_F32, features.data(), 2, dims));
    in.push_back(
        denseTensor("feature_row", VLM_I32, featureRow.data(), 2, tokens));
  }
  in.push_back(cacheInput);
  in.back().data = cache;
  results.resize(rows.size() * size_t(words));
  int64_t dims[] = {1, wanted[1], words};
  vlm_tensor_t out = denseTensor("logits", VLM_F32, results.data(), 3, dims);
  return vlm_entry_run(entry.entry, in.data(), in.size(), &out, 1);
}

vlm_status_t *Decoder::memory(int64_t tokens, int64_t rowCount, size_t &work,
                              size_t &tensors) const {
  int64_t all[] = {1, tokens}, wanted[] = {1, rowCount};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, nullptr, 2, all),
      denseTensor("sequence", VLM_I32, nullptr, 2, all),
      denseTensor("position", VLM_I32, nullptr, 2, all),
      denseTensor("rows", VLM_I32, nullptr, 2, wanted)};
  if (featureWidth > 0) {
    int64_t dims[] = {tokens, featureWidth};
    in.push_back(denseTensor("features", VLM_F32, nullptr, 2, dims));
    in.push_back(denseTensor("feature_row", VLM_I32, nullptr, 2, all));
  }
  in.push_back(cacheInput);
  tensors = size_t(rowCount * words) * sizeof(float);
  for (const vlm_tensor_t &tensor : in)
    tensors += tensor.dtype == VLM_CACHE ? 0 : tensor.bytes;
  return vlm_entry_memory(entry.entry, in.data(), in.size(), /*threads=*/0,
                          &work);
}

} // namespace vlmc::rt
