//===-- Races.h - who touched which byte of shared memory, and when -------===//
//
// A clock for each warp, a vector of them where warps learn of each other: at
// barriers of a block, at mbarriers, at bar.warp.sync. Two accesses of which
// one writes race if the later one's warp has not learnt of the earlier one;
// lanes of a warp likewise, between two steps of its own clock.
//
//   races.begin(sharedBytes, warps, granule);
//   if (auto conflict = races.access(offset, 4, thread, true)) ...
//   races.release(clock, warp); races.acquire(clock, otherWarp);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_RACES_H
#define VLMC_TEST_EMULATOR_RACES_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace vlmc::emulator {

inline constexpr uint32_t warpLanes = 32, maxWarps = 32;
/// What copies under way write as: only who waits for them learns of it.
inline constexpr uint32_t copyAgent = maxWarps * warpLanes;

/// What is known of each warp: the last clock seen.
struct Clock {
  std::array<uint32_t, maxWarps + 1> seen = {}; ///< the copies' is the last
  void join(const Clock &other);
};

/// The earlier access of a race.
struct Conflict {
  size_t offset = 0;
  uint32_t thread = 0;
  bool isWrite = false;
};

class Races {
public:
  /// A block begins. `granule`: bytes that are looked at as one.
  void begin(size_t bytes, uint32_t warps, uint32_t granule);

  /// `isCopy`: a write by a copy that is still under way.
  std::optional<Conflict> access(size_t offset, size_t bytes, uint32_t thread,
                                 bool isWrite, bool isCopy = false);

  /// A copy's thread has waited for it: from now on it counts as its write.
  void settle(size_t offset, size_t bytes, uint32_t thread);

  /// Passes on what a warp knows, itself included up to now.
  void tell(Clock &into, uint32_t warp) const { into.join(clocks[warp]); }
  /// The same; its accesses from now on are not covered.
  void release(Clock &into, uint32_t warp) {
    tell(into, warp);
    step(warp);
  }
  void acquire(const Clock &from, uint32_t warp) { clocks[warp].join(from); }
  /// Passes on the copies started up to now.
  void releaseCopy(Clock &into) { into.seen[maxWarps] = copyClock++; }
  /// All lanes of a warp have met.
  void step(uint32_t warp) { ++clocks[warp].seen[warp]; }

private:
  static constexpr uint16_t none = 0xffff, many = 0xfffe;
  /// The last write, and the reads since.
  struct Cell {
    uint32_t writeClock = 0, readClock = 0;
    uint16_t writer = none, reader = none;
  };
  /// Reads by more than one thread: the last of each warp.
  struct Readers {
    std::array<uint32_t, maxWarps> clock = {};
    std::array<uint16_t, maxWarps> thread;
  };

  bool isOrdered(uint32_t earlier, uint32_t clock, uint32_t thread) const;
  /// A reader whose read is not ordered before this write.
  std::optional<uint32_t> unorderedReader(const Cell &cell,
                                          uint32_t thread) const;
  void addReader(Cell &cell, uint32_t thread);

  std::vector<Cell> cells;
  std::vector<Readers> readers;
  std::array<Clock, maxWarps> clocks;
  uint32_t granule = 1, copyClock = 1;
};

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_RACES_H
