//===-- FusionRules.h - what may join which kernel on a target
//
// The one place that says which op can become part of which kernel. The fuse
// passes ask it before they move an op; `passes/KernelForm.h` checks the
// result.
//
//   FusionRules rules(target);
//   if (rules.canFuse(AnchorKind::Gemm, op, FusionPlace::Prologue)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_FUSIONRULES_H
#define VLMC_PASSES_FUSIONRULES_H

#include "ir/Target.h"
#include "ir/Vlm/VlmOps.h"

namespace vlmc {

/// Where an op joins a kernel: before its anchor or after it.
enum class FusionPlace { Prologue, Epilogue };

/// Whether the op works on each row (the last dimension) by itself and has one
/// result: what `rows` kernels and prologues are made of.
bool isRowWise(mlir::Operation *op);

/// Whether the op only chooses elements of its input, so that repeating it in
/// every reader costs nothing.
bool isView(mlir::Operation *op);

/// The fusion rules of one target. They are those of its architecture: the
/// instruction-set levels of one architecture share their kernels.
class FusionRules {
public:
  explicit FusionRules(const Target &target) : arch(target.arch) {}
  explicit FusionRules(llvm::StringRef arch) : arch(arch) {}

  /// Whether `op` may be computed by the kernel around an anchor, at that
  /// place. Looks at the op alone; who else reads it is the pass's question.
  bool canFuse(vlm::AnchorKind anchor, mlir::Operation *op,
               FusionPlace place) const;

  /// Whether each of several products may compute `op` anew.
  bool canRepeat(mlir::Operation *op) const;

  /// Whether a product may end with one half of its result times an activation
  /// of the other.
  bool canGate() const { return arch == "cuda"; }

private:
  std::string arch;
};

} // namespace vlmc

#endif // VLMC_PASSES_FUSIONRULES_H
