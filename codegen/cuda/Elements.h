//===-- Elements.h - one element of a kernel's result ---------------------===//
//
// Emits what a thread does: the value of result element (row, feature), by the
// same RowEmitter that the CPU's kernels are made with, and the anchors as
// plain loops. Sums run in ascending order.
//
//   Value y = emitElement(e, frame, row, feature);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_ELEMENTS_H
#define VLMC_CODEGEN_CUDA_ELEMENTS_H

#include "codegen/cpu/RowEmitter.h"

namespace vlmc::cuda {

/// What hinders this strategy from a kernel, or "".
std::string whyNot(vlm::KernelOp kernel);

/// Emits element (row, feature) of the kernel's only result; a float, or an i32
/// where the result holds those.
mlir::Value emitElement(cpu::Emitter &e, cpu::KernelFrame &frame,
                        mlir::Value row, mlir::Value feature);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_ELEMENTS_H
