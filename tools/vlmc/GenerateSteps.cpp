//===- GenerateSteps.cpp - Answers of several prompts step by step --------===//
//
// The next tokens of all answers go through the model in one run, which reads
// its weights once; what comes of each is the same bits as alone.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/LogitsProcessors.h"
#include "tools/vlmc/GenerateTask.h"

#include <algorithm>
#include <list>

namespace vlmc::tool {

/// Adds the next token of an answer to a run.
void GenerateTask::addToken(Run &run, size_t number, int64_t id, int64_t place,
                            int32_t sequence) const {
  run.ids.push_back(id);
  run.features.push_back(-1);
  run.places.push_back(int32_t(place));
  run.sequences.push_back(sequence);
  if (!facts.attended && !encodes)
    return;
  // A new token sees what the last one of the prompt saw.
  const SeenRows &seen = prompts[number].seen;
  run.seen.first.push_back(seen.first.back());
  run.seen.last.push_back(seen.last.back());
  if (!seen.shown.empty())
    run.seen.shown.push_back(seen.shown.back());
}

/// Runs one token of each of several sequences.
std::optional<Fault>
GenerateTask::runTokens(Run &run, std::vector<std::vector<float>> &logits) {
  TensorMap results;
  if (std::optional<Fault> fault = decode(run, results))
    return fault;
  const HostTensor &rows = results["logits"];
  const auto width = size_t(rows.shape.back());
  logits.resize(run.ids.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float *row = rows.data<float>() + i * width;
    logits[i].assign(row, row + width);
  }
  return std::nullopt;
}

namespace {
/// An answer in the making.
struct Growing {
  size_t number;
  std::vector<int64_t> all; ///< what stands there, padding included
  rt::LogitsProcessors processors;
  int64_t place; ///< of the next token
};
} // namespace

/// Goes on from the logits behind the prompts, greedily.
std::optional<Fault> GenerateTask::generate(int64_t most) {
  std::list<Growing> growing;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int64_t> all = beforeAnswer(i);
    int64_t padding = encodes ? 0 : prompts[i].columns[0];
    rt::LogitsProcessors processors(facts, int64_t(all.size()), most, padding);
    growing.push_back({i, std::move(all), processors, heldTokens(i)});
  }
  while (!growing.empty()) {
    Run run;
    growing.remove_if([&](Growing &answer) {
      Prompt &prompt = prompts[answer.number];
      if (int64_t(prompt.generated.size()) >= most)
        return true;
      std::vector<float> scores = prompt.logits;
      answer.processors.apply(answer.all, scores);
      const int64_t id = std::ranges::max_element(scores) - scores.begin();
      prompt.generated.push_back(id);
      answer.all.push_back(id);
      if (isEnd(id) || int64_t(prompt.generated.size()) == most)
        return true;
      addToken(run, answer.number, id, answer.place++, int32_t(answer.number));
      return false;
    });
    if (growing.empty())
      break;
    std::vector<std::vector<float>> logits;
    if (std::optional<Fault> fault = runTokens(run, logits))
      return fault;
    size_t row = 0;
    for (const Growing &answer : growing)
      prompts[answer.number].logits = std::move(logits[row++]);
  }
  return std::nullopt;
}

} // namespace vlmc::tool
