//===-- Roofline.cpp - what no kernel can exceed on this machine ----------===//
#include "tools/bench/Roofline.h"

#include "runtime/core/PoolInternal.h"
#include "tools/bench/Peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

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

/// Sums a stretch by four streams at once, as a matrix-vector product reads
/// the panels of a weight.
static uint64_t sumOf(const uint64_t *data, size_t count) {
  constexpr size_t streams = 4, lanes = 8;
  uint64_t sums[streams][lanes] = {};
  size_t stretch = count / streams;
  for (size_t i = 0; i + lanes <= stretch; i += lanes)
    for (size_t s = 0; s < streams; ++s)
      for (size_t lane = 0; lane < lanes; ++lane)
        sums[s][lane] += data[s * stretch + i + lane];
  uint64_t all = 0;
  for (const auto &stream : sums)
    for (uint64_t lane : stream)
      all += lane;
  return all;
}

double measureReadBandwidth(vlm_pool_t *pool, size_t bytes) {
  constexpr int turns = 6, piecesPerThread = 8;
  constexpr size_t line = 16; // so that threads do not share a line
  std::vector<uint64_t> data(bytes / sizeof(uint64_t), 1);
  int64_t pieces = piecesPerThread * vlm_pool_threads(pool);
  size_t stretch = data.size() / size_t(pieces);
  std::vector<uint64_t> sums(size_t(pieces) * line);
  double best = 0;
  for (int turn = 0; turn < turns; ++turn) {
    Clock::time_point start = Clock::now();
    rt::parallelFor(pool, pieces, [&](int64_t piece) {
      sums[size_t(piece) * line] =
          sumOf(data.data() + size_t(piece) * stretch, stretch);
    });
    best = std::max(best, double(size_t(pieces) * stretch) * sizeof(uint64_t) /
                              secondsSince(start));
  }
  // The sums are needed: else nothing would be read.
  volatile uint64_t needed = 0;
  for (uint64_t value : sums)
    needed = needed + value;
  return best;
}

Roofline measureRoofline(vlm_pool_t *pool, std::string_view isa) {
  Roofline roof;
  if (PeakLoop loop = findPeakLoop(isa))
    roof.flops = measurePeak(pool, loop);
  roof.bytes = measureReadBandwidth(pool, size_t(256) << 20);
  return roof;
}

} // namespace vlmc::bench
