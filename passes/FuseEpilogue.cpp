//===-- FuseEpilogue.cpp - finish rows where products leave their sums ----===//
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

/// Grows the group by the readers of its result, as long as there is one each.
static void fuseInto(GroupOp group, const FusionRules &rules) {
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
