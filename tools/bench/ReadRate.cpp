//===-- ReadRate.cpp - times beside what memory gives at the same moment --===//
#include "tools/bench/ReadRate.h"
#include "tools/bench/Measure.h"
#include "tools/bench/Roofline.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <vector>

namespace vlmc::bench {

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

//===-- Turns -------------------------------------------------------------===//

/// The best rate of a number of threads so far in this program.
static double &bestRead(int threads) {
  static std::map<int, double> best;
  return best[threads];
}

void measureReadInto(benchmark::State &state, const BenchModel &model,
                     int threads, double bytes, double seconds, BenchRun &run) {
  static const MemoryReader reader(size_t(512) << 20);
  vlm_pool_t *pool = model.pool(threads);
  double &most = bestRead(threads);
  auto read = [&] {
    double best = reader.bestRate(pool);
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
