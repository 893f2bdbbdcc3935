//===-- Weights.h - finding and making weights in passes
//
// A `WeightTable` holds the weights of a module by name and by recipe. Passes
// ask it for the weight of a recipe: an existing one with that recipe is
// reused, so that weights that are equal exist once.
//
//   WeightTable weights(module);
//   WeightOp fused = weights.getOrCreate("a.query+key", recipe, loc);
//   weights.eraseUnused();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_WEIGHTS_H
#define VLMC_PASSES_WEIGHTS_H

#include "ir/Target.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"

namespace vlmc {

/// The weights of a module while a pass changes them. Symbols are inserted and
/// erased through it only.
class WeightTable {
public:
  explicit WeightTable(mlir::ModuleOp module);

  /// The weight whose value `value` is, or null if it is none.
  vlm::WeightOp find(mlir::Value value) const;
  /// The weight of that recipe: an existing one, or a new one after the last
  /// weight, with `name` made unique.
  vlm::WeightOp getOrCreate(llvm::StringRef name, vlm::RecipeAttr recipe,
                            mlir::Location loc);
  /// Erases the weights that no `get_weight` names; returns how many.
  unsigned eraseUnused();

private:
  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  llvm::DenseMap<vlm::RecipeAttr, vlm::WeightOp> byRecipe;
};

/// A `vlm.get_weight` of the weight at the builder's place.
mlir::Value getWeight(mlir::OpBuilder &builder, mlir::Location loc,
                      vlm::WeightOp weight);

/// The narrowest type that has every value of a recipe: bf16 or f16 where all
/// of it is stored so in the checkpoint and only moved, else f32.
mlir::Type getExactType(vlm::RecipeAttr recipe);

/// Whether a weight's layout stores 16 bits a value, which kernels widen.
bool isNarrow(mlir::Type weight);

/// Bytes of working memory in which a product's kernel widens the column panels
/// of one block along K, which many rows then read; 0 where it reads f32.
int64_t widenedPanelBytes(mlir::Type weight, int64_t panels, int64_t depth);

/// Floats of working memory that attention takes for a head's biases by
/// distance: with copies of the outermost ones at both ends.
inline int64_t packedBiasFloats(int64_t elements) {
  return (elements + 3 * panelColumns - 1) / panelColumns * panelColumns;
}

/// A name for what is made of several weights: their common first and last
/// components around their different ones, `a.query+key.weight` from
/// `a.query.weight` and `a.key.weight`.
std::string joinNames(llvm::ArrayRef<llvm::StringRef> names);

} // namespace vlmc

#endif // VLMC_PASSES_WEIGHTS_H
