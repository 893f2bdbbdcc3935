//===- InspectCommand.cpp - What a compiled model holds -------------------===//
//
// Everything is read from the library's tables and the header of the weights;
// --verify reads the weights as well. Of a spec it is told what the model would
// take, without making its weights.
//
//===----------------------------------------------------------------------===//
#include "codegen/Codegen.h"
#include "frontend/support/Json.h"
#include "tools/driver/Outline.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/Entries.h"
#include "tools/vlmc/KernelGraph.h"
#include "tools/vlmc/OpenModel.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <set>

using namespace vlmc::tool;
using vlmc::Json;
using OrderedJson = nlohmann::ordered_json;

namespace {
class InspectCommand : public Command {
public:
  const char *name() const override { return "inspect"; }
  const char *summary() const override {
    return "tells what a compiled model holds";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  ExitCode outline();

  ModelOptions options;
  bool json = false, verify = false;
  std::string graph, entryName;
};
} // namespace

void InspectCommand::declare(CLI::App &app) {
  app.add_option(
         "MODEL", options.path,
         "a compiled model, a checkpoint folder, or a spec (.textproto)")
      ->required();
  app.add_flag("--json", json, "print one JSON object");
  app.add_flag("--verify", verify,
               "read all weights and compare them with their checksums");
  CLI::Option *drawn =
      app.add_option("--graph", graph,
                     "draw the steps of an entry point, with their costs")
          ->type_name("OUT.svg");
  app.add_option("--entry", entryName, "which one (default: the first)")
      ->needs(drawn);
  addModelOptions(app, options);
}

//===----------------------------------------------------------------------===//
// Gathering
//===----------------------------------------------------------------------===//

static OrderedJson describeTensor(const vlm_abi_entry &entry,
                                  const vlm_abi_tensor &tensor) {
  OrderedJson shape = OrderedJson::array();
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.symbols[i] >= 0)
      shape.push_back(entry.symbols[tensor.symbols[i]].name);
    else
      shape.push_back(tensor.dims[i]);
  }
  OrderedJson result = {{"name", tensor.name},
                        {"dtype", dtypeName(vlm_dtype_t(tensor.dtype))},
                        {"shape", std::move(shape)}};
  if (tensor.has_range)
    result["range"] = {tensor.min, tensor.max};
  if (tensor.optional)
    result["optional"] = true;
  return result;
}

static std::vector<int64_t> likelySizes(const vlm_abi_entry &entry) {
  std::vector<int64_t> sizes;
  for (uint32_t i = 0; i < entry.n_symbols; ++i)
    sizes.push_back(entry.symbols[i].likely);
  return sizes;
}

/// Bytes of working memory where each symbol has its likely or maximum value;
/// null where they are too many to count.
static OrderedJson memoryAt(const vlm_model_t *model,
                            const vlm_abi_entry &entry,
                            int64_t vlm_abi_symbol::*value) {
  const vlm_entry_t *found = nullptr;
  if (check(vlm_model_entry(model, entry.name, &found)))
    return nullptr;
  std::vector<vlm_tensor_t> inputs(entry.n_inputs);
  for (uint32_t i = 0; i < entry.n_inputs; ++i) {
    const vlm_abi_tensor &tensor = entry.inputs[i];
    inputs[i].name = tensor.name;
    inputs[i].dtype = vlm_dtype_t(tensor.dtype);
    inputs[i].rank = int(tensor.rank);
    inputs[i].bytes = elementBytes(inputs[i].dtype);
    for (uint32_t d = 0; d < tensor.rank; ++d) {
      inputs[i].dims[d] = tensor.symbols[d] >= 0
                              ? entry.symbols[tensor.symbols[d]].*value
                              : tensor.dims[d];
      inputs[i].bytes *= size_t(inputs[i].dims[d]);
    }
  }
  size_t bytes = 0;
  if (check(vlm_entry_memory(found, inputs.data(), inputs.size(), 0, &bytes)))
    return nullptr;
  return bytes;
}

