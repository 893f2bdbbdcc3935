//===-- Ptx.h - kernels of the kernels border as PTX ----------------------===//
//
// The plainest GPU strategy: one thread computes one element of a kernel's
// result, straight from the kernel's region. It is the second opinion that
// tuned strategies will be held to, and shows that the kernels border says all
// that a GPU needs. No CUDA toolkit takes part.
//
//   auto text = cuda::emitPtx(module, *findTarget("cuda:sm_80"));
//
// Every `vlm.kernel` becomes a `.entry` of its name. Its parameters are the
// pointers to operands and results, row by row, then the dynamic dimensions of
// the operands in order (s64). It runs on a one-dimensional grid of any block
// size with a thread, or more, for each element of the result.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_PTX_H
#define VLMC_CODEGEN_CUDA_PTX_H

#include "ir/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include <memory>
#include <string>

namespace vlmc::cuda {

/// Lowers every kernel of a module at the kernels border to a `gpu.func` in one
/// new `gpu.module`: gpu, scf, arith, math, vector and LLVM ops.
/// Errors, on the kernel: it has more than one result, or an op that this
/// strategy does not know.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
lowerToGpu(mlir::ModuleOp kernels, const Target &target);

/// The same, further to the NVVM dialect.
mlir::LogicalResult lowerToNvvm(mlir::ModuleOp gpu);

/// The same, further to LLVM IR for the GPU, not yet optimised.
mlir::FailureOr<std::unique_ptr<llvm::Module>>
lowerToLlvm(mlir::ModuleOp kernels, const Target &target,
            llvm::LLVMContext &context);

/// All of it: the PTX text for the target's chip.
mlir::FailureOr<std::string> emitPtx(mlir::ModuleOp kernels,
                                     const Target &target);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_PTX_H
