//===-- Predict.h - what kernels should take, before they run -------------===//
//
// What `vlmc compile --explain` says of times, and the roof of `vlmc inspect`.
// One core is reckoned with: how much of the others' help arrives is not known
// before a run. `vlmc profile` measures the same kernels on a machine.
//
//   predictTimes(planned, target, [](llvm::StringRef line) { ... });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_PREDICT_H
#define VLMC_TOOLS_DRIVER_PREDICT_H

#include "ir/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringRef.h"
#include <functional>

namespace vlmc {

/// What one core of a target can do, no kernel more.
struct Roof {
  double flops = 0; ///< operations a second, two for each multiply-add
  double bytes = 0; ///< read from memory, a second

  /// The least seconds of such work where nothing is in a cache.
  double limit(double workFlops, double workBytes) const;
};
Roof roofOf(const Target &target);

/// Tells for each entry point at its likely sizes, and for each kernel that it
/// calls, the predicted time, the least that the roof allows, and what bounds
/// it: kernels that take longest come first.
void predictTimes(mlir::ModuleOp planned, const Target &target,
                  llvm::function_ref<void(llvm::StringRef)> sink);

} // namespace vlmc

#endif // VLMC_TOOLS_DRIVER_PREDICT_H