static OrderedJson describeEntry(const vlm_model_t *model,
                                 const vlm_abi_entry &entry) {
  OrderedJson result = {{"name", entry.name}};
  for (uint32_t i = 0; i < entry.n_inputs; ++i)
    result["inputs"].push_back(describeTensor(entry, entry.inputs[i]));
  for (uint32_t i = 0; i < entry.n_outputs; ++i)
    result["outputs"].push_back(describeTensor(entry, entry.outputs[i]));
  result["symbols"] = OrderedJson::array();
  for (uint32_t i = 0; i < entry.n_symbols; ++i)
    result["symbols"].push_back({{"name", entry.symbols[i].name},
                                 {"min", entry.symbols[i].min},
                                 {"likely", entry.symbols[i].likely},
                                 {"max", entry.symbols[i].max}});
  std::set<uint32_t> kernels;
  for (uint32_t i = 0; i < entry.n_steps; ++i)
    kernels.insert(entry.steps[i].kernel);
  result["steps"] = entry.n_steps;
  result["flops_likely"] = costsOf(entry, likelySizes(entry)).flops;
  if (const vlmc::Target *target = vlmc::findTarget(vlm_model_isa(model)))
    result["core_seconds_at_least"] =
        limitOf(entry, likelySizes(entry), vlmc::roofOf(*target));
  result["kernels"] = kernels.size();
  result["memory_likely_bytes"] =
      memoryAt(model, entry, &vlm_abi_symbol::likely);
  result["memory_max_bytes"] = memoryAt(model, entry, &vlm_abi_symbol::max);
  return result;
}

static OrderedJson describeKernels(const vlm_abi_level &level) {
  std::vector<uint64_t> calls(level.n_kernels);
  for (uint32_t i = 0; i < level.n_entries; ++i)
    for (uint32_t s = 0; s < level.entries[i].n_steps; ++s)
      ++calls[level.entries[i].steps[s].kernel];
  OrderedJson result = OrderedJson::array();
  for (uint32_t i = 0; i < level.n_kernels; ++i)
    result.push_back({{"name", level.kernels[i].name},
                      {"strategy", level.kernels[i].strategy},
                      {"calls", calls[i]}});
  return result;
}

/// The weights by component, the first part of their names, and by how they are
/// laid out. Parameters are counted as they are stored.
static Outcome<OrderedJson> describeWeights(const vlm_model_t *model) {
  const vlm_abi_model &abi = *vlm_model_abi(model);
  size_t bytes = 0;
  const void *data = vlm_model_weights(model, &bytes);
  std::string_view text(static_cast<const char *>(data) + 8,
                        abi.weights_header_bytes - 8);
  vlmc::Result<Json> header =
      vlmc::parseJson(text, std::string(abi.name) + ".weights");
  if (!header)
    return Fault(header.takeFailure());
  struct Sum {
    uint64_t tensors = 0, parameters = 0, bytes = 0;
  };
  std::map<std::string, Sum> components, layouts;
  const Json &metadata = (*header)["__metadata__"];
  for (const auto &[name, tensor] : header->items()) {
    if (name.starts_with("__") || tensor.value("dtype", "") == "U8")
      continue;
    uint64_t count = 1;
    for (const Json &size : tensor["shape"])
      count *= size.get<uint64_t>();
    for (Sum *sum : {&components[name.substr(0, name.find('.'))],
                     &layouts[metadata.value("layout." + name, "")]}) {
      ++sum->tensors;
      sum->parameters += count;
      sum->bytes += tensor["data_offsets"][1].get<uint64_t>() -
                    tensor["data_offsets"][0].get<uint64_t>();
    }
  }
  auto list = [](const std::map<std::string, Sum> &sums) {
    OrderedJson result = OrderedJson::array();
    for (const auto &[name, sum] : sums)
      result.push_back({{"name", name},
                        {"tensors", sum.tensors},
                        {"parameters", sum.parameters},
                        {"bytes", sum.bytes}});
    return result;
  };
  OrderedJson weights = {{"bytes", abi.weights_bytes},
                         {"tokenizer_bytes", abi.tokenizer.bytes},
                         {"components", list(components)},
                         {"layouts", list(layouts)}};
  return weights;
}

static Outcome<OrderedJson> describeModel(const vlm_model_t *model) {
  const vlm_abi_model &abi = *vlm_model_abi(model);
  const vlm_abi_level &level = levelOf(model);
  Outcome<OrderedJson> weights = describeWeights(model);
  if (!weights)
    return weights.takeFault();
  OrderedJson levels = OrderedJson::array();
  for (uint32_t i = 0; i < abi.n_levels; ++i)
    levels.push_back(abi.levels[i].isa);
  OrderedJson entries = OrderedJson::array();
  for (uint32_t i = 0; i < level.n_entries; ++i)
    entries.push_back(describeEntry(model, level.entries[i]));
  OrderedJson result = {{"name", abi.name},
                        {"family", abi.family},
                        {"vlmc_version", abi.vlmc_version},
                        {"isa", vlm_model_isa(model)},
                        {"device", vlm_model_device(model)},
                        {"levels", std::move(levels)},
                        {"reference", abi.reference != 0},
                        {"takes_pictures", abi.image != nullptr},
                        {"text_max_tokens", abi.text_max_tokens},
                        {"weights", std::move(*weights)},
                        {"entries", std::move(entries)},
                        {"kernels", describeKernels(level)}};
  return result;
}

