//===-- Plan.h - reads the plan of a module into tables -------------------===//
//
// A planned module is a straight line of calls per entry point; this turns it
// into the steps that the runtime walks.
//
//   auto level = readPlan(module, "x86-64-v3", kernels, weights);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_PLAN_H
#define VLMC_CODEGEN_PACKAGE_PLAN_H

#include "codegen/package/ModelTables.h"

namespace vlmc {

/// The weights of a planned module that its entry points use, in its order.
std::vector<NamedRecipe> getWeights(mlir::ModuleOp planned);

/// Reads the entry points of a planned module. `kernels` are those that
/// lowerKernels() or cuda::emitDevice() made of it; `isa` names the level; offsets are looked up in
/// `weights`.
/// Errors: a module that is not planned, or whose kernels are others.
llvm::Expected<LevelTable> readPlan(mlir::ModuleOp planned, llvm::StringRef isa,
                                    std::vector<KernelCode> kernels,
                                    const WeightsPlan &weights);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_PLAN_H
