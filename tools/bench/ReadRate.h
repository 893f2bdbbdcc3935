//===-- ReadRate.h - times beside what memory gives at the same moment ----===//
//
// What few rows are multiplied by is read once, from memory: their products can
// be no faster than that. So the work takes turns with plain reading.
//
//   measureReadInto(state, model, threads, bytes, seconds, run);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_READRATE_H
#define VLMC_TOOLS_BENCH_READRATE_H

#include "tools/bench/BenchModel.h"
#include <benchmark/benchmark.h>

namespace vlmc::bench {

/// Measures `run`, which reads `bytes` of weights, on `threads` threads, for
/// about `seconds` and at least some turns. The time of the benchmark becomes
/// that of the best run; its counters are
///   GB/s      of the best run
///   read      the best rate of the program so far at which that many threads
///             read memory, each in 1, 2, 4 or 8 places at once, GB/s
///   %read     the first in percent of the second
///   %median   the median over the turns of the rate of a run in percent of the
///             better of the readings before and behind it
void measureReadInto(benchmark::State &state, const BenchModel &model,
                     int threads, double bytes, double seconds, BenchRun &run);

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_READRATE_H
