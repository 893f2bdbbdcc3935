//===-- JoinLinears.h - one product in the place of several ---------------===//
//
// Products of one input become one whose weight is all of theirs, row behind
// row, and slices of its result.
//
//   WeightTable weights(module);
//   if (std::string why = whyNotJoined(linears, weights); why.empty())
//     LinearOp joined = joinLinears(linears, weights);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_JOINLINEARS_H
#define VLMC_PASSES_JOINLINEARS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Weights.h"

namespace vlmc {

/// Why linears of one input cannot be one, empty if they can.
std::string whyNotJoined(llvm::ArrayRef<vlm::LinearOp> linears,
                         const WeightTable &weights);

/// Replaces linears of one input by one and slices of its result.
vlm::LinearOp joinLinears(llvm::ArrayRef<vlm::LinearOp> linears,
                          WeightTable &weights);

/// Erases the weights that nobody reads any more.
void eraseUnusedGets(mlir::func::FuncOp entry);

} // namespace vlmc

#endif // VLMC_PASSES_JOINLINEARS_H
