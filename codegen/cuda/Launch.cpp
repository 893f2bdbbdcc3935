//===-- Launch.cpp - strategies of a GPU's kernels and their launches -----===//
#include "codegen/cuda/Launch.h"
#include "codegen/cuda/Kernels.h"
#include "runtime/abi/vlm_abi.h"
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

/// By the name in `tiles.storage`, or else by the type.
static Storage storageAt(vlm::KernelOp kernel, size_t i, Type type) {
  DictionaryAttr tiles = kernel.getTilesAttr();
  auto storage = tiles ? tiles.getAs<ArrayAttr>("storage") : ArrayAttr();
  StringRef name = storage ? cast<StringAttr>(storage[i]).getValue() : "";
  if (name.empty())
    return cpu::formOf(type).storage;
  return name == "f16"    ? Storage::F16
         : name == "bf16" ? Storage::BF16
                          : Storage::F32;
}

Storage cuda::storageOf(vlm::KernelOp kernel, Value argument) {
  return storageAt(kernel, cast<BlockArgument>(argument).getArgNumber(),
                   argument.getType());
}

Storage cuda::resultStorage(vlm::KernelOp kernel) {
  return storageAt(kernel, kernel.getArgumentTypes().size(),
                   kernel.getResultTypes()[0]);
}

/// Whether a call may have as few rows as the function for few rows takes.
static bool mayHaveFewRows(Value result) {
  int64_t least = 1;
  for (int64_t dim :
       cast<RankedTensorType>(result.getType()).getShape().drop_back())
    least *= ShapedType::isDynamic(dim) ? 1 : dim;
  return least <= SkinnyTile::maxRows;
}

/// Warps share the features so that each has some, and more where few blocks
/// would leave the chip idle.
static SkinnyTile planSkinny(const Product &product) {
  SkinnyTile tile;
  // Rows of the weight begin at multiples of 16 bytes.
  if (product.k % 8 || !product.alignment() || product.alignment() % 8 ||
      !mayHaveFewRows(product.anchor->getResult(0)))
    return tile;
  tile.sides = product.isGated() ? 2 : 1;
  tile.steps = 4 / tile.sides;
  int64_t most = product.columns / SkinnyTile::columns < 256 ? 16 : 8;
  tile.warps = 1;
  while (tile.warps < most && tile.warps * tile.steps * 32 * 2 <= product.k)
    tile.warps *= 2;
  return tile;
}

/// The chip that a product may have code of its own for; "": none.
static StringRef chipOf(vlm::KernelOp kernel) {
  DictionaryAttr tiles = kernel.getTilesAttr();
  auto chip = tiles ? tiles.getAs<StringAttr>("chip") : StringAttr();
  return chip ? chip.getValue() : "";
}

