//===-- Mbarrier.h - barriers in shared memory that count bytes too -------===//
//
// The 64 bits in shared memory hold the counts; what else the emulator knows of
// a barrier (the copies that will complete on it, what a waiter learns) stands
// beside, by address. Copies are carried out when somebody waits.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_MBARRIER_H
#define VLMC_TEST_EMULATOR_MBARRIER_H

#include "test/emulator/Races.h"
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace vlmc::emulator {

struct MbarrierWord {
  uint64_t expected : 20;
  uint64_t pending : 20;
  int64_t bytes : 23; ///< still to come
  uint64_t phase : 1;
};
static_assert(sizeof(MbarrierWord) == 8);

struct Mbarrier {
  MbarrierWord *word = nullptr;
  std::vector<std::function<void()>> deferred;
  Clock arriving, completed; ///< of the phase under way; of the last one

  /// Ends the phase if nothing is missing. True if it did.
  bool tryComplete() {
    if (word->pending || word->bytes)
      return false;
    word->phase ^= 1U;
    word->pending = word->expected;
    completed = arriving;
    return true;
  }
};

using Mbarriers = std::map<const void *, Mbarrier>;

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_MBARRIER_H
