//===-- SkinnyTest.cpp - a GPU's products of few rows ---------------------===//
//
// One function takes up to 16 rows, another one more; both with a norm before
// them, a gate behind, and what else ends a product.
//
//===----------------------------------------------------------------------===//
#include "test/codegen/cuda/KernelFixture.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace vlmc;
using namespace vlmc::test;

namespace {

std::string named(const std::string &name, const std::string &type) {
  return name + ": " + type;
}

/// Rows on both sides of what an instruction, a function and a tile take.
const std::vector<int64_t> manyRows = {1, 3, 8, 9, 16, 17, 130};

/// A product with a bias, an activation and a residual.
std::string productText(int64_t n, int64_t k, const std::string &form) {
  std::string x = type({0, k}), y = type({0, n}), w = type({n, k}, form),
              b = type({n}, vectorForm);
  return kernelText("gemm",
                    named("%x", x) + ", " + named("%w", w) + ", " +
                        named("%b", b) + ", " + named("%r", y),
                    y,
                    "%0 = vlm.linear %x, %w bias %b : (" + x + ", " + w + ", " +
                        b + ") -> " + y +
                        "\n%1 = vlm.activation gelu_tanh %0 : " + y +
                        "\n%y = vlm.add %1, %r : " + y + ", " + y);
}

std::vector<Tensor> productOperands(int64_t m, int64_t n, int64_t k) {
  return {random({m, k}, 1), random({n, k}, 2), random({n}, 3),
          random({m, n}, 4)};
}

TEST(CudaSkinny, ProductsOfEveryNumberOfRows) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 8}, {40, 72}, {16, 1032}, {33, 256}}) {
    std::vector<std::vector<Tensor>> cases;
    for (int64_t m : manyRows)
      cases.push_back(productOperands(m, n, k));
    check(productText(n, k, halfRows), cases);
  }
}

TEST(CudaSkinny, ProductsInBfloat) {
  std::vector<std::vector<Tensor>> cases;
  for (int64_t m : {2, 16, 18})
    cases.push_back(productOperands(m, 24, 96));
  check(productText(24, 96, R"(f32, #vlm.layout<"bf16.rows">)"), cases,
        {3e-2, {"bf16"}});
}

/// The row's own sums, whatever stands beside it.
TEST(CudaSkinny, ARowHasTheSameBitsInAnyNumberOfRows) {
  const int64_t n = 24, k = 520;
  Kernel kernel(productText(n, k, halfRows));
  ASSERT_TRUE(kernel.machine) << kernel.error;
  std::vector<Tensor> all = productOperands(16, n, k);
  std::vector<double> whole = kernel.run(all, all[3]);
  for (int64_t m : {1, 5, 9}) {
    std::vector<Tensor> part = all;
    for (size_t i : {0, 3}) {
      part[i].shape[0] = m;
      part[i].data.resize(m * part[i].width());
    }
    std::vector<double> got = kernel.run(part, part[3]);
    EXPECT_EQ(got, std::vector<double>(whole.begin(), whole.begin() + m * n))
        << m;
  }
}

/// Rows in f32 beyond f16's range end there, in both functions; NaNs stay.
TEST(CudaSkinny, RowsBeyondHalfAreClipped) {
  const int64_t n = 24, k = 72;
  std::string x = type({0, k}), y = type({0, n}), w = type({n, k}, halfRows);
  Kernel kernel(
      kernelText("gemm", named("%x", x) + ", " + named("%w", w), y,
                 "%y = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + y),
      {.wide = {0, 2}});
  ASSERT_TRUE(kernel.machine) << kernel.error;
  for (int64_t m : {2, 17}) {
    std::vector<Tensor> large = {random({m, k}, 1), random({n, k}, 2)};
    large[0].data[5] = 1e5;
    large[0].data[6] = -3e6;
    std::vector<Tensor> clipped = large;
    clipped[0].data[5] = 65504;
    clipped[0].data[6] = -65504;
    large[0].data[k + 5] = clipped[0].data[k + 5] = NAN;
    Tensor result{{m, n}, std::vector<double>(size_t(m * n))};
    std::vector<double> got = kernel.run(large, result),
                        expected = kernel.run(clipped, result);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_TRUE(std::isfinite(got[i])) << m;
      EXPECT_EQ(got[i], expected[i]) << m;
      EXPECT_TRUE(std::isnan(got[n + i])) << m;
    }
  }
}

