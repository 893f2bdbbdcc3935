//===- Answer.h - One answer in the making ----------------------*- C++ -*-===//
//
// From the logits behind a sequence's last token to its next one, the text that
// it adds, and whether the answer is over.
//
//   Answer answer(reader, options, number, heldIds);
//   while (!answer.isOver()) {
//     if (auto *status = answer.take(logits, ids)) return status;
//     if (!answer.isOver()) ...  // run the token ids.back()
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_ANSWER_H
#define VLMC_RUNTIME_TASKS_ANSWER_H

#include "runtime/tasks/BeamSearch.h"
#include "runtime/tasks/Prompt.h"
#include "runtime/tasks/Sampler.h"
#include "runtime/tasks/TextStream.h"

#include <algorithm>
#include <optional>
#include <span>

namespace vlmc::rt {

/// A request's options with what they point to.
struct GenerateOptions {
  explicit GenerateOptions(const vlm_generate_options_t *given = nullptr);

  vlm_generate_options_t values{};
  std::vector<std::string> stops;

  int64_t answers() const { return values.answers ? values.answers : 1; }
  /// How the answers are searched for; one beam where they are chosen token by
  /// token. `facts`: what the checkpoint says.
  BeamOptions beams(const vlm_abi_generation &facts) const;
  /// The sequences that the answers take.
  int64_t sequences(const vlm_abi_generation &facts) const {
    return std::max(answers(), beams(facts).beams);
  }
  bool wantsLogprobs() const {
    return values.logprobs || values.top_logprobs || values.prompt_logprobs;
  }
  /// The length of an answer to a prompt. `facts`: what the checkpoint says.
  int64_t most(const vlm_abi_generation &facts, int64_t promptTokens) const;
};

/// Who is told.
struct Listener {
  vlm_piece_callback_t callback = nullptr;
  void *user = nullptr;

  bool tell(const vlm_piece_t &piece) const {
    return !callback || callback(user, &piece) == 0;
  }
};

/// What the logits say of a token in their place.
class TokenScore {
public:
  /// `likeliest`: how many others are told.
  TokenScore(std::span<const float> logits, int64_t id, int64_t likeliest);
  TokenScore(const TokenScore &) = delete;
  TokenScore &operator=(const TokenScore &) = delete;

  vlm_token_t token{};

private:
  std::vector<vlm_logprob_t> list;
};

class Answer {
public:
  /// Answer `number` to a sequence that holds `ids` and takes `maxTokens`.
  Answer(const PromptReader &reader, const GenerateOptions &options,
         int64_t number, const std::vector<int64_t> &ids, int64_t maxTokens,
         Listener listener);
  Answer(const Answer &) = delete;
  Answer &operator=(const Answer &) = delete;

  /// Chooses the next token by the logits, puts it behind the ids, and tells.
  vlm_status_t *take(std::span<const float> logits, std::vector<int64_t> &ids);
  /// The same with a token that somebody has chosen.
  vlm_status_t *give(int64_t id, std::span<const float> logits,
                     std::vector<int64_t> &ids);
  /// Ends it now.
  void end(vlm_end_t how, const vlm_status_t *failure = nullptr);
  bool isOver() const { return how.has_value(); }
  vlm_end_t ending() const { return *how; }
  int64_t tokens() const { return count; }

private:
  bool isEnd(int64_t id) const;
  vlm_status_t *finish(vlm_end_t reason);

  const PromptReader &reader;
  const GenerateOptions &options;
  const int64_t number, most, maxTokens;
  Listener listener;
  LogitsProcessors processors;
  Sampler sampler;
  TextStream stream;
  std::vector<float> scores; ///< a copy that the sampler changes
  std::optional<vlm_end_t> how;
  int64_t count = 0;
};

/// Refuses what no sampler takes, and numbers of answers and logprobs.
vlm_status_t *checkOptions(const vlm_generate_options_t &options);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_ANSWER_H
