//===-- Roofline.cpp - what no kernel can exceed on this machine ----------===//
#include "tools/bench/Roofline.h"

#include "runtime/core/PoolInternal.h"
#include "tools/bench/Peak.h"

#include <algorithm>
#include <chrono>

namespace vlmc::bench {

using Clock = std::chrono::steady_clock;

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Roofline::limit(double workFlops, double workBytes) const {
  double compute = flops > 0 ? workFlops / flops : 0;
  double memory = bytes > 0 ? workBytes / bytes : 0;
  return std::max(compute, memory);
}

//===----------------------------------------------------------------------===//
// Multiply-adds
//===----------------------------------------------------------------------===//

static double measurePeak(vlm_pool_t *pool, PeakLoop loop) {
  // Pieces of about 0.1 ms, many for each thread, so that one that comes late
  // changes little.
  constexpr int64_t iterations = 60000, piecesPerThread = 10, turns = 60;
  int64_t pieces = piecesPerThread * vlm_pool_threads(pool);
  double best = 0;
  for (int64_t turn = 0; turn < turns; ++turn) {
    Clock::time_point start = Clock::now();
    rt::parallelFor(pool, pieces, [&](int64_t) { loop(iterations); });
    best = std::max(best, loop(1) * double(pieces * iterations) /
                              secondsSince(start));
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

MemoryReader::MemoryReader(size_t bytes)
    : memory(bytes / sizeof(Vector), Vector{1, 2, 3, 4}) {}

double MemoryReader::rate(vlm_pool_t *pool, size_t streams) const {
  auto threads = static_cast<size_t>(vlm_pool_threads(pool));
  size_t share = memory.size() / threads / streams;
  Clock::time_point start = Clock::now();
  rt::parallelFor(pool, int64_t(threads), [&](int64_t thread) {
    const Vector *first = memory.data() + size_t(thread) * share * streams;
    Vector sums[8] = {};
    for (size_t i = 0; i + 4 <= share; i += 4)
      for (size_t s = 0; s < streams; ++s) {
        const Vector *at = first + s * share + i;
        sums[s] ^= (at[0] ^ at[1]) ^ (at[2] ^ at[3]);
      }
    Vector all = sums[0];
    for (size_t s = 1; s < 8; ++s)
      all ^= sums[s];
    __asm__ volatile("" : : "m"(all)); // the sums are needed
  });
  return double(share * streams * threads * sizeof(Vector)) /
         secondsSince(start);
}

double MemoryReader::bestRate(vlm_pool_t *pool) const {
  double best = 0;
  for (size_t streams : {1, 2, 4, 8})
    best = std::max(best, rate(pool, streams));
  return best;
}

Roofline measureRoofline(vlm_pool_t *pool, std::string_view isa) {
  Roofline roof;
  if (PeakLoop loop = findPeakLoop(isa))
    roof.flops = measurePeak(pool, loop);
  const MemoryReader reader(size_t(256) << 20);
  for (int turn = 0; turn < 2; ++turn)
    roof.bytes = std::max(roof.bytes, reader.bestRate(pool));
  return roof;
}

} // namespace vlmc::bench
