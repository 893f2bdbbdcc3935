//===-- DedupeKernels.cpp - call equal kernels by one name ----------------===//
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_DEDUPEKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "dedupe-kernels";

/// A kernel's calls, and which of their operands are weights.
struct CallsOfKernel {
  SmallVector<CallOp> calls;
  SmallVector<bool> weights;
};

static SmallVector<bool> weightOperands(CallOp call) {
  SmallVector<bool> weights;
  for (Value operand : call.getInputs())
    weights.push_back(operand.getDefiningOp<GetWeightOp>() != nullptr);
  return weights;
}

/// Equal but for the name.
static bool areEqual(KernelOp a, KernelOp b) {
  NamedAttrList attrsA(a->getAttrs()), attrsB(b->getAttrs());
  attrsA.erase(a.getSymNameAttrName());
  attrsB.erase(b.getSymNameAttrName());
  return attrsA.getDictionary(a.getContext()) ==
             attrsB.getDictionary(b.getContext()) &&
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

struct DedupeKernels : vlmc::impl::DedupeKernelsPassBase<DedupeKernels> {
  void runOnOperation() override {
    llvm::StringMap<CallsOfKernel> uses;
    getOperation().walk([&](CallOp call) {
      CallsOfKernel &use = uses[call.getCallee()];
      use.calls.push_back(call);
      use.weights = weightOperands(call);
    });
    SmallVector<KernelOp> kept;
    unsigned before = 0;
    for (auto kernel :
         llvm::make_early_inc_range(getOperation().getOps<KernelOp>())) {
      ++before;
      CallsOfKernel &use = uses[kernel.getSymName()];
      auto same = llvm::find_if(kept, [&](KernelOp other) {
        return uses[other.getSymName()].weights == use.weights &&
               areEqual(kernel, other);
      });
      if (same == kept.end()) {
        kept.push_back(kernel);
        continue;
      }
      for (CallOp call : use.calls)
        call.setCallee(same->getSymName());
      kernel.erase();
    }
    reportAnalysis(getOperation(), passName)
        << remark::add("{0} kernels of {1} remain", kept.size(), before);
  }
};
