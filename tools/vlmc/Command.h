//===- Command.h - A sub-command of vlmc ------------------------*- C++ -*-===//
//
// Each sub-command is a class in a file of its own, `NameCommand.cpp`, and a
// line in Commands.def.
//
//   class NameCommand : public Command {
//     void declare(CLI::App &app) override { app.add_option("MODEL", ...); }
//     ExitCode run() override;
//   };
//   std::unique_ptr<Command> vlmc::tool::makeNameCommand() {
//     return std::make_unique<NameCommand>();
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_COMMAND_H
#define VLMC_TOOLS_VLMC_COMMAND_H

#include "tools/vlmc/Report.h"

#include <memory>

namespace CLI {
class App;
} // namespace CLI

namespace vlmc::tool {

class Command {
public:
  virtual ~Command() = default;
  /// "classify"
  virtual const char *name() const = 0;
  /// One line for the list of commands.
  virtual const char *summary() const = 0;
  /// Adds the options; what is parsed is kept in the object.
  virtual void declare(CLI::App &app) = 0;
  virtual ExitCode run() = 0;
};

#define COMMAND(NAME) std::unique_ptr<Command> make##NAME##Command();
#include "tools/vlmc/Commands.def"

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_COMMAND_H
