//===-- Recipe.h - evaluates weight recipes
//------------------------------------------------------===//
//
// Turns a `#vlm.recipe` into the bytes of the weights file, piece by piece in
// the order of the file, so that memory stays at a few MiB whatever the size of
// the weight. The values are f32 on the way; f16 and bf16 convert exactly, to
// f32 and back.
//
//   if (auto error = checkRecipe("vision.proj", recipe, source))
//     return error;                     // every message about the checkpoint
//     comes from here
//   evaluateRecipe("vision.proj", recipe, source, [&](uint64_t offset,
//   llvm::ArrayRef<uint8_t> bytes) { return file.write(offset, bytes); });
//
//===----------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_RECIPE_H
#define VLMC_CODEGEN_PACKAGE_RECIPE_H

#include "ir/Vlm/VlmDialect.h"
#include "ir/WeightSource.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace vlmc {

/// A weight as it lies in the file.
struct StoredForm {
  std::string layout;         ///< "f32.panel16", as `#vlm.layout` lists them
  std::string dtype;          ///< as safetensors names it, "F32"
  std::vector<int64_t> shape; ///< of such elements, padding included
  uint64_t bytes = 0;
};

/// How the result of a recipe is stored: as its `pack` says, else as
/// `f32.rows`.
/// - `f32.panel16`: [N, ...] seen as [N, K] gives [ceil(N/16), K, 16], zeros
///   past N
/// - `f32.winograd16`: [N, 3, 3, C] gives [ceil(N/16), 16, C, 16], each window w
///   as G w G^T, zeros past N
/// - `f32.vector`: all elements in order, zeros up to a multiple of 16
/// - `f32.rows`: as it is
/// - `bf16.rows`, `f16.rows`, `f16.panel16`: the same of two bytes
/// - `bf16.panel16`: [ceil(N/16), ceil(K/2), 16, 2], zeros past N and K
/// Values that the stored type does not have are rounded to nearest, ties to
/// even.
StoredForm getStoredForm(vlm::RecipeAttr recipe);

/// Checks that every tensor which the recipe reads is in the checkpoint with
/// the type and shape that the recipe expects, and that the recipe can be
/// evaluated. `weight` stands in messages.
llvm::Error checkRecipe(llvm::StringRef weight, vlm::RecipeAttr recipe,
                        const WeightSource &source);

/// Takes the next piece of a stored weight: its offset in the weight and its
/// bytes, which are gone after the call.
using PieceSink =
    llvm::function_ref<llvm::Error(uint64_t, llvm::ArrayRef<uint8_t>)>;

/// Evaluates a checked recipe; pieces come in order, without gaps, each of
/// about `pieceBytes` (at least one panel of 16 rows). Thread-safe.
/// Errors: those of the sink; a finite value beyond the range of f16 where that
/// is stored. `weight` stands in the message.
llvm::Error evaluateRecipe(llvm::StringRef weight, vlm::RecipeAttr recipe,
                           const WeightSource &source, PieceSink sink,
                           uint64_t pieceBytes = 1 << 20);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_RECIPE_H
