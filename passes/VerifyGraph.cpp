//===-- VerifyGraph.cpp - check the graph border --------------------------===//
#include "ir/Vlm/VlmSize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Passes.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_VERIFYGRAPHPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

/// Starts an error about argument or result `i` of an entry.
static InFlightDiagnostic errorAt(func::FuncOp entry, StringRef what,
                                  unsigned i) {
  return entry.emitError() << "entry '" << entry.getSymName() << "': " << what
                           << " " << i << " ";
}

static LogicalResult checkName(func::FuncOp entry, StringRef what, unsigned i,
                               Attribute name, llvm::StringSet<> &seen) {
  auto text = dyn_cast_or_null<StringAttr>(name);
  if (!text || text.getValue().empty())
    return errorAt(entry, what, i)
           << "needs '" << names::name << "', its name in the C API";
  if (!seen.insert(text.getValue()).second)
    return errorAt(entry, what, i)
           << "has the name '" << text.getValue() << "' of another " << what;
  return success();
}

/// Checks the values that an integer argument may have and is filled with.
static LogicalResult checkValues(func::FuncOp entry, unsigned i) {
  Attribute range = entry.getArgAttr(i, names::range);
  Attribute fill = entry.getArgAttr(i, names::fill);
  auto type = dyn_cast<RankedTensorType>(entry.getArgument(i).getType());
  if ((range || fill) && !type.getElementType().isInteger())
    return errorAt(entry, "argument", i)
           << "has '" << names::range << "' or '" << names::fill
           << "', which are for integers, but is " << type;
  auto limits = dyn_cast_or_null<DenseI64ArrayAttr>(range);
  if (range && (!limits || limits.size() != 2 || limits[0] > limits[1]))
    return errorAt(entry, "argument", i)
           << "needs '" << names::range
           << "' as array<i64: minimum, maximum>, but has " << range;
  if (fill && !isa<IntegerAttr>(fill))
    return errorAt(entry, "argument", i)
           << "needs '" << names::fill << "' as an integer, but has " << fill;
  return success();
}

static LogicalResult checkSymbols(func::FuncOp entry) {
  auto symbols = entry->getAttrOfType<ArrayAttr>(names::symbols);
  if (!symbols || !llvm::all_of(symbols, llvm::IsaPred<SymbolInfoAttr>))
    return entry.emitError() << "entry '" << entry.getSymName() << "' needs '"
                             << names::symbols << "', an array of #vlm.symbol";
  llvm::StringSet<> known;
  for (auto symbol : symbols.getAsRange<SymbolInfoAttr>())
    if (!known.insert(symbol.getName().getValue()).second)
      return entry.emitError()
             << "entry '" << entry.getSymName() << "' declares the symbol '"
             << symbol.getName().getValue() << "' twice";
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    if (auto dims = entry.getArgAttrOfType<ArrayAttr>(i, names::dims))
      for (Attribute dim : dims) {
        auto name = dyn_cast<StringAttr>(dim);
        if (!name)
          return errorAt(entry, "argument", i)
                 << "needs strings in '" << names::dims << "', but has " << dim;
        if (!name.getValue().empty() && !known.contains(name.getValue()))
          return errorAt(entry, "argument", i)
                 << "has a dimension '" << name.getValue() << "' that '"
                 << names::symbols << "' does not declare";
      }
  return success();
}

static LogicalResult checkSignature(func::FuncOp entry) {
  llvm::StringSet<> arguments, results;
  for (auto [i, argument] : llvm::enumerate(entry.getArguments())) {
    if (!isa<RankedTensorType>(argument.getType()))
      return errorAt(entry, "argument", i)
             << "must be a ranked tensor, but is " << argument.getType();
    if (failed(checkName(entry, "argument", i, entry.getArgAttr(i, names::name),
                         arguments)) ||
        failed(checkValues(entry, i)))
      return failure();
  }
  for (unsigned i = 0; i < entry.getNumResults(); ++i)
    if (failed(checkName(entry, "result", i,
                         entry.getResultAttr(i, names::name), results)))
      return failure();
  return checkSymbols(entry);
}

static LogicalResult checkBody(func::FuncOp entry) {
  for (Operation &op : entry.getBody().front())
    if (!isa<GetWeightOp, CacheLayerOp, DimsOpInterface, func::ReturnOp>(op))
      return op.emitOpError()
             << "stands in entry '" << entry.getSymName()
             << "', which may hold tensor-level vlm ops and return only";
  Operation *end = entry.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(end->getOperands()))
    if (!value.getDefiningOp() || value.getDefiningOp<GetWeightOp>())
      return errorAt(entry, "result", i)
             << "is an argument or a weight as it is; an entry gives back what "
                "it computes";
  return failed(DimAnalysis::compute(entry)) ? failure() : success();
}

static LogicalResult checkEntry(func::FuncOp entry) {
  if (!entry->hasAttr(names::entry))
    return entry.emitError() << "function '" << entry.getSymName()
                             << "' is no entry point: it has "
                             << "no '" << names::entry << "'";
  if (!llvm::hasSingleElement(entry.getBody()))
    return entry.emitError() << "entry '" << entry.getSymName()
                             << "' must have a body of one block";
  if (failed(checkSignature(entry)))
    return failure();
  return checkBody(entry);
}

struct VerifyGraph : vlmc::impl::VerifyGraphPassBase<VerifyGraph> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    llvm::StringSet<> used;
    getOperation().walk([&](GetWeightOp get) { used.insert(get.getWeight()); });
    bool failedAny = false;
    for (Operation &op : *getOperation().getBody()) {
      if (auto entry = dyn_cast<func::FuncOp>(op)) {
        failedAny |= failed(checkEntry(entry));
      } else if (auto weight = dyn_cast<WeightOp>(op)) {
        if (used.contains(weight.getSymName()))
          continue;
        weight.emitOpError()
            << "'" << weight.getSymName() << "' is read by no entry";
        failedAny = true;
      } else {
        op.emitOpError() << "is neither a weight nor an entry; a graph holds "
                            "nothing else";
        failedAny = true;
      }
    }
    if (failedAny)
      signalPassFailure();
  }
};
