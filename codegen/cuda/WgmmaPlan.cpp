//===-- WgmmaPlan.cpp - which products sm_90a's own kernel makes ----------===//
#include "codegen/cuda/Hopper.h"
#include "codegen/cuda/Kernels.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

/// Elements of 16 bytes: what rows that a tensor map takes are multiples of.
static constexpr int64_t unit = 8;

//===-- The left side -----------------------------------------------------===//

namespace {
/// Rows of 16 bits in one of a kernel's buffers.
struct LeftRows {
  int64_t buffer = 0, stride = 0, offset = 0;
  std::string whyNot; ///< there are none
};
} // namespace

/// The rows that go into a product: its norm has written them, or they are an
/// operand's, or a part of each of its rows.
static LeftRows findLeft(vlm::KernelOp kernel, const KernelPlan &plan) {
  LeftRows left;
  if (plan.product.norm) {
    left.buffer = static_cast<int64_t>(kernel.getArgumentTypes().size() +
                                       kernel.getResultTypes().size());
    left.stride = plan.product.k;
    return left;
  }
  Value value = plan.product.anchor->getOperand(0);
  for (; Operation *op = value.getDefiningOp(); value = op->getOperand(0)) {
    if (auto slice = dyn_cast<vlm::SliceFeaturesOp>(op))
      left.offset += static_cast<int64_t>(slice.getBegin());
    else if (!isa<vlm::SqueezeOp>(op))
      left.whyNot = "its rows are no rows of memory that follow each other";
    if (!left.whyNot.empty())
      return left;
  }
  if (cpu::formOf(value.getType()).panels ||
      storageOf(kernel, value) != plan.half)
    left.whyNot = "its rows lie in memory as f32";
  left.buffer = cast<BlockArgument>(value).getArgNumber();
  left.stride = vlm::getFeatures(value);
  return left;
}

//===-- The plan ----------------------------------------------------------===//

/// Columns that the epilogue may take at once: 8 where every row that it reads
/// or writes begins at 16 bytes, and what is done with them is element by
/// element.
static int64_t pieceOf(vlm::KernelOp kernel, const KernelPlan &plan) {
  if (plan.product.columns % unit)
    return 1;
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    bool isOne = type.hasStaticShape() && type.getNumElements() == 1;
    if (type.getElementType().isF32() && !isOne &&
        vlm::getFeatures(argument) % unit)
      return 1;
  }
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (auto slice = dyn_cast<vlm::SliceFeaturesOp>(op))
      if (slice.getBegin() % unit)
        return 1;
    if (!isa<vlm::LinearOp, vlm::ActivationOp, vlm::AddOp, vlm::MultiplyOp,
             vlm::GatedAddOp, vlm::ScaleOp, vlm::SliceFeaturesOp,
             vlm::SqueezeOp, vlm::TakeTokensOp, vlm::RmsNormOp,
             vlm::LayerNormOp>(op))
      return 1;
  }
  return unit;
}

static std::string whyNot(vlm::KernelOp kernel, const KernelPlan &plan) {
  const Product &product = plan.product;
  auto tell = [](const Twine &text) { return text.str(); };
  if (!isa<vlm::LinearOp>(product.anchor))
    return "its left side is windows of a picture";
  if (product.k % unit)
    return tell("its rows have " + Twine(product.k) +
                " features, no multiple of " + Twine(unit));
  if (product.k < 32 || product.n < 32)
    return tell("it is " + Twine(product.n) + "x" + Twine(product.k) +
                ", less than a tile's half");
  LeftRows left = findLeft(kernel, plan);
  if (!left.whyNot.empty())
    return left.whyNot;
  if (left.stride % unit || left.offset % unit)
    return "its rows do not begin at multiples of 16 bytes";
  return "";
}

void cuda::planWgmma(vlm::KernelOp kernel, KernelPlan &plan) {
  plan.whyNoWgmma = whyNot(kernel, plan);
  if (!plan.whyNoWgmma.empty())
    return;
  WgmmaTile &tile = plan.wgmma;
  tile.columns = plan.product.n > 128 ? 256 : plan.product.n > 64 ? 128 : 64;
  // As many as a block's shared memory has room for, beside its barriers.
  constexpr int64_t room = 192 << 10;
  tile.stages = room / tile.stageBytes();
  tile.piece = pieceOf(kernel, plan);
}

std::vector<LaunchMap> cuda::wgmmaMaps(vlm::KernelOp kernel,
                                       const KernelPlan &plan,
                                       const vlm::Size &rows) {
  const Product &product = plan.product;
  LeftRows from = findLeft(kernel, plan);
  LaunchMap left, right;
  left.buffer = from.buffer;
  left.rows = rows;
  left.stride = from.stride;
  left.offset = from.offset;
  left.boxRows = plan.wgmma.rows;
  right.buffer = cast<BlockArgument>(product.weight()).getArgNumber();
  right.rows = vlm::Size(product.n);
  right.stride = product.k;
  right.boxRows = plan.wgmma.columns / (product.isGated() ? 2 : 1);
  for (LaunchMap *map : {&left, &right}) {
    map->columns = product.k;
    map->boxColumns = plan.wgmma.depth;
    map->isBrain = plan.half == Storage::BF16;
  }
  return {left, right};
}
