//===- GenerateSearch.cpp - Encoders and beams of the task generate -------===//
#include "tools/vlmc/GenerateTask.h"

#include "tools/vlmc/Entries.h"

#include <cstring>

namespace vlmc::tool {

//===----------------------------------------------------------------------===//
// Prompts that an encoder reads
//===----------------------------------------------------------------------===//

/// What the decoder begins with: the model's token, or decoder_input_ids.
std::optional<Fault> GenerateTask::readBeginnings() {
  auto given = tensors.find("decoder_input_ids");
  if (given == tensors.end()) {
    for (Prompt &prompt : prompts)
      prompt.beginning = {facts.start_token};
    return std::nullopt;
  }
  const std::vector<int64_t> &shape = given->second.shape;
  if (shape.size() != 2 || shape[0] != int64_t(prompts.size()) || shape[1] < 1)
    return Fault("decoder_input_ids: expected a tensor [batch, tokens] with a "
                 "row for each of input_ids, found another shape; mend the "
                 "file of tensors");
  const int64_t *ids = given->second.data<int64_t>();
  for (Prompt &prompt : prompts) {
    prompt.beginning.assign(ids, ids + shape[1]);
    ids += shape[1];
  }
  return std::nullopt;
}

/// Runs the encoder; `rows` are its features, [1, N, D].
std::optional<Fault> GenerateTask::encode(size_t number, HostTensor &rows) {
  const Prompt &prompt = prompts[number];
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, "encode_prompt", &entry)))
    return fault;
  auto count = int64_t(prompt.ids.size());
  TensorMap inputs, results;
  inputs["input_ids"] = HostTensor::of(VLM_I64, {1, count}, prompt.ids.data());
  if (hasInput(entry, "features")) {
    inputs["features"] = features;
    inputs["feature_row"] =
        HostTensor::of(VLM_I32, {1, count}, prompt.features.data());
    // The placeholder of a picture may be no word of the vocabulary.
    for (int64_t i = 0; i < count; ++i)
      if (prompt.features[size_t(i)] >= 0)
        inputs["input_ids"].data<int64_t>()[i] = 0;
  }
  std::vector<vlm_tensor_t> in;
  for (auto &[name, tensor] : inputs)
    in.push_back(viewOf(name, tensor));
  if (std::optional<Fault> fault = runEntry(entry, in, results))
    return fault;
  for (const auto &[name, tensor] : results)
    keepRows(name, tensor, prompt, number);
  rows = std::move(results["encoder_features"]);
  return std::nullopt;
}

/// Puts the decoder's rows of a prompt into the tensor of the batch.
void GenerateTask::keepBeginning(const std::string &name,
                                 const HostTensor &rows, size_t number) {
  auto [it, isNew] = tensors.try_emplace(name);
  if (isNew)
    it->second = HostTensor::zeros(
        rows.dtype, {int64_t(prompts.size()), rows.shape[1], rows.shape[2]});
  std::memcpy(it->second.bytes.data() + number * rows.bytes.size(),
              rows.bytes.data(), rows.bytes.size());
}

//===----------------------------------------------------------------------===//
// Search by beams
//===----------------------------------------------------------------------===//

void GenerateTask::setBeams(const BeamFields &fields) {
  if (fields.beams)
    beams.beams = *fields.beams;
  if (fields.lengthPenalty)
    beams.lengthPenalty = float(*fields.lengthPenalty);
  if (fields.end)
    beams.end = *fields.end;
}

/// Makes sequence i what the one was that beam i goes on, by way of as many
/// spare sequences.
std::optional<Fault> GenerateTask::reorder(size_t number,
                                           const rt::BeamSearch &search) {
  auto running = search.running();
  auto count = int64_t(running.size());
  int64_t tokens = heldTokens(number) + int64_t(running[0].ids.size()) - 1;
  for (auto [each, size] : {std::pair(cache.get(), tokens),
                            std::pair(featureCache.get(), heldRows)}) {
    for (int64_t i = 0; each && i < count; ++i)
      if (std::optional<Fault> fault = check(
              vlm_cache_fork(each, running[size_t(i)].origin, count + i, size)))
        return fault;
    for (int64_t i = 0; each && i < count; ++i)
      if (std::optional<Fault> fault =
              check(vlm_cache_fork(each, count + i, i, size)))
        return fault;
    // What two share cannot be written.
    for (int64_t i = 0; each && i < count; ++i)
      if (std::optional<Fault> fault =
              check(vlm_cache_resize(each, count + i, 0)))
        return fault;
  }
  return std::nullopt;
}

/// Runs the last token of each beam.
std::optional<Fault>
GenerateTask::carryOn(size_t number, const rt::BeamSearch &search,
                      std::vector<std::vector<float>> &logits) {
  auto running = search.running();
  int64_t position = heldTokens(number) + int64_t(running[0].ids.size()) - 1;
  Run run;
  for (size_t i = 0; i < running.size(); ++i)
    addToken(run, number, running[i].ids.back(), position, int32_t(i));
  return runTokens(run, logits);
}

/// Goes on from the prompt's logits with several beams; the best answer is
/// kept.
std::optional<Fault> GenerateTask::search(size_t number, int64_t most) {
  Prompt &prompt = prompts[number];
  int64_t padding = encodes ? 0 : prompt.columns[0];
  rt::BeamSearch search(facts, beams, beforeAnswer(number), most, padding);
  std::vector<std::vector<float>> logits = {prompt.logits};
  for (;;) {
    std::vector<std::span<const float>> rows(logits.begin(), logits.end());
    search.take(rows);
    if (search.isOver())
      break;
    logits.resize(search.running().size());
    if (std::optional<Fault> fault = reorder(number, search))
      return fault;
    if (std::optional<Fault> fault = carryOn(number, search, logits))
      return fault;
  }
  std::span<const int64_t> best = search.answer(0);
  prompt.generated.assign(best.begin(), best.end());
  return std::nullopt;
}

} // namespace vlmc::tool
