//===-- JoinLinears.cpp - one product in the place of several -------------===//
#include "passes/JoinLinears.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

std::string vlmc::whyNotJoined(ArrayRef<LinearOp> linears,
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

LinearOp vlmc::joinLinears(ArrayRef<LinearOp> linears, WeightTable &weights) {
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

void vlmc::eraseUnusedGets(func::FuncOp entry) {
  for (auto get : llvm::make_early_inc_range(entry.getOps<GetWeightOp>()))
    if (get.use_empty())
      get.erase();
}
