//===-- Explain.h - remarks of the passes as lines ------------------------===//
//
// What `vlmc compile --explain` prints.
//
//   explainRemarks(context, [](llvm::StringRef line) { llvm::errs() << line;
//   });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_EXPLAIN_H
#define VLMC_TOOLS_DRIVER_EXPLAIN_H

#include "llvm/ADT/StringRef.h"
#include <functional>

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace vlmc {

/// Hands every remark of the context's passes to `sink`, a line each, in the
/// order of the passes: the context works on one thread from here on.
void explainRemarks(mlir::MLIRContext &context,
                    std::function<void(llvm::StringRef)> sink);

} // namespace vlmc

#endif // VLMC_TOOLS_DRIVER_EXPLAIN_H
