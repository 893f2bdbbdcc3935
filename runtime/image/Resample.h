//===- Resample.h - Pillow's resampling coefficients ----------------------===//
//
// For each place of a resized line: which source places it is made of, and in
// what proportion. Pillow's numbers, to the last bit.
//
//   FilterTable table;
//   if (!makeFilterTable(filter, 640, 224, {0, 224}, table))
//     ... // Pillow refuses as well
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_RESAMPLE_H
#define VLMC_RUNTIME_IMAGE_RESAMPLE_H

#include <cstdint>
#include <vector>

namespace vlmc::rt {

/// Places [begin, end) of a line.
struct Span {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

/// The coefficients of some places of a line.
struct FilterTable {
  int taps = 0; ///< the most of any place
  /// [places][taps], with resizeFractionBits fractional bits, unused ones 0.
  std::vector<int32_t> coefficients;
  std::vector<int32_t> starts; ///< the first source place
  std::vector<int32_t> counts; ///< how many source places

  /// The source places that places [begin, end) of the table need.
  Span sources(int64_t begin, int64_t end) const;
  /// Adds places without taps until there is a multiple of `multiple`.
  void padPlaces(int64_t multiple);
};

/// The table for places `kept` of a line of `source` places resized to `result`
/// places by Pillow's filter number `filter`. False where Pillow has not enough
/// memory: there are more than 2^28 coefficients, or places.
bool makeFilterTable(int filter, int64_t source, int64_t result, Span kept,
                     FilterTable &outTable);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_RESAMPLE_H
