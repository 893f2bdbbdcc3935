//===-- Fold.cpp - remove what computes nothing, simplify recipes ---------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Passes.h"
#include "passes/Recipes.h"
#include "passes/Remarks.h"
#include "passes/Weights.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FOLDPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fold";

static LogicalResult dropIdentity(ActivationOp op, PatternRewriter &rewriter) {
  if (op.getKind() != ActivationKind::Identity)
    return rewriter.notifyMatchFailure(op, "is a function of its input");
  rewriter.replaceOp(op, op.getInput());
  return success();
}

static LogicalResult foldSlice(SliceFeaturesOp op, PatternRewriter &rewriter) {
  if (op.getType() == op.getInput().getType()) {
    rewriter.replaceOp(op, op.getInput());
    return success();
  }
  auto inner = op.getInput().getDefiningOp<SliceFeaturesOp>();
  if (!inner)
    return rewriter.notifyMatchFailure(op, "reads no slice");
  int64_t offset = inner.getBegin();
  rewriter.modifyOpInPlace(op, [&] {
    op.getInputMutable().assign(inner.getInput());
    op.setBegin(offset + op.getBegin());
    op.setEnd(offset + op.getEnd());
  });
  return success();
}

static LogicalResult dropTakeOfOne(TakeTokensOp op, PatternRewriter &rewriter) {
  if (op.getIndex() || op.getType() != op.getInput().getType())
    return rewriter.notifyMatchFailure(op, "chooses among several tokens");
  rewriter.replaceOp(op, op.getInput());
  return success();
}

/// A `linear` of weights alone becomes a weight, computed when weights are
/// packed.
static void foldLinears(func::FuncOp entry, WeightTable &weights) {
  for (auto linear : llvm::make_early_inc_range(entry.getOps<LinearOp>())) {
    SmallVector<RecipeAttr> inputs;
    for (Value operand : linear->getOperands())
      if (WeightOp weight = weights.find(operand))
        if (weight.getRecipe().getType().getElementType().isF32())
          inputs.push_back(weight.getRecipe());
    if (inputs.size() != linear->getNumOperands())
      continue;
    auto label = linear->getAttrOfType<StringAttr>(names::label);
    std::string name = label ? label.str() + ".result" : "linear.result";
    WeightOp folded =
        weights.getOrCreate(name, RecipeAttr::linear(inputs), linear.getLoc());
    OpBuilder builder(linear);
    reportPassed(linear, passName) << remark::add(
        "{0} is computed when weights are packed", describe(linear));
    linear.replaceAllUsesWith(getWeight(builder, linear.getLoc(), folded));
    linear.erase();
  }
}

/// Rewrites recipes, then lets the first weight of each recipe stand for all.
static void foldWeights(ModuleOp module) {
  llvm::MapVector<RecipeAttr, WeightOp> first;
  llvm::StringMap<WeightOp> standsFor;
  for (WeightOp weight : module.getOps<WeightOp>()) {
    weight.setRecipeAttr(simplifyRecipe(weight.getRecipe()));
    auto [it, isNew] = first.insert({weight.getRecipe(), weight});
    if (!isNew)
      standsFor[weight.getSymName()] = it->second;
  }
  module.walk([&](GetWeightOp get) {
    auto it = standsFor.find(get.getWeight());
    if (it != standsFor.end())
      get.setWeight(it->second.getSymName());
  });
}

/// One `get_weight` for each weight of an entry: the first.
static void mergeGets(func::FuncOp entry) {
  llvm::StringMap<GetWeightOp> first;
  for (auto get : llvm::make_early_inc_range(entry.getOps<GetWeightOp>())) {
    auto [it, isNew] = first.try_emplace(get.getWeight(), get);
    if (isNew)
      continue;
    get.replaceAllUsesWith(it->second.getResult());
    get.erase();
  }
}

struct Fold : vlmc::impl::FoldPassBase<Fold> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add(dropIdentity);
    patterns.add(foldSlice);
    patterns.add(dropTakeOfOne);
    FrozenRewritePatternSet frozen(std::move(patterns));
    for (auto entry : getOperation().getOps<func::FuncOp>())
      if (failed(applyPatternsGreedily(entry, frozen)))
        return signalPassFailure();
    {
      WeightTable weights(getOperation());
      for (auto entry : getOperation().getOps<func::FuncOp>())
        foldLinears(entry, weights);
    }
    foldWeights(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>())
      mergeGets(entry);
    WeightTable(getOperation()).eraseUnused();
  }
};
