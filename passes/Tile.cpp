//===-- Tile.cpp - strategies, tile sizes and working memory of kernels
//-------------------------------------------------------------------===//
//
// Sizes of temporaries and scratch are a contract with the generators in
// codegen/cpu: what is planned here is what they use.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#include "ir/Target.h"
#include "ir/Vlm/VlmSize.h"
#include "passes/FusionRules.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Weights.h"

namespace vlmc {
#define GEN_PASS_DEF_TILEPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

using namespace mlir;
using namespace vlmc;
using vlm::Size;

namespace {

/// The dims of the values of a kernel's region over its own symbols d0, d1, ...
/// (its dynamic operand dims in order).
class KernelDims {
public:
  explicit KernelDims(vlm::KernelOp kernel) {
    int64_t next = 0;
    for (BlockArgument argument : kernel.getBody().getArguments())
      for (int64_t size : cast<RankedTensorType>(argument.getType()).getShape())
        dims[argument].push_back(
            ShapedType::isDynamic(size)
                ? Size::symbol("d" + std::to_string(next++))
                : Size(size));
    for (Operation &op : kernel.getBody().front().without_terminator())
      for (OpResult result : op.getResults())
        for (auto [i, size] : llvm::enumerate(
                 cast<RankedTensorType>(result.getType()).getShape())) {
          if (!ShapedType::isDynamic(size)) {
            dims[result].emplace_back(size);
            continue;
          }
          auto [operand, dim] = cast<vlm::DimsOpInterface>(op).getDimSource(
              result.getResultNumber(), i);
          Size source = dims[op.getOperand(operand)][dim];
          dims[result].push_back(source);
        }
  }
  Size dim(Value value, int64_t i) { return dims[value][i]; }
  Size rows(Value value) {
    Size product(1);
    for (const Size &size : ArrayRef<Size>(dims[value]).drop_back())
      product = product * size;
    return product;
  }
  Size bytes(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return rows(value) * dims[value].back() *
           Size(type.getElementTypeBitWidth() / 8);
  }

private:
  llvm::DenseMap<Value, std::vector<Size>> dims;
};

/// Whether a kernel is a convolution of each channel by itself, of its arguments,
/// and ops element by element on what that gives.
bool isAroundDepthwise(vlm::KernelOp kernel) {
  int64_t count = 0;
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (isa<vlm::DepthwiseConv2dOp>(op)) {
      ++count;
      if (!llvm::all_of(op.getOperands(),
                        [](Value v) { return isa<BlockArgument>(v); }))
        return false;
    } else if (!isa<vlm::ActivationOp, vlm::AddOp, vlm::MultiplyOp,
                    vlm::ScaleFeaturesOp, vlm::ScaleOp>(op)) {
      return false;
    }
  }
  return count == 1;
}

/// What a kernel needs: its tile parameters and memory.
struct Plan {
  StringRef strategy;
  SmallVector<std::pair<StringRef, int64_t>> tiles;
  std::vector<Size> temps;
  Size scratch;
  std::string chip; ///< that a product's code may be for
};

struct TilePass : public vlmc::impl::TilePassBase<TilePass> {
  using TilePassBase::TilePassBase;

  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<vlm::KernelOp>()) {
      FailureOr<Plan> plan = planOf(kernel);
      if (failed(plan))
        return signalPassFailure();
      attach(kernel, *plan);
    }
  }

