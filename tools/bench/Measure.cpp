//===-- Measure.cpp - times beside the peak of the same moment ------------===//
#include "tools/bench/Measure.h"
#include "runtime/core/PoolInternal.h"
#include "tools/bench/Peak.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <sys/resource.h>
#include <vector>

namespace vlmc::bench {

//===-- Timing ------------------------------------------------------------===//

static double now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) +
         1e-9 * static_cast<double>(time.tv_nsec);
}

/// How often the calling thread has lost its CPU.
static long switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw + usage.ru_nivcsw;
}

namespace {
/// One timing. `clean`: nothing is known to have disturbed it.
struct Sample {
  double seconds;
  bool clean;
};

/// The shortest of the clean samples, or of all where none is clean.
class Shortest {
public:
  void add(Sample sample) {
    any = std::min(any, sample.seconds);
    if (sample.clean)
      clean = std::min(clean, sample.seconds);
  }
  void add(const Shortest &other) {
    any = std::min(any, other.any);
    clean = std::min(clean, other.clean);
  }
  double seconds() const { return std::isfinite(clean) ? clean : any; }

private:
  double clean = INFINITY, any = INFINITY;
};

/// Times work on a number of threads. The clock on the wall is right where the
/// one thread kept its CPU. Where it did not, its CPU time must do, of which a
/// virtual machine may take off too much; so such samples come second.
class Timer {
public:
  explicit Timer(int threads) : one(threads == 1) {}
  Sample time(llvm::function_ref<void()> work) const {
    long before = switches();
    double cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
    work();
    wall = now(CLOCK_MONOTONIC) - wall;
    cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    bool clean = !one || switches() == before;
    return {clean ? wall : cpu, clean};
  }

private:
  bool one;
};
} // namespace

/// Short runs are timed several at once, since reading clocks takes time too.
/// Gives the time of one.
static Shortest measureTurn(const Timer &timer, int64_t group, double seconds,
                            llvm::function_ref<void()> run) {
  Shortest best;
  double end = now(CLOCK_MONOTONIC) + seconds;
  do {
    Sample sample = timer.time([&] {
      for (int64_t i = 0; i < group; ++i)
        run();
    });
    best.add({sample.seconds / static_cast<double>(group), sample.clean});
  } while (now(CLOCK_MONOTONIC) < end);
  return best;
}

//===-- Turns -------------------------------------------------------------===//

/// The best peak of a number of threads so far in this program: a machine that
/// is busy for long must not pass for a slow one.
static double &bestPeak(int threads) {
  static std::map<int, double> best;
  return best[threads];
}

namespace {
/// Takes peak and work in turns.
class Turns {
public:
  Turns(PeakLoop loop, vlm_pool_t *pool, double flops)
      : loop(loop), pool(pool), flops(flops), timer(vlm_pool_threads(pool)),
        peak(bestPeak(vlm_pool_threads(pool))) {}
  void take(double seconds, llvm::function_ref<void()> run);

  Shortest best;              ///< of all runs
  std::vector<double> ratios; ///< rate over peak, of each turn

private:
  double nextPeak();

  PeakLoop loop;
  vlm_pool_t *pool;
  double flops;
  Timer timer;
  double &peak;
};
} // namespace

double Turns::nextPeak() {
  // Pieces of about 0.1 ms, many for each thread, so that one that comes late
  // changes little.
  constexpr int64_t iterations = 60000, piecesPerThread = 10;
  int64_t pieces = piecesPerThread * vlm_pool_threads(pool);
  Sample sample = timer.time([&] {
    rt::parallelFor(pool, pieces, [&](int64_t) { loop(iterations); });
  });
  double rate =
      loop(1) * static_cast<double>(pieces * iterations) / sample.seconds;
  if (sample.clean)
    peak = std::max(peak, rate);
  return rate;
}

void Turns::take(double seconds, llvm::function_ref<void()> run) {
  constexpr double groupSeconds = 1e-4, turnSeconds = 4e-3;
  constexpr int minTurns = 5, firstPeaks = 200;
  run(); // from now on there is memory
  double once = std::max(timer.time(run).seconds, 1e-7);
  int64_t group = std::max<int64_t>(1, std::llround(groupSeconds / once));
  // The program's first peaks are many, so that all work meets a good one.
  if (peak == 0)
    for (int i = 0; i < firstPeaks || peak == 0; ++i)
      nextPeak();
  double end = now(CLOCK_MONOTONIC) + seconds;
  double before = nextPeak();
  for (int turn = 0; turn < minTurns || now(CLOCK_MONOTONIC) < end; ++turn) {
    Shortest time = measureTurn(timer, group, turnSeconds, run);
    double after = nextPeak();
    best.add(time);
    ratios.push_back(flops / time.seconds() / std::max(before, after));
    before = after;
  }
}

//===-- Results -----------------------------------------------------------===//

double rounded(double value) { return std::round(value * 10) / 10; }

double measureInto(benchmark::State &state, const BenchModel &model,
                   int threads, double flops, double seconds, BenchRun &run) {
  std::string isa = model.isa();
  PeakLoop loop = findPeakLoop(isa);
  if (!loop) {
    state.SkipWithError(("no peak loop for " + isa).c_str());
    return INFINITY;
  }
  Turns turns(loop, model.pool(threads), flops);
  turns.take(seconds, [&] { run(); });
  auto middle = turns.ratios.begin() + turns.ratios.size() / 2;
  std::nth_element(turns.ratios.begin(), middle, turns.ratios.end());
  double best = turns.best.seconds();
  double rate = flops / best, peak = bestPeak(threads);
  state.SetIterationTime(best);
  state.SetLabel(isa);
  state.counters["GFLOP/s"] = rounded(rate * 1e-9);
  state.counters["peak"] = rounded(peak * 1e-9);
  state.counters["%peak"] = rounded(100 * rate / peak);
  state.counters["%median"] = rounded(100 * *middle);
  return best;
}

} // namespace vlmc::bench
