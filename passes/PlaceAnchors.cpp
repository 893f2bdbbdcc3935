//===-- PlaceAnchors.cpp - wrap each anchor into a group ------------------===//
#include "passes/Groups.h"
#include "passes/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_PLACEANCHORSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

/// The anchor that an op is, if it is one.
static std::optional<AnchorKind> anchorOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::optional<AnchorKind>>(op)
      .Case<LinearOp, PatchEmbedOp, Conv2dOp>(
          [](auto) { return AnchorKind::Gemm; })
      .Case([](AttentionOp) { return AnchorKind::Attention; })
      .Case([](CachedAttentionOp) { return AnchorKind::CachedAttention; })
      .Case([](ContrastiveLogitsOp) { return AnchorKind::Contrast; })
      .Default([](Operation *) { return std::nullopt; });
}

struct PlaceAnchors : vlmc::impl::PlaceAnchorsPassBase<PlaceAnchors> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<func::FuncOp>())
      for (Operation &op : llvm::make_early_inc_range(entry.getBody().front()))
        if (std::optional<AnchorKind> anchor = anchorOf(&op))
          wrapInGroup(&op, *anchor);
  }
};
