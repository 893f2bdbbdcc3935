//===-- FuseQKV.cpp - one linear for query, key and value -----------------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Weights.h"
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

/// Why linears of one input cannot be one, empty if they can.
static std::string whyNot(ArrayRef<LinearOp> linears,
                          const WeightTable &weights) {
  LinearOp first = linears.front();
  for (LinearOp linear : linears) {
    if (static_cast<bool>(linear.getBias()) !=
        static_cast<bool>(first.getBias()))
      return "only some of the projections have a bias";
    if (!weights.find(linear.getWeight()) ||
        (linear.getBias() && !weights.find(linear.getBias())))
      return "a projection's weight or bias is not a weight of the model";
    auto type = cast<RankedTensorType>(linear.getWeight().getType());
    if (type.getElementType() !=
        cast<RankedTensorType>(first.getWeight().getType()).getElementType())
      return "the projections' weights differ in type";
  }
  return "";
}

/// The weight that joins those of all linears, `role` choosing which.
static Value joinWeights(OpBuilder &builder, Location loc,
                         ArrayRef<LinearOp> linears, WeightTable &weights,
                         llvm::function_ref<Value(LinearOp)> role) {
  SmallVector<StringRef> names;
  SmallVector<RecipeAttr> recipes;
  for (LinearOp linear : linears) {
    WeightOp weight = weights.find(role(linear));
    names.push_back(weight.getSymName());
    recipes.push_back(weight.getRecipe());
  }
  RecipeAttr recipe = RecipeAttr::concat(0, recipes);
  return getWeight(builder, loc,
                   weights.getOrCreate(joinNames(names), recipe, loc));
}

static LinearOp createFused(OpBuilder &builder, ArrayRef<LinearOp> linears,
                            WeightTable &weights) {
  LinearOp first = linears.front();
  Location loc = first.getLoc();
  Value weight =
      joinWeights(builder, loc, linears, weights,
                  [](LinearOp linear) { return linear.getWeight(); });
  Value bias;
  if (first.getBias())
    bias = joinWeights(builder, loc, linears, weights,
                       [](LinearOp linear) { return linear.getBias(); });
  SmallVector<int64_t> shape(first.getType().getShape());
  shape.back() = cast<RankedTensorType>(weight.getType()).getDimSize(0);
  return LinearOp::create(builder, loc, first.getType().clone(shape),
                          first.getInput(), weight, bias);
}

/// Replaces linears of one input by one and slices of its result.
static LinearOp fuse(ArrayRef<LinearOp> linears, WeightTable &weights) {
  LinearOp place = *llvm::min_element(
      linears, [](LinearOp a, LinearOp b) { return a->isBeforeInBlock(b); });
  OpBuilder builder(place);
  LinearOp fused = createFused(builder, linears, weights);
  SmallVector<StringRef> labels;
  for (LinearOp linear : linears)
    if (auto label = linear->getAttrOfType<StringAttr>(names::label))
      labels.push_back(label);
  if (!labels.empty())
    fused->setAttr(names::label, builder.getStringAttr(joinNames(labels)));
  int64_t begin = 0;
  for (LinearOp linear : linears) {
    int64_t end = begin + getFeatures(linear);
    auto slice =
        SliceFeaturesOp::create(builder, linear.getLoc(), linear.getType(),
                                fused.getResult(), begin, end);
    if (Attribute label = linear->getAttr(names::label))
      slice->setAttr(names::label, label);
    linear.replaceAllUsesWith(slice.getResult());
    begin = end;
  }
  for (LinearOp linear : linears)
    linear.erase();
  return fused;
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
    if (std::string why = whyNot(linears, weights); !why.empty()) {
      reportMissed(attention, passName) << remark::reason(
          "{0} keeps its projections: {1}", describe(attention), why);
      return;
    }
    unsigned count = linears.size();
    LinearOp fused = fuse(linears, weights);
    reportPassed(attention, passName) << remark::add(
        "{0} does the work of {1} projections", describe(fused), count);
  }

  static void eraseUnusedGets(func::FuncOp entry) {
    for (auto get : llvm::make_early_inc_range(entry.getOps<GetWeightOp>()))
      if (get.use_empty())
        get.erase();
  }
};