static OrderedJson describeOutline(const vlmc::ModelOutline &outline) {
  OrderedJson components = OrderedJson::array();
  uint64_t parameters = 0;
  for (const vlmc::ModelOutline::Component &component : outline.components) {
    parameters += component.parameters;
    components.push_back({{"name", component.name},
                          {"tensors", component.tensors},
                          {"parameters", component.parameters}});
  }
  OrderedJson entries = OrderedJson::array();
  for (const vlmc::ModelOutline::Entry &entry : outline.entries) {
    OrderedJson likely = OrderedJson::object();
    for (const auto &[symbol, value] : entry.likely)
      likely[symbol] = value;
    entries.push_back({{"name", entry.name},
                       {"likely", std::move(likely)},
                       {"steps", entry.steps},
                       {"flops_likely", entry.flops},
                       {"memory_likely_bytes", entry.memoryBytes},
                       {"cache_bytes_per_token", entry.cacheBytes}});
  }
  return {{"name", outline.name},
          {"family", outline.family},
          {"parameters", parameters},
          {"components", std::move(components)},
          {"entries", std::move(entries)}};
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

/// "1,234,567"
static std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3;)
    digits.insert(at -= 3, ",");
  return digits;
}

static std::string mebibytes(const OrderedJson &bytes) {
  if (bytes.is_null())
    return "more than can be counted";
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f MiB",
                bytes.get<double>() / (1 << 20));
  return text;
}

static std::string shapeText(const OrderedJson &tensor) {
  std::string text;
  for (const OrderedJson &size : tensor["shape"])
    text += (text.empty() ? "" : ", ") +
            (size.is_string() ? size.get<std::string>() : size.dump());
  return tensor["dtype"].get<std::string>() + " [" + text + "]" +
         (tensor.contains("optional") ? ", optional" : "");
}

static void printTensors(const char *kind, const OrderedJson &tensors) {
  for (const OrderedJson &tensor : tensors)
    std::printf("    %-3s %-18s %s\n", kind,
                tensor["name"].get<std::string>().c_str(),
                shapeText(tensor).c_str());
}

static void printEntry(const OrderedJson &entry) {
  std::printf("  %s\n", entry["name"].get<std::string>().c_str());
  printTensors("in", entry["inputs"]);
  printTensors("out", entry["outputs"]);
  std::string likely;
  for (const OrderedJson &symbol : entry["symbols"]) {
    std::string name = symbol["name"].get<std::string>();
    std::printf("    %s is from %s to %s\n", name.c_str(),
                grouped(symbol["min"].get<uint64_t>()).c_str(),
                grouped(symbol["max"].get<uint64_t>()).c_str());
    likely +=
        (likely.empty() ? "" : ", ") + name + " = " + symbol["likely"].dump();
  }
  std::printf("    %s steps over %s kernels\n", entry["steps"].dump().c_str(),
              entry["kernels"].dump().c_str());
  std::printf("    work: %.3g GFLOP at %s",
              entry["flops_likely"].get<double>() * 1e-9, likely.c_str());
  if (entry.contains("core_seconds_at_least"))
    std::printf("; at least %.3g ms of a core",
                entry["core_seconds_at_least"].get<double>() * 1e3);
  std::printf("\n");
  std::printf("    memory: %s at %s; %s at most\n",
              mebibytes(entry["memory_likely_bytes"]).c_str(), likely.c_str(),
              mebibytes(entry["memory_max_bytes"]).c_str());
}

static void printModel(const OrderedJson &model) {
  std::string levels;
  for (const OrderedJson &level : model["levels"])
    levels += (levels.empty() ? "" : ", ") + level.get<std::string>();
  // Of a model for CPUs alone there is nothing to tell.
  std::string device = model["device"].get<std::string>();
  device = device == "CPU" ? "" : " (" + device + ")";
  std::printf("%s: family %s, compiled by vlmc %s for %s, runs as %s%s%s\n",
              model["name"].get<std::string>().c_str(),
              model["family"].get<std::string>().c_str(),
              model["vlmc_version"].get<std::string>().c_str(), levels.c_str(),
              model["isa"].get<std::string>().c_str(), device.c_str(),
              model["reference"].get<bool>() ? ", by reference kernels" : "");
  const OrderedJson &weights = model["weights"];
  std::printf("components (parameters as stored, padding of packed panels "
              "included)\n");
  auto printSums = [](const OrderedJson &sums) {
    for (const OrderedJson &sum : sums)
      std::printf("  %-12s %14s parameters in %s tensors, %s\n",
                  sum["name"].get<std::string>().c_str(),
                  grouped(sum["parameters"].get<uint64_t>()).c_str(),
                  sum["tensors"].dump().c_str(),
                  mebibytes(sum["bytes"]).c_str());
  };
  printSums(weights["components"]);
  std::printf("layouts (the type in which weights are stored, and their "
              "order)\n");
  printSums(weights["layouts"]);
  std::printf("  weights file %s, of it tokenizer %s\n",
              mebibytes(weights["bytes"]).c_str(),
              mebibytes(weights["tokenizer_bytes"]).c_str());
  std::printf("entry points\n");
  for (const OrderedJson &entry : model["entries"])
    printEntry(entry);
  std::printf("kernels\n");
  for (const OrderedJson &kernel : model["kernels"])
    std::printf("  %-11s %4s calls  %s\n",
                kernel["strategy"].get<std::string>().c_str(),
                kernel["calls"].dump().c_str(),
                kernel["name"].get<std::string>().c_str());
}

