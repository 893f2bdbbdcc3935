//===-- FusionRules.cpp - what may join which kernel on a target ----------===//
#include "passes/FusionRules.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

bool vlmc::isView(Operation *op) {
  return isa<TakeTokensOp, SliceTokensOp, SqueezeOp, SliceFeaturesOp>(op);
}

bool vlmc::isRowWise(Operation *op) {
  return isView(op) ||
         isa<LayerNormOp, L2NormalizeOp, ActivationOp, AddOp, EmbeddingOp,
             PrependTokensOp, RmsNormOp, MultiplyOp, RopeOp, MergeTokensOp,
             ReplaceTokensOp, GatedAddOp, AveragePoolOp, ScaleOp, GroupNormOp,
             MaskFeaturesOp, AddGridPositionsOp, DepthwiseConv2dOp,
             ScaleFeaturesOp>(op);
}

/// Whether the op normalises rows as a whole.
static bool isWholeNorm(Operation *op) {
  if (auto norm = dyn_cast<RmsNormOp>(op))
    return getFeatures(norm.getWeight()) == getFeatures(norm.getInput());
  auto norm = dyn_cast<LayerNormOp>(op);
  return norm && norm.getGroupSize() == getFeatures(norm.getInput());
}

// A sum that several compute brings its operands' sums with it: of a residual
// stream each product would compute all of it anew. A GPU's products compute
// in a pass of its own what they do not take from memory.
bool FusionRules::canRepeat(Operation *op) const {
  return isView(op) || (!isa<AddOp>(op) && arch != "cuda");
}

bool FusionRules::canFuse(AnchorKind anchor, Operation *op,
                          FusionPlace place) const {
  // A mean of many pixels is worth memory of its own: who reads it reads it
  // often.
  if (auto pool = dyn_cast<AveragePoolOp>(op);
      pool && static_cast<int64_t>(pool.getSize()) > 2)
    return false;
  // Windows that overlap have a kernel of their own.
  if (isa<DepthwiseConv2dOp>(op) && anchor != AnchorKind::Rows)
    return false;
  switch (anchor) {
  case AnchorKind::Gemm:
    if (place == FusionPlace::Epilogue)
      return isa<ActivationOp, AddOp, SqueezeOp, GatedAddOp, ScaleOp>(op);
    // The CPU kernels pack the rows of their input, and compute them on the
    // way; where the hardware copies tiles by itself there is no such moment.
    if (arch == "cuda")
      return isa<TakeTokensOp, SqueezeOp, SliceFeaturesOp>(op) ||
             isWholeNorm(op);
    return isRowWise(op);
  case AnchorKind::Attention:
    return place == FusionPlace::Prologue && isa<SliceFeaturesOp>(op);
  case AnchorKind::CachedAttention:
    return place == FusionPlace::Prologue &&
           (isView(op) || isa<RopeOp, RmsNormOp>(op));
  case AnchorKind::Rows:
    return place == FusionPlace::Prologue && isRowWise(op);
  case AnchorKind::Contrast:
    return false;
  }
  return false;
}
