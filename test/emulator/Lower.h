//===-- Lower.h - a GPU's LLVM IR becomes the host's ----------------------===//
//
// Shared variables become places behind the block's base, special registers
// become loads from the thread's registers, operations become calls of their
// handlers (Calls.h), arithmetic that only a GPU names becomes the host's.
//
//   Lowered lowered;
//   std::string error;
//   if (!lowerToHost(module, layout, triple, check, lowered, error)) ...
//
// A kernel @k gets an entry @vlmc.entry.k that takes the launch's arguments.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_LOWER_H
#define VLMC_TEST_EMULATOR_LOWER_H

#include "test/emulator/Block.h"
#include "llvm/IR/Module.h"
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace vlmc::emulator {

inline constexpr llvm::StringLiteral entryPrefix = "vlmc.entry.";

struct Kernel {
  std::vector<size_t> argumentBytes;
  uint64_t maxThreads = 1024;
};

struct Lowered {
  std::map<std::string, Kernel> kernels;
  std::deque<Site> sites; ///< the code points into it
  size_t staticShared = 0;
  uint32_t granule = 2; ///< bytes of the smallest shared access
};

bool lowerToHost(llvm::Module &module, const llvm::DataLayout &layout,
                 const llvm::Triple &triple, bool check, Lowered &lowered,
                 std::string &error);

/// The host's instructions for an arithmetic intrinsic (name without
/// "llvm.nvvm."), before `call`; null where there are none. LowerMath.cpp.
llvm::Value *lowerMath(llvm::CallInst *call, llvm::StringRef name);

/// The address of a function of libdevice, by the host's mathematics; null
/// where there is none. LowerMath.cpp.
const void *findDeviceFunction(llvm::StringRef name);

/// Inline PTX as an operation's name, with its numbers in `site.parameters`;
/// "" where it is not known. InlinePtx.cpp.
std::string recognisePtx(llvm::StringRef text, Site &site);

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_LOWER_H
