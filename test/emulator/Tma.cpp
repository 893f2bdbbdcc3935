//===-- Tma.cpp - copies of blocks and tiles ------------------------------===//
//
// A copy into shared memory is carried out when somebody waits for its
// mbarrier, until when NaNs stand there; one out of it when its thread waits
// for the group, or ends.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Calls.h"
#include "test/emulator/TensorMap.h"
#include <cstring>

using namespace vlmc::emulator;

//===-- Completion --------------------------------------------------------===//

/// Queues a copy that completes `bytes` of a mbarrier. What its thread knows
/// now is what waiters learn.
static void completeOn(Thread &thread, Mbarrier &barrier, uint32_t bytes,
                       std::function<void()> copy) {
  Block &block = *thread.block;
  if (block.isChecking()) {
    block.races.release(barrier.arriving, thread.warpId);
    block.races.releaseCopy(barrier.arriving);
  }
  barrier.deferred.emplace_back([&block, &barrier, bytes, copy] {
    copy();
    barrier.word->bytes -= bytes;
    barrier.tryComplete();
    block.progress();
  });
}

static void checkDestination(Thread &thread, const Site &site, const char *to,
                             size_t bytes, uintptr_t alignment) {
  Block &block = *thread.block;
  if (!block.isShared(to))
    block.fault(thread, FaultKind::Address,
                site.op + " to what is not shared memory", &site);
  if (reinterpret_cast<uintptr_t>(to) % alignment)
    block.fault(thread, FaultKind::Alignment,
                site.op + " to shared memory that is not aligned to " +
                    std::to_string(alignment) + " bytes",
                &site);
  if (block.isChecking())
    block.access(thread, to, bytes, alignment, true, site, /*isCopy=*/true);
}

//===-- Blocks of bytes ---------------------------------------------------===//

namespace {
struct BlockIn {
  char *to;
  void *barrier;
  const char *from;
  uint32_t bytes;
};
struct BlockOut {
  char *to;
  const char *from;
  uint32_t bytes;
};
} // namespace

static void loadBlock(Thread &thread, const Site &site, void * /*out*/,
                      const void *in) {
  auto [to, barrier, from, bytes] = operands<BlockIn>(in);
  Block &block = *thread.block;
  Mbarrier &completed = block.mbarrier(thread, site, barrier);
  if (bytes % 16)
    block.fault(thread, FaultKind::Alignment,
                site.op + " of " + std::to_string(bytes) +
                    " bytes, not a multiple of 16",
                &site);
  checkDestination(thread, site, to, bytes, 16);
  if (block.isChecking())
    block.access(thread, from, bytes, 16, false, site);
  memset(to, 0xff, bytes);
  completeOn(thread, completed, bytes,
             [to, from, bytes] { memcpy(to, from, bytes); });
}

static void storeBlock(Thread &thread, const Site &site, void * /*out*/,
                       const void *in) {
  auto [to, from, bytes] = operands<BlockOut>(in);
  Block &block = *thread.block;
  if (block.isChecking()) {
    block.access(thread, from, bytes, 16, false, site);
    block.access(thread, to, bytes, 16, true, site);
  }
  thread.openStores.emplace_back(
      [to, from, bytes] { memcpy(to, from, bytes); });
}

static void commitStores(Thread &thread, const Site & /*site*/, void * /*out*/,
                         const void * /*in*/) {
  thread.storeGroups.push_back(std::move(thread.openStores));
  thread.openStores.clear();
}

static void waitStores(Thread &thread, const Site & /*site*/, void * /*out*/,
                       const void *in) {
  auto &groups = thread.storeGroups;
  while (groups.size() > operands<uint32_t>(in)) {
    for (auto &store : groups.front())
      store();
    groups.erase(groups.begin());
  }
}

//===-- Tiles -------------------------------------------------------------===//

namespace {
struct Tile {
  const TensorMap *map;
  int32_t at[5] = {};

  size_t elements() const {
    size_t count = 1;
    for (int i = 0; i < map->rank; ++i)
      count *= map->box[i];
    return count;
  }
  size_t bytes() const { return elements() * map->elementBytes; }

