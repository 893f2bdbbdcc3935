//===- GenerateCommand.cpp - Answers about pictures -----------------------===//
//
// `vlmc generate M --image F --prompt S`: prints the answer as it comes. And
// `vlmc count`, which tells how many tokens the request has and what it will
// take, without running it.
//
//===----------------------------------------------------------------------===//
#include "tools/vlmc/AnswerReport.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/SessionOptions.h"

#include <CLI/CLI.hpp>

using namespace vlmc;
using namespace vlmc::tool;

namespace {

/// What a request is made of.
class RequestCommand : public Command {
public:
  void declare(CLI::App &app) override;

protected:
  std::optional<Fault> open();
  /// The request over memory of the command's.
  std::optional<Fault> makeRequest(vlm_request_t &request);

  ModelOptions options;
  std::vector<std::string> images, videos;
  std::string prompt;
  std::string chatTemplate; ///< as --chat-template gives it
  bool isRaw = false;
  int64_t maxTokens = 0, prefill = 0;
  bool json = false;
  SamplingOptions sampling;
  int64_t maxTiles = 0, maxPixels = 0;
  size_t maxBytes = 0;
  Conversation conversation;
  std::optional<OpenModel> model;
  OpenSession session;

private:
  Outcome<RenderedPrompt> render() const;

