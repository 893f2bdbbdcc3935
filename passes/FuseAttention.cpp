//===-- FuseAttention.cpp - read query, key and value in place ------------===//
#include "passes/FusionRules.h"
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSEATTENTIONPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-attention";

/// Moves what makes query, key and value into the group where the rules allow.
static void fuseInto(GroupOp group, const FusionRules &rules) {
  unsigned fused = 0;
  for (unsigned role = 0; role < 3; ++role) {
    auto attention = cast<AttentionOp>(getAnchorOp(group.getBody().front()));
    auto argument = dyn_cast<BlockArgument>(attention->getOperand(role));
    if (!argument)
      continue;
    Operation *producer =
        group.getInputs()[argument.getArgNumber()].getDefiningOp();
    if (!producer ||
        !rules.canFuse(AnchorKind::Attention, producer, FusionPlace::Prologue))
      continue;
    pullProducer(group, producer);
    ++fused;
  }
  if (fused)
    reportPassed(group, passName) << remark::add(
        "{0} reads {1} of its operands in place", describe(group), fused);
  else
    reportMissed(group, passName) << remark::reason(
        "{0} reads query, key and value from three buffers: no operand is a "
        "slice of a fused projection",
        describe(group));
}

struct FuseAttention : vlmc::impl::FuseAttentionPassBase<FuseAttention> {
  using FuseAttentionPassBase::FuseAttentionPassBase;
  void runOnOperation() override {
    FusionRules rules(arch.getValue());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      for (GroupOp group : getGroups(entry, AnchorKind::Attention))
        fuseInto(group, rules);
  }
};