  /// Calls `body(place in shared memory, place in memory or null)` for each.
  template <typename Body> void forElements(char *shared, Body body) const {
    size_t count = elements();
    for (size_t i = 0; i < count; ++i) {
      size_t rest = i;
      char *memory = map->base;
      for (int d = 0; d < map->rank; ++d) {
        int64_t x = at[d] + static_cast<int64_t>(rest % map->box[d]);
        rest /= map->box[d];
        if (x < 0 || x >= map->dims[d])
          memory = nullptr;
        if (memory)
          memory += static_cast<uint64_t>(x) *
                    (d ? map->strides[d - 1] : map->elementBytes);
      }
      uintptr_t place =
          reinterpret_cast<uintptr_t>(shared) + i * map->elementBytes;
      body(reinterpret_cast<char *>(swizzled(place, map->swizzle)), memory);
    }
  }
};
} // namespace

static Tile tileOf(Thread &thread, const Site &site, const void *map, int rank,
                   const void *coordinates) {
  Tile tile{static_cast<const TensorMap *>(map)};
  if (tile.map->magic != TensorMap::mark || tile.map->rank != rank)
    thread.block->fault(thread, FaultKind::Other,
                        site.op + " by what is no tensor map of rank " +
                            std::to_string(rank),
                        &site);
  memcpy(tile.at, coordinates, sizeof(int32_t) * static_cast<size_t>(rank));
  return tile;
}

template <int rank>
static void loadTile(Thread &thread, const Site &site, void * /*out*/,
                     const void *in) {
  const auto *pointers = static_cast<char *const *>(in);
  char *to = pointers[0];
  Tile tile = tileOf(thread, site, pointers[2], rank, pointers + 3);
  Mbarrier &barrier = thread.block->mbarrier(thread, site, pointers[1]);
  checkDestination(thread, site, to, tile.bytes(), 128);
  memset(to, 0xff, tile.bytes());
  completeOn(thread, barrier, static_cast<uint32_t>(tile.bytes()), [tile, to] {
    tile.forElements(to, [&](char *shared, const char *memory) {
      if (memory)
        memcpy(shared, memory, tile.map->elementBytes);
      else
        memset(shared, tile.map->fillsNan ? 0xff : 0, tile.map->elementBytes);
    });
  });
}

template <int rank>
static void storeTile(Thread &thread, const Site &site, void * /*out*/,
                      const void *in) {
  const auto *pointers = static_cast<char *const *>(in);
  char *from = pointers[0];
  Tile tile = tileOf(thread, site, pointers[1], rank, pointers + 2);
  if (thread.block->isChecking())
    thread.block->access(thread, from, tile.bytes(), 128, false, site);
  thread.openStores.emplace_back([tile, from] {
    tile.forElements(from, [&](const char *shared, char *memory) {
      if (memory)
        memcpy(memory, shared, tile.map->elementBytes);
    });
  });
}

#define VLMC_BULK "cp.async.bulk."
#define VLMC_TILES(way, rank, handler)                                         \
  {VLMC_BULK "tensor." way ".tile." #rank "d", handler<rank>}

std::span<const Call> vlmc::emulator::tensorCalls() {
  static const Call calls[] = {
      {VLMC_BULK "commit.group", commitStores},
      {VLMC_BULK "global.to.shared.cluster", loadBlock},
      {VLMC_BULK "global.to.shared.cta", loadBlock},
      {VLMC_BULK "shared.cta.to.global", storeBlock},
      VLMC_TILES("g2s", 1, loadTile),
      VLMC_TILES("g2s", 2, loadTile),
      VLMC_TILES("g2s", 3, loadTile),
      VLMC_TILES("g2s", 4, loadTile),
      VLMC_TILES("g2s", 5, loadTile),
      VLMC_TILES("g2s.cta", 1, loadTile),
      VLMC_TILES("g2s.cta", 2, loadTile),
      VLMC_TILES("g2s.cta", 3, loadTile),
      VLMC_TILES("g2s.cta", 4, loadTile),
      VLMC_TILES("g2s.cta", 5, loadTile),
      VLMC_TILES("s2g", 1, storeTile),
      VLMC_TILES("s2g", 2, storeTile),
      VLMC_TILES("s2g", 3, storeTile),
      VLMC_TILES("s2g", 4, storeTile),
      VLMC_TILES("s2g", 5, storeTile),
      {VLMC_BULK "wait.group", waitStores},
      {VLMC_BULK "wait.group.read", waitStores},
  };
  return calls;
}
