//===- BuildGraph.cpp - From a ModelSpec to a module ----------------------===//
#include "frontend/blocks/BuildGraph.h"

#include "frontend/blocks/GraphBuilder.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace vlmc {

std::vector<std::string> listTaps(const spec::ModelSpec &model) {
  std::vector<std::string> taps;
  for (const spec::Component &component : model.components())
    if (const Block *block = findBlock(component.kind_case()))
      for (std::string &tap : block->listTaps(component))
        taps.push_back(std::move(tap));
  return taps;
}

/// Whether a weight is among the parts that a fused tensor has.
static bool hasItsParts(const spec::WeightRule &rule) {
  constexpr int64_t most = 1 << 20;
  int64_t span = std::max<int64_t>(1, rule.span());
  return rule.part() >= 0 && rule.part() <= most && rule.span() >= 0 &&
         span <= most && rule.groups() >= 0 &&
         (rule.parts() == 0 ? rule.part() == 0 && span == 1
                            : rule.part() + span <= rule.parts());
}

std::optional<Failure> checkSpec(const spec::ModelSpec &model) {
  std::string faults;
  auto add = [&](const std::string &message) {
    faults += (faults.empty() ? "" : "\n") + ("model spec: " + message);
  };
  if (model.components().empty())
    add("components: expected at least one, found none");
  llvm::StringSet<> names;
  std::set<spec::Component::KindCase> kinds;
  for (const spec::Component &component : model.components()) {
    std::string where = "component '" + component.name() + "': ";
    if (component.name().empty() || !names.insert(component.name()).second)
      add(where + "name: expected a name of its own");
    const Block *block = findBlock(component.kind_case());
    if (!block) {
      add(where + "expected a kind such as vision_transformer, found none");
      continue;
    }
    // Entry points are named after the kind.
    if (!kinds.insert(component.kind_case()).second)
      add(where + "expected one component of each kind, found another one");
    block->check(model, component,
                 [&](std::string_view field, const std::string &message) {
                   add(std::string(where).append(field) + ": " + message);
                 });
  }
  for (const spec::WeightRule &rule : model.weights())
    if (!hasItsParts(rule))
      add("weights '" + rule.canonical() + "': part: expected " +
          std::to_string(std::max<int64_t>(1, rule.span())) +
          " (span) from 0 to parts " + std::to_string(rule.parts()) +
          ", found them from " + std::to_string(rule.part()) + " on");
  if (faults.empty())
    return std::nullopt;
  return Failure{faults};
}

/// Reports each line of a message as an error of its own.
static LogicalResult report(MLIRContext &context, StringRef message) {
  SmallVector<StringRef> lines;
  message.split(lines, '\n');
  for (StringRef line : lines)
    emitError(UnknownLoc::get(&context)) << line;
  return failure();
}

/// The taps to make, with "all" spelled out.
static FailureOr<std::set<std::string>>
resolveTaps(const spec::ModelSpec &model, const GraphOptions &options,
            MLIRContext &context) {
  std::vector<std::string> known = listTaps(model);
  std::set<std::string> result;
  for (const std::string &tap : options.taps) {
    if (tap == "all") {
      result.insert(known.begin(), known.end());
      continue;
    }
    if (llvm::is_contained(known, tap)) {
      result.insert(tap);
      continue;
    }
    return report(context, "unknown tap '" + tap + "'; this model has " +
                               llvm::join(known, ", ") +
                               ", and all for all of them");
  }
  return result;
}

FailureOr<OwningOpRef<ModuleOp>> buildGraph(const spec::ModelSpec &model,
                                            const WeightSource *weights,
                                            const GraphOptions &options,
                                            MLIRContext &context) {
  if (std::optional<Failure> fault = checkSpec(model))
    return report(context, fault->message);
  Result<std::vector<BoundWeight>> bound = bindWeights(model, weights);
  if (!bound)
    return report(context, bound.message());
  FailureOr<std::set<std::string>> taps = resolveTaps(model, options, context);
  if (failed(taps))
    return failure();

  context.loadDialect<func::FuncDialect, vlm::VlmDialect>();
  auto name = StringAttr::get(&context, model.name());
  OwningOpRef<ModuleOp> module = ModuleOp::create(NameLoc::get(
      model.name().empty() ? StringAttr::get(&context, "model") : name));
  (*module)->setAttr(vlm::names::model, name);
  GraphBuilder builder(*module, *bound, *taps);
  for (const spec::Component &component : model.components())
    findBlock(component.kind_case())->build(model, component, builder);
  return module;
}

} // namespace vlmc
