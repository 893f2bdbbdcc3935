//===-- Calls.h - the operations of a GPU that a kernel calls -------------===//
//
// Each file of operations has a table of names, as LLVM's intrinsics have them
// without "llvm.nvvm."; Lower.cpp looks them up. A handler gets its operands
// packed like a C struct (i1 as a byte) and writes its results likewise.
//
//   static void ballot(Thread &thread, const Site &site, void *out,
//                      const void *in) { ... }
//   std::span<const Call> emulator::warpCalls() {
//     static const Call calls[] = {{"vote.ballot.sync", ballot}};
//     return calls;
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_CALLS_H
#define VLMC_TEST_EMULATOR_CALLS_H

#include "test/emulator/Block.h"
#include <span>
#include <string_view>

namespace vlmc::emulator {

using Handler = void (*)(Thread &thread, const Site &site, void *out,
                         const void *in);

struct Call {
  std::string_view name;
  Handler handler;
  bool isAligned = false;
};

std::span<const Call> warpCalls();     // Warp.cpp
std::span<const Call> matrixCalls();   // Matrix.cpp
std::span<const Call> copyCalls();     // Copies.cpp
std::span<const Call> barrierCalls();  // Barriers.cpp
std::span<const Call> mbarrierCalls(); // Mbarriers.cpp
std::span<const Call> tensorCalls();   // Tma.cpp
std::span<const Call> wgmmaCalls();    // Wgmma.cpp

/// The operation of a name; null if there is none.
const Call *findCall(std::string_view name);

/// Operands or results as a struct.
template <typename T> const T &operands(const void *in) {
  return *static_cast<const T *>(in);
}
template <typename T> T &result(void *out) { return *static_cast<T *>(out); }

/// Calls `body(lane)` for each lane of a mask.
template <typename Body> void forLanes(uint32_t mask, Body body) {
  for (; mask; mask &= mask - 1)
    body(static_cast<uint32_t>(__builtin_ctz(mask)));
}

inline constexpr uint32_t allLanes = 0xffffffffU;

/// Carries out the copies of a thread's groups but the newest `left` ones.
void finishCopies(Thread &thread, size_t left);

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_CALLS_H
