//===- SessionOptions.cpp - Sessions on the command line ------------------===//
#include "tools/vlmc/SessionOptions.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>

namespace vlmc::tool {

CLI::Option *addChatTemplate(CLI::App &app, std::string &given) {
  return app
      .add_option("--chat-template", given,
                  "how messages are written: the name of one of the "
                  "checkpoint's templates, or a file in Jinja (default: the "
                  "checkpoint's)")
      ->type_name("NAME|FILE");
}

void addSamplingOptions(CLI::App &app, SamplingOptions &sampling) {
  vlm_generate_options_t &options = sampling.options;
  options.struct_bytes = sizeof(options);
  app.add_option("--max-new-tokens", options.max_new_tokens,
                 "longest answer; 0: as the checkpoint says, or 20")
      ->type_name("N");
  app.add_option("--temperature", options.temperature,
                 "how much chance there is; 0: always the likeliest token")
      ->type_name("T");
  app.add_option("--top-k", options.top_k, "only the K likeliest tokens")
      ->type_name("K");
  app.add_option("--top-p", options.top_p,
                 "only the likeliest tokens that have P together")
      ->type_name("P");
  app.add_option("--min-p", options.min_p,
                 "only tokens of at least P times the likeliest one's "
                 "probability")
      ->type_name("P");
  app.add_option("--repetition-penalty", options.repetition_penalty,
                 "makes tokens that have been there less likely; above 1")
      ->type_name("X");
  app.add_option("--presence-penalty", options.presence_penalty,
                 "taken off the logits of tokens that the answer holds")
      ->type_name("X");
  app.add_option("--frequency-penalty", options.frequency_penalty,
                 "the same for each time that it holds them")
      ->type_name("X");
  app.add_option("--seed", options.seed, "the same seed, the same answer")
      ->type_name("N");
  app.add_option("--beams", options.beams,
                 "search for the likeliest answers, with so many beginnings "
                 "carried on at once; 0: as the checkpoint says, 1: none")
      ->type_name("N");
  app.add_option("--length-penalty", options.length_penalty,
                 "how a search weighs long answers: the sum of their "
                 "logarithms of probabilities is divided by the length to this "
                 "power; 0: as the checkpoint says, or 1")
      ->type_name("X");
  const std::map<std::string, int32_t> ends = {
      {"unlikely", VLM_BEAMS_UNLIKELY},
      {"full", VLM_BEAMS_FULL},
      {"impossible", VLM_BEAMS_IMPOSSIBLE}};
  app.add_option("--beam-end", options.beam_end,
                 "when a search is over: when a better answer is unlikely, "
                 "when there are as many answers as beams, or when a better "
                 "one is impossible (default: as the checkpoint says)")
      ->transform(CLI::CheckedTransformer(ends))
      ->type_name("HOW");
  app.add_option("--stop", sampling.stops, "texts that end the answer")
      ->type_name("TEXT...");
}

void addAnswerOptions(CLI::App &app, SamplingOptions &sampling,
                      CLI::Option *json) {
  vlm_generate_options_t &options = sampling.options;
  app.add_option("--n", options.answers,
                 "how many answers are given; each draws by a seed of its own, "
                 "the next number")
      ->type_name("N");
  app.add_flag("--logprobs", options.logprobs,
               "tell how likely each token of the answers was, as natural "
               "logarithms")
      ->needs(json);
  app.add_option("--top-logprobs", options.top_logprobs,
                 "and the N likeliest tokens in its place")
      ->needs(json)
      ->type_name("N");
  app.add_flag("--prompt-logprobs", options.prompt_logprobs,
               "the same for the tokens of the prompt")
      ->needs(json);
}

vlm_generate_options_t finished(const SamplingOptions &sampling,
                                std::vector<const char *> &pointers) {
  pointers.clear();
  for (const std::string &text : sampling.stops)
    pointers.push_back(text.c_str());
  vlm_generate_options_t options = sampling.options;
  options.stops = pointers.data();
  options.stop_count = pointers.size();
  return options;
}

Outcome<OpenSession> openSession(const vlm_model_t *model, int64_t maxTokens,
                                 int64_t prefill) {
  OpenSession result;
  vlm_session_options_t options{sizeof(options), maxTokens, prefill};
  vlm_session_t *made = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_session_create(model, &options, &made)))
    return *fault;
  result.session.reset(made);
  if (std::optional<Fault> fault = openTokenizer(model, result.tokenizer))
    return *fault;
  return result;
}

std::optional<Fault>
givePrompt(OpenSession &session, const RenderedPrompt &prompt,
           const std::vector<const vlm_image_t *> &images) {
  return check(vlm_session_prompt(session.session.get(), prompt.text.data(),
                                  prompt.text.size(), images.data(),
                                  images.size(), prompt.addsSpecial ? 1 : 0));
}

namespace {
/// What the callback is given.
struct Listener {
  const std::atomic<bool> &stop;
  std::string text;
};
} // namespace

static int hear(void *user, const char *text, size_t bytes) {
  auto *listener = static_cast<Listener *>(user);
  listener->text.append(text, bytes);
  bool isPrinted =
      std::fwrite(text, 1, bytes, stdout) == bytes && std::fflush(stdout) == 0;
  return listener->stop || !isPrinted ? 1 : 0;
}

Outcome<std::string> stream(OpenSession &session,
                            const SamplingOptions &sampling,
                            const std::atomic<bool> &stop) {
  std::vector<const char *> stops;
  vlm_generate_options_t options = finished(sampling, stops);
  Listener listener{stop, ""};
  if (std::optional<Fault> fault = check(vlm_session_generate(
          session.session.get(), &options, hear, &listener, nullptr, nullptr)))
    return *fault;
  std::puts("");
  std::fflush(stdout);
  return listener.text;
}

} // namespace vlmc::tool