/// A norm before: of rows in 16 bits or, where sums are kept, in f32.
TEST(CudaSkinny, NormsBefore) {
  const int64_t n = 24, k = 200;
  std::string x = type({0, k}), y = type({0, n}), w = type({n, k}, halfRows),
              v = type({k}, vectorForm);
  std::string rms = "%0 = vlm.rms_norm %x, %g {epsilon = 1.0e-5 : f64, offset "
                    "= 1.0 : f64} : " +
                    x + ", " + v + "\n";
  std::string layer =
      "%0 = vlm.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f64} : " + x + ", " +
      v + ", " + v + "\n";
  std::string product =
      "%y = vlm.linear %0, %w : (" + x + ", " + w + ") -> " + y;
  for (const std::set<size_t> &wide : std::vector<std::set<size_t>>{{}, {0}}) {
    std::vector<std::vector<Tensor>> plain, biased;
    for (int64_t m : manyRows) {
      plain.push_back(
          {random({m, k}, 1, -3, 4), random({k}, 2), random({n, k}, 3)});
      biased.push_back({random({m, k}, 1, -3, 4), random({k}, 2),
                        random({k}, 4), random({n, k}, 3)});
    }
    check(kernelText("gemm",
                     named("%x", x) + ", " + named("%g", v) + ", " +
                         named("%w", w),
                     y, rms + product),
          plain, {6e-3, {.wide = wide}});
    check(kernelText("gemm",
                     named("%x", x) + ", " + named("%g", v) + ", " +
                         named("%b", v) + ", " + named("%w", w),
                     y, layer + product),
          biased, {6e-3, {.wide = wide}});
  }
}

/// Rows are taken behind their norm.
TEST(CudaSkinny, TakenRowsAreNormalisedAlone) {
  const int64_t n = 20, k = 64, tokens = 9;
  std::string x = type({0, tokens, k}), i = type({0, 1}, "i32"),
              t = type({0, 1, k}), y = type({0, 1, n}),
              w = type({n, k}, halfRows), v = type({k}, vectorForm);
  std::vector<std::vector<Tensor>> cases;
  for (int64_t m : {1, 4, 20})
    cases.push_back({random({m, tokens, k}, 1), random({k}, 2),
                     integers({m, 1}, 5, 0, tokens - 1), random({n, k}, 3)});
  check(kernelText("gemm",
                   named("%x", x) + ", " + named("%g", v) + ", " +
                       named("%i", i) + ", " + named("%w", w),
                   y,
                   "%0 = vlm.rms_norm %x, %g {epsilon = 1.0e-5 : f64} : " + x +
                       ", " + v + "\n%1 = vlm.take_tokens %0 index %i : (" + x +
                       ", " + i + ") -> " + t + "\n%y = vlm.linear %1, %w : (" +
                       t + ", " + w + ") -> " + y),
        cases, {6e-3});
}

/// Both halves of the weight, one of them through an activation.
TEST(CudaSkinny, GatesBehind) {
  const int64_t k = 136;
  for (int64_t half : {24, 16, 72}) {
    std::string x = type({0, k}), l = type({0, 2 * half}), y = type({0, half}),
                w = type({2 * half, k}, halfRows),
                b = type({2 * half}, vectorForm), v = type({k}, vectorForm);
    auto slice = [&](const std::string &name, int64_t begin) {
      return name + " = vlm.slice_features %1 [" + std::to_string(begin) +
             ", " + std::to_string(begin + half) + "] : (" + l + ") -> " + y +
             "\n";
    };
    std::string text = kernelText(
        "gemm",
        named("%x", x) + ", " + named("%g", v) + ", " + named("%w", w) + ", " +
            named("%b", b),
        y,
        "%0 = vlm.rms_norm %x, %g {epsilon = 1.0e-5 : f64} : " + x + ", " + v +
            "\n%1 = vlm.linear %0, %w bias %b : (" + x + ", " + w + ", " + b +
            ") -> " + l + "\n" + slice("%2", 0) + slice("%3", half) +
            "%4 = vlm.activation silu %2 : " + y +
            "\n%y = vlm.multiply %4, %3 : " + y);
    std::vector<std::vector<Tensor>> cases;
    for (int64_t m : manyRows)
      cases.push_back({random({m, k}, 1, -2, 2), random({k}, 2),
                       random({2 * half, k}, 3, -0.2, 0.2),
                       random({2 * half}, 4)});
    check(text, cases, {1e-2});
  }
}

} // namespace
