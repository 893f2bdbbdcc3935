//===-- Recipes.cpp - simplification of recipes ---------------------------===//
#include "passes/Recipes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

static RecipeAttr withInputs(RecipeAttr recipe, ArrayRef<RecipeAttr> inputs) {
  return RecipeAttr::get(recipe.getContext(), recipe.getKind(),
                         recipe.getType(), recipe.getName(), recipe.getParams(),
                         recipe.getFactor(), inputs);
}

static RecipeAttr simplifySlice(RecipeAttr recipe, RecipeAttr input) {
  int64_t axis = recipe.getParams()[0], begin = recipe.getParams()[1],
          end = recipe.getParams()[2];
  if (input.getKind() != RecipeKind::Slice || input.getParams()[0] != axis)
    return recipe;
  int64_t offset = input.getParams()[1];
  return RecipeAttr::slice(axis, offset + begin, offset + end,
                           input.getInputs()[0]);
}

static RecipeAttr simplifyTranspose(RecipeAttr recipe, RecipeAttr input) {
  if (input.getKind() != RecipeKind::Transpose)
    return recipe;
  SmallVector<int64_t> permutation;
  for (int64_t axis : recipe.getParams())
    permutation.push_back(input.getParams()[axis]);
  return RecipeAttr::transpose(permutation, input.getInputs()[0]);
}

/// One step at the root, whose inputs are simple already.
static RecipeAttr simplifyRoot(RecipeAttr recipe) {
  if (recipe.getInputs().size() != 1)
    return recipe;
  RecipeAttr input = recipe.getInputs()[0];
  switch (recipe.getKind()) {
  case RecipeKind::Concat:
    return input;
  case RecipeKind::Slice:
    return recipe.getType() == input.getType() ? input
                                               : simplifySlice(recipe, input);
  case RecipeKind::Transpose:
    return llvm::is_sorted(recipe.getParams())
               ? input
               : simplifyTranspose(recipe, input);
  case RecipeKind::Reshape:
    if (recipe.getType() == input.getType())
      return input;
    return input.getKind() == RecipeKind::Reshape
               ? withInputs(recipe, input.getInputs())
               : recipe;
  case RecipeKind::Convert:
    return recipe.getType() == input.getType() ? input : recipe;
  case RecipeKind::Scale:
    return recipe.getFactor().getValueAsDouble() == 1.0 ? input : recipe;
  default:
    return recipe;
  }
}

RecipeAttr vlmc::simplifyRecipe(RecipeAttr recipe) {
  SmallVector<RecipeAttr> inputs;
  for (RecipeAttr input : recipe.getInputs())
    inputs.push_back(simplifyRecipe(input));
  RecipeAttr current = withInputs(recipe, inputs);
  for (RecipeAttr next = simplifyRoot(current); next != current;
       next = simplifyRoot(current))
    current = next;
  return current;
}
