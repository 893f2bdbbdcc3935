//===-- Launch.cpp - strategies of a GPU's kernels and their launches -----===//
#include "codegen/cuda/Launch.h"
#include "codegen/cuda/Kernels.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;
using vlm::Size;

int64_t GemmTile::sharedBytes() const {
  return std::max(stages * stageBytes(), rows / warpsDown * sumColumns() * 4);
}

StringRef cuda::strategyName(Strategy strategy) {
  switch (strategy) {
  case Strategy::Gemm:
    return "gemm";
  case Strategy::Attention:
    return "attention";
  case Strategy::CachedAttention:
    return "cached_attention";
  case Strategy::Rows:
    return "rows";
  case Strategy::Moments:
    return "moments";
  case Strategy::Elements:
    return "elements";
  }
  llvm_unreachable("every strategy is listed");
}

int64_t cuda::maxSharedBytes(StringRef chip) {
  return llvm::StringSwitch<int64_t>(chip)
      .Case("sm_80", 163 << 10)
      .Cases({"sm_86", "sm_89"}, 99 << 10)
      .Default(227 << 10);
}

/// The kernel's op that is not row by row, if any.
template <typename... Ops> static Operation *findAnchor(vlm::KernelOp kernel) {
  for (Operation &op : kernel.getBody().front())
    if (isa<Ops...>(op))
      return &op;
  return nullptr;
}

/// How an operand or result lies in memory, without a frame.
static Storage storageOf(vlm::KernelOp kernel, Value argument) {
  unsigned i = cast<BlockArgument>(argument).getArgNumber();
  DictionaryAttr tiles = kernel.getTilesAttr();
  auto storage = tiles ? tiles.getAs<ArrayAttr>("storage") : ArrayAttr();
  StringRef name = storage ? cast<StringAttr>(storage[i]).getValue() : "";
  if (name.empty())
    return cpu::formOf(argument.getType()).storage;
  return name == "f16"    ? Storage::F16
         : name == "bf16" ? Storage::BF16
                          : Storage::F32;
}

static KernelPlan planGemm(vlm::KernelOp kernel) {
  Operation *anchor =
      findAnchor<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp>(kernel);
  KernelPlan plan;
  Value weight = anchor ? anchor->getOperand(1) : Value();
  if (!weight || cpu::formOf(weight.getType()).panels)
    return plan;
  plan.half = storageOf(kernel, weight);
  if (plan.half == Storage::F32)
    return plan;
  plan.strategy = Strategy::Gemm;
  int64_t n = cast<RankedTensorType>(weight.getType()).getDimSize(0);
  // Where the left side is no memory, finding it takes registers.
  if (n <= 64 || !isa<vlm::LinearOp>(anchor))
    plan.gemm.columns = 64;
  plan.threads = plan.gemm.threads();
  plan.sharedBytes = plan.gemm.sharedBytes();
  return plan;
}

static KernelPlan planAttention(vlm::KernelOp kernel) {
  KernelPlan plan;
  auto op =
      cast_if_present<vlm::AttentionOp>(findAnchor<vlm::AttentionOp>(kernel));
  if (!op)
    return plan;
  for (Value value : {op.getQuery(), op.getKey(), op.getValue()}) {
    while (Operation *view = value.getDefiningOp())
      value = view->getOperand(0);
    if (Storage storage = storageOf(kernel, value); storage != Storage::F32)
      plan.half = storage;
  }
  int64_t size =
      vlm::getFeatures(op.getQuery()) / static_cast<int64_t>(op.getNumHeads());
  // As vlm-tile tells, the sums of more features do not fit the registers.
  if (plan.half == Storage::F32 || size > 256)
    return plan;
  plan.strategy = Strategy::Attention;
  plan.attention.size = static_cast<int64_t>(llvm::alignTo(size, 16));
  // Wide heads leave less room, in registers and in shared memory.
  if (plan.attention.size > 128)
    plan.attention.keys = plan.attention.size > 192 ? 16 : 32;
  plan.threads = plan.attention.threads();
  plan.sharedBytes = plan.attention.sharedBytes();
  return plan;
}

