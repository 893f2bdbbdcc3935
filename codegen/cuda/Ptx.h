//===-- Ptx.h - a GPU's kernels as LLVM IR, PTX and code ------------------===//
//
// Every `vlm.kernel` of a module becomes a function of its name, by the
// strategy that it is planned with; without one a thread makes each element of
// the result, the second opinion for the others. No CUDA toolkit takes part,
// but for a chip's code, which ptxas makes.
//
//   auto text = cuda::emitPtx(planned, *findTarget("cuda:sm_80"));
//   auto device = cuda::emitDevice(planned, target, ptxas);
//
// Parameters are the pointers to operands and results, row by row, then the
// dynamic dimensions of the operands in order (s64); Launch.h tells the grid.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_PTX_H
#define VLMC_CODEGEN_CUDA_PTX_H

#include "codegen/Codegen.h"
#include "codegen/cuda/Assemble.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include <memory>
#include <string>

namespace vlmc::cuda {

/// Lowers every kernel of a module at the kernels or planned border to a
/// `gpu.func` in one new `gpu.module`: gpu, scf, arith, math, vector and LLVM
/// ops. Errors, on the kernel: it has more than one result, or an op that this
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

/// What a package holds of a GPU level.
struct DeviceModule {
  std::vector<KernelCode> kernels; ///< in the module's order, without phases
  std::vector<DeviceCode> codes;   ///< best first
  std::vector<KernelUse> uses;     ///< in the module's order
  std::string warnings;            ///< of ptxas
};

/// All of it: code for the chip where `ptxas` is a program's path ("": none),
/// PTX, and bitcode for a target +emulator.
mlir::FailureOr<DeviceModule>
emitDevice(mlir::ModuleOp planned, const Target &target, llvm::StringRef ptxas);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_PTX_H
