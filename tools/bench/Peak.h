//===-- Peak.h - the multiply-add peak of this machine --------------------===//
//
// A loop of independent fused multiply-adds in registers, of the same vector
// width as the kernels of an instruction-set level. What it reaches is what no
// kernel can exceed; timed beside a kernel it also tells how much of the
// machine others take at that moment.
//
//   if (PeakLoop loop = findPeakLoop("x86-64-v3"))
//     flops = loop(100000);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_PEAK_H
#define VLMC_TOOLS_BENCH_PEAK_H

#include <cstdint>
#include <string_view>

namespace vlmc::bench {

/// Runs `iterations` of the loop and returns its floating-point operations.
using PeakLoop = double (*)(int64_t iterations);

/// The loop for an instruction-set level, "x86-64-v4+vnni", or null if there is
/// none.
PeakLoop findPeakLoop(std::string_view isa);

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_PEAK_H
