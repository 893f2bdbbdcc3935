//===-- Target.h - the target description ---------------------------------===//
//
// What passes and code generators may know of a machine: instruction set,
// registers, caches. The values stand in `codegen/target`; passes get one by
// reference and never ask for a name.
//
//   const vlmc::Target *target = vlmc::findTarget("x86-64-v4+vnni");
//   int64_t columns = target->tileVectors * target->lanes();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_IR_TARGET_H
#define VLMC_IR_TARGET_H

#include <cstdint>
#include <string>
#include <vector>

namespace vlmc {

/// Columns of a packed panel (`f32.panel16`), the same for all targets: the
/// levels of a package share its weights.
inline constexpr int64_t panelColumns = 16;

/// One instruction-set level of one architecture. Sizes and times are those of
/// a common core of the level; they bound tiles and need not be exact.
struct Target {
  std::string name; ///< "x86-64-v4+vnni": as on the command line
  /// What the CPU must have, "x86-64-v4+vnni": the level's name in a package.
  std::string isa;
  std::string arch;     ///< "x86_64": the folder in a package
  int level = 0;        ///< within the architecture; a higher one is better
  std::string triple;   ///< LLVM target triple
  std::string cpu;      ///< LLVM target CPU
  std::string features; ///< LLVM feature string
  std::vector<std::string> extras; ///< the feature suffixes, in table order
  int64_t vectorBits = 256;
  int64_t registers = 16;  ///< vector registers
  int64_t fmaLatency = 4;  ///< cycles from one multiply-add to the next on it
  int64_t fmaPorts = 2;    ///< vector multiply-adds a cycle
  int64_t tileRows = 6;    ///< rows of the f32 GEMM micro-kernel
  int64_t tileVectors = 2; ///< vectors of the f32 GEMM micro-kernel's row
  int64_t l1Bytes = 32 << 10;
  int64_t l2Bytes = 512 << 10;
  /// f32 elements of a vector; 1 where code is written for one thread's lane.
  int64_t lanes() const { return vectorBits / 32; }
  /// Packed panels that the micro-kernel reads side by side.
  int64_t tilePanels() const {
    int64_t columns = tileVectors * lanes();
    return columns < panelColumns ? 1 : columns / panelColumns;
  }
  /// Multiply-adds that must be under way so that none waits.
  int64_t chains() const { return fmaLatency * fmaPorts; }
};

} // namespace vlmc

#endif // VLMC_IR_TARGET_H
