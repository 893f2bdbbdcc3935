//===-- KernelForm.cpp - what a kernel may hold ---------------------------===//
#include "passes/KernelForm.h"
#include "passes/FusionRules.h"
#include "passes/Groups.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

static bool isArgument(Value value) { return isa<BlockArgument>(value); }

/// Whether a value is an argument or views of one.
static bool isViewOfArgument(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isView(op))
      return false;
    value = op->getOperand(0);
  }
  return true;
}

static LogicalResult checkOneResult(KernelOp kernel) {
  if (kernel.getResultTypes().size() != 1)
    return kernel.emitOpError() << "must have one result, but has "
                                << kernel.getResultTypes().size();
  for (Operation &op : kernel.getBody().front().without_terminator())
    if (op.use_empty())
      return op.emitOpError()
             << "is computed by kernel '" << kernel.getSymName()
             << "', but nobody reads it";
  return success();
}

/// The kernel's anchor, which must be the only one.
static Operation *findOnlyAnchor(KernelOp kernel) {
  Operation *anchor = nullptr;
  for (Operation &op : kernel.getBody().front()) {
    if (!isa<LinearOp, PatchEmbedOp, Conv2dOp, AttentionOp, CachedAttentionOp,
             ContrastiveLogitsOp>(op))
      continue;
    if (anchor) {
      op.emitOpError() << "is a second anchor in kernel '"
                       << kernel.getSymName() << "'; a kernel has one";
      return nullptr;
    }
    anchor = &op;
  }
  if (!anchor)
    kernel.emitOpError() << "is anchored by '"
                         << stringifyAnchorKind(kernel.getAnchor())
                         << "', but holds no such op";
  return anchor;
}

static LogicalResult checkAnchorIs(KernelOp kernel, Operation *anchor,
                                   bool isRight) {
  if (isRight)
    return success();
  return anchor->emitOpError()
         << "cannot be the anchor of kernel '" << kernel.getSymName()
         << "', which is anchored by '"
         << stringifyAnchorKind(kernel.getAnchor()) << "'";
}

/// Where both halves of a product are multiplied, one of them through an
/// activation: the result, with the ops on the way in `seen`. Else `product`.
static Value followGate(Value product, llvm::DenseSet<Operation *> &seen) {
  SmallVector<Operation *> path;
  MultiplyOp gate;
  for (Operation *user : product.getUsers()) {
    if (!isa<SliceFeaturesOp>(user) || !user->hasOneUse() ||
        getFeatures(user->getResult(0)) * 2 != getFeatures(product))
      return product;
    path.push_back(user);
    Operation *reader = *user->getUsers().begin();
    if (isa<ActivationOp>(reader) && reader->hasOneUse()) {
      path.push_back(reader);
      reader = *reader->getUsers().begin();
    }
    auto multiply = dyn_cast<MultiplyOp>(reader);
    if (!multiply || (gate && gate != multiply))
      return product;
    gate = multiply;
  }
  if (path.size() != 3)
    return product;
  seen.insert_range(path);
  seen.insert(gate);
  return gate.getResult();
}

/// Follows a product's result to the yield and collects the ops on the way.
static LogicalResult checkEpilogue(Operation *anchor,
                                   llvm::DenseSet<Operation *> &seen) {
  Value value = followGate(anchor->getResult(0), seen);
  for (;;) {
    if (!value.hasOneUse())
      return value.getDefiningOp()->emitOpError()
             << "is in the epilogue of a product and must have one reader";
    Operation *reader = *value.getUsers().begin();
    if (isa<YieldOp>(reader))
      return success();
    seen.insert(reader);
    if (!isa<ActivationOp, SqueezeOp, AddOp, GatedAddOp, ScaleOp>(reader))
      return reader->emitOpError()
             << "cannot be in the epilogue of a product; activation, add, "
                "gated_add, scale and squeeze can";
    if (auto gated = dyn_cast<GatedAddOp>(reader))
      for (Value side : gated->getOperands()) {
        if (side == gated.getBranch())
          continue;
        if (!isViewOfArgument(side))
          return gated.emitOpError()
                 << "in the epilogue of a product must have the product as its "
                    "branch and arguments beside it";
        for (; Operation *op = side.getDefiningOp(); side = op->getOperand(0))
          seen.insert(op);
      }
    if (auto add = dyn_cast<AddOp>(reader)) {
      if (add.getLhs() != value)
        return add.emitOpError() << "in the epilogue of a product must have "
                                    "the product as its left operand";
      if (!isViewOfArgument(add.getRhs()))
        return add.emitOpError()
               << "in the epilogue of a product must add an argument or a "
                  "view of one";
      for (Value side = add.getRhs(); Operation *op = side.getDefiningOp();
           side = op->getOperand(0))
        seen.insert(op);
    }
    value = reader->getResult(0);
  }
}

