//===-- Groups.h - growing vlm.group
//
// Small edits on groups that the placing and fusing passes share. Groups have
// one result and each value enters a group once.
//
//   GroupOp group = wrapInGroup(linear, AnchorKind::Gemm);
//   pullProducer(group, norm);       // norm's value is computed inside
//   pullConsumer(group, activation); // the group yields the activation
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_GROUPS_H
#define VLMC_PASSES_GROUPS_H

#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace vlmc {

/// Replaces an op of one result by a group that holds it; the group takes the
/// op's label.
vlm::GroupOp wrapInGroup(mlir::Operation *op, vlm::AnchorKind anchor);

/// Copies `producer`, whose result the group reads, to the front of the group
/// in place of the block argument; erases it if nobody reads it any more.
void pullProducer(vlm::GroupOp group, mlir::Operation *producer);

/// Moves `consumer`, the only reader of the group's result, to the end of the
/// group, which moves to its place.
void pullConsumer(vlm::GroupOp group, mlir::Operation *consumer);

/// The gemm, attention or contrast op of a group, null for rows.
mlir::Operation *getAnchorOp(mlir::Block &body);

/// The block arguments from which the first operand of the anchor is computed
/// by ops in the group (the argument itself if there are none).
llvm::SmallVector<mlir::BlockArgument> getInputArguments(vlm::GroupOp group);

/// The groups of a function with that anchor, in order.
llvm::SmallVector<vlm::GroupOp> getGroups(mlir::func::FuncOp entry,
                                          vlm::AnchorKind anchor);

} // namespace vlmc

#endif // VLMC_PASSES_GROUPS_H
