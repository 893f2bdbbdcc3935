//===- ProfileCommand.cpp - Where the time of an entry point goes ---------===//
//
// `vlmc profile M [ENTRY]`: runs one entry point several times on its own or
// made-up inputs and tells of the fastest run what each kernel took, held
// against what the machine could do at that moment.
//
//===----------------------------------------------------------------------===//
#include "tools/vlmc/Command.h"
#include "tools/vlmc/Entries.h"
#include "tools/vlmc/OpenModel.h"
#include "tools/vlmc/ProfileReport.h"
#include "tools/vlmc/Progress.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

using namespace vlmc::tool;

namespace {

using Profile = std::unique_ptr<vlm_profile_t, decltype(&vlm_profile_destroy)>;
using Cache = std::unique_ptr<vlm_cache_t, decltype(&vlm_cache_destroy)>;

class ProfileCommand : public Command {
public:
  const char *name() const override { return "profile"; }
  const char *summary() const override {
    return "tells where the time of an entry point goes";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  std::optional<Fault> findEntry(const OpenModel &model);
  std::optional<Fault> readSizes();
  void makeInputs();
  void pickLastTokens();
  std::optional<Fault> makeCache(const OpenModel &model);
  std::vector<vlm_tensor_t> viewInputs();
  std::optional<Fault> measure(const OpenModel &model);
  std::optional<Fault> write(const ProfileReport &report);
  std::optional<Fault> execute();

  ModelOptions options;
  std::string entryName, inputs;
  std::vector<std::string> sizes;
  int warmup = 2, repeat = 10;
  bool json = false;
  std::string trace, picture;
  std::optional<OutputFile> traceFile, pictureFile;

  const vlm_entry_t *entry = nullptr;
  const vlm_abi_entry *abi = nullptr;
  std::vector<int64_t> symbols;
  TensorMap tensors;
  Cache cache{nullptr, vlm_cache_destroy};
  Profile best{nullptr, vlm_profile_destroy};
};

} // namespace

void ProfileCommand::declare(CLI::App &app) {
  app.add_option("MODEL", options.path,
                 "a compiled model, or a checkpoint folder")
      ->required();
  app.add_option("ENTRY", entryName,
                 "an entry point; 'vlmc inspect' lists them (default: the "
                 "first)");
  app.add_option("--inputs", inputs,
                 "the inputs, under their own names (default: made up)")
      ->type_name("IN.safetensors");
  app.add_option("--size", sizes,
                 "a dynamic size of made-up inputs, B=8 (default: the likely "
                 "one)")
      ->type_name("NAME=N");
  app.add_option("--warmup", warmup, "runs before those that are timed")
      ->check(CLI::Range(0, 1000000))
      ->type_name("W");
  app.add_option("--repeat", repeat, "timed runs; the fastest is told")
      ->check(CLI::Range(1, 1000000))
      ->type_name("R");
  app.add_flag("--json", json, "print one JSON object, steps included");
  app.add_option("--trace", trace,
                 "write what each thread did when, for ui.perfetto.dev")
      ->type_name("OUT.json");
  app.add_option("--roofline", picture, "write the kernels below the roof")
      ->type_name("OUT.svg");
  addModelOptions(app, options);
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

std::optional<Fault> ProfileCommand::findEntry(const OpenModel &model) {
  const vlm_abi_level &level = levelOf(model.get());
  if (entryName.empty() && level.n_entries)
    entryName = level.entries[0].name;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model.get(), entryName.c_str(), &entry)))
    return fault;
  for (uint32_t i = 0; i < level.n_entries; ++i)
    if (entryName == level.entries[i].name)
      abi = &level.entries[i];
  return std::nullopt;
}

/// The likely sizes, changed by --size.
std::optional<Fault> ProfileCommand::readSizes() {
  std::string known;
  for (uint32_t i = 0; i < abi->n_symbols; ++i) {
    symbols.push_back(abi->symbols[i].likely);
    known += (i ? ", " : "") + std::string(abi->symbols[i].name);
  }
  for (const std::string &size : sizes) {
    size_t equals = size.find('=');
    std::string name = size.substr(0, equals);
    uint32_t i = 0;
    while (i < abi->n_symbols && name != abi->symbols[i].name)
      ++i;
    if (equals == std::string::npos || i == abi->n_symbols)
      return Fault("--size " + size + ": expected NAME=N with a size of '" +
                       entryName + "': " + (known.empty() ? "none" : known),
                   ExitCode::Usage);
    int64_t value = 0;
    const char *begin = size.data() + equals + 1,
               *end = size.data() + size.size();
    auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || stop != end || value < abi->symbols[i].min ||
        value > abi->symbols[i].max)
      return Fault("--size " + size + ": expected a number from " +
                       std::to_string(abi->symbols[i].min) + " to " +
                       std::to_string(abi->symbols[i].max),
                   ExitCode::Usage);
    symbols[i] = value;
  }
  return std::nullopt;
}

