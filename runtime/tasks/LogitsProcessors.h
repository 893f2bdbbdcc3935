//===- LogitsProcessors.h - What changes logits before a choice -*- C++ -*-===//
//
// The rules that a checkpoint brings along for the choice of tokens, in the
// order of _get_logits_processor in transformers. They hold for the greedy
// choice and for drawing.
//
//   LogitsProcessors processors(facts, prompt.size(), maxNewTokens);
//   processors.apply(ids, scores);   // ids: those of the prompt and the answer
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_LOGITSPROCESSORS_H
#define VLMC_RUNTIME_TASKS_LOGITSPROCESSORS_H

#include "runtime/abi/vlm_abi.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vlmc::rt {

/// How many tokens an answer to a prompt has where the request says nothing.
int64_t usualNewTokens(const vlm_abi_generation &facts, int64_t promptTokens);

class LogitsProcessors {
public:
  using Ids = std::span<const int64_t>;
  using Scores = std::span<float>;

  /// For an answer of at most `most` tokens to a prompt of `promptTokens`, the
  /// first `padding` of which are padding: transformers counts it, except in
  /// the repetition penalty.
  LogitsProcessors(const vlm_abi_generation &facts, int64_t promptTokens,
                   int64_t most, int64_t padding = 0)
      : facts(facts), rules(facts.rules), promptTokens(promptTokens),
        most(most), padding(padding) {}

  /// The request has a repetition penalty of its own.
  void leaveRepetition() { leavesRepetition = true; }

  void apply(Ids ids, Scores scores) const;

private:
  void addBiases(Ids ids, Scores scores) const;
  void penalize(Ids ids, Scores scores, float factor) const;
  void forbidRepeats(Ids ids, Scores scores, Ids among, int64_t count) const;
  void forbid(Ids ids, Scores scores) const;
  void holdEnd(Ids ids, Scores scores) const;
  void force(Ids ids, Scores scores) const;
  void urgeEnd(Ids ids, Scores scores) const;
  void suppress(Ids ids, Scores scores) const;

  const vlm_abi_generation &facts;
  const vlm_abi_rules *rules;
  const int64_t promptTokens, most, padding;
  bool leavesRepetition = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_LOGITSPROCESSORS_H
