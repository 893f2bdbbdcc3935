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

/// The argument at the start of what the group computes of `value`: through
/// the first operands of ops.
static BlockArgument sourceOf(Value value) {
  while (Operation *op = value.getDefiningOp())
    value = op->getOperand(0);
  return cast<BlockArgument>(value);
}

/// Moves what makes query, key and value into the group where the rules allow.
static void fuseInto(GroupOp group, const FusionRules &rules) {
  unsigned fused = 0;
  for (unsigned role = 0; role < 3; ++role) {
    bool isFused = false;
    for (;;) {
      Operation *anchor = getAnchorOp(group.getBody().front());
      BlockArgument source = sourceOf(anchor->getOperand(role));
      Operation *producer =
          group.getInputs()[source.getArgNumber()].getDefiningOp();
      if (!producer ||
          !rules.canFuse(group.getAnchor(), producer, FusionPlace::Prologue))
        break;
      pullProducer(group, producer);
      isFused = true;
    }
    fused += isFused;
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
      for (AnchorKind anchor :
           {AnchorKind::Attention, AnchorKind::CachedAttention})
        for (GroupOp group : getGroups(entry, anchor))
          fuseInto(group, rules);
  }
};