static KernelPlan planGemm(vlm::KernelOp kernel) {
  KernelPlan plan;
  plan.product = Product::of(kernel);
  Operation *anchor = plan.product.anchor;
  Value weight = anchor ? plan.product.weight() : Value();
  if (!weight || cpu::formOf(weight.getType()).panels)
    return plan;
  plan.half = storageOf(kernel, weight);
  if (plan.half == Storage::F32)
    return plan;
  plan.strategy = Strategy::Gemm;
  // Where the left side is no memory, finding it takes registers.
  if (plan.product.n <= 64 || !isa<vlm::LinearOp>(anchor))
    plan.gemm.columns = 64;
  plan.skinny = planSkinny(plan.product);
  plan.skinny.startsEarly = chipOf(kernel).starts_with("sm_9");
  plan.threads = plan.gemm.threads();
  plan.sharedBytes = plan.gemm.sharedBytes();
  if (chipOf(kernel) == "sm_90a")
    planWgmma(kernel, plan);
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
  // As vlm-tile tells, other heads do not fit.
  if (plan.half == Storage::F32 || size > 512 || (size > 256 && size % 32))
    return plan;
  plan.strategy = Strategy::Attention;
  plan.attention.size = static_cast<int64_t>(llvm::alignTo(size, 16));
  // Wide heads leave less room, in registers and in shared memory.
  if (plan.attention.size > 128)
    plan.attention.keys = plan.attention.size > 192 ? 16 : 32;
  if (size > 256) {
    plan.attention.slices = 4;
    plan.attention.stages = 1;
  }
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

std::vector<KernelFunction> cuda::functionsOf(vlm::KernelOp kernel,
                                              const KernelPlan &plan) {
  std::string name = kernel.getSymName().str();
  KernelFunction whole{name, Part::Whole, plan.threads, plan.sharedBytes};
  if (plan.strategy == Strategy::CachedAttention)
    return {{name + "_p0", Part::Append, plan.threads, 0},
            {name + "_p1", Part::Attend, plan.threads, plan.sharedBytes}};
  if (plan.strategy != Strategy::Gemm)
    return {whole};
  if (plan.wgmma.columns) {
    whole.threads = plan.wgmma.threads();
    whole.sharedBytes = plan.wgmma.sharedBytes();
    whole.maps = 2;
  }
  std::vector<KernelFunction> functions;
  if (plan.skinny.warps)
    functions.push_back({name + "_few", Part::FewRows, plan.skinny.threads(),
                         plan.skinny.sharedBytes()});
  if (plan.product.norm)
    functions.push_back({name + "_norm", Part::Norm, plan.threads, 0});
  functions.push_back(whole);
  return functions;
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

static KernelLaunch launchOf(const KernelFunction &function) {
  KernelLaunch launch;
  launch.function = function.name;
  launch.threads = function.threads;
  launch.sharedBytes = function.sharedBytes;
  return launch;
}

/// One function where there are few rows, else another, with the norm before.
static std::vector<KernelLaunch>
gemmLaunches(vlm::KernelOp kernel, ArrayRef<KernelFunction> functions,
             const KernelPlan &plan, const Size &rows, const Size &columns) {
  std::vector<KernelLaunch> launches;
  int64_t many = plan.skinny.warps ? SkinnyTile::maxRows + 1 : 0;
  for (const KernelFunction &function : functions) {
    KernelLaunch &launch = launches.emplace_back(launchOf(function));
    launch.minRows = many;
    launch.grid = {rows, columns, Size(1)};
    switch (function.part) {
    case Part::FewRows:
      launch.units = {SkinnyTile::maxRows, SkinnyTile::columns, 1};
      launch.minRows = 0;
      launch.maxRows = SkinnyTile::maxRows;
      launch.flags = plan.skinny.startsEarly ? VLM_ABI_LAUNCH_EARLY : 0;
      break;
    case Part::Norm:
      launch.grid[1] = Size(1);
      launch.units = {function.threads / warpThreads, 1, 1};
      break;
    default:
      launch.units = {plan.gemm.rows, plan.resultColumns(), 1};
      if (plan.wgmma.columns) {
        launch.units[0] = plan.wgmma.rows;
        launch.maps = wgmmaMaps(kernel, plan, rows);
      }
    }
  }
  return launches;
}

std::vector<KernelLaunch> cuda::launchesOf(vlm::KernelOp kernel,
                                           ArrayRef<std::vector<Size>> dims) {
  KernelPlan plan = planKernel(kernel);
  ArrayRef<Size> result = dims[kernel.getArgumentTypes().size()];
  std::vector<KernelFunction> functions = functionsOf(kernel, plan);
  KernelLaunch launch = launchOf(functions[0]);
  Size rows = rowsOf(result);
  switch (plan.strategy) {
  case Strategy::Gemm:
    return gemmLaunches(kernel, functions, plan, rows, result.back());
  case Strategy::Attention: {
    auto op = cast<vlm::AttentionOp>(findAnchor<vlm::AttentionOp>(kernel));
    launch.grid = {result[1],
                   Size(static_cast<int64_t>(op.getNumHeads()) *
                        plan.attention.slices),
                   result[0]};
    launch.units = {plan.attention.queries, 1, 1};
    break;
  }
  case Strategy::CachedAttention: {
    auto op = cast<vlm::CachedAttentionOp>(
        findAnchor<vlm::CachedAttentionOp>(kernel));
    KernelLaunch append = launch;
    auto layer = cast<RankedTensorType>(op.getCache().getType());
    append.grid[0] =
        rowsOf(dims[cast<BlockArgument>(op.getSequence()).getArgNumber()]) *
        dims[cast<BlockArgument>(op.getSequence()).getArgNumber()].back() *
        Size(layer.getDimSize(1) * layer.getDimSize(2));
    append.units[0] = plan.threads;
    launch = launchOf(functions[1]);
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
