//===- vlmc.cpp - The compiler and what runs its models -------------------===//
//
// One program with sub-commands; see Commands.def.
//
//===----------------------------------------------------------------------===//
#include "codegen/package/Version.h"
#include "tools/vlmc/Command.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

using namespace vlmc::tool;

static std::vector<std::unique_ptr<Command>> makeCommands() {
  std::vector<std::unique_ptr<Command>> commands;
#define COMMAND(NAME) commands.push_back(make##NAME##Command());
#include "tools/vlmc/Commands.def"
  return commands;
}

/// What is wrong with the command line, in the form of all messages.
static std::string describeUsage(const CLI::App *app, const CLI::Error &error) {
  std::vector<CLI::App *> chosen = app->get_subcommands();
  std::string message = error.what(), command = "vlmc";
  if (!chosen.empty()) {
    command += " " + chosen.front()->get_name();
    // "The following ...", but not "MODEL is required".
    if (message.size() > 1 && !std::isupper(message[1]))
      message[0] = static_cast<char>(std::tolower(message[0]));
  } else {
    std::vector<std::string> rest = app->remaining();
    std::string names;
    for (const CLI::App *known : app->get_subcommands({}))
      names += (names.empty() ? "" : ", ") + known->get_name();
    message = "expected a command (" + names + "), found " +
              (rest.empty() ? "none" : "'" + rest.front() + "'");
  }
  return "vlmc: error: " + message + "; '" + command +
         " --help' tells what it takes\n";
}

/// What was printed and could not be written is a fault, too.
static ExitCode finishOutput(ExitCode code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return code;
  std::string reason =
      errno ? ": " + std::generic_category().message(errno) : "";
  ExitCode failed = report(Fault("standard output: cannot be written" + reason +
                                 "; free some space or choose another place"));
  return std::max(code, failed);
}

static ExitCode runCommand(int argc, char **argv) {
  std::vector<std::unique_ptr<Command>> commands = makeCommands();
  CLI::App app{"vlmc compiles vision-language models ahead of time and runs "
               "them",
               "vlmc"};
  app.set_version_flag("--version", std::string("vlmc ") + vlmc::getVersion());
  app.require_subcommand(1);
  app.failure_message(describeUsage);
  app.footer("'vlmc COMMAND --help' tells the options of a command.\n"
             "Exit codes: 0 done, 1 the input is at fault, 2 the command line "
             "is, 3 vlmc is.");
  std::vector<CLI::App *> parsers;
  for (const std::unique_ptr<Command> &command : commands) {
    parsers.push_back(app.add_subcommand(command->name(), command->summary()));
    command->declare(*parsers.back());
  }
  // CLI11 reports by exceptions; they end here.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? ExitCode::Done : ExitCode::Usage;
  }
  for (size_t i = 0; i < commands.size(); ++i)
    if (parsers[i]->parsed())
      return commands[i]->run();
  return ExitCode::Usage;
}

int main(int argc, char **argv) {
  ExitCode code = ExitCode::Internal;
  // Our code throws nothing; libraries below it may.
  try {
    code = runCommand(argc, argv);
  } catch (const std::bad_alloc &) {
    code = report(Fault("out of memory"));
  } catch (const std::exception &error) {
    code = report(Fault(error.what(), ExitCode::Internal));
  }
  return static_cast<int>(finishOutput(code));
}