/// Of each warp the head of a query is in shared memory.
static KernelPlan planCachedAttention(vlm::KernelOp kernel) {
  KernelPlan plan;
  auto op = cast_if_present<vlm::CachedAttentionOp>(
      findAnchor<vlm::CachedAttentionOp>(kernel));
  if (!op)
    return plan;
  plan.strategy = Strategy::CachedAttention;
  auto layer = cast<RankedTensorType>(op.getCache().getType());
  plan.sharedBytes = plan.threads / warpThreads * layer.getDimSize(2) * 4;
  return plan;
}

std::vector<std::string> cuda::functionsOf(vlm::KernelOp kernel,
                                           const KernelPlan &plan) {
  std::string name = kernel.getSymName().str();
  if (plan.strategy == Strategy::CachedAttention)
    return {name + "_p0", name + "_p1"};
  return {name};
}

KernelPlan cuda::planKernel(vlm::KernelOp kernel) {
  StringRef strategy = kernel.getStrategy().value_or("");
  if (strategy == "gemm")
    return planGemm(kernel);
  if (strategy == "attention")
    return planAttention(kernel);
  if (strategy == "cached_attention")
    return planCachedAttention(kernel);
  KernelPlan plan;
  if (strategy == "rows")
    plan.strategy = Strategy::Rows;
  if (strategy == "moments") {
    plan.strategy = Strategy::Moments;
    plan.threads = 256;
    plan.sharedBytes = plan.threads / warpThreads * 4;
  }
  return plan;
}

static Size rowsOf(ArrayRef<Size> dims) {
  Size rows(1);
  for (const Size &dim : dims.drop_back())
    rows = rows * dim;
  return rows;
}

std::vector<KernelLaunch> cuda::launchesOf(vlm::KernelOp kernel,
                                           ArrayRef<std::vector<Size>> dims) {
  KernelPlan plan = planKernel(kernel);
  ArrayRef<Size> result = dims[kernel.getArgumentTypes().size()];
  KernelLaunch launch;
  std::vector<std::string> functions = functionsOf(kernel, plan);
  launch.function = functions[0];
  launch.threads = plan.threads;
  launch.sharedBytes = plan.sharedBytes;
  Size rows = rowsOf(result);
  switch (plan.strategy) {
  case Strategy::Gemm:
    launch.grid = {rows, result.back(), Size(1)};
    launch.units = {plan.gemm.rows, plan.gemm.columns, 1};
    break;
  case Strategy::Attention: {
    auto op = cast<vlm::AttentionOp>(findAnchor<vlm::AttentionOp>(kernel));
    launch.grid = {result[1], Size(static_cast<int64_t>(op.getNumHeads())),
                   result[0]};
    launch.units = {plan.attention.queries, 1, 1};
    break;
  }
  case Strategy::CachedAttention: {
    auto op = cast<vlm::CachedAttentionOp>(
        findAnchor<vlm::CachedAttentionOp>(kernel));
    KernelLaunch append = launch;
    append.function = functions[0];
    append.sharedBytes = 0;
    auto layer = cast<RankedTensorType>(op.getCache().getType());
    append.grid[0] =
        rowsOf(dims[cast<BlockArgument>(op.getSequence()).getArgNumber()]) *
        dims[cast<BlockArgument>(op.getSequence()).getArgNumber()].back() *
        Size(layer.getDimSize(1) * layer.getDimSize(2));
    append.units[0] = plan.threads;
    launch.function = functions[1];
    launch.grid[0] = rows * Size(static_cast<int64_t>(op.getNumHeads()));
    launch.units[0] = plan.threads / warpThreads;
    return {append, launch};
  }
  case Strategy::Rows:
    launch.grid[0] = rows;
    launch.units[0] = plan.threads / warpThreads;
    break;
  case Strategy::Moments:
    launch.grid[0] = rows;
    break;
  case Strategy::Elements:
    launch.grid[0] = rows * result.back();
    launch.units[0] = plan.threads;
    break;
  }
  return {launch};
}
