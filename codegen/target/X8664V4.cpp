//===-- X8664V4.cpp - x86-64 with AVX-512 (F, BW, CD, DQ, VL) -------------===//
#include "codegen/target/Base.h"

namespace vlmc {

/// Tile 12 x 32: 24 accumulators, 2 panels side by side and the values that are
/// broadcast. With 14 rows LLVM keeps two of those at a time and spills.
BaseTarget x8664V4() {
  Target target;
  target.name = "x86-64-v4";
  target.arch = "x86_64";
  target.level = 4;
  target.triple = "x86_64-unknown-linux-gnu";
  target.cpu = "x86-64-v4";
  target.vectorBits = 512;
  target.registers = 32;
  target.tileRows = 12;
  target.tileVectors = 2;
  target.l1Bytes = 32 << 10;
  target.l2Bytes = 1 << 20;
  return {target, {{"vnni", "+avx512vnni"}, {"bf16", "+avx512bf16"}}, {}};
}

} // namespace vlmc
