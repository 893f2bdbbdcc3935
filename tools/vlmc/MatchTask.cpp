//===- MatchTask.cpp - Whether pictures and texts belong together ---------===//
#include "tools/vlmc/MatchTask.h"

#include "tools/vlmc/Entries.h"

#include <algorithm>
#include <cstring>

namespace vlmc::tool {

bool canMatch(const vlm_model_t *model) { return hasEntry(model, "match"); }

/// Size 1 of an output, which is constant.
static Outcome<int64_t> countQueries(const vlm_model_t *model,
                                     const char *output) {
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, "encode_image", &entry)))
    return *fault;
  const vlm_abi_level &level = levelOf(model);
  for (uint32_t i = 0; i < level.n_entries; ++i) {
    const vlm_abi_entry &abi = level.entries[i];
    for (uint32_t j = 0; j < abi.n_outputs; ++j)
      if (std::strcmp(abi.outputs[j].name, output) == 0)
        return abi.outputs[j].dims[1];
  }
  return Fault(std::string("model: has no output '") + output + "'");
}

/// Rows of i64 with `count` columns of `value` in front.
static HostTensor withFront(const HostTensor &rows, int64_t count,
                            int64_t value) {
  int64_t width = rows.shape[1];
  HostTensor out = HostTensor::zeros(VLM_I64, {rows.shape[0], count + width});
  for (int64_t row = 0; row < rows.shape[0]; ++row) {
    int64_t *to = out.data<int64_t>() + row * (count + width);
    std::fill_n(to, count, value);
    std::copy_n(rows.data<int64_t>() + row * width, width, to + count);
  }
  return out;
}

/// The rows without their first `count` columns.
static HostTensor withoutFront(const HostTensor &rows, int64_t count) {
  int64_t width = rows.shape[1] - count;
  HostTensor out = HostTensor::zeros(VLM_I64, {rows.shape[0], width});
  for (int64_t row = 0; row < rows.shape[0]; ++row)
    std::copy_n(rows.data<int64_t>() + row * rows.shape[1] + count, width,
                out.data<int64_t>() + row * width);
  return out;
}

std::optional<Fault> addQFormerWords(const vlm_model_t *model,
                                     const TensorMap &tensors,
                                     TensorMap &given) {
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, "encode_image", &entry)))
    return fault;
  if (!hasInput(entry, "qformer_input_ids"))
    return std::nullopt;
  auto ids = tensors.find("qformer_input_ids");
  if (ids == tensors.end() || ids->second.shape.size() != 2)
    return Fault("qformer_input_ids: expected a tensor [pictures, tokens], "
                 "found " +
                 std::string(ids == tensors.end() ? "none" : "another rank") +
                 "; give the words that the Q-Former reads beside a picture");
  Outcome<int64_t> queries = countQueries(model, "image_features");
  if (!queries)
    return queries.takeFault();
  given["qformer_input_ids"] = withFront(ids->second, *queries, 0);
  auto mask = tensors.find("qformer_attention_mask");
  if (mask == tensors.end())
    return std::nullopt;
  if (mask->second.shape != ids->second.shape)
    return Fault("qformer_attention_mask: expected the shape of "
                 "qformer_input_ids, found another; mend the file of tensors");
  given["qformer_attention_mask"] = withFront(mask->second, *queries, 1);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// The task
//===----------------------------------------------------------------------===//

void MatchTask::addInput(const std::string &name, HostTensor tensor) {
  embed.addInput(name, std::move(tensor));
  hasPlaces = true;
}

/// Finds the words alone, and what transformers calls input_ids.
std::optional<Fault> MatchTask::readWords() {
  Outcome<int64_t> queries = countQueries(model, "image_embeds");
  if (!queries)
    return queries.takeFault();
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  const int64_t token = facts ? facts->image_token : -1;
  HostTensor &all = tensors["input_ids"];
  HostTensor &valid = tensors["attention_mask"];
  if (all.shape.size() != 2)
    return Fault("input_ids: expected a tensor [texts, tokens], found another "
                 "rank; mend the file of tensors");
  if (valid.shape.empty()) {
    valid = HostTensor::zeros(VLM_I64, all.shape);
    std::fill_n(valid.data<int64_t>(), all.shape[0] * all.shape[1], 1);
  }
  if (valid.shape != all.shape)
    return Fault("attention_mask: expected the shape of input_ids, found "
                 "another; mend the file of tensors");
  if (token < 0) {
    ids = all;
    mask = valid;
    return std::nullopt;
  }
  if (!hasPlaces) {
    ids = all;
    mask = valid;
    all = withFront(ids, *queries, token);
    valid = withFront(mask, *queries, 1);
    return std::nullopt;
  }
  if (all.shape[1] <= *queries)
    return Fault("input_ids: expected more than " + std::to_string(*queries) +
                 " tokens, the places of the queries, found " +
                 std::to_string(all.shape[1]) + "; mend the file of tensors");
  ids = withoutFront(all, *queries);
  mask = withoutFront(valid, *queries);
  return std::nullopt;
}

