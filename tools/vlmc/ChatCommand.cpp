//===- ChatCommand.cpp - A conversation about pictures --------------------===//
//
// `vlmc chat M`: reads a question a line, prints the answers as they come and
// remembers both. A word that begins with '@' is the path of a picture, or of a
// folder of pictures that are a video's frames. Ctrl-C ends the answer, not the
// conversation; ctrl-D ends that.
//
//===----------------------------------------------------------------------===//
#include "tools/vlmc/Command.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/SessionOptions.h"
#include "tools/vlmc/Videos.h"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <csignal>
#include <unistd.h>

using namespace vlmc::tool;

/// Set by ctrl-C.
static std::atomic<bool> interrupted = false;

static void interrupt(int) { interrupted = true; }

namespace {
class ChatCommand : public Command {
public:
  const char *name() const override { return "chat"; }
  const char *summary() const override {
    return "holds a conversation about pictures";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> ask(const std::string &line);
  std::optional<Fault> answer();

  ModelOptions options;
  SamplingOptions sampling;
  int64_t maxTokens = 0;
  std::string chatTemplate;
  Conversation conversation;
  OpenSession session;
};
} // namespace

void ChatCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("--max-tokens", maxTokens,
                 "most tokens of the conversation; 0: as many as the model "
                 "takes")
      ->type_name("N");
  addChatTemplate(app, chatTemplate);
  addSamplingOptions(app, sampling);
  addImageBackend(app, options);
  addModelOptions(app, options);
}

/// Reads a line of standard input; false at its end. Ctrl-C empties the line.
static bool readLine(std::string &line) {
  line.clear();
  for (char c = 0;;) {
    ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) {
      interrupted = false;
      line.clear();
      std::fputs("\n(ctrl-D ends the conversation)\n> ", stderr);
      continue;
    }
    if (count <= 0)
      return !line.empty();
    if (c == '\n')
      return true;
    line += c;
  }
}

/// Takes a question apart: words that begin with '@' are pictures.
std::optional<Fault> ChatCommand::ask(const std::string &line) {
  std::string text;
  for (size_t at = 0; at < line.size();) {
    bool isPicture = line[at] == '@' && (at == 0 || line[at - 1] == ' ');
    if (!isPicture) {
      text += line[at++];
      continue;
    }
    size_t end = std::min(line.find(' ', at), line.size());
    std::string path = line.substr(at + 1, end - at - 1);
    if (std::optional<Fault> fault = isVideoPath(path)
                                         ? conversation.addVideo(path)
                                         : conversation.addImage(path)) {
      conversation.dropWaiting();
      return fault;
    }
    at = end + (end < line.size());
  }
  conversation.ask(text);
  return std::nullopt;
}

std::optional<Fault> ChatCommand::answer() {
  Outcome<RenderedPrompt> prompt =
      conversation.render(session.tokenizer.get(), chatTemplate);
  if (!prompt)
    return prompt.takeFault();
  if (std::optional<Fault> fault =
          givePrompt(session, *prompt, conversation.images()))
    return fault;
  interrupted = false;
  Outcome<std::string> text = stream(session, sampling, interrupted);
  if (!text)
    return text.takeFault();
  interrupted = false;
  conversation.answered(*text);
  return std::nullopt;
}

ExitCode ChatCommand::run() {
  Outcome<OpenModel> model = openModel(options);
  if (!model)
    return report(model.takeFault());
  Outcome<OpenSession> opened = openSession(model->get(), maxTokens, 0);
  if (!opened)
    return report(opened.takeFault());
  session = std::move(*opened);
  Outcome<std::string> chosen =
      openChatTemplate(session.tokenizer.get(), chatTemplate);
  if (!chosen)
    return report(chosen.takeFault());
  chatTemplate = std::move(*chosen);
  struct sigaction action = {};
  action.sa_handler = interrupt; // without SA_RESTART: a read ends
  sigaction(SIGINT, &action, nullptr);
  bool isTerminal = isatty(STDIN_FILENO) != 0;
  ExitCode code = ExitCode::Done;
  std::string line;
  while (std::fputs(isTerminal ? "> " : "", stderr), readLine(line)) {
    if (line.empty())
      continue;
    std::optional<Fault> fault = ask(line);
    if (!fault && (fault = answer()))
      conversation.forget();
    if (fault)
      code = report(*fault);
  }
  // One at a terminal has seen the faults.
  return isTerminal ? ExitCode::Done : code;
}

std::unique_ptr<Command> vlmc::tool::makeChatCommand() {
  return std::make_unique<ChatCommand>();
}
