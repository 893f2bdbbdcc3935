//===-- VerifyKernels.cpp - check the kernels border ----------------------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/KernelForm.h"
#include "passes/Passes.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_VERIFYKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

/// Checks that an entry is a straight line of calls whose outputs are results
/// of calls, each once.
static LogicalResult checkSchedule(func::FuncOp entry) {
  for (Operation &op : entry.getBody().front())
    if (!isa<GetWeightOp, CacheLayerOp, CallOp, func::ReturnOp>(op))
      return op.emitOpError()
             << "stands in entry '" << entry.getSymName()
             << "', which may hold get_weight, call and return only";
  Operation *end = entry.getBody().front().getTerminator();
  llvm::DenseSet<Value> seen;
  for (auto [i, value] : llvm::enumerate(end->getOperands())) {
    if (!value.getDefiningOp<CallOp>())
      return end->emitOpError()
             << "result " << i << " of entry '" << entry.getSymName()
             << "' must be the result of a call";
    if (!seen.insert(value).second)
      return end->emitOpError()
             << "result " << i << " of entry '" << entry.getSymName()
             << "' is given back twice; each output has its own buffer";
  }
  return success();
}

static LogicalResult checkLabels(KernelOp kernel) {
  for (Operation &op : kernel.getBody().front())
    if (op.hasAttr(names::label))
      return op.emitOpError()
             << "in kernel '" << kernel.getSymName() << "' must not have '"
             << names::label << "': it belongs to the call";
  return success();
}

struct VerifyKernels : vlmc::impl::VerifyKernelsPassBase<VerifyKernels> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    llvm::StringSet<> called;
    getOperation().walk([&](CallOp call) { called.insert(call.getCallee()); });
    bool failedAny = false;
    for (auto entry : getOperation().getOps<func::FuncOp>())
      failedAny |= failed(checkSchedule(entry));
    for (auto kernel : getOperation().getOps<KernelOp>()) {
      if (!called.contains(kernel.getSymName())) {
        kernel.emitOpError() << "is never called";
        failedAny = true;
        continue;
      }
      failedAny |=
          failed(checkLabels(kernel)) || failed(checkKernelForm(kernel));
    }
    if (failedAny)
      signalPassFailure();
  }
};