  RenderedPrompt rendered;
  std::vector<const vlm_image_t *> pictures;
  std::vector<const char *> stops;
  vlm_generate_options_t generate{};
};

class GenerateCommand : public RequestCommand {
public:
  const char *name() const override { return "generate"; }
  const char *summary() const override {
    return "answers a prompt about pictures";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;
};

class CountCommand : public RequestCommand {
public:
  const char *name() const override { return "count"; }
  const char *summary() const override {
    return "tells how many tokens a request has";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;
};

} // namespace

void RequestCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("--image", images, "picture files: PNG, JPEG, WebP or GIF")
      ->type_name("FILE...");
  app.add_option("--video", videos,
                 "frames of a video: a folder of pictures, by their names, or "
                 "a list a.png,b.png; may be given again")
      ->type_name("FOLDER");
  app.add_option("--prompt", prompt, "the question")
      ->required()
      ->type_name("TEXT");
  CLI::Option *raw =
      app.add_flag("--raw", isRaw,
                   "take the prompt as it stands, without the chat template");
  addChatTemplate(app, chatTemplate)->excludes(raw);
  app.add_option("--max-tokens", maxTokens,
                 "most tokens of prompt and answer; 0: as many as the model "
                 "takes")
      ->type_name("N");
  addImageBackend(app, options);
  addModelOptions(app, options);
}

std::optional<Fault> RequestCommand::open() {
  for (const std::string &path : images)
    if (std::optional<Fault> fault = conversation.addImage(path))
      return fault;
  for (const std::string &path : videos)
    if (std::optional<Fault> fault = conversation.addVideo(path))
      return fault;
  conversation.ask(prompt);
  Outcome<OpenModel> opened = openModel(options);
  if (!opened)
    return opened.takeFault();
  model = std::move(*opened);
  Outcome<OpenSession> made = openSession(model->get(), maxTokens, prefill);
  if (!made)
    return made.takeFault();
  session = std::move(*made);
  return std::nullopt;
}

std::optional<Fault> RequestCommand::makeRequest(vlm_request_t &request) {
  Outcome<RenderedPrompt> prompt = render();
  if (!prompt)
    return prompt.takeFault();
  rendered = std::move(*prompt);
  pictures = conversation.images();
  generate = finished(sampling, stops);
  request = {};
  request.struct_bytes = sizeof(request);
  request.text = rendered.text.data();
  request.bytes = rendered.text.size();
  request.images = pictures.data();
  request.image_count = pictures.size();
  request.special = rendered.addsSpecial ? 1 : 0;
  request.options = &generate;
  request.max_tiles = maxTiles;
  request.max_pixels = maxPixels;
  request.max_bytes = maxBytes;
  return std::nullopt;
}

Outcome<RenderedPrompt> RequestCommand::render() const {
  size_t bytes = 0;
  Outcome<std::string> chosen =
      openChatTemplate(session.tokenizer.get(), chatTemplate);
  if (!chosen)
    return chosen.takeFault();
  bool hasTemplate =
      !chosen->empty() ||
      vlm_tokenizer_chat_template(session.tokenizer.get(), &bytes) != nullptr;
  if (hasTemplate && !isRaw)
    return conversation.render(session.tokenizer.get(), *chosen);
  return conversation.renderPlain(session.tokenizer.get());
}

void GenerateCommand::declare(CLI::App &app) {
  RequestCommand::declare(app);
  app.add_option("--prefill", prefill,
                 "tokens of the prompt that run at once; 0: 512")
      ->type_name("N");
  addSamplingOptions(app, sampling);
  CLI::Option *asJson = app.add_flag(
      "--json", json, "print answers, their ends and tokens as a line of JSON");
  addAnswerOptions(app, sampling, asJson);
  app.add_option("--max-tiles", maxTiles,
                 "refuse pictures that become more tiles")
      ->type_name("N");
  app.add_option("--max-pixels", maxPixels,
                 "refuse pictures that have more pixels together")
      ->type_name("N");
  app.add_option("--max-memory", maxBytes,
                 "refuse a request that would need more memory")
      ->type_name("BYTES");
}

ExitCode GenerateCommand::run() {
  if (std::optional<Fault> fault = open())
    return report(*fault);
  vlm_request_t request;
  if (std::optional<Fault> fault = makeRequest(request))
    return report(*fault);
  const vlm_generate_options_t &wanted = *request.options;
  AnswerReport answers(!json && wanted.answers < 2,
                       wanted.logprobs || wanted.top_logprobs);
  request.callback = AnswerReport::hear;
  request.user = &answers;
  if (std::optional<Fault> fault =
          check(vlm_session_answer(session.session.get(), &request)))
    return report(*fault);
  if (json)
    answers.printJson(session.session.get());
  else
    answers.print();
  return ExitCode::Done;
}

void CountCommand::declare(CLI::App &app) {
  RequestCommand::declare(app);
  app.add_flag("--json", json,
               "print tokens, tiles, pixels and the memory that the request "
               "will need as a line of JSON");
  app.add_option("--max-new-tokens", sampling.options.max_new_tokens,
                 "longest answer, for the memory; 0: as the checkpoint says")
      ->type_name("N");
  app.add_option("--n", sampling.options.answers,
                 "how many answers, for the memory")
      ->type_name("N");
  sampling.options.struct_bytes = sizeof(sampling.options);
}

ExitCode CountCommand::run() {
  if (std::optional<Fault> fault = open())
    return report(*fault);
  vlm_request_t request;
  if (std::optional<Fault> fault = makeRequest(request))
    return report(*fault);
  vlm_prediction_t told{};
  told.struct_bytes = sizeof(told);
  if (std::optional<Fault> fault =
          check(vlm_session_predict(session.session.get(), &request, &told)))
    return report(*fault);
  if (!json) {
    std::printf("%lld\n", static_cast<long long>(told.tokens));
    return ExitCode::Done;
  }
  nlohmann::ordered_json line{
      {"tokens", told.tokens},           {"tiles", told.tiles},
      {"pixels", told.pixels},           {"bytes", told.bytes},
      {"cache_bytes", told.cache_bytes}, {"picture_bytes", told.picture_bytes},
      {"work_bytes", told.work_bytes}};
  std::printf("%s\n", line.dump().c_str());
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeGenerateCommand() {
  return std::make_unique<GenerateCommand>();
}

std::unique_ptr<Command> vlmc::tool::makeCountCommand() {
  return std::make_unique<CountCommand>();
}
