//===- DistanceBias.h - What attention adds by distance ---------*- C++ -*-===//
//
// The rows of `distance_bias` as attention's kernels read them: one head's row
// lies packed in the scratch, in units of log2 like the scores, with as many
// copies of its first and last element around it as a vector has lanes. So the
// biases of neighbouring keys are one load, however far away the keys are.
//
//   DistanceBias bias(e, op.getDistanceBias());
//   bias.pack(frame, head, scratch);
//   ... e.fadd(scores, bias.load(scratch, e.sub(key, query)))
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_DISTANCEBIAS_H
#define VLMC_CODEGEN_CPU_DISTANCEBIAS_H

#include "codegen/cpu/RowEmitter.h"

namespace vlmc::cpu {

class DistanceBias {
public:
  /// `table` is an argument of the kernel, [heads, elements].
  DistanceBias(Emitter &e, Value table);

  int64_t elements() const { return count; }
  /// What a packed row takes.
  int64_t floats() const;
  void pack(KernelFrame &frame, Value head, Value target) const;
  /// A vector for the keys from `distance` places behind the query on.
  Value load(Value packed, Value distance) const;

private:
  Emitter &e;
  Value table;
  int64_t count;
};

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_DISTANCEBIAS_H
