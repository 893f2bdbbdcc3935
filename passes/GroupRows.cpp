//===-- GroupRows.cpp - cluster what is left into row-wise groups ---------===//
#include "mlir/IR/Builders.h"
#include "passes/FusionRules.h"
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_GROUPROWSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "group-rows";

/// Copies what an entry gives back a second time, so that each output has a
/// buffer of its own. Slicing all features is the copy.
static void copyRepeatedResults(func::FuncOp entry) {
  Operation *end = entry.getBody().front().getTerminator();
  OpBuilder builder(end);
  llvm::DenseSet<Value> seen;
  for (OpOperand &result : end->getOpOperands()) {
    Value value = result.get();
    if (seen.insert(value).second)
      continue;
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || !isa<FloatType>(type.getElementType()))
      continue; // verify-kernels reports it
    auto copy = SliceFeaturesOp::create(builder, end->getLoc(), type, value, 0,
                                        getFeatures(value));
    if (Operation *source = value.getDefiningOp())
      if (Attribute label = source->getAttr(names::label))
        copy->setAttr(names::label, label);
    result.set(copy);
  }
}

/// Whether an op of the group reads its argument in windows, so that a producer
/// would be computed once for each.
static bool readsInWindows(GroupOp group, unsigned argument) {
  return llvm::any_of(group.getBody().getArgument(argument).getUsers(),
                      [](Operation *user) {
                        return isa<DepthwiseConv2dOp>(user);
                      });
}

/// Grows a row-wise group by producers that only it reads.
static void growUp(GroupOp group) {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto [i, input] : llvm::enumerate(group.getInputs())) {
      Operation *producer = input.getDefiningOp();
      if (!producer || !isRowWise(producer) ||
          readsInWindows(group, static_cast<unsigned>(i)))
        continue;
      if (!isView(producer) && !input.hasOneUse())
        continue;
      reportPassed(group, passName) << remark::add(
          "{0} computes {1}", describe(group), describe(producer));
      pullProducer(group, producer);
      changed = true;
      break;
    }
  }
}

/// Tells which producers of a finished group stay outside, and why.
static void reportOutside(GroupOp group) {
  for (Value input : group.getInputs())
    if (Operation *producer = input.getDefiningOp();
        producer && isRowWise(producer))
      reportMissed(group, passName) << remark::reason(
          "{0} does not compute {1}, which has several readers: {2}",
          describe(group), describe(producer), describeReaders(input));
}

struct GroupRows : vlmc::impl::GroupRowsPassBase<GroupRows> {
  using GroupRowsPassBase::GroupRowsPassBase;

  void runOnOperation() override {
    for (auto entry : getOperation().getOps<func::FuncOp>()) {
      copyRepeatedResults(entry);
      // From the back, so that a group has taken its producers before they
      // would become groups of their own.
      Operation *op = &entry.getBody().front().back();
      while (op) {
        Operation *before = op->getPrevNode();
        if (isRowWise(op) || isAlone(op)) {
          GroupOp group = wrapInGroup(op, AnchorKind::Rows);
          if (!eachOp && !standsAlone(group)) {
            growUp(group);
            reportOutside(group);
          }
          before = group->getPrevNode();
        }
        op = before;
      }
    }
  }

private:
  static bool isAlone(Operation *op) {
    return isa<TokenIndexOp, RopeTableOp, ConcatFeaturesOp, MeanTokensOp,
               MaxTokensOp, PixelUnshuffleOp, GroupMomentsOp, LeastFeatureOp>(
        op);
  }
  /// Whether the group's op is no part of a larger kernel.
  static bool standsAlone(GroupOp group) {
    return isAlone(&group.getBody().front().front());
  }
};
