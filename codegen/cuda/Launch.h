//===-- Launch.h - how the functions of a GPU's kernels are launched ------===//
//
// What a caller has to know of a kernel: the functions that it became, their
// blocks, their shared memory, and their grids for the sizes of a call.
//
//   for (const KernelLaunch &launch : launchesOf(kernel, dims))
//     ... launch.function on ceil(launch.grid[i] / launch.units[i]) blocks ...
//
// A function takes the pointers to the kernel's operands and results, then the
// dynamic dimensions of the operands in order (s64).
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_LAUNCH_H
#define VLMC_CODEGEN_CUDA_LAUNCH_H

#include "ir/Vlm/VlmSize.h"
#include <array>

namespace vlmc::cuda {

struct KernelLaunch {
  std::string function;
  std::array<vlm::Size, 3> grid{vlm::Size(1), vlm::Size(1), vlm::Size(1)};
  std::array<int64_t, 3> units{1, 1, 1};
  int64_t threads = 0;     ///< of a block, in one direction
  int64_t sharedBytes = 0; ///< of dynamic shared memory
};

/// The launches of one call, one behind the other. `dims`: those of its
/// operands and then of its results.
std::vector<KernelLaunch>
launchesOf(vlm::KernelOp kernel, llvm::ArrayRef<std::vector<vlm::Size>> dims);

/// The most dynamic shared memory that a block of the chip ("sm_80") can have.
int64_t maxSharedBytes(llvm::StringRef chip);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_LAUNCH_H