static void printOutline(const OrderedJson &model) {
  const uint64_t parameters = model["parameters"].get<uint64_t>();
  std::printf("%s: family %s, %s parameters, %s as f32, %s as bf16\n",
              model["name"].get<std::string>().c_str(),
              model["family"].get<std::string>().c_str(),
              grouped(parameters).c_str(), mebibytes(parameters * 4).c_str(),
              mebibytes(parameters * 2).c_str());
  std::printf("components\n");
  for (const OrderedJson &component : model["components"])
    std::printf("  %-12s %14s parameters in %s tensors\n",
                component["name"].get<std::string>().c_str(),
                grouped(component["parameters"].get<uint64_t>()).c_str(),
                component["tensors"].dump().c_str());
  std::printf("entry points\n");
  for (const OrderedJson &entry : model["entries"]) {
    std::string likely;
    for (const auto &[symbol, value] : entry["likely"].items())
      likely += (likely.empty() ? "" : ", ") + symbol + " = " + value.dump();
    std::printf("  %s: %s steps; at %s %.3g GFLOP and %s of memory\n",
                entry["name"].get<std::string>().c_str(),
                entry["steps"].dump().c_str(), likely.c_str(),
                entry["flops_likely"].get<double>() * 1e-9,
                mebibytes(entry["memory_likely_bytes"]).c_str());
    if (entry["cache_bytes_per_token"] != 0)
      std::printf(
          "    cache: %s bytes for each token\n",
          grouped(entry["cache_bytes_per_token"].get<uint64_t>()).c_str());
  }
}

static std::optional<Fault>
drawGraph(const vlm_model_t *model, const std::string &name, OutputFile &file) {
  const vlm_abi_level &level = levelOf(model);
  const vlm_abi_entry *entry = level.n_entries ? &level.entries[0] : nullptr;
  if (!name.empty()) {
    const vlm_entry_t *found = nullptr;
    if (std::optional<Fault> fault =
            check(vlm_model_entry(model, name.c_str(), &found)))
      return fault;
    while (name != entry->name)
      ++entry;
  }
  if (!entry)
    return Fault("the model has no entry point to draw");
  std::string text = drawSteps(*entry, level, likelySizes(*entry));
  if (std::optional<Fault> fault = check(file.write(text.data(), text.size())))
    return fault;
  return check(file.commit());
}

ExitCode InspectCommand::outline() {
  if (verify || !graph.empty())
    return report(Fault(options.path + ": a spec has no weights to verify and "
                                       "no steps to draw; compile it first "
                                       "(vlmc compile --random-weights SEED)",
                        ExitCode::Usage));
  llvm::Expected<vlmc::ModelOutline> outline = vlmc::outlineModel(options.path);
  if (!outline)
    return report(*check(outline.takeError()));
  OrderedJson described = describeOutline(*outline);
  if (json)
    std::printf("%s\n", described.dump(2).c_str());
  else
    printOutline(described);
  return ExitCode::Done;
}

ExitCode InspectCommand::run() {
  if (options.path.ends_with(".textproto"))
    return outline();
  Outcome<std::optional<OutputFile>> picture = openOptional(graph);
  if (!picture)
    return report(picture.takeFault());
  Outcome<OpenModel> model = openModel(options);
  if (!model)
    return report(model.takeFault());
  if (*picture)
    if (std::optional<Fault> fault =
            drawGraph(model->get(), entryName, **picture))
      return report(*fault);
  Outcome<OrderedJson> described = describeModel(model->get());
  if (!described)
    return report(described.takeFault());
  if (verify)
    if (std::optional<Fault> fault = check(vlm_model_verify(model->get())))
      return report(*fault);
  if (json) {
    if (verify)
      (*described)["verified"] = true;
    std::printf(
        "%s\n",
        described->dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return ExitCode::Done;
  }
  printModel(*described);
  if (verify)
    std::printf("all weights have the checksums they were written with\n");
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeInspectCommand() {
  return std::make_unique<InspectCommand>();
}