/// Collects the row-wise ops before a value.
static LogicalResult checkPrologue(Value value,
                                   llvm::DenseSet<Operation *> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || !seen.insert(op).second)
    return success();
  if (!isRowWise(op))
    return op->emitOpError() << "cannot be in the prologue of a product; "
                                "row-wise ops can";
  for (Value operand : op->getOperands())
    if (failed(checkPrologue(operand, seen)))
      return failure();
  return success();
}

static LogicalResult checkAllSeen(KernelOp kernel,
                                  const llvm::DenseSet<Operation *> &seen) {
  for (Operation &op : kernel.getBody().front().without_terminator())
    if (!seen.contains(&op))
      return op.emitOpError() << "is neither before nor after the anchor of "
                                 "kernel '"
                              << kernel.getSymName() << "'";
  return success();
}

static LogicalResult checkGemm(KernelOp kernel) {
  Operation *anchor = findOnlyAnchor(kernel);
  if (!anchor || failed(checkAnchorIs(kernel, anchor,
                                      isa<LinearOp, PatchEmbedOp, Conv2dOp>(anchor))))
    return failure();
  for (Value operand : llvm::drop_begin(anchor->getOperands()))
    if (!isArgument(operand))
      return anchor->emitOpError()
             << "must read its weight and bias from the kernel's arguments";
  if (isa<PatchEmbedOp, Conv2dOp>(anchor) &&
      !isArgument(anchor->getOperand(0)))
    return anchor->emitOpError()
           << "must read its pixels from the kernel's arguments";
  llvm::DenseSet<Operation *> seen{anchor};
  if (failed(checkPrologue(anchor->getOperand(0), seen)) ||
      failed(checkEpilogue(anchor, seen)))
    return failure();
  return checkAllSeen(kernel, seen);
}

static LogicalResult checkAttention(KernelOp kernel) {
  Operation *anchor = findOnlyAnchor(kernel);
  if (!anchor ||
      failed(checkAnchorIs(kernel, anchor, isa<AttentionOp>(anchor))))
    return failure();
  llvm::DenseSet<Operation *> seen{anchor};
  for (auto [i, operand] : llvm::enumerate(anchor->getOperands())) {
    Operation *op = operand.getDefiningOp();
    if (!op)
      continue;
    seen.insert(op);
    if (i > 2 || !isa<SliceFeaturesOp>(op) || !isArgument(op->getOperand(0)))
      return op->emitOpError()
             << "cannot be in an attention kernel; slice_features of an "
                "argument, read as query, key or value, can";
  }
  return checkAllSeen(kernel, seen);
}

/// Query, key and value may come through views, norms and rotations.
static LogicalResult checkCachedAttention(KernelOp kernel) {
  Operation *anchor = findOnlyAnchor(kernel);
  if (!anchor ||
      failed(checkAnchorIs(kernel, anchor, isa<CachedAttentionOp>(anchor))))
    return failure();
  llvm::DenseSet<Operation *> seen{anchor};
  for (Value operand : anchor->getOperands().take_front(3))
    if (failed(checkPrologue(operand, seen)))
      return failure();
  for (Value operand : anchor->getOperands().drop_front(3))
    if (!isArgument(operand))
      return anchor->emitOpError()
             << "must read its cache and columns from the kernel's arguments";
  return checkAllSeen(kernel, seen);
}

static LogicalResult checkRows(KernelOp kernel) {
  auto ops = kernel.getBody().front().without_terminator();
  if (ops.empty())
    return kernel.emitOpError() << "computes nothing";
  if (llvm::hasSingleElement(ops) &&
      isa<TokenIndexOp, RopeTableOp, ConcatFeaturesOp, MeanTokensOp,
          MaxTokensOp, PixelUnshuffleOp, GroupMomentsOp, LeastFeatureOp>(
          *ops.begin()))
    return success();
  for (Operation &op : ops)
    if (!isRowWise(&op))
      return op.emitOpError() << "cannot be in kernel '" << kernel.getSymName()
                              << "', which works row by row";
  return success();
}

static LogicalResult checkContrast(KernelOp kernel) {
  Operation *anchor = findOnlyAnchor(kernel);
  if (!anchor ||
      failed(checkAnchorIs(kernel, anchor, isa<ContrastiveLogitsOp>(anchor))))
    return failure();
  return checkAllSeen(kernel, {anchor});
}

LogicalResult vlmc::checkKernelForm(KernelOp kernel) {
  if (failed(checkOneResult(kernel)))
    return failure();
  if (!kernel.getYielded()[0].getDefiningOp())
    return kernel.emitOpError() << "computes nothing";
  switch (kernel.getAnchor()) {
  case AnchorKind::Gemm:
    return checkGemm(kernel);
  case AnchorKind::Attention:
    return checkAttention(kernel);
  case AnchorKind::CachedAttention:
    return checkCachedAttention(kernel);
  case AnchorKind::Rows:
    return checkRows(kernel);
  case AnchorKind::Contrast:
    return checkContrast(kernel);
  }
  return success();
}
