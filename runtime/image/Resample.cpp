//===- Resample.cpp - The coefficients of resizing ------------------------===//
//
// The order of the operations and the type of each number are Pillow's
// (libImaging, Resample and Geometry) and PyTorch's (ATen, UpSampleKernel),
// since the last bit depends on them. PyTorch's filters are Pillow's; it has
// its own number of fractional bits, so that coefficients fit 16 bits.
//
//===----------------------------------------------------------------------===//
#include "runtime/image/Resample.h"

#include "runtime/abi/ImagePipelines.h"

#include <algorithm>
#include <climits>
#include <cmath>

namespace vlmc::rt {

static double boxWeight(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinearWeight(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x) {
  if (x == 0.0)
    return 1.0;
  x *= M_PI;
  return std::sin(x) / x;
}

static double hammingWeight(double x) {
  x = std::fabs(x);
  if (x == 0.0)
    return 1.0;
  if (x >= 1.0)
    return 0.0;
  x *= M_PI;
  // Pillow's constants are floats.
  return std::sin(x) / x * (0.54F + 0.46F * std::cos(x));
}

static double bicubicWeight(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0)
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0)
    return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double lanczosWeight(double x) {
  return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

namespace {
struct Kernel {
  double (*weight)(double);
  double support;
};
} // namespace

static Kernel kernelOf(int filter) {
  switch (filter) {
  case 1:
    return {lanczosWeight, 3.0};
  case 2:
    return {bilinearWeight, 1.0};
  case 4:
    return {boxWeight, 0.5};
  case 5:
    return {hammingWeight, 1.0};
  default:
    return {bicubicWeight, 2.0};
  }
}

Span FilterTable::sources(int64_t begin, int64_t end) const {
  Span span{INT64_MAX, 0};
  for (int64_t i = begin; i < end; ++i) {
    if (counts[i] == 0)
      continue;
    span.begin = std::min<int64_t>(span.begin, starts[i]);
    span.end = std::max<int64_t>(span.end, int64_t(starts[i]) + counts[i]);
  }
  // Nothing is needed: any place will do.
  return span.size() > 0 ? span : Span{0, 1};
}

void FilterTable::padPlaces(int64_t multiple) {
  int64_t places = static_cast<int64_t>(counts.size());
  int64_t padded = (places + multiple - 1) / multiple * multiple;
  int32_t start = starts.empty() ? 0 : starts.back();
  starts.resize(padded, start);
  counts.resize(padded, 0);
  coefficients.resize(padded * taps, 0);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

namespace {
/// A filter spread over a line. Its weights are doubles in both libraries.
class SpreadFilter {
public:
  /// `scale`: source places in a result place.
  SpreadFilter(int filter, double scale, int64_t source)
      : kernel(kernelOf(filter)), source(source), scale(scale) {
    double filterScale = std::max(scale, 1.0);
    support = kernel.support * filterScale;
    inverse = 1.0 / filterScale;
  }
  double mostTaps() const { return std::ceil(support) * 2 + 1; }

  /// Writes the weights of place `i`, which add up to 1, and returns how many
  /// they are; `start` is the first source place.
  int weightsOf(int64_t i, double *weights, int &start) const;

private:
  Kernel kernel;
  int64_t source;
  double scale;
  double support = 0;
  double inverse = 0;
};
} // namespace

/// Their rounding: adds a half, drops the fraction. lround would differ for
/// numbers below -0.5 and for the largest double below a half.
static int addHalf(double value) {
  return static_cast<int>(value + 0.5); // NOLINT(bugprone-incorrect-roundings)
}

int SpreadFilter::weightsOf(int64_t i, double *weights, int &start) const {
  double center = (static_cast<double>(i) + 0.5) * scale;
  start = std::max(addHalf(center - support), 0);
  int end =
      static_cast<int>(std::min<int64_t>(addHalf(center + support), source));
  int count = std::clamp(end - start, 0, static_cast<int>(mostTaps()));
  double sum = 0.0;
  for (int tap = 0; tap < count; ++tap) {
    weights[tap] = kernel.weight((tap + start - center + 0.5) * inverse);
    sum += weights[tap];
  }
  for (int tap = 0; tap < count && sum != 0.0; ++tap)
    weights[tap] /= sum;
  return count;
}

static int32_t toFixedPoint(double weight, int bits) {
  return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) +
                              weight * double(1 << bits));
}

/// False: the table would be too large.
static bool fits(const Line &line, double taps) {
  return line.source <= INT_MAX && line.result <= INT_MAX / 4 &&
         static_cast<double>(line.result) * taps * sizeof(double) <= INT_MAX;
}

/// Fills a table whose number of fractional bits is known.
static void fillTable(const SpreadFilter &filter, const Line &line,
                      FilterTable &table) {
  table.taps = static_cast<int>(filter.mostTaps());
  table.coefficients.resize(line.kept.size() * table.taps, 0);
  std::vector<double> weights(table.taps);
  for (int64_t i = line.kept.begin; i < line.kept.end; ++i) {
    int start;
    int count = filter.weightsOf(i, weights.data(), start);
    int32_t *out = &table.coefficients[(i - line.kept.begin) * table.taps];
    for (int tap = 0; tap < count; ++tap)
      out[tap] = toFixedPoint(weights[tap], table.bits);
    table.starts.push_back(start);
    table.counts.push_back(count);
  }
}

/// A table that copies: `placeOf` tells the one source place of a result place,
/// which is none where it leads past the end.
static void copyPlaces(const Line &line, FilterTable &table, auto placeOf) {
  table.taps = 1;
  table.bits = resizeFractionBits;
  for (int64_t i = line.kept.begin; i < line.kept.end; ++i) {
    int64_t place = placeOf(i);
    bool exists = place < line.source;
    table.starts.push_back(static_cast<int32_t>(exists ? place : 0));
    table.counts.push_back(exists ? 1 : 0);
    table.coefficients.push_back(exists ? 1 << table.bits : 0);
  }
}

//===----------------------------------------------------------------------===//
// Pillow
//===----------------------------------------------------------------------===//

bool makePillowTable(int filter, const Line &line, FilterTable &outTable) {
  outTable = FilterTable();
  double scale =
      static_cast<double>(static_cast<float>(line.source)) / line.result;
  if (filter == 0) {
    if (!fits(line, 0))
      return false;
    // Pillow adds up the step, so the error grows along the line.
    double position = scale * 0.5;
    for (int64_t i = 0; i < line.kept.begin; ++i)
      position += scale;
    copyPlaces(line, outTable, [&](int64_t) {
      auto place = static_cast<int64_t>(position);
      position += scale;
      return place;
    });
    return true;
  }
  SpreadFilter spread(filter, scale, line.source);
  if (!fits(line, spread.mostTaps()))
    return false;
  outTable.bits = resizeFractionBits;
  fillTable(spread, line, outTable);
  return true;
}

//===----------------------------------------------------------------------===//
// PyTorch
//===----------------------------------------------------------------------===//

/// The bits that leave the largest weight within 16-bit integers.
static int torchBits(const SpreadFilter &filter, int64_t places) {
  std::vector<double> weights(static_cast<size_t>(filter.mostTaps()));
  double largest = 0.0;
  for (int64_t i = 0; i < places; ++i) {
    int start;
    int count = filter.weightsOf(i, weights.data(), start);
    for (int tap = 0; tap < count; ++tap)
      largest = std::max(largest, weights[tap]);
  }
  int bits = 0;
  while (bits < resizeFractionBits &&
         addHalf(largest * (1 << (bits + 1))) < 1 << 15)
    ++bits;
  return bits;
}

/// The mode nearest-exact. Small pictures go through a loop of their own; in
/// the other one the compiler fused multiplication and subtraction.
static int64_t torchNearest(float scale, int64_t i, bool isSmall) {
  if (isSmall) {
    auto position = static_cast<float>((static_cast<double>(i) + 0.5) *
                                       static_cast<double>(scale));
    return static_cast<int64_t>(std::floor(position));
  }
  float position = std::fma(scale, static_cast<float>(i) + 0.5F, -0.5F);
  position = std::max(position, 0.0F);
  return static_cast<int64_t>(std::floor(position + 0.5F));
}

bool makeTorchTable(int filter, const Line &line, int64_t sides,
                    FilterTable &outTable) {
  outTable = FilterTable();
  if (filter == 0) {
    if (!fits(line, 0))
      return false;
    constexpr int64_t smallSides = 128;
    float scale =
        static_cast<float>(line.source) / static_cast<float>(line.result);
    copyPlaces(line, outTable, [&](int64_t i) {
      return std::min(torchNearest(scale, i, sides <= smallSides),
                      line.source - 1);
    });
    return true;
  }
  double scale =
      static_cast<double>(line.source) / static_cast<double>(line.result);
  SpreadFilter spread(filter, scale, line.source);
  if (!fits(line, spread.mostTaps()))
    return false;
  outTable.bits = torchBits(spread, line.result);
  fillTable(spread, line, outTable);
  return true;
}

} // namespace vlmc::rt
