//===-- Elements.h - which kernels a thread an element can make -----------===//
//
// The plainest strategy: each thread makes one element of the result by the
// RowEmitter that the CPU's kernels are made with, and anchors as plain loops.
// Sums run in ascending order.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_ELEMENTS_H
#define VLMC_CODEGEN_CUDA_ELEMENTS_H

#include "ir/Vlm/VlmOps.h"

namespace vlmc::cuda {

/// What hinders this strategy from a kernel, or "".
std::string whyNot(vlm::KernelOp kernel);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_ELEMENTS_H
