//===-- Windows.h - elements of a picture's windows -----------------------===//
//
// The left side of a convolution as a product: row m is a window of a picture,
// its features are the window's values. No such matrix is ever in memory.
//
//   Value x = emitWindowElement(e, frame, conv, m, k);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_WINDOWS_H
#define VLMC_CODEGEN_CUDA_WINDOWS_H

#include "codegen/cpu/RowEmitter.h"

namespace vlmc::cuda {

/// Feature `at` of patch `m`, as f32.
mlir::Value emitPatchElement(cpu::Emitter &e, const cpu::KernelFrame &frame,
                             vlm::PatchEmbedOp op, mlir::Value m,
                             mlir::Value at);

/// Feature `at` of the window of output pixel `m`, as f32.
mlir::Value emitWindowElement(cpu::Emitter &e, const cpu::KernelFrame &frame,
                              vlm::Conv2dOp op, mlir::Value m, mlir::Value at);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_WINDOWS_H
