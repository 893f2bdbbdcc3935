//===- Resample.cpp - Pillow's resampling coefficients --------------------===//
//
// The order of the operations and the type of each number are Pillow's
// (libImaging, Resample and Geometry), since the last bit depends on them.
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

/// Nearest: one source place each; none where rounding leads past the end.
static void makeNearest(int64_t source, int64_t result, Span kept,
                        FilterTable &table) {
  // Pillow adds up the step, so the error grows along the line.
  double step = static_cast<double>(static_cast<float>(source)) / result;
  double position = step * 0.5;
  for (int64_t i = 0; i < kept.begin; ++i)
    position += step;
  table.taps = 1;
  for (int64_t i = kept.begin; i < kept.end; ++i, position += step) {
    auto place = static_cast<int64_t>(position);
    bool exists = place < source;
    table.starts.push_back(static_cast<int32_t>(exists ? place : 0));
    table.counts.push_back(exists ? 1 : 0);
    table.coefficients.push_back(exists ? 1 << resizeFractionBits : 0);
  }
}

/// Pillow's rounding: adds a half, drops the fraction. lround would differ for
/// numbers below -0.5 and for the largest double below a half.
static int addHalf(double value) {
  return static_cast<int>(value + 0.5); // NOLINT(bugprone-incorrect-roundings)
}

static int32_t toFixedPoint(double weight) {
  constexpr double one = 1 << resizeFractionBits;
  return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * one);
}

bool makeFilterTable(int filter, int64_t source, int64_t result, Span kept,
                     FilterTable &outTable) {
  outTable = FilterTable();
  if (source > INT_MAX || result > INT_MAX / 4)
    return false;
  if (filter == 0) {
    makeNearest(source, result, kept, outTable);
    return true;
  }
  Kernel kernel = kernelOf(filter);
  double scale = static_cast<double>(static_cast<float>(source)) / result;
  double filterScale = std::max(scale, 1.0);
  double support = kernel.support * filterScale;
  double mostTaps = std::ceil(support) * 2 + 1;
  if (static_cast<double>(result) * mostTaps * sizeof(double) > INT_MAX)
    return false;
  auto taps = static_cast<int>(mostTaps);
  outTable.taps = taps;
  outTable.coefficients.resize(kept.size() * taps, 0);
  std::vector<double> weights(taps);
  double inverse = 1.0 / filterScale;
  for (int64_t i = kept.begin; i < kept.end; ++i) {
    double center = (static_cast<double>(i) + 0.5) * scale;
    int start = std::max(addHalf(center - support), 0);
    int end =
        static_cast<int>(std::min<int64_t>(addHalf(center + support), source));
    int count = end - start;
    double sum = 0.0;
    for (int tap = 0; tap < count; ++tap) {
      weights[tap] = kernel.weight((tap + start - center + 0.5) * inverse);
      sum += weights[tap];
    }
    int32_t *out = &outTable.coefficients[(i - kept.begin) * taps];
    for (int tap = 0; tap < count; ++tap)
      out[tap] = toFixedPoint(sum != 0.0 ? weights[tap] / sum : weights[tap]);
    outTable.starts.push_back(start);
    outTable.counts.push_back(count);
  }
  return true;
}

} // namespace vlmc::rt