private:
  FailureOr<Plan> planOf(vlm::KernelOp kernel) {
    if (arch == "cuda")
      return planCuda(kernel);
    if (strategy == "reference" || kernel.getStrategy() == "reference")
      return planReference(kernel);
    if (strategy != "auto")
      return kernel.emitOpError()
             << "cannot be tiled with strategy '" << strategy
             << "'; there are auto and reference";
    switch (kernel.getAnchor()) {
    case vlm::AnchorKind::Gemm:
      if (vlm::Conv2dOp conv = findTransformable(kernel))
        return planWinograd(kernel, conv);
      return planGemm(kernel);
    case vlm::AnchorKind::Attention:
      return planAttention(kernel);
    case vlm::AnchorKind::CachedAttention:
      return planCachedAttention(kernel);
    case vlm::AnchorKind::Rows: {
      Operation *last = kernel.getYielded()[0].getDefiningOp();
      // Few rows, or little beside the products around: the plain form does.
      if (isa<vlm::ConcatFeaturesOp, vlm::PixelUnshuffleOp, vlm::GroupMomentsOp,
              vlm::LeastFeatureOp>(last))
        return planReference(kernel);
      Plan plan;
      plan.strategy = isa<vlm::TokenIndexOp>(last)  ? "token_index"
                      : isa<vlm::RopeTableOp>(last) ? "rope_table"
                      : isa<vlm::MeanTokensOp, vlm::MaxTokensOp>(last)
                          ? "token_pool"
                      : isAroundDepthwise(kernel) ? "depthwise"
                                                  : "rows";
      return plan;
    }
    case vlm::AnchorKind::Contrast: {
      Plan plan;
      plan.strategy = "contrast";
      return plan;
    }
    }
    llvm_unreachable("every anchor is listed");
  }

  /// What a GPU's thread, warp or block has in hand is in registers or in shared
  /// memory. Without a strategy of its own an element is a thread's.
  Plan planCuda(vlm::KernelOp kernel) {
    Plan plan;
    auto ops = kernel.getBody().front().without_terminator();
    plan.strategy = "elements";
    if (strategy == "reference" &&
        kernel.getAnchor() != vlm::AnchorKind::CachedAttention)
      return plan;
    if (kernel.getAnchor() == vlm::AnchorKind::Gemm) {
      plan.strategy = "gemm";
      plan.chip = chip;
      // Many rows are normalised before the product, in 16 bits.
      if (auto linear = findNormalised(kernel))
        plan.temps.push_back(
            KernelDims(kernel).rows(linear.getInput()) *
            Size(2 * vlm::getFeatures(linear.getInput())));
    } else if (kernel.getAnchor() == vlm::AnchorKind::Attention)
      plan.strategy = fitsTensorCores(kernel) ? "attention" : "elements";
    else if (kernel.getAnchor() == vlm::AnchorKind::CachedAttention)
      plan.strategy = "cached_attention";
    else if (kernel.getAnchor() == vlm::AnchorKind::Rows &&
             llvm::all_of(ops, [](Operation &op) { return isRowWise(&op); }))
      plan.strategy = "rows";
    else if (isa<vlm::GroupMomentsOp>(kernel.getYielded()[0].getDefiningOp()))
      plan.strategy = "moments";
    return plan;
  }

  /// The product whose rows the kernel normalises, if it does.
  static vlm::LinearOp findNormalised(vlm::KernelOp kernel) {
    bool hasNorm = false;
    for (Operation &op : kernel.getBody().front()) {
      hasNorm |= isa<vlm::RmsNormOp, vlm::LayerNormOp>(op);
      if (auto linear = dyn_cast<vlm::LinearOp>(op))
        return hasNorm ? linear : vlm::LinearOp();
    }
    return {};
  }

  /// The sums of more features of a head than 256 do not fit the registers of
  /// a GPU's warp, and more keys than of 512 not its shared memory.
  static bool fitsTensorCores(vlm::KernelOp kernel) {
    constexpr int64_t most = 512;
    for (auto op : kernel.getBody().front().getOps<vlm::AttentionOp>()) {
      int64_t size = vlm::getFeatures(op.getQuery()) /
                     static_cast<int64_t>(op.getNumHeads());
      if (size <= most / 2 || (size <= most && size % 32 == 0))
        continue;
      reportMissed(kernel, "tile") << remark::reason(
          "attention of kernel '{0}' takes no tensor cores: its heads have {1} "
          "features, and those of more than {2} are multiples of 32 up to {3}",
          kernel.getSymName(), size, most / 2, most);
      return false;
    }
    return true;
  }

  /// Every value between two ops is a temporary; attention over a cache keeps a
  /// head of sums (f64) per thread, any other attention one row of
  /// weights (f64) per thread.
  FailureOr<Plan> planReference(vlm::KernelOp kernel) {
    Plan plan;
    plan.strategy = "reference";
    KernelDims dims(kernel);
    for (Operation &op : kernel.getBody().front().without_terminator()) {
      if (!llvm::is_contained(kernel.getYielded(), op.getResult(0)))
        plan.temps.push_back(dims.bytes(op.getResult(0)));
      if (auto attention = dyn_cast<vlm::AttentionOp>(op))
        plan.scratch = plan.scratch + dims.dim(attention.getKey(), 1) * Size(8);
      if (auto attention = dyn_cast<vlm::CachedAttentionOp>(op))
        plan.scratch =
            plan.scratch +
            Size(8 * cast<RankedTensorType>(attention.getCache().getType())
                         .getShape()
                         .back());
    }
    return plan;
  }

  /// k blocks as long as 1024 so that the result is seldom re-read; row blocks
  /// whose packed part takes somewhat less than half of the second-level cache
  /// (240 KiB of 512: measured, see docs/performance.md). The packed left side
  /// is a temporary of whole row panels.
  FailureOr<Plan> planGemm(vlm::KernelOp kernel) {
    KernelDims dims(kernel);
    Operation *anchor = nullptr;
    for (Operation &op : kernel.getBody().front())
      if (isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp>(op))
        anchor = &op;
    if (!anchor)
      return kernel.emitOpError()
             << "has anchor gemm, but holds no linear, patch_embed or conv2d";
    auto weight = cast<RankedTensorType>(anchor->getOperand(1).getType());
    int64_t k = weight.getNumElements() / weight.getDimSize(0);
    int64_t blocks = llvm::divideCeil(k, 1024);
    int64_t kc =
        blocks == 1 ? k : llvm::alignTo(llvm::divideCeil(k, blocks), 8);
    int64_t budget = (l2Bytes / 2 - (16 << 10)) / 4;
    int64_t mc = std::max<int64_t>(tileRows, budget / kc / tileRows * tileRows);
    Plan plan;
    plan.strategy = "gemm";
    plan.tiles = {{"mr", tileRows}, {"np", tilePanels}, {"kc", kc}, {"mc", mc}};
    plan.temps.push_back(
        (dims.rows(anchor->getResult(0)) + Size(tileRows - 1)) * Size(4 * k));
    plan.scratch = Size(widenedPanelBytes(weight, tilePanels, kc));
    return plan;
  }

  /// The convolution that fewer multiplications do: of 3 x 3 in steps of 1,
  /// with f32 weights, over so many pixels that its weights, which grow by 16 /
  /// 9, are not most of what is read.
  vlm::Conv2dOp findTransformable(vlm::KernelOp kernel) {
    constexpr int64_t fewest = 32; // tiles of 2 x 2 pixels
    for (auto conv : kernel.getBody().front().getOps<vlm::Conv2dOp>()) {
      ArrayRef<int64_t> weight = conv.getWeight().getType().getShape();
      auto [down, across] = conv.getResultSize();
      int64_t tiles =
          llvm::divideCeil(down, 2) * llvm::divideCeil(across, 2);
      if (weight[1] == 3 && weight[2] == 3 && conv.getStride() == 1 &&
          !conv.readsPlanes() && isa<BlockArgument>(conv.getInput()) &&
          tiles >= fewest && readsF32(kernel, conv.getWeight()))
        return conv;
    }
    return {};
  }

  /// Whether the weights that a kernel's calls pass are stored in f32.
  bool readsF32(vlm::KernelOp kernel, Value argument) {
    auto operand = dyn_cast<BlockArgument>(argument);
    if (!operand || (weights != "auto" && weights != "f32"))
      return false;
    WeightTable table(getOperation());
    bool isWide = true;
    getOperation().walk([&](vlm::CallOp call) {
      if (call.getCallee() != kernel.getSymName())
        return;
      auto weight = table.find(call.getInputs()[operand.getArgNumber()]);
      isWide &= weight && getExactType(weight.getRecipe()).isF32();
    });
    return isWide;
  }

  /// Blocks of about 48 tiles: their sums at all 16 places are the scratch, and
  /// behind them the two rows of pixels of a panel. The transformed tiles are a
  /// temporary of whole panels.
  Plan planWinograd(vlm::KernelOp kernel, vlm::Conv2dOp conv) {
    auto [down, across] = conv.getResultSize();
    int64_t tiles = llvm::divideCeil(down, 2) * llvm::divideCeil(across, 2);
    int64_t channels = conv.getWeight().getType().getDimSize(3);
    int64_t block = std::max<int64_t>(1, 48 / tileRows);
    int64_t sums = tileRows * tilePanels * panelColumns;
    Plan plan;
    plan.strategy = "winograd";
    plan.tiles = {{"mr", tileRows}, {"np", tilePanels}, {"block", block}};
    Size all = KernelDims(kernel).dim(conv.getResult(), 0) * Size(tiles);
    plan.temps.push_back((all + Size(tileRows - 1)) * Size(4 * 16 * channels));
    plan.scratch = Size(4 * (16 * block + 4) * sums);
    reportPassed(kernel, "tile")
        << remark::add("convolution of kernel '{0}' takes 16 multiply-adds in "
                       "place of 36, on {1} tiles of a picture",
                       kernel.getSymName(), tiles);
    return plan;
  }

  /// The parts of the scratch in floats, with the number of keys rounded up to
  /// whole panels (at most T + 15): packed keys, packed values, the block's
  /// queries, one over each query's sum, the key mask, the scores.
  FailureOr<Plan> planAttention(vlm::KernelOp kernel) {
    vlm::AttentionOp attention;
    for (Operation &op : kernel.getBody().front())
      if (auto found = dyn_cast<vlm::AttentionOp>(op))
        attention = found;
    if (!attention)
      return kernel.emitOpError() << "has anchor attention, but holds none";
    KernelDims dims(kernel);
    int64_t size = vlm::getFeatures(attention.getQuery()) /
                   static_cast<int64_t>(attention.getNumHeads());
    int64_t padded = llvm::alignTo(size, panelColumns);
    // About 48 queries, in whole tiles.
    int64_t mq = std::max<int64_t>(1, 48 / tileRows) * tileRows;
    Size keys = dims.dim(attention.getKey(), 1) + Size(panelColumns - 1);
    Size floats = keys * Size(size + padded + 1) + Size(mq * padded + mq) +
                  (keys + Size(panelColumns)) * Size(mq);
    if (Value bias = attention.getDistanceBias())
      floats = floats + Size(packedBiasFloats(vlm::getFeatures(bias)));
    Plan plan;
    plan.strategy = "attention";
    plan.tiles = {{"mr", tileRows}, {"np", tilePanels}, {"mq", mq}};
    plan.scratch = floats * Size(4);
    return plan;
  }

  /// A block takes as many tokens as give about 48 rows for a key head. The
  /// scratch in floats, with rows in whole tiles: their queries, their scores
  /// with a page, their sums; maximum, total and scale of each.
  FailureOr<Plan> planCachedAttention(vlm::KernelOp kernel) {
    vlm::CachedAttentionOp attention;
    for (Operation &op : kernel.getBody().front())
      if (auto found = dyn_cast<vlm::CachedAttentionOp>(op))
        attention = found;
    if (!attention)
      return kernel.emitOpError()
             << "has anchor cached_attention, but holds none";
    ArrayRef<int64_t> layer =
        cast<RankedTensorType>(attention.getCache().getType()).getShape();
    int64_t group = static_cast<int64_t>(attention.getNumHeads()) / layer[1];
    int64_t size = layer[2], padded = llvm::alignTo(size, panelColumns);
    int64_t tokens = std::max<int64_t>(1, 48 / group);
    int64_t rows = llvm::alignTo(tokens * group, tileRows);
    Plan plan;
    plan.strategy = "cached_attention";
    plan.tiles = {{"mr", tileRows}, {"tokens", tokens}};
    int64_t floats =
        rows * (size + vlm::pageTokens + padded + 3) + padded - size;
    if (Value bias = attention.getDistanceBias())
      floats += group * packedBiasFloats(vlm::getFeatures(bias));
    plan.scratch = Size(4 * floats);
    return plan;
  }

  static void attach(vlm::KernelOp kernel, const Plan &plan) {
    MLIRContext *context = kernel.getContext();
    Builder builder(context);
    kernel.setStrategy(plan.strategy);
    SmallVector<NamedAttribute> tiles;
    for (auto [name, value] : plan.tiles)
      tiles.push_back(
          builder.getNamedAttr(name, builder.getI64IntegerAttr(value)));
    SmallVector<Attribute> temps;
    for (const Size &size : plan.temps)
      temps.push_back(size.toAttr(context));
    tiles.push_back(builder.getNamedAttr("temps", builder.getArrayAttr(temps)));
    tiles.push_back(
        builder.getNamedAttr("scratch", plan.scratch.toAttr(context)));
    if (!plan.chip.empty())
      tiles.push_back(
          builder.getNamedAttr("chip", builder.getStringAttr(plan.chip)));
    kernel.setTilesAttr(builder.getDictionaryAttr(tiles));
  }
};

} // namespace
