//===-- Roofline.h - what no kernel can exceed on this machine ------------===//
//
//   Roofline roof = measureRoofline(pool, "x86-64-v3");
//   double seconds = roof.limit(flops, bytes);
//
// Source: Roofline: An Insightful Visual Performance Model for Multicore
// Architectures, Williams, Waterman, Patterson, CACM 2009.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_ROOFLINE_H
#define VLMC_TOOLS_BENCH_ROOFLINE_H

#include "runtime/vlm.h"

#include <cstddef>
#include <string_view>

namespace vlmc::bench {

struct Roofline {
  double flops = 0; ///< multiply-add operations a second; 0: not known
  double bytes = 0; ///< read from memory, a second

  /// The least seconds that such work takes if nothing is in a cache.
  double limit(double workFlops, double workBytes) const;
};

/// Measures both on all threads of a pool, for about half a second.
Roofline measureRoofline(vlm_pool_t *pool, std::string_view isa);

/// Reads a buffer, which should be several times larger than the caches,
/// several times; the best counts. Bytes per second.
double measureReadBandwidth(vlm_pool_t *pool, size_t bytes);

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_ROOFLINE_H
