//===- GenerateCommand.cpp - Answers about pictures -----------------------===//
//
// `vlmc generate M --image F --prompt S`: prints the answer as it comes. And
// `vlmc count`, which tells how many tokens the request has, without running
// it.
//
//===----------------------------------------------------------------------===//
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
  Outcome<RenderedPrompt> render() const;

  ModelOptions options;
  std::vector<std::string> images;
  std::string prompt;
  bool isRaw = false;
  int64_t maxTokens = 0, prefill = 0;
  Conversation conversation;
  std::optional<OpenModel> model;
  OpenSession session;
};

class GenerateCommand : public RequestCommand {
public:
  const char *name() const override { return "generate"; }
  const char *summary() const override {
    return "answers a prompt about pictures";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  SamplingOptions sampling;
};

class CountCommand : public RequestCommand {
public:
  const char *name() const override { return "count"; }
  const char *summary() const override {
    return "tells how many tokens a request has";
  }
  ExitCode run() override;
};

} // namespace

void RequestCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("--image", images, "picture files: PNG, JPEG, WebP or GIF")
      ->type_name("FILE...");
  app.add_option("--prompt", prompt, "the question")
      ->required()
      ->type_name("TEXT");
  app.add_flag("--raw", isRaw,
               "take the prompt as it stands, without the chat template");
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

Outcome<RenderedPrompt> RequestCommand::render() const {
  size_t bytes = 0;
  bool hasTemplate =
      vlm_tokenizer_chat_template(session.tokenizer.get(), &bytes) != nullptr;
  if (hasTemplate && !isRaw)
    return conversation.render(session.tokenizer.get());
  return conversation.renderPlain(session.tokenizer.get());
}

void GenerateCommand::declare(CLI::App &app) {
  RequestCommand::declare(app);
  app.add_option("--prefill", prefill,
                 "tokens of the prompt that run at once; 0: 512")
      ->type_name("N");
  addSamplingOptions(app, sampling);
}

ExitCode GenerateCommand::run() {
  if (std::optional<Fault> fault = open())
    return report(*fault);
  Outcome<RenderedPrompt> rendered = render();
  if (!rendered)
    return report(rendered.takeFault());
  if (std::optional<Fault> fault =
          givePrompt(session, *rendered, conversation.images()))
    return report(*fault);
  const std::atomic<bool> never = false;
  Outcome<std::string> answer = stream(session, sampling, never);
  return answer ? ExitCode::Done : report(answer.takeFault());
}

ExitCode CountCommand::run() {
  if (std::optional<Fault> fault = open())
    return report(*fault);
  Outcome<RenderedPrompt> rendered = render();
  if (!rendered)
    return report(rendered.takeFault());
  std::vector<const vlm_image_t *> pictures = conversation.images();
  int64_t tokens = 0;
  if (std::optional<Fault> fault = check(vlm_session_count(
          session.session.get(), rendered->text.data(), rendered->text.size(),
          pictures.data(), pictures.size(), rendered->addsSpecial ? 1 : 0,
          &tokens)))
    return report(*fault);
  std::printf("%lld\n", static_cast<long long>(tokens));
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeGenerateCommand() {
  return std::make_unique<GenerateCommand>();
}

std::unique_ptr<Command> vlmc::tool::makeCountCommand() {
  return std::make_unique<CountCommand>();
}
