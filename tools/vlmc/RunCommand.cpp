//===- RunCommand.cpp - A file of requests, every named value out ---------===//
//
// `vlmc run --model M --inputs requests.json --outputs out.safetensors`. A case
// that fails is told, and the others run.
//
//===----------------------------------------------------------------------===//
#include "tools/vlmc/Command.h"
#include "tools/vlmc/Progress.h"
#include "tools/vlmc/SessionOptions.h"
#include "tools/vlmc/Tasks.h"

#include <CLI/CLI.hpp>

using namespace vlmc::tool;

namespace {
class RunCommand : public Command {
public:
  const char *name() const override { return "run"; }
  const char *summary() const override {
    return "runs a file of requests and writes every named value";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  ExitCode runCases(const RequestFile &requests, TensorMap &all);

  ModelOptions options;
  std::string inputs, outputs, chatTemplate;
};
} // namespace

void RunCommand::declare(CLI::App &app) {
  app.add_option("--model", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required()
      ->type_name("MODEL");
  app.add_option("--inputs", inputs, "the file of requests")
      ->required()
      ->type_name("REQUESTS.json");
  app.add_option("--outputs", outputs, "where all tensors are written")
      ->required()
      ->type_name("OUT.safetensors");
  addChatTemplate(app, chatTemplate);
  addImageBackend(app, options);
  addModelOptions(app, options);
}

ExitCode RunCommand::runCases(const RequestFile &requests, TensorMap &all) {
  CaseRunner runner(options, requests.isTensors);
  Progress progress;
  ExitCode code = ExitCode::Done;
  for (size_t i = 0; i < requests.cases.size(); ++i) {
    const RequestCase &request = requests.cases[i];
    progress.show("running case '" + request.name + "'", i,
                  requests.cases.size());
    TensorMap values;
    if (std::optional<Fault> fault = runner.run(request, values)) {
      // The reader's faults name the case already.
      std::string where =
          request.fault ? "" : inputs + ": case '" + request.name + "': ";
      ExitCode failed = report(Fault(where + fault->message, fault->code));
      code = std::max(code, failed);
      continue;
    }
    for (auto &[name, tensor] : values)
      all[request.name + "." + name] = std::move(tensor);
  }
  if (!runner.missing().empty()) {
    std::string list;
    for (const std::string &name : runner.missing())
      list += (list.empty() ? "" : ", ") + name;
    note(options.path + " was compiled without these values: " + list +
         "; 'vlmc compile --taps' makes them outputs");
  }
  return code;
}

ExitCode RunCommand::run() {
  Outcome<RequestFile> requests = readRequests(inputs);
  if (!requests)
    return report(requests.takeFault());
  for (RequestCase &request : requests->cases)
    request.prompt.chatTemplate = chatTemplate;
  Outcome<OutputFile> output = openOutput(outputs);
  if (!output)
    return report(output.takeFault());
  TensorMap all;
  ExitCode code = runCases(*requests, all);
  if (std::optional<Fault> fault = writeTensors(*output, all))
    return report(*fault);
  return code;
}

std::unique_ptr<Command> vlmc::tool::makeRunCommand() {
  return std::make_unique<RunCommand>();
}
