//===-- FuseGateUp.cpp - one linear for a gate and what it multiplies -----===//
#include "passes/FusionRules.h"
#include "passes/JoinLinears.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSEGATEUPPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-gate-up";

/// The only reader's product, null if there are others.
static LinearOp onlyReadLinear(Value value) {
  return value.hasOneUse() ? value.getDefiningOp<LinearOp>() : LinearOp();
}

/// The gate's product and then the other one's, null where a multiplication
/// has no such sides.
static std::pair<LinearOp, LinearOp> findSides(MultiplyOp multiply) {
  for (bool isSwapped : {false, true}) {
    Value gate = isSwapped ? multiply.getRhs() : multiply.getLhs();
    Value other = isSwapped ? multiply.getLhs() : multiply.getRhs();
    auto activation = gate.getDefiningOp<ActivationOp>();
    if (!activation || !gate.hasOneUse())
      continue;
    LinearOp first = onlyReadLinear(activation.getInput());
    LinearOp second = onlyReadLinear(other);
    if (first && second && first != second)
      return {first, second};
  }
  return {};
}

struct FuseGateUp : vlmc::impl::FuseGateUpPassBase<FuseGateUp> {
  using FuseGateUpPassBase::FuseGateUpPassBase;

  void runOnOperation() override {
    if (!FusionRules(arch.getValue()).canGate())
      return;
    WeightTable weights(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>()) {
      for (auto multiply : llvm::to_vector(entry.getOps<MultiplyOp>()))
        fuseFor(multiply, weights);
      eraseUnusedGets(entry);
    }
    weights.eraseUnused();
  }

private:
  static void fuseFor(MultiplyOp multiply, WeightTable &weights) {
    auto [gate, other] = findSides(multiply);
    if (!gate)
      return;
    std::string why;
    if (gate.getInput() != other.getInput())
      why = "they read different inputs";
    else if (gate.getType() != other.getType())
      why = "what it multiplies is repeated";
    else
      why = whyNotJoined({gate, other}, weights);
    if (!why.empty()) {
      reportMissed(multiply, passName) << remark::reason(
          "{0} keeps a product for each side: {1}", describe(multiply), why);
      return;
    }
    LinearOp fused = joinLinears({gate, other}, weights);
    reportPassed(multiply, passName) << remark::add(
        "{0} makes both sides of {1}", describe(fused), describe(multiply));
  }
};
