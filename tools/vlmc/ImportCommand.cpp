//===- ImportCommand.cpp - Prints the ModelSpec of a checkpoint -----------===//
#include "frontend/Frontend.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/OpenModel.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace vlmc::tool;

namespace {
class ImportCommand : public Command {
public:
  const char *name() const override { return "import"; }
  const char *summary() const override {
    return "prints the ModelSpec of a checkpoint folder";
  }
  void declare(CLI::App &app) override {
    app.add_option("DIR", folder, "a checkpoint folder with config.json")
        ->required();
    addVisionTower(app, tower);
  }
  ExitCode run() override;

private:
  std::string folder, tower;
};
} // namespace

ExitCode ImportCommand::run() {
  std::vector<std::string> warnings;
  vlmc::Result<vlmc::spec::ModelSpec> model =
      vlmc::importCheckpoint(folder, warnings, {tower});
  for (const std::string &warning : warnings)
    warn(warning);
  if (!model)
    return report(model.takeFailure());
  std::string text = vlmc::printSpec(*model);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeImportCommand() {
  return std::make_unique<ImportCommand>();
}
