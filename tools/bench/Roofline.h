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
#include <cstdint>
#include <string_view>
#include <vector>

namespace vlmc::bench {

struct Roofline {
  double flops = 0; ///< multiply-add operations a second; 0: not known
  double bytes = 0; ///< read from memory, a second

  /// The least seconds that such work takes if nothing is in a cache.
  double limit(double workFlops, double workBytes) const;
};

/// Measures both on all threads of a pool, for about half a second.
Roofline measureRoofline(vlm_pool_t *pool, std::string_view isa);

/// Memory that no cache holds, read by all threads of a pool.
class MemoryReader {
public:
  explicit MemoryReader(size_t bytes);
  /// Reads all of it once for each way, every thread in 1, 2, 4 or 8 places at
  /// once; the best counts. Bytes per second.
  double bestRate(vlm_pool_t *pool) const;

private:
  /// 32 bytes, the compiler's own vectors.
  using Vector = uint64_t __attribute__((vector_size(32), aligned(32)));

  double rate(vlm_pool_t *pool, size_t streams) const;

  std::vector<Vector> memory;
};

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_ROOFLINE_H
