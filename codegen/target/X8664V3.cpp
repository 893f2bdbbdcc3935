//===-- X8664V3.cpp - x86-64 with AVX2 and FMA ------------------------------------------------------------------------------------------===//
#include "ir/Target.h"

namespace vlmc {

/// Sizes are those of a common core of this level; they bound tiles and need not be exact.
Target x8664V3() {
  Target target;
  target.name = "x86-64-v3";
  target.arch = "x86_64";
  target.triple = "x86_64-unknown-linux-gnu";
  target.cpu = "x86-64-v3";
  target.features = "";
  target.vectorBits = 256;
  target.registers = 16;
  target.tileRows = 6;
  target.tileVectors = 2;
  target.l1Bytes = 32 << 10;
  target.l2Bytes = 512 << 10;
  return target;
}

} // namespace vlmc
