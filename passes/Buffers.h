//===-- Buffers.h - the buffers of an entry and how long they live
//
// An entry is a straight line of calls; each call writes its results and has
// temporaries. The planner gives these buffers slots, the planned border's
// verifier checks them.
//
//   FailureOr<SmallVector<Buffer>> buffers = collectBuffers(entry);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_BUFFERS_H
#define VLMC_PASSES_BUFFERS_H

#include "ir/Vlm/VlmSize.h"

namespace vlmc {

/// A result or a temporary of a call. It lives from call number `begin` to call
/// number `end`, both included.
struct Buffer {
  vlm::CallOp call;
  bool isTemporary = false;
  unsigned number = 0; ///< of the result or temporary
  bool isOutput = false;
  vlm::Size bytes;
  int64_t begin = 0, end = 0;

  bool overlaps(const Buffer &other) const {
    return begin <= other.end && other.begin <= end;
  }
  /// "result 0 of call 'vision.layers.0.mlp.fc1'".
  std::string describe() const;
};

/// The temporaries of a kernel over its symbols d0, d1, ...: `temps` of its
/// `tiles`.
llvm::SmallVector<vlm::Size> getKernelTemps(vlm::KernelOp kernel);

/// The bytes that each thread needs in a kernel: `scratch` of its `tiles`.
vlm::Size getKernelScratch(vlm::KernelOp kernel);

/// A size over a kernel's dims for one of its calls.
vlm::Size sizeInCall(const vlm::Size &size, const vlm::DimAnalysis &dims,
                     vlm::CallOp call);

/// All buffers of an entry, in the order of the calls: results, then
/// temporaries.
llvm::SmallVector<Buffer> collectBuffers(mlir::func::FuncOp entry,
                                         const vlm::DimAnalysis &dims);

} // namespace vlmc

#endif // VLMC_PASSES_BUFFERS_H
