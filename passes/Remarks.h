//===-- Remarks.h - how passes tell what they did and did not do
//
// Remarks of MLIR's remark engine: the category is the pass, "passed" is a
// change made, "missed" one that was possible but for the reason given.
// `vlmc compile --explain` prints them, as does `vlmc-opt --remarks-filter=.*`.
//
//   reportPassed(op, "fuse-epilogue") << remark::add("takes {0}",
//   describe(op)); reportMissed(op, "fuse-epilogue") << remark::reason("read by
//   {0}", ...);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_REMARKS_H
#define VLMC_PASSES_REMARKS_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Remarks.h"
#include <string>

namespace vlmc {

/// The op for a person: its mnemonic and its label, `layer_norm
/// 'vision.layers.0.norm1'`.
std::string describe(mlir::Operation *op);

/// Who reads a value, `add 'a', return (result 1)`, leaving out `except`; at
/// most three readers are named.
std::string describeReaders(mlir::Value value,
                            mlir::Operation *except = nullptr);

/// A remark about `op` that something was done; `pass` is a string literal.
mlir::remark::detail::InFlightRemark reportPassed(mlir::Operation *op,
                                                  llvm::StringLiteral pass);

/// A remark about `op` that something was not done.
mlir::remark::detail::InFlightRemark reportMissed(mlir::Operation *op,
                                                  llvm::StringLiteral pass);

/// A remark about `op` that gives a figure.
mlir::remark::detail::InFlightRemark reportAnalysis(mlir::Operation *op,
                                                    llvm::StringLiteral pass);

} // namespace vlmc

#endif // VLMC_PASSES_REMARKS_H
