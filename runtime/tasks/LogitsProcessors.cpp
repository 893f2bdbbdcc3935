//===- LogitsProcessors.cpp - What changes logits before a choice ---------===//
//
// Source: transformers.generation.logits_process, in f32 as there.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/LogitsProcessors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace vlmc::rt {

using Ids = LogitsProcessors::Ids;
using Scores = LogitsProcessors::Scores;

static constexpr float never = -std::numeric_limits<float>::infinity();

int64_t usualNewTokens(const vlm_abi_generation &facts, int64_t promptTokens) {
  constexpr int64_t usual = 20;
  if (facts.max_new_tokens)
    return facts.max_new_tokens;
  // transformers refuses a prompt that is as long; here is one token.
  return facts.max_length
             ? std::max<int64_t>(1, facts.max_length - promptTokens)
             : usual;
}

/// The placeholder of a picture may be no word of the vocabulary.
static bool isWord(Scores scores, int64_t id) {
  return id >= 0 && size_t(id) < scores.size();
}

/// Calls `take` with the number and the last id of each sequence whose other
/// ids stand at the end of `ids`.
template <typename Take>
static void eachContinued(const int32_t *sequences, uint32_t count, Ids ids,
                          Take take) {
  for (uint32_t at = 0, number = 0; at < count; ++number) {
    auto length = size_t(sequences[at]);
    const int32_t *sequence = sequences + at + 1;
    at += 1 + uint32_t(length);
    if (length == 0 || length - 1 > ids.size())
      continue;
    auto begin = ids.end() - std::ptrdiff_t(length - 1);
    if (std::equal(sequence, sequence + length - 1, begin))
      take(number, int64_t(sequence[length - 1]));
  }
}

void LogitsProcessors::addBiases(Ids ids, Scores scores) const {
  eachContinued(rules->biased, rules->n_biased, ids,
                [&](uint32_t number, int64_t id) {
                  if (isWord(scores, id))
                    scores[size_t(id)] += rules->biases[number];
                });
}

/// Makes each of the ids less likely, or likelier with a factor below 1.
void LogitsProcessors::penalize(Ids ids, Scores scores, float factor) const {
  if (factor == 1)
    return;
  std::unordered_set<int64_t> seen;
  for (int64_t id : ids)
    if (isWord(scores, id) && seen.insert(id).second) {
      float &score = scores[size_t(id)];
      score = score < 0 ? score * factor : score / factor;
    }
}

/// Forbids what would make the last `count` tokens some that stand in `among`.
void LogitsProcessors::forbidRepeats(Ids ids, Scores scores, Ids among,
                                     int64_t count) const {
  auto prefix = size_t(count) - 1;
  if (count < 1 || ids.size() < prefix || among.size() <= prefix)
    return;
  Ids last = ids.last(prefix);
  for (size_t i = 0; i + prefix < among.size(); ++i)
    if (std::ranges::equal(among.subspan(i, prefix), last) &&
        isWord(scores, among[i + prefix]))
      scores[size_t(among[i + prefix])] = never;
}

void LogitsProcessors::forbid(Ids ids, Scores scores) const {
  eachContinued(rules->forbidden, rules->n_forbidden, ids,
                [&](uint32_t, int64_t id) {
                  if (isWord(scores, id))
                    scores[size_t(id)] = never;
                });
}

void LogitsProcessors::holdEnd(Ids ids, Scores scores) const {
  auto tokens = int64_t(ids.size());
  if (tokens >= rules->min_tokens &&
      tokens - promptTokens >= rules->min_new_tokens)
    return;
  for (uint32_t i = 0; i < facts.n_end_tokens; ++i)
    if (isWord(scores, facts.end_tokens[i]))
      scores[size_t(facts.end_tokens[i])] = never;
}

void LogitsProcessors::force(Ids ids, Scores scores) const {
  auto only = [&](const int32_t *list, uint32_t count) {
    std::ranges::fill(scores, never);
    for (uint32_t i = 0; i < count; ++i)
      if (isWord(scores, list[i]))
        scores[size_t(list[i])] = 0;
  };
  if (rules->forced_begin >= 0 && ids.size() == 1)
    only(&rules->forced_begin, 1);
  if (rules->n_forced_end && int64_t(ids.size()) == promptTokens + most - 1)
    only(rules->forced_end, rules->n_forced_end);
}

/// The longer the answer, the likelier its end.
void LogitsProcessors::urgeEnd(Ids ids, Scores scores) const {
  int64_t over = int64_t(ids.size()) - promptTokens - rules->decay_start;
  if (rules->decay_start < 0 || over <= 0)
    return;
  auto growth = float(
      std::pow(double(rules->numbers[VLM_ABI_DECAY_FACTOR]), double(over)) - 1);
  for (uint32_t i = 0; i < facts.n_end_tokens; ++i)
    if (int64_t id = facts.end_tokens[i];
        isWord(scores, id) && std::isfinite(scores[size_t(id)]))
      scores[size_t(id)] += std::abs(scores[size_t(id)]) * growth;
}

void LogitsProcessors::suppress(Ids ids, Scores scores) const {
  auto drop = [&](const int32_t *list, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
      if (isWord(scores, list[i]))
        scores[size_t(list[i])] = never;
  };
  drop(rules->suppressed, rules->n_suppressed);
  // A forced token comes before the first one that is chosen.
  bool hasForced = promptTokens <= 1 && rules->forced_begin >= 0;
  if (int64_t(ids.size()) == promptTokens + hasForced)
    drop(rules->first_suppressed, rules->n_first_suppressed);
}

void LogitsProcessors::apply(Ids ids, Scores scores) const {
  if (!rules)
    return;
  Ids prompt = ids.first(size_t(promptTokens));
  addBiases(ids, scores);
  penalize(prompt, scores, 1 / rules->numbers[VLM_ABI_PROMPT_PENALTY]);
  if (!leavesRepetition)
    penalize(ids.subspan(size_t(padding)), scores,
             rules->numbers[VLM_ABI_REPETITION_PENALTY]);
  forbidRepeats(ids, scores, ids, rules->ngram);
  forbidRepeats(ids, scores, prompt, rules->prompt_ngram);
  forbid(ids, scores);
  holdEnd(ids, scores);
  force(ids, scores);
  urgeEnd(ids, scores);
  suppress(ids, scores);
}

} // namespace vlmc::rt
