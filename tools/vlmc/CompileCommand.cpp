//===- CompileCommand.cpp - A checkpoint to a compiled model --------------===//
#include "codegen/package/Files.h"
#include "frontend/Frontend.h"
#include "tools/driver/Compile.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Progress.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>

using namespace vlmc::tool;

namespace {
class CompileCommand : public Command {
public:
  const char *name() const override { return "compile"; }
  const char *summary() const override {
    return "compiles a checkpoint to NAME.vlm, or prints a stage on the way";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> compile();
  std::optional<Fault> compileWithoutWeights();

  vlmc::CompileRequest request;
  std::string emit;
  uint64_t seed = 0;
  bool explain = false, noWeights = false;
  CLI::Option *seedOption = nullptr;
};
} // namespace

void CompileCommand::declare(CLI::App &app) {
  app.add_option("MODEL", request.model,
                 "a checkpoint folder, a spec (.textproto) or a printed stage "
                 "(.mlir)")
      ->required();
  app.add_option("-o,--output", request.output,
                 "the compiled model, NAME.vlm; with --emit a file, '-' or "
                 "nothing for standard output")
      ->type_name("OUT");
  app.add_option("--target", request.targets,
                 "instruction-set levels, BASE[+FEATURE...] (default: all "
                 "base levels of this machine's architecture)")
      ->delimiter(',')
      ->type_name("T,...");
  CLI::Option *checkpoint =
      app.add_option("--checkpoint", request.checkpoint,
                     "the folder of the weights, where MODEL is not it")
          ->type_name("DIR");
  addVisionTower(app, request.visionTower);
  seedOption = app.add_option("--random-weights", seed,
                              "random weights instead of a checkpoint's")
                   ->check(CLI::Range(int64_t(0), INT64_MAX))
                   ->type_name("SEED");
  CLI::Option *none =
      app.add_flag("--no-weights", noWeights, "no weights: for --emit only");
  checkpoint->excludes(seedOption)->excludes(none);
  seedOption->excludes(none);
  CLI::Option *reference =
      app.add_flag("--reference", request.reference,
                   "plain kernels, one for each op, over f32 weights: slow, a "
                   "second opinion");
  app.add_option("--weights", request.weights,
                 "how matrices are stored: f32, or bf16 or f16, which rounds "
                 "(default: as in the checkpoint)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("TYPE")
      ->excludes(reference);
  app.add_option("--taps", request.taps,
                 "values that become outputs of their entry points, or 'all'")
      ->delimiter(',')
      ->type_name("NAME,...");
  CLI::Option *emitOption =
      app.add_option("--emit", emit, "print a stage and stop there")
          ->check(CLI::IsMember(vlmc::emitStageNames()))
          ->type_name("STAGE");
  none->needs(emitOption);
  app.add_flag("--static", request.isStatic,
               "an archive to link into a program, in place of a shared "
               "library")
      ->excludes(emitOption);
  app.add_flag("--explain", explain,
               "tell the fusions that are made and missed, and why; for GPUs "
               "what each kernel takes");
  app.add_option("--ptxas", request.ptxas,
                 "the program that assembles code for GPUs (default: the one "
                 "on PATH or of /usr/local/cuda, if any)")
      ->envname("VLMC_PTXAS")
      ->type_name("PROGRAM");
  app.add_option("--threads", request.jobs,
                 "threads to work with; 0: as many as there are")
      ->check(CLI::Range(0U, 1024U))
      ->type_name("N");
}

/// Compiles the spec of a folder as a file that names no weights.
std::optional<Fault> CompileCommand::compileWithoutWeights() {
  std::vector<std::string> warnings;
  vlmc::Result<vlmc::spec::ModelSpec> spec =
      vlmc::importCheckpoint(request.model, warnings, {request.visionTower});
  for (const std::string &warning : warnings)
    warn(warning);
  if (!spec)
    return Fault(spec.takeFailure());
  llvm::Expected<vlmc::ScratchDirectory> folder =
      vlmc::ScratchDirectory::create();
  if (!folder)
    return check(folder.takeError());
  request.model = folder->path() + "/model.textproto";
  std::ofstream file(request.model);
  file << vlmc::printSpec(*spec);
  file.close();
  if (!file)
    return Fault(request.model + ": cannot be written; set TMPDIR to a folder "
                                 "with space");
  return check(vlmc::compileModel(request));
}

std::optional<Fault> CompileCommand::compile() {
  std::error_code ignored;
  if (noWeights && std::filesystem::is_directory(request.model, ignored))
    return compileWithoutWeights();
  return check(vlmc::compileModel(request));
}

ExitCode CompileCommand::run() {
  if (!emit.empty())
    request.stage = *vlmc::findEmitStage(emit);
  else if (request.output.empty())
    return report(Fault("no output is named; give -o NAME.vlm, or --emit STAGE "
                        "to print a stage",
                        ExitCode::Usage));
  if (seedOption->count())
    request.randomSeed = seed;
  bool isPrinted =
      !emit.empty() && (request.output.empty() || request.output == "-");
  if (explain)
    request.explain = [isPrinted](llvm::StringRef line) {
      (isPrinted ? std::cerr : std::cout) << line.str() << "\n";
    };
  request.warn = [](llvm::StringRef message) { warn(message.str()); };
  {
    Progress progress;
    request.progress = [&](llvm::StringRef what, uint64_t done,
                           uint64_t total) {
      progress.show(what.str(), done, total);
    };
    if (std::optional<Fault> fault = compile())
      return report(*fault);
  }
  if (emit.empty())
    std::cout << "wrote " << request.output << "\n";
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeCompileCommand() {
  return std::make_unique<CompileCommand>();
}
