//===-- FusePatchEmbed.cpp - add positions where patches are made ---------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Weights.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_FUSEPATCHEMBEDPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "fuse-patch-embed";

/// Why positions cannot be added before the learned tokens are put in front.
static std::string whyNot(AddOp add, PrependTokensOp prepend,
                          const WeightTable &weights) {
  if (!prepend.getInput().hasOneUse() || !prepend.getResult().hasOneUse())
    return "the values between have several readers";
  WeightOp tokens = weights.find(prepend.getTokens());
  WeightOp positions = weights.find(add.getRhs());
  if (!tokens || !positions)
    return "tokens or positions are not weights of the model";
  auto type = cast<RankedTensorType>(positions.getType());
  if (type.getRank() != 2)
    return "the positions are not [T, D]";
  if (!type.getElementType().isF32())
    return "recipes add in f32 only";
  return "";
}

/// The learned tokens plus the first rows of the positions, as one weight.
static Value addTokens(OpBuilder &builder, Location loc, WeightOp tokens,
                       WeightOp positions, WeightTable &weights) {
  int64_t count = cast<RankedTensorType>(tokens.getType()).getDimSize(0);
  auto recipe =
      RecipeAttr::add(tokens.getRecipe(),
                      RecipeAttr::slice(0, 0, count, positions.getRecipe()));
  std::string name = joinNames({tokens.getSymName(), positions.getSymName()});
  return getWeight(builder, loc, weights.getOrCreate(name, recipe, loc));
}

/// The positions behind the learned tokens, as a weight.
static Value slicePositions(OpBuilder &builder, Location loc, int64_t begin,
                            WeightOp positions, WeightTable &weights) {
  int64_t end = cast<RankedTensorType>(positions.getType()).getDimSize(0);
  auto recipe = RecipeAttr::slice(0, begin, end, positions.getRecipe());
  std::string name = positions.getSymName().str() + "[" +
                     std::to_string(begin) + ":" + std::to_string(end) + "]";
  return getWeight(builder, loc, weights.getOrCreate(name, recipe, loc));
}

static void rewrite(AddOp add, PrependTokensOp prepend, WeightTable &weights) {
  OpBuilder builder(add);
  WeightOp tokens = weights.find(prepend.getTokens());
  WeightOp positions = weights.find(add.getRhs());
  int64_t count = cast<RankedTensorType>(tokens.getType()).getDimSize(0);
  Value newTokens =
      addTokens(builder, add.getLoc(), tokens, positions, weights);
  Value rest = slicePositions(builder, add.getLoc(), count, positions, weights);
  Value patches = prepend.getInput();
  auto moved =
      AddOp::create(builder, add.getLoc(), patches.getType(), patches, rest);
  auto joined = PrependTokensOp::create(builder, prepend.getLoc(),
                                        add.getType(), newTokens, moved);
  moved->setDiscardableAttrs(add->getDiscardableAttrDictionary());
  joined->setDiscardableAttrs(prepend->getDiscardableAttrDictionary());
  reportPassed(add, passName) << remark::add("{0} moves to {1}", describe(add),
                                             describe(patches.getDefiningOp()));
  add.replaceAllUsesWith(joined.getResult());
  add.erase();
  prepend.erase();
}

struct FusePatchEmbed : vlmc::impl::FusePatchEmbedPassBase<FusePatchEmbed> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    for (auto entry : getOperation().getOps<func::FuncOp>()) {
      for (AddOp add : llvm::to_vector(entry.getOps<AddOp>())) {
        auto prepend = add.getLhs().getDefiningOp<PrependTokensOp>();
        if (!prepend || !prepend.getInput().getDefiningOp<PatchEmbedOp>())
          continue;
        if (std::string why = whyNot(add, prepend, weights); why.empty())
          rewrite(add, prepend, weights);
        else
          reportMissed(add, passName)
              << remark::reason("{0} stays behind {1}: {2}", describe(add),
                                describe(prepend), why);
      }
      for (auto get : llvm::make_early_inc_range(entry.getOps<GetWeightOp>()))
        if (get.use_empty())
          get.erase();
    }
    weights.eraseUnused();
  }
};
