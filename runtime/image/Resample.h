//===- Resample.h - The coefficients of resizing --------------------------===//
//
// For each place of a resized line: which source places it is made of, and in
// what proportion. The numbers are Pillow's or PyTorch's, to the last bit.
//
//   FilterTable table;
//   if (!makePillowTable(filter, {640, 224, {0, 224}}, table))
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

/// A line of `source` places that is resized to `result` places, of which
/// places `kept` are wanted.
struct Line {
  int64_t source;
  int64_t result;
  Span kept;
};

/// The coefficients of some places of a line.
struct FilterTable {
  int taps = 0;     ///< the most of any place
  int32_t bits = 0; ///< fractional ones of the coefficients
  /// [places][taps], unused ones 0.
  std::vector<int32_t> coefficients;
  std::vector<int32_t> starts; ///< the first source place
  std::vector<int32_t> counts; ///< how many source places

  /// The source places that places [begin, end) of the table need.
  Span sources(int64_t begin, int64_t end) const;
  /// Adds places without taps until there is a multiple of `multiple`.
  void padPlaces(int64_t multiple);
};

/// The table of Pillow's filter number `filter`. False where Pillow has not
/// enough memory: there are more than 2^28 coefficients, or places.
bool makePillowTable(int filter, const Line &line, FilterTable &outTable);

/// The table of PyTorch's interpolation of 8-bit tensors with antialiasing, on
/// a processor with AVX2; nearest, Lanczos, bilinear and bicubic alone, by
/// Pillow's numbers. `sides` is the sum of height and width of the result: in
/// small ones nearest takes another way. False: as above.
bool makeTorchTable(int filter, const Line &line, int64_t sides,
                    FilterTable &outTable);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_RESAMPLE_H
