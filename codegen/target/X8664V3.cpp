//===-- X8664V3.cpp - x86-64 with AVX2 and FMA ----------------------------===//
#include "codegen/target/Base.h"

namespace vlmc {

/// Tile 6 x 16: 12 accumulators, 2 vectors of a panel and a broadcast value.
BaseTarget x8664V3() {
  Target target;
  target.name = "x86-64-v3";
  target.arch = "x86_64";
  target.level = 3;
  target.triple = "x86_64-unknown-linux-gnu";
  target.cpu = "x86-64-v3";
  target.vectorBits = 256;
  target.registers = 16;
  target.tileRows = 6;
  target.tileVectors = 2;
  target.l1Bytes = 32 << 10;
  target.l2Bytes = 512 << 10;
  return {target, {{"avxvnni", "+avxvnni"}}, {}};
}

} // namespace vlmc
