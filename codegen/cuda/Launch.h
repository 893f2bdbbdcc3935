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
#include <optional>

namespace vlmc::cuda {

/// `vlm_abi_map`: a matrix of 16 bits that a launch copies tiles of.
struct LaunchMap {
  int64_t buffer = 0; ///< of operands, results, temporaries
  vlm::Size rows;
  int64_t columns = 0, stride = 0, offset = 0; ///< elements
  int64_t boxRows = 0, boxColumns = 0;
  bool isBrain = false; ///< bf16, not f16
};

/// `vlm_abi_product`: what a library would do in the place of a kernel.
struct LibraryProduct {
  vlm::Size rows;
  int64_t columns = 0, depth = 0;
  int64_t leftOffset = 0, leftStride = 0; ///< elements
  int32_t left = -1, right = -1, bias = -1, residual = -1, result = -1;
  uint32_t activation = 0; ///< VLM_ABI_PRODUCT_*
  bool isBrain = false, givesFloats = false;
};

struct KernelLaunch {
  std::string function;
  std::array<vlm::Size, 3> grid{vlm::Size(1), vlm::Size(1), vlm::Size(1)};
  std::array<int64_t, 3> units{1, 1, 1};
  int64_t threads = 0;     ///< of a block, in one direction
  int64_t sharedBytes = 0; ///< of dynamic shared memory
  /// Left out where grid[0] is not in this range; `maxRows` 0: no limit.
  int64_t minRows = 0, maxRows = 0;
  int64_t flags = 0;           ///< VLM_ABI_LAUNCH_*
  std::vector<LaunchMap> maps; ///< arguments before the pointers
};

/// The launches of one call, one behind the other. `dims`: those of its
/// operands and then of its results.
std::vector<KernelLaunch>
launchesOf(vlm::KernelOp kernel, llvm::ArrayRef<std::vector<vlm::Size>> dims);

/// What a library of products would do in the place of a call's launches, for
/// so many rows; none where it knows no such thing.
std::optional<LibraryProduct> libraryProduct(vlm::KernelOp kernel,
                                             const vlm::Size &rows);

/// The most dynamic shared memory that a block of the chip ("sm_80") can have.
int64_t maxSharedBytes(llvm::StringRef chip);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_LAUNCH_H