/// `count` rows: those of the tensor, or its only one so many times.
static HostTensor repeated(const HostTensor &tensor, int64_t count) {
  if (tensor.rows() == count)
    return tensor;
  std::vector<int64_t> shape = tensor.shape;
  shape.front() = count;
  HostTensor out = HostTensor::zeros(tensor.dtype, shape);
  for (int64_t row = 0; row < count; ++row)
    std::memcpy(out.bytes.data() + size_t(row) * tensor.rowBytes(),
                tensor.bytes.data(), tensor.rowBytes());
  return out;
}

std::optional<Fault> MatchTask::makePairs(TensorMap &pairs) {
  const HostTensor &features = tensors["vision_features"];
  int64_t pictures = features.rows(), texts = ids.rows();
  if (pictures != texts && pictures != 1 && texts != 1)
    return Fault("task 'match': expected as many texts as pictures, or one of "
                 "either, found " +
                 std::to_string(texts) + " texts and " +
                 std::to_string(pictures) + " pictures");
  int64_t count = std::max(pictures, texts),
          queries = tensors["image_embeds"].shape[1];
  pairs["vision_features"] = repeated(features, count);
  pairs["input_ids"] = withFront(repeated(ids, count), queries, 0);
  pairs["attention_mask"] = withFront(repeated(mask, count), queries, 1);
  return std::nullopt;
}

/// The largest cosine of a picture's queries with each text.
void MatchTask::compare() {
  const HostTensor &image = tensors["image_embeds"];
  const HostTensor &text = tensors["text_embeds"];
  int64_t queries = image.shape[1], size = image.shape[2];
  HostTensor logits = HostTensor::zeros(VLM_F32, {image.rows(), text.rows()});
  for (int64_t i = 0; i < image.rows(); ++i)
    for (int64_t j = 0; j < text.rows(); ++j) {
      double best = -2;
      for (int64_t q = 0; q < queries; ++q) {
        const float *a = image.data<float>() + (i * queries + q) * size;
        const float *b = text.data<float>() + j * size;
        double sum = 0;
        for (int64_t k = 0; k < size; ++k)
          sum += double(a[k]) * double(b[k]);
        best = std::max(best, sum);
      }
      logits.data<float>()[i * text.rows() + j] = float(best);
    }
  tensors["itc_logits"] = std::move(logits);
}

std::optional<Fault> MatchTask::run() {
  tensors = embed.values();
  for (const char *name : {"pixel_values", "input_ids"})
    if (!tensors.count(name))
      return Fault(std::string("task 'match': expected pictures and texts, "
                               "found no ") +
                   (std::strcmp(name, "input_ids") == 0 ? "text" : "picture"));
  if (std::optional<Fault> fault = readWords())
    return fault;
  TensorMap pixels{{"pixel_values", tensors["pixel_values"]}};
  if (std::optional<Fault> fault =
          runRows(model, "encode_image", pixels, tensors))
    return fault;
  TensorMap words{{"input_ids", ids}, {"attention_mask", mask}};
  if (std::optional<Fault> fault =
          runRows(model, "encode_text", words, tensors))
    return fault;
  compare();
  TensorMap pairs;
  if (std::optional<Fault> fault = makePairs(pairs))
    return fault;
  return runRows(model, "match", pairs, tensors);
}

TensorMap MatchTask::writtenValues() const {
  TensorMap written = tensors;
  HostTensor &all = written["attention_mask"];
  HostTensor bytes = HostTensor::zeros(VLM_U8, all.shape);
  for (size_t i = 0; i < bytes.bytes.size(); ++i)
    bytes.bytes[i] = all.data<int64_t>()[i] != 0;
  all = std::move(bytes);
  return written;
}

} // namespace vlmc::tool
