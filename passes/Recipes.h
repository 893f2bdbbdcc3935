//===-- Recipes.h - simplification of recipes
//
//   RecipeAttr simple = simplifyRecipe(weight.getRecipe());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_RECIPES_H
#define VLMC_PASSES_RECIPES_H

#include "ir/Vlm/VlmDialect.h"

namespace vlmc {

/// The same weight by fewer steps, bit for bit: steps that change nothing and
/// pairs of steps that one can do.
vlm::RecipeAttr simplifyRecipe(vlm::RecipeAttr recipe);

} // namespace vlmc

#endif // VLMC_PASSES_RECIPES_H
