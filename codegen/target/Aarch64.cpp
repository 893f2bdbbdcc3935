//===-- Aarch64.cpp - 64-bit Arm with NEON --------------------------------===//
#include "codegen/target/Base.h"

namespace vlmc {

/// Tile 5 x 16: 20 accumulators, 4 vectors of a panel and the values that are
/// broadcast. With 6 rows LLVM keeps several of those at a time and spills.
BaseTarget aarch64() {
  Target target;
  target.name = "aarch64";
  target.arch = "aarch64";
  target.level = 1;
  target.triple = "aarch64-unknown-linux-gnu";
  target.cpu = "generic";
  target.vectorBits = 128;
  target.registers = 32;
  target.tileRows = 5;
  target.tileVectors = 4;
  target.l1Bytes = 64 << 10;
  target.l2Bytes = 1 << 20;
  return {target,
          {{"dotprod", "+dotprod"}, {"i8mm", "+i8mm"}, {"bf16", "+bf16"}},
          {}};
}

} // namespace vlmc
