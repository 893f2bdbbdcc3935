//===-- KernelForm.h - what a kernel may hold
//
// The forms that the generators accept, one per anchor:
// - gemm: one `linear` or `patch_embed`; a linear's input comes from the
//   arguments through row-wise ops, a patch_embed's is an argument; weight and
//   bias are arguments. Its result goes through `activation`, `squeeze` and
//   `add` with an argument or a view of one as the right operand; before them
//   its halves may be multiplied, one of them through an `activation`.
// - attention: one `attention` whose query, key and value are arguments or
//   `slice_features` of arguments, and nothing else.
// - rows: row-wise ops with one result, or a single `token_index`.
// - contrast: one `contrastive_logits` over arguments.
// Each kernel has one result, and each of its ops adds to it.
//
//   if (failed(checkKernelForm(kernel))) ...   // diagnostics on the ops
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_KERNELFORM_H
#define VLMC_PASSES_KERNELFORM_H

#include "ir/Vlm/VlmOps.h"

namespace vlmc {

/// Checks that a kernel has the form of its anchor; reports what differs.
mlir::LogicalResult checkKernelForm(vlm::KernelOp kernel);

} // namespace vlmc

#endif // VLMC_PASSES_KERNELFORM_H
