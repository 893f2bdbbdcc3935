//===-- FuseNormPrologue.cpp - normalise where products pack their input --===//
#include "passes/FusionRules.h"
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSENORMPROLOGUEPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-norm-prologue";

/// Whether `value` is a product's result, or follows one through ops that its
/// epilogue can take: then the op that reads it belongs there.
static bool endsProduct(Value value, const FusionRules &rules) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse())
    return false;
  if (auto group = dyn_cast<GroupOp>(op))
    return group.getAnchor() == AnchorKind::Gemm;
  return rules.canFuse(AnchorKind::Gemm, op, FusionPlace::Epilogue) &&
         llvm::any_of(op->getOperands(), [&](Value operand) {
           return endsProduct(operand, rules);
         });
}

/// Whether the epilogue of a product before may take the op.
static bool mayEndProduct(Operation *op, const FusionRules &rules) {
  if (isa<MultiplyOp>(op) && rules.canGate())
    return llvm::any_of(op->getOperands(), [](Value operand) {
      return isa_and_nonnull<SliceFeaturesOp>(operand.getDefiningOp());
    });
  return rules.canFuse(AnchorKind::Gemm, op, FusionPlace::Epilogue) &&
         llvm::any_of(op->getOperands(), [&](Value operand) {
           return endsProduct(operand, rules);
         });
}

/// Whether the group computes its anchor's input from this operand of its.
static bool isInput(OpOperand &use) {
  auto group = dyn_cast<GroupOp>(use.getOwner());
  if (!group || group.getAnchor() != AnchorKind::Gemm ||
      !isa<LinearOp>(getAnchorOp(group.getBody().front())))
    return false;
  return llvm::any_of(getInputArguments(group), [&](BlockArgument argument) {
    return argument.getArgNumber() == use.getOperandNumber();
  });
}

struct FuseNormPrologue
    : vlmc::impl::FuseNormProloguePassBase<FuseNormPrologue> {
  using FuseNormProloguePassBase::FuseNormProloguePassBase;

  void runOnOperation() override {
    FusionRules rules(arch.getValue());
    for (auto entry : getOperation().getOps<func::FuncOp>()) {
      // From the back: a producer's readers are settled before it is.
      SmallVector<Operation *> ops;
      for (Operation &op : llvm::reverse(entry.getBody().front()))
        ops.push_back(&op);
      for (Operation *op : ops)
        if (isRowWise(op))
          fuse(op, rules);
    }
  }

private:
  /// Moves `op` into the products that read it, or tells why not.
  void fuse(Operation *op, const FusionRules &rules) {
    SmallVector<GroupOp> takers;
    bool allTake = true;
    for (OpOperand &use : op->getResult(0).getUses()) {
      if (isInput(use))
        takers.push_back(cast<GroupOp>(use.getOwner()));
      else
        allTake = false;
    }
    if (takers.empty())
      return;
    if (!rules.canFuse(AnchorKind::Gemm, op, FusionPlace::Prologue)) {
      if (!mayEndProduct(op, rules))
        reportMissed(op, passName) << remark::reason(
            "{0} is not computed by the products that read it: on this target "
            "they take rows of memory, and norms of whole rows",
            describe(op));
      return;
    }
    if (!isView(op) && !allTake) {
      reportMissed(op, passName) << remark::reason(
          "{0} is not computed by the products that read it: it is also read "
          "outside of them ({1})",
          describe(op), describeReaders(op->getResult(0)));
      return;
    }
    if (takers.size() > 1 && !rules.canRepeat(op)) {
      reportMissed(op, passName) << remark::reason(
          "{0} is not computed by the products that read it: they are {1}, and "
          "each would compute {2}",
          describe(op), static_cast<int64_t>(takers.size()),
          isa<AddOp>(op) ? "what is added too" : "it anew");
      return;
    }
    if (mayEndProduct(op, rules))
      return;
    llvm::sort(takers,
               [](GroupOp a, GroupOp b) { return a->isBeforeInBlock(b); });
    std::string what = describe(op);
    for (GroupOp group : takers) {
      reportPassed(group, passName)
          << remark::add("{0} computes {1}", describe(group), what);
      pullProducer(group, op);
    }
  }
};
