//===-- FuseQKV.cpp - one linear for query, key and value -----------------===//
#include "passes/JoinLinears.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSEQKVPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-qkv";

/// The linear that a query, key or value comes from, through norms and
/// rotations of its heads.
static LinearOp projectionOf(Value value) {
  while (isa_and_nonnull<RopeOp, RmsNormOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value.getDefiningOp<LinearOp>();
}

/// The linears of an attention that read one input: query, key and value, or
/// key and value; fewer than two if there is nothing to fuse.
static SmallVector<LinearOp> findLinears(Operation *attention) {
  LinearOp query = projectionOf(attention->getOperand(0));
  LinearOp key = projectionOf(attention->getOperand(1));
  LinearOp value = projectionOf(attention->getOperand(2));
  if (!key || !value || key.getInput() != value.getInput())
    return {};
  llvm::SetVector<LinearOp> linears;
  if (query && query.getInput() == key.getInput())
    linears.insert(query);
  linears.insert(key);
  linears.insert(value);
  return linears.takeVector();
}

struct FuseQKV : vlmc::impl::FuseQKVPassBase<FuseQKV> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>()) {
      SmallVector<Operation *> attentions;
      for (Operation &op : entry.getBody().front())
        if (isa<AttentionOp, CachedAttentionOp>(op))
          attentions.push_back(&op);
      for (Operation *attention : attentions)
        fuseFor(attention, weights);
      eraseUnusedGets(entry);
    }
    weights.eraseUnused();
  }

private:
  static void fuseFor(Operation *attention, WeightTable &weights) {
    SmallVector<LinearOp> linears = findLinears(attention);
    if (linears.size() < 2) {
      reportMissed(attention, passName) << remark::reason(
          "{0} keeps its projections: key and value are not two linears of "
          "one input",
          describe(attention));
      return;
    }
    if (std::string why = whyNotJoined(linears, weights); !why.empty()) {
      reportMissed(attention, passName) << remark::reason(
          "{0} keeps its projections: {1}", describe(attention), why);
      return;
    }
    unsigned count = linears.size();
    LinearOp fused = joinLinears(linears, weights);
    reportPassed(attention, passName) << remark::add(
        "{0} does the work of {1} projections", describe(fused), count);
  }
};
