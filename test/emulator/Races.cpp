//===-- Races.cpp - who touched which byte of shared memory, and when -----===//
#include "test/emulator/Races.h"
#include <algorithm>

using namespace vlmc::emulator;

void Clock::join(const Clock &other) {
  for (uint32_t i = 0; i <= maxWarps; ++i)
    seen[i] = std::max(seen[i], other.seen[i]);
}

void Races::begin(size_t bytes, uint32_t warps, uint32_t newGranule) {
  granule = newGranule;
  copyClock = 1;
  cells.assign(bytes / granule + 1, Cell());
  readers.clear();
  clocks.fill(Clock());
  for (uint32_t warp = 0; warp < warps; ++warp)
    clocks[warp].seen[warp] = 1;
}

bool Races::isOrdered(uint32_t earlier, uint32_t clock, uint32_t thread) const {
  uint32_t warp = thread / warpLanes, other = earlier / warpLanes;
  uint32_t seen = clocks[warp].seen[other];
  return earlier == thread || (warp == other ? clock < seen : clock <= seen);
}

std::optional<uint32_t> Races::unorderedReader(const Cell &cell,
                                               uint32_t thread) const {
  if (cell.reader == none)
    return std::nullopt;
  if (cell.reader != many) {
    if (isOrdered(cell.reader, cell.readClock, thread))
      return std::nullopt;
    return cell.reader;
  }
  const Readers &all = readers[cell.readClock];
  for (uint32_t warp = 0; warp < maxWarps; ++warp) {
    if (all.thread[warp] == none)
      continue;
    uint32_t first = all.thread[warp] == many ? warp * warpLanes
                                              : uint32_t{all.thread[warp]};
    bool isAlone = all.thread[warp] != many;
    bool isOwn = warp == thread / warpLanes;
    uint32_t seen = clocks[thread / warpLanes].seen[warp];
    bool ordered = isOwn
                       ? (isAlone && first == thread) || all.clock[warp] < seen
                       : all.clock[warp] <= seen;
    if (!ordered)
      return first;
  }
  return std::nullopt;
}

void Races::addReader(Cell &cell, uint32_t thread) {
  uint32_t warp = thread / warpLanes, clock = clocks[warp].seen[warp];
  if (cell.reader == none || cell.reader == thread) {
    cell.reader = static_cast<uint16_t>(thread);
    cell.readClock = clock;
    return;
  }
  auto note = [&](Readers &all, uint32_t by, uint32_t at) {
    uint16_t &known = all.thread[by / warpLanes];
    uint32_t &last = all.clock[by / warpLanes];
    bool isSame = known == none || last != at || known == by;
    known = isSame ? static_cast<uint16_t>(by) : many;
    last = at;
  };
  if (cell.reader != many) {
    Readers all;
    all.thread.fill(none);
    note(all, cell.reader, cell.readClock);
    cell.reader = many;
    cell.readClock = static_cast<uint32_t>(readers.size());
    readers.push_back(all);
  }
  note(readers[cell.readClock], thread, clock);
}

std::optional<Conflict> Races::access(size_t offset, size_t bytes,
                                      uint32_t thread, bool isWrite,
                                      bool isCopy) {
  uint32_t warp = thread / warpLanes;
  size_t end = std::min(cells.size(), (offset + bytes + granule - 1) / granule);
  for (size_t i = offset / granule; i < end; ++i) {
    Cell &cell = cells[i];
    if (cell.writer != none && !isOrdered(cell.writer, cell.writeClock, thread))
      return Conflict{i * granule, cell.writer, true};
    if (!isWrite) {
      addReader(cell, thread);
      continue;
    }
    if (auto reader = unorderedReader(cell, thread))
      return Conflict{i * granule, *reader, false};
    cell.writer = static_cast<uint16_t>(isCopy ? copyAgent : thread);
    cell.writeClock = isCopy ? copyClock : clocks[warp].seen[warp];
    cell.reader = none;
  }
  return std::nullopt;
}

void Races::settle(size_t offset, size_t bytes, uint32_t thread) {
  uint32_t warp = thread / warpLanes;
  size_t end = std::min(cells.size(), (offset + bytes + granule - 1) / granule);
  for (size_t i = offset / granule; i < end; ++i) {
    cells[i].writer = static_cast<uint16_t>(thread);
    cells[i].writeClock = clocks[warp].seen[warp];
  }
}
