//===-- ReadRate.cpp - times beside what memory gives at the same moment --===//
#include "tools/bench/ReadRate.h"
#include "runtime/core/PoolInternal.h"
#include "tools/bench/Measure.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

namespace vlmc::bench {

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

//===-- Reading -----------------------------------------------------------===//

namespace {
/// 32 bytes, the compiler's own vectors.
using Vector = uint64_t __attribute__((vector_size(32), aligned(32)));

/// Memory that no cache holds, read by all threads of a pool.
class Reader {
public:
  static constexpr size_t bytes = size_t(512) << 20;

  Reader() : memory(bytes / sizeof(Vector), Vector{1, 2, 3, 4}) {}
  /// Reads all of it once and gives the rate; `streams` places at once for each
  /// thread.
  double rate(vlm_pool_t *pool, size_t streams) const;

private:
  std::vector<Vector> memory;
};
} // namespace

double Reader::rate(vlm_pool_t *pool, size_t streams) const {
  auto threads = static_cast<size_t>(vlm_pool_threads(pool));
  size_t share = memory.size() / threads / streams;
  double start = now();
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
    benchmark::DoNotOptimize(all);
  });
  double seconds = now() - start;
  return double(share * streams * threads * sizeof(Vector)) / seconds;
}

//===-- Turns -------------------------------------------------------------===//

/// The best rate of a number of threads so far in this program.
static double &bestRead(int threads) {
  static std::map<int, double> best;
  return best[threads];
}

void measureReadInto(benchmark::State &state, const BenchModel &model,
                     int threads, double bytes, double seconds, BenchRun &run) {
  static const Reader reader;
  vlm_pool_t *pool = model.pool(threads);
  double &most = bestRead(threads);
  auto read = [&] {
    double best = 0;
    for (size_t streams : {1, 2, 4, 8})
      best = std::max(best, reader.rate(pool, streams));
    most = std::max(most, best);
    return best;
  };
  auto time = [&] {
    double start = now();
    run();
    return now() - start;
  };
  constexpr int minTurns = 5, runsOfTurn = 5;
  double shortest = INFINITY;
  std::vector<double> ratios;
  time(); // from now on there is memory
  double end = now() + seconds, before = read();
  for (int turn = 0; turn < minTurns || now() < end; ++turn) {
    double mine = INFINITY;
    for (int i = 0; i < runsOfTurn; ++i)
      mine = std::min(mine, time());
    double behind = read();
    ratios.push_back(bytes / mine / std::max(before, behind));
    shortest = std::min(shortest, mine);
    before = behind;
  }
  auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  state.SetIterationTime(shortest);
  state.SetLabel(model.isa());
  state.counters["GB/s"] = rounded(bytes / shortest * 1e-9);
  state.counters["read"] = rounded(most * 1e-9);
  state.counters["%read"] = rounded(100 * bytes / shortest / most);
  state.counters["%median"] = rounded(100 * *middle);
}

} // namespace vlmc::bench
