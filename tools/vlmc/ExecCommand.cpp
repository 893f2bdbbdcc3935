//===- ExecCommand.cpp - One entry point on tensors, timed ----------------===//
//
// `vlmc exec M ENTRY --inputs in.safetensors --outputs out.safetensors`: the
// door for measuring. With --json each timed run is a line, and the summary
// the last one.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/Entries.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/Progress.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

using namespace vlmc::tool;

namespace {
class ExecCommand : public Command {
public:
  const char *name() const override { return "exec"; }
  const char *summary() const override {
    return "runs one entry point on tensors and times it";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> measure(const vlm_entry_t *entry,
                               std::vector<vlm_tensor_t> &in,
                               std::vector<vlm_tensor_t> &out);
  void print(const OpenModel &model, size_t memory) const;
  std::optional<Fault> execute(const OpenModel &model, OutputFile &output);

  ModelOptions options;
  std::string entryName, inputs, outputs;
  int warmup = 0, repeat = 1;
  bool json = false;
  std::vector<double> milliseconds;
};
} // namespace

void ExecCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("ENTRY", entryName,
                 "an entry point; 'vlmc inspect' lists them")
      ->required();
  app.add_option("--inputs", inputs, "the inputs, under their own names")
      ->required()
      ->type_name("IN.safetensors");
  app.add_option("--outputs", outputs, "where all outputs are written")
      ->required()
      ->type_name("OUT.safetensors");
  app.add_option("--warmup", warmup, "runs before those that are timed")
      ->check(CLI::Range(0, 1000000))
      ->type_name("W");
  app.add_option("--repeat", repeat, "timed runs")
      ->check(CLI::Range(1, 1000000))
      ->type_name("R");
  app.add_flag("--json", json, "print times as JSON lines");
  addModelOptions(app, options);
}

std::optional<Fault> ExecCommand::measure(const vlm_entry_t *entry,
                                          std::vector<vlm_tensor_t> &in,
                                          std::vector<vlm_tensor_t> &out) {
  using Clock = std::chrono::steady_clock;
  Progress progress;
  for (int i = 0; i < warmup + repeat; ++i) {
    progress.show("running " + entryName, uint64_t(i),
                  uint64_t(warmup + repeat));
    Clock::time_point start = Clock::now();
    if (std::optional<Fault> fault = check(
            vlm_entry_run(entry, in.data(), in.size(), out.data(), out.size())))
      return fault;
    std::chrono::duration<double, std::milli> time = Clock::now() - start;
    if (i >= warmup)
      milliseconds.push_back(time.count());
  }
  return std::nullopt;
}

void ExecCommand::print(const OpenModel &model, size_t memory) const {
  std::vector<double> sorted = milliseconds;
  std::ranges::sort(sorted);
  double median =
      (sorted[sorted.size() / 2] + sorted[(sorted.size() - 1) / 2]) / 2;
  double mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) /
                double(sorted.size());
  if (!json) {
    std::printf("%s: median %.3f ms, least %.3f ms, most %.3f ms of %zu runs "
                "on %d threads; %.1f MiB of working memory\n",
                entryName.c_str(), median, sorted.front(), sorted.back(),
                sorted.size(), vlm_pool_threads(model.threads()),
                double(memory) / (1 << 20));
    return;
  }
  for (size_t i = 0; i < milliseconds.size(); ++i)
    std::printf("%s\n",
                nlohmann::ordered_json{{"run", i}, {"ms", milliseconds[i]}}
                    .dump()
                    .c_str());
  nlohmann::ordered_json summary = {
      {"entry", entryName},
      {"isa", vlm_model_isa(model.get())},
      {"threads", vlm_pool_threads(model.threads())},
      {"warmup", warmup},
      {"repeat", repeat},
      {"min_ms", sorted.front()},
      {"median_ms", median},
      {"mean_ms", mean},
      {"max_ms", sorted.back()},
      {"memory_bytes", memory}};
  std::printf("%s\n", summary.dump().c_str());
}

std::optional<Fault> ExecCommand::execute(const OpenModel &model,
                                          OutputFile &output) {
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model.get(), entryName.c_str(), &entry)))
    return fault;
  TensorMap tensors, results;
  if (std::optional<Fault> fault = readInputs(inputs, entry, tensors))
    return fault;
  std::vector<vlm_tensor_t> in, out;
  for (auto &[name, tensor] : tensors)
    in.push_back(viewOf(name, tensor));
  if (std::optional<Fault> fault = makeOutputs(entry, in, results))
    return Fault(inputs + ": " + fault->message, fault->code);
  for (auto &[name, tensor] : results)
    out.push_back(viewOf(name, tensor));
  size_t memory = 0;
  std::optional<Fault> fault =
      check(vlm_entry_memory(entry, in.data(), in.size(), 0, &memory));
  if (!fault)
    fault = measure(entry, in, out);
  if (fault)
    return Fault(inputs + ": " + fault->message, fault->code);
  fault = writeTensors(output, results);
  if (!fault)
    print(model, memory);
  return fault;
}

ExitCode ExecCommand::run() {
  Outcome<OutputFile> output = openOutput(outputs);
  if (!output)
    return report(output.takeFault());
  Outcome<OpenModel> model = openModel(options);
  if (!model)
    return report(model.takeFault());
  if (std::optional<Fault> fault = execute(*model, *output))
    return report(*fault);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeExecCommand() {
  return std::make_unique<ExecCommand>();
}
