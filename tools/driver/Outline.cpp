//===-- Outline.cpp - what a spec would take, without its weights ---------===//
#include "tools/driver/Outline.h"
#include "codegen/package/Error.h"
#include "frontend/blocks/BindWeights.h"
#include "ir/Vlm/VlmOps.h"
#include "ir/Vlm/VlmSize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Pipelines.h"
#include "tools/driver/CompileInput.h"

using namespace llvm;
using vlmc::vlm::Size;

namespace vlmc {

static std::vector<ModelOutline::Component>
countParameters(const spec::ModelSpec &spec) {
  std::vector<ModelOutline::Component> components;
  for (const WeightInfo &weight : listWeights(spec)) {
    if (components.empty() || components.back().name != weight.component)
      components.push_back({weight.component});
    uint64_t count = 1;
    for (int64_t size : weight.shape)
      count *= static_cast<uint64_t>(size);
    ++components.back().tensors;
    components.back().parameters += count;
  }
  return components;
}

/// Bytes that one token takes in the caches which an entry point is given.
static int64_t countCacheBytes(mlir::func::FuncOp entry) {
  int64_t bytes = 0;
  for (mlir::Type type : entry.getArgumentTypes()) {
    auto tensor = dyn_cast<mlir::RankedTensorType>(type);
    if (tensor && isa_and_nonnull<vlm::CacheAttr>(tensor.getEncoding()))
      bytes += tensor.getNumElements() *
               (tensor.getElementType().getIntOrFloatBitWidth() / 8);
  }
  return bytes;
}

static Expected<ModelOutline::Entry> outlineEntry(mlir::func::FuncOp entry) {
  ModelOutline::Entry outline;
  outline.name = entry.getSymName().str();
  StringMap<int64_t> values;
  if (auto symbols = entry->getAttrOfType<mlir::ArrayAttr>(vlm::names::symbols))
    for (auto symbol : symbols.getAsRange<vlm::SymbolInfoAttr>()) {
      outline.likely.emplace_back(symbol.getName().str(), symbol.getLikely());
      values[symbol.getName()] = symbol.getLikely();
    }
  auto dims = vlm::DimAnalysis::compute(entry);
  auto slots = entry->getAttrOfType<mlir::ArrayAttr>(vlm::names::slots);
  if (failed(dims) || !slots)
    return internalError("entry '" + outline.name + "' is not planned");
  entry.walk([&](vlm::CallOp call) {
    ++outline.steps;
    outline.flops += dims->getFlops(call).evaluate(values);
  });
  for (mlir::Attribute slot : slots) {
    int64_t largest = 0;
    for (auto size : cast<mlir::ArrayAttr>(slot).getAsRange<vlm::SizeAttr>())
      largest = std::max(largest, Size::fromAttr(size).evaluate(values));
    outline.memoryBytes += largest;
  }
  outline.cacheBytes = countCacheBytes(entry);
  return outline;
}

Expected<ModelOutline> outlineModel(const std::string &path) {
  CompileRequest request;
  request.model = path;
  request.stage = EmitStage::Planned;
  mlir::MLIRContext context;
  DiagnosticLog log(context, request);
  Expected<CompileInput> input = openInput(request, context, log);
  if (!input)
    return input.takeError();
  mlir::PassManager passes(&context);
  // Nothing that is counted here differs between targets.
  PipelineOptions options;
  buildOptimizePipeline(passes, options);
  if (failed(passes.run(*input->module)))
    return internalError("planning " + path + ": " + log.take());
  ModelOutline outline;
  outline.name = input->spec.name();
  outline.family = input->spec.family();
  outline.components = countParameters(input->spec);
  for (auto entry : input->module->getOps<mlir::func::FuncOp>()) {
    if (!entry->hasAttr(vlm::names::entry))
      continue;
    Expected<ModelOutline::Entry> row = outlineEntry(entry);
    if (!row)
      return row.takeError();
    outline.entries.push_back(std::move(*row));
  }
  return outline;
}

} // namespace vlmc
