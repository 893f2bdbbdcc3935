//===-- FuseEpilogue.cpp - finish rows where products leave their sums ----===//
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "passes/FusionRules.h"
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSEEPILOGUEPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-epilogue";

/// Why an addition cannot end the product whose result is `product`; empty if
/// it can. Makes the product its left operand.
static std::string prepareAdd(AddOp add, Value product) {
  if (add.getRhs() == product) {
    if (add.getLhs().getType() != product.getType())
      return "its result is repeated over leading dimensions";
    // Addition commutes; one form keeps equal kernels equal.
    add->setOperands({product, add.getLhs()});
  }
  if (add.getRhs().getType() != add.getLhs().getType() &&
      !add.getRhs().getDefiningOp<GetWeightOp>())
    return "what is added is repeated over leading dimensions, but is no "
           "weight";
  return "";
}

/// Moves views of values that only the epilogue reads into the group.
static void pullViews(GroupOp group) {
  for (bool changed = true; changed;) {
    changed = false;
    for (Value input : group.getInputs())
      if (Operation *producer = input.getDefiningOp();
          producer && isView(producer)) {
        pullProducer(group, producer);
        changed = true;
        break;
      }
  }
}

/// The multiplication of both halves of a product, one of them through an
/// activation; null where other ops read the product.
static MultiplyOp findGate(Value product) {
  MultiplyOp gate;
  unsigned activations = 0, slices = 0;
  for (Operation *user : product.getUsers()) {
    auto slice = dyn_cast<SliceFeaturesOp>(user);
    if (!slice || !slice->hasOneUse() ||
        getFeatures(slice.getResult()) * 2 != getFeatures(product))
      return {};
    Operation *reader = *slice->getUsers().begin();
    if (isa<ActivationOp>(reader) && reader->hasOneUse()) {
      ++activations;
      reader = *reader->getUsers().begin();
    }
    auto multiply = dyn_cast<MultiplyOp>(reader);
    if (!multiply || (gate && gate != multiply))
      return {};
    gate = multiply;
    ++slices;
  }
  return slices == 2 && activations == 1 ? gate : MultiplyOp();
}

/// Moves a multiplication of both halves of the group's result into the group.
static void pullGate(GroupOp group, MultiplyOp gate) {
  Operation *yield = group.getBody().front().getTerminator();
  // In the order of features, so that equal kernels are equal.
  SmallVector<Operation *> slices(group->getUsers());
  llvm::sort(slices, [](Operation *a, Operation *b) {
    return cast<SliceFeaturesOp>(a).getBegin() <
           cast<SliceFeaturesOp>(b).getBegin();
  });
  SmallVector<Operation *> moved(slices);
  for (Operation *slice : slices)
    if (Operation *reader = *slice->getUsers().begin(); reader != gate)
      moved.push_back(reader);
  moved.push_back(gate);
  IRMapping mapping;
  mapping.map(group->getResult(0), yield->getOperand(0));
  OpBuilder builder(yield);
  for (Operation *op : moved)
    builder.clone(*op, mapping);
  yield->setOperand(0, mapping.lookup(gate.getResult()));
  group->moveBefore(gate);
  gate.replaceAllUsesWith(group->getResult(0));
  for (Operation *op : llvm::reverse(moved))
    op->erase();
  group->getResult(0).setType(
      cast<RankedTensorType>(yield->getOperand(0).getType()));
}

/// Grows the group by the readers of its result, as long as there is one each.
static void fuseInto(GroupOp group, const FusionRules &rules) {
  if (MultiplyOp gate = findGate(group->getResult(0));
      gate && rules.canGate()) {
    reportPassed(group, passName)
        << remark::add("{0} computes {1}", describe(group), describe(gate));
    pullGate(group, gate);
  }
  for (;;) {
    Value result = group->getResult(0);
    auto isCandidate = [&](Operation *reader) {
      return rules.canFuse(AnchorKind::Gemm, reader, FusionPlace::Epilogue);
    };
    if (!result.hasOneUse()) {
      if (llvm::any_of(result.getUsers(), isCandidate))
        reportMissed(group, passName) << remark::reason(
            "{0} ends with its own result, which has several readers: {1}",
            describe(group), describeReaders(result));
      return;
    }
    Operation *reader = *result.getUsers().begin();
    if (!isCandidate(reader))
      return;
    if (auto add = dyn_cast<AddOp>(reader))
      if (std::string why = prepareAdd(add, result); !why.empty()) {
        reportMissed(group, passName)
            << remark::reason("{0} does not compute {1}: {2}", describe(group),
                              describe(reader), why);
        return;
      }
    if (auto gated = dyn_cast<GatedAddOp>(reader);
        gated && gated.getBranch() != result) {
      reportMissed(group, passName)
          << remark::reason("{0} does not compute {1}: it is what the branch "
                            "is added to",
                            describe(group), describe(reader));
      return;
    }
    reportPassed(group, passName)
        << remark::add("{0} computes {1}", describe(group), describe(reader));
    pullConsumer(group, reader);
    pullViews(group);
  }
}

struct FuseEpilogue : vlmc::impl::FuseEpiloguePassBase<FuseEpilogue> {
  using FuseEpiloguePassBase::FuseEpiloguePassBase;
  void runOnOperation() override {
    FusionRules rules(arch.getValue());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      for (GroupOp group : getGroups(entry, AnchorKind::Gemm))
        fuseInto(group, rules);
  }
};