/// Numbers that look like a request's: floats between -1 and 1, ids from all
/// of their range, places of a sequence in their order, of what else is
/// counted the first.
void ProfileCommand::makeInputs() {
  uint32_t state = 1;
  auto random = [&] { return (state = state * 1664525 + 1013904223) >> 8; };
  for (uint32_t i = 0; i < abi->n_inputs; ++i) {
    const vlm_abi_tensor &input = abi->inputs[i];
    if (input.dtype == VLM_ABI_CACHE || input.optional)
      continue;
    std::vector<int64_t> shape;
    for (uint32_t axis = 0; axis < input.rank; ++axis)
      shape.push_back(input.symbols[axis] < 0 ? input.dims[axis]
                                              : symbols[input.symbols[axis]]);
    HostTensor tensor = HostTensor::zeros(vlm_dtype_t(input.dtype), shape);
    size_t count = tensor.bytes.size() / elementBytes(tensor.dtype);
    for (size_t k = 0; k < count; ++k) {
      auto span = uint64_t(input.max - input.min) + 1;
      if (tensor.dtype == VLM_F32)
        tensor.data<float>()[k] = float(random()) / (1 << 23) - 1;
      else if (tensor.dtype == VLM_I64 && input.has_range)
        tensor.data<int64_t>()[k] = input.min + int64_t(random() % span);
      else if (tensor.dtype == VLM_I32)
        tensor.data<int32_t>()[k] = std::strcmp(input.name, "position") == 0
                                        ? int32_t(k)
                                        : int32_t(input.min);
    }
    tensors[input.name] = std::move(tensor);
  }
}

/// Of made-up ids the last is the one that is picked: else the runtime would
/// cut off those behind it, and other sizes would run than were asked for.
void ProfileCommand::pickLastTokens() {
  if (!abi->trim || abi->inputs[abi->trim->input].dtype != VLM_ABI_I64)
    return;
  const vlm_abi_tensor &input = abi->inputs[abi->trim->input];
  auto found = tensors.find(input.name);
  if (found == tensors.end())
    return;
  HostTensor &ids = found->second;
  int64_t last =
      abi->trim->kind == VLM_ABI_TRIM_ARGMAX ? input.max : abi->trim->id;
  int64_t other = last > input.min ? last - 1 : last + 1;
  int64_t columns = symbols[abi->trim->symbol];
  int64_t count = int64_t(ids.bytes.size() / sizeof(int64_t));
  for (int64_t k = 0; k < count; ++k) {
    int64_t &id = ids.data<int64_t>()[k];
    if ((k + 1) % columns == 0)
      id = last;
    else if (id == last)
      id = other;
  }
}

/// A cache with room for the places that `position` names.
std::optional<Fault> ProfileCommand::makeCache(const OpenModel &model) {
  bool isNeeded = false;
  for (uint32_t i = 0; i < abi->n_inputs; ++i)
    isNeeded |= abi->inputs[i].dtype == VLM_ABI_CACHE;
  if (!isNeeded)
    return std::nullopt;
  int64_t tokens = 1, sequences = 1;
  auto most = [&](const char *name, int64_t &value) {
    HostTensor &tensor = tensors[name];
    for (size_t i = 0; i < tensor.bytes.size() / sizeof(int32_t); ++i)
      value = std::max<int64_t>(value, tensor.data<int32_t>()[i] + 1);
  };
  most("position", tokens);
  most("sequence", sequences);
  vlm_cache_t *made = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_cache_create(model.get(), sequences, tokens, &made)))
    return fault;
  cache.reset(made);
  for (int64_t sequence = 0; sequence < sequences; ++sequence)
    if (std::optional<Fault> fault =
            check(vlm_cache_resize(made, sequence, tokens)))
      return fault;
  return std::nullopt;
}

