//===-- Target.h - the target description -----------------------------------------------------------------------------------------------===//
//
// What passes and code generators may know of a machine: instruction set, registers, caches. One value per supported target stands in
// `codegen/target`; passes get it by reference and never ask for a name.
//
//   const vlmc::Target *target = vlmc::findTarget("x86-64-v3");
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_IR_TARGET_H
#define VLMC_IR_TARGET_H

#include <cstdint>
#include <string>
#include <vector>

namespace vlmc {

/// One instruction-set level of one architecture.
struct Target {
  std::string name;    ///< "x86-64-v3": as on the command line and in packages
  std::string arch;    ///< "x86_64": the folder in a package
  std::string triple;  ///< LLVM target triple
  std::string cpu;     ///< LLVM target CPU
  std::string features; ///< LLVM feature string
  int64_t vectorBits = 256;
  int64_t registers = 16;    ///< vector registers
  int64_t tileRows = 6;      ///< rows of the f32 GEMM micro-kernel
  int64_t tileVectors = 2;   ///< vectors of the f32 GEMM micro-kernel's row
  int64_t l1Bytes = 32 << 10;
  int64_t l2Bytes = 512 << 10;
  int64_t lanes() const { return vectorBits / 32; }
};

} // namespace vlmc

#endif // VLMC_IR_TARGET_H
