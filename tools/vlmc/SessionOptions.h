//===- SessionOptions.h - Sessions on the command line ----------*- C++ -*-===//
//
// The options of generate and chat that say how tokens are chosen, and a
// session with its tokenizer.
//
//   addSamplingOptions(app, sampling);          // in declare()
//   Outcome<OpenSession> session = openSession(model->get(), 0, 0);
//   Outcome<std::string> text = stream(*session, sampling, stop);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_SESSIONOPTIONS_H
#define VLMC_TOOLS_VLMC_SESSIONOPTIONS_H

#include "tools/vlmc/Conversation.h"

#include <atomic>

namespace CLI {
class App;
class Option;
} // namespace CLI

namespace vlmc::tool {

struct SamplingOptions {
  vlm_generate_options_t options{};
  std::vector<std::string> stops;
};

/// Adds --max-new-tokens, --temperature, --top-k, --top-p, --min-p, penalties,
/// --seed and --stop.
void addSamplingOptions(CLI::App &app, SamplingOptions &sampling);

/// Adds --n, --logprobs, --top-logprobs and --prompt-logprobs; the last three
/// need `json`.
void addAnswerOptions(CLI::App &app, SamplingOptions &sampling,
                      CLI::Option *json);

/// The options with what they point to, which is `pointers`.
vlm_generate_options_t finished(const SamplingOptions &sampling,
                                std::vector<const char *> &pointers);

/// Adds --chat-template.
CLI::Option *addChatTemplate(CLI::App &app, std::string &given);

struct OpenSession {
  std::unique_ptr<vlm_session_t, decltype(&vlm_session_destroy)> session{
      nullptr, vlm_session_destroy};
  Tokenizer tokenizer{nullptr, vlm_tokenizer_destroy};
};

/// `maxTokens` and `prefill` as in vlm_session_options_t.
Outcome<OpenSession> openSession(const vlm_model_t *model, int64_t maxTokens,
                                 int64_t prefill);

/// Gives a session a prompt with its pictures.
std::optional<Fault> givePrompt(OpenSession &session,
                                const RenderedPrompt &prompt,
                                const std::vector<const vlm_image_t *> &images);

/// Prints the answer as it comes, until `stop` becomes true; returns it.
Outcome<std::string> stream(OpenSession &session,
                            const SamplingOptions &sampling,
                            const std::atomic<bool> &stop);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_SESSIONOPTIONS_H