std::vector<vlm_tensor_t> ProfileCommand::viewInputs() {
  std::vector<vlm_tensor_t> views;
  for (auto &[name, tensor] : tensors)
    views.push_back(viewOf(name, tensor));
  for (uint32_t i = 0; i < abi->n_inputs; ++i)
    if (abi->inputs[i].dtype == VLM_ABI_CACHE) {
      vlm_tensor_t view;
      if (!check(vlm_entry_input(entry, i, &view))) {
        view.data = cache.get();
        views.push_back(view);
      }
    }
  return views;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Nanoseconds between the first and the last piece of work.
static int64_t length(const vlm_profile_t *profile) {
  size_t count = vlm_profile_span_count(profile);
  const vlm_span_t *spans = vlm_profile_spans(profile);
  int64_t end = count ? spans[0].end_ns : 0;
  for (size_t i = 0; i < count; ++i)
    end = std::max(end, spans[i].end_ns);
  return count ? end - spans[0].begin_ns : 0;
}

std::optional<Fault> ProfileCommand::measure(const OpenModel &model) {
  std::vector<vlm_tensor_t> in = viewInputs(), out;
  TensorMap results;
  if (std::optional<Fault> fault = makeOutputs(entry, in, results))
    return fault;
  for (auto &[name, tensor] : results)
    out.push_back(viewOf(name, tensor));
  Progress progress;
  for (int i = 0; i < warmup + repeat; ++i) {
    progress.show("profiling " + entryName, uint64_t(i),
                  uint64_t(warmup + repeat));
    vlm_profile_t *profile = nullptr;
    if (std::optional<Fault> fault = check(vlm_entry_profile(
            entry, in.data(), in.size(), out.data(), out.size(), &profile)))
      return fault;
    Profile owned(profile, vlm_profile_destroy);
    if (i >= warmup && (!best || length(profile) < length(best.get())))
      best = std::move(owned);
  }
  return std::nullopt;
}

static std::optional<Fault> writeText(OutputFile &file,
                                      const std::string &text) {
  if (std::optional<Fault> fault = check(file.write(text.data(), text.size())))
    return fault;
  return check(file.commit());
}

std::optional<Fault> ProfileCommand::write(const ProfileReport &report) {
  if (traceFile)
    if (std::optional<Fault> fault =
            writeText(*traceFile, report.trace().dump() + "\n"))
      return fault;
  if (pictureFile)
    if (std::optional<Fault> fault = writeText(*pictureFile, report.svg()))
      return fault;
  if (json)
    std::printf("%s\n", report.json().dump(2).c_str());
  else
    report.printTable();
  return std::nullopt;
}

std::optional<Fault> ProfileCommand::execute() {
  Outcome<OpenModel> model = openModel(options);
  if (!model)
    return model.takeFault();
  if (std::optional<Fault> fault = findEntry(*model))
    return fault;
  if (std::optional<Fault> fault = readSizes())
    return fault;
  if (inputs.empty()) {
    makeInputs();
    pickLastTokens();
  } else if (std::optional<Fault> fault = readInputs(inputs, entry, tensors)) {
    return fault;
  }
  if (std::optional<Fault> fault = makeCache(*model))
    return fault;
  if (std::optional<Fault> fault = measure(*model))
    return inputs.empty() ? fault
                          : Fault(inputs + ": " + fault->message, fault->code);
  vlmc::bench::Roofline roof = vlmc::bench::measureRoofline(
      model->threads(), vlm_model_isa(model->get()));
  if (pictureFile && roof.flops == 0)
    return Fault("--roofline: the peak of " +
                 std::string(vlm_model_isa(model->get())) +
                 " is not known here; leave the option out");
  return write(ProfileReport(*abi, levelOf(model->get()), best.get(), roof));
}

ExitCode ProfileCommand::run() {
  Outcome<std::optional<OutputFile>> forTrace = openOptional(trace),
                                     forPicture = openOptional(picture);
  if (!forTrace)
    return report(forTrace.takeFault());
  if (!forPicture)
    return report(forPicture.takeFault());
  if (*forTrace)
    traceFile.emplace(std::move(**forTrace));
  if (*forPicture)
    pictureFile.emplace(std::move(**forPicture));
  if (std::optional<Fault> fault = execute())
    return report(*fault);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeProfileCommand() {
  return std::make_unique<ProfileCommand>();
}
