//===-- Measure.h - times beside the peak of the same moment --------------===//
//
// A shared machine is never quiet for long. So the work and the multiply-add
// peak take turns, many times, and the best of each counts.
//
//   measureInto(state, model, threads, flops, seconds, run);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_MEASURE_H
#define VLMC_TOOLS_BENCH_MEASURE_H

#include "tools/bench/BenchModel.h"
#include <benchmark/benchmark.h>

namespace vlmc::bench {

/// Measures `run`, which takes `flops` operations, on `threads` threads, for
/// about `seconds` and at least some turns. The time of the benchmark becomes
/// that of the best run; its counters are
///   GFLOP/s   of the best run
///   peak      the best multiply-add rate of the program so far, GFLOP/s
///   %peak     the first in percent of the second
///   %median   the median of that over the turns
/// Gives the seconds of the best run.
double measureInto(benchmark::State &state, const BenchModel &model,
                   int threads, double flops, double seconds, BenchRun &run);

/// To one decimal, for counters.
double rounded(double value);

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_MEASURE_H
