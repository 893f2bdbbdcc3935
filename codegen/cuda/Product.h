//===-- Product.h - what a matrix product of a kernel is made of ----------===//
//
// The parts that all generators of products share: which rows go in, whether
// they are normalised before, whether the weight is two of which one gates the
// other, and how a sum is finished.
//
//   Product product = Product::of(kernel);
//   auto rows = product.memory(e, frame);
//   finishSum(e, frame, product, m, column, [&](Value k) { return sumOf(k); });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_PRODUCT_H
#define VLMC_CODEGEN_CUDA_PRODUCT_H

#include "codegen/cuda/Tiles.h"

namespace vlmc::cuda {

struct Product {
  mlir::Operation *anchor = nullptr; ///< linear, patch_embed or conv2d
  int64_t n = 0, k = 0;              ///< rows of the weight, and their length
  /// Columns of the result: n, or half of it where the first half of the
  /// weight's rows gates the second.
  int64_t columns = 0;
  /// A norm of whole rows between memory and the product; null: none.
  mlir::Operation *norm = nullptr;

  /// Null anchor: the kernel holds none.
  static Product of(vlm::KernelOp kernel);
  bool isGated() const { return columns != n; }
  Value weight() const { return anchor->getOperand(1); }
  Value bias() const {
    return anchor->getNumOperands() > 2 ? anchor->getOperand(2) : Value();
  }
  /// Elements of which rows of the left side are multiples, and which divides
  /// where they begin; 0: they are no rows of memory, with or without a norm.
  int64_t alignment() const;
  /// The rows of memory that go in, before the norm.
  std::optional<MemoryRows> memory(Emitter &e,
                                   const cpu::KernelFrame &frame) const;
};

/// What column `column` of row `m` becomes, from there to the kernel's result,
/// and its store. `sum(n)` is the product's sum for row n of the weight; with
/// several `lanes` a vector of those of rows n, n + 1, ...
void finishSum(Emitter &e, cpu::KernelFrame &frame, const Product &product,
               Value m, Value column, llvm::function_ref<Value(Value n)> sum,
               int64_t lanes = 1);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_PRODUCT_H
