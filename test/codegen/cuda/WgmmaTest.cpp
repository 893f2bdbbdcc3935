//===-- WgmmaTest.cpp - products of sm_90a against the interpreter --------===//
//
// Tiles that come by tensor maps and are multiplied by groups of warps, in
// check mode: ragged sizes, rings that go round, epilogues of one and of eight
// columns at once, f16 and bf16.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Kernels.h"
#include "test/codegen/cuda/KernelFixture.h"
#include <gtest/gtest.h>
#include <random>

using namespace vlmc;
using namespace vlmc::test;

namespace {

Nearness on90a(const std::string &half = "f16", std::set<size_t> wide = {}) {
  Nearness nearness;
  nearness.memory.chip = "sm_90a";
  nearness.memory.half = half;
  nearness.memory.wide = std::move(wide);
  // bf16 has 8 binary digits, and a result of a few times the root of the
  // mean square is rounded to one of 2^-7.
  if (half == "bf16")
    nearness.tolerance = 3e-2;
  return nearness;
}

std::string rowsOf(const std::string &half) {
  return "f32, #vlm.layout<\"" + half + ".rows\">";
}

/// The kernel is made by wgmma, so many columns at once in its epilogue; and
/// gives what it should.
void checkWgmma(const std::string &text, int64_t piece,
                const std::vector<std::vector<Tensor>> &cases,
                const Nearness &nearness) {
  Kernel kernel(text, nearness.memory);
  ASSERT_TRUE(kernel.op) << text;
  cuda::KernelPlan plan = cuda::planKernel(kernel.op);
  EXPECT_EQ(plan.whyNoWgmma, "") << text;
  EXPECT_GT(plan.wgmma.columns, 0) << text;
  EXPECT_EQ(plan.wgmma.piece, piece) << text;
  check(text, cases, nearness);
}

std::string whyNot(const std::string &text) {
  Kernel kernel(text, on90a().memory);
  return cuda::planKernel(kernel.op).whyNoWgmma;
}

/// activation(x w^T + b) + r.
std::string productText(int64_t n, int64_t k, const std::string &half,
                        const std::string &activation) {
  std::string x = type({0, k}), w = type({n, k}, rowsOf(half)),
              b = type({n}, vectorForm), y = type({0, n});
  return kernelText(
      "gemm", "%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y, y,
      "%0 = vlm.linear %x, %w bias %b : (" + x + ", " + w + ", " + b + ") -> " +
          y + "\n%1 = vlm.activation " + activation + " %0 : " + y +
          "\n%y = vlm.add %1, %r : " + y + ", " + y);
}

std::vector<Tensor> productOperands(int64_t m, int64_t n, int64_t k) {
  double scale = 2 / std::sqrt(static_cast<double>(k));
  return {random({m, k}, 1), random({n, k}, 2, -scale, scale), random({n}, 3),
          random({m, n}, 4)};
}

/// Parts of tiles on each side, tiles of 64, 128 and 256 columns, and more
/// features than the ring has stages.
TEST(CudaWgmma, ProductsOfEverySize) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {32, 32}, {64, 64}, {65, 40}, {120, 72}, {136, 200}, {264, 328}})
    for (const char *half : {"f16", "bf16"}) {
      std::vector<std::vector<Tensor>> cases;
      for (int64_t m : {17, 128, 150})
        cases.push_back(productOperands(m, n, k));
      checkWgmma(productText(n, k, half, "gelu_tanh"), n % 8 ? 1 : 8, cases,
                 on90a(half));
    }
}

TEST(CudaWgmma, ProductsOfRandomSizes) {
  std::mt19937 generator(7);
  auto choose = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  };
  const char *kinds[] = {"relu", "quick_gelu", "silu", "gelu", "identity"};
  for (int i = 0; i < 12; ++i) {
    int64_t n = choose(32, 300), k = choose(4, 80) * 8, m = choose(17, 300);
    std::string half = i % 2 ? "bf16" : "f16";
    SCOPED_TRACE(std::to_string(m) + "x" + std::to_string(n) + "x" +
                 std::to_string(k));
    checkWgmma(productText(n, k, half, kinds[i % 5]), n % 8 ? 1 : 8,
               {productOperands(m, n, k)}, on90a(half));
  }
}

/// Many tiles down and across, in the order in which blocks take them; stages
/// that go round more than once.
TEST(CudaWgmma, ManyTiles) {
  std::string half = "f16";
  checkWgmma(productText(528, 64, half, "relu"), 8,
             {productOperands(17 * 128 + 5, 528, 64)}, on90a());
  checkWgmma(productText(64, 1160, half, "relu"), 8,
             {productOperands(40, 64, 1160)}, on90a());
}

/// A gate of one number, a part of wide rows, a result and a residual in f32.
TEST(CudaWgmma, EpiloguesAndParts) {
  std::string wide = type({0, 192}), x = type({0, 64}),
              w = type({72, 64}, halfRows), y = type({0, 72}),
              g = type({1}, vectorForm);
  std::string body = "%0 = vlm.slice_features %x [64, 128] : (" + wide +
                     ") -> " + x + "\n%1 = vlm.linear %0, %w : (" + x + ", " +
                     w + ") -> " + y +
                     "\n%y = vlm.gated_add %r, %1, %g : " + y + ", " + g;
  for (std::set<size_t> inFloats : {std::set<size_t>{}, {3, 4}})
    checkWgmma(
        kernelText("gemm",
                   "%x: " + wide + ", %w: " + w + ", %g: " + g + ", %r: " + y,
                   y, body),
        8,
        {{random({40, 192}, 1), random({72, 64}, 2), Tensor{{1}, {0.75}},
          random({40, 72}, 3)}},
        on90a("f16", inFloats));
}

/// Two sides of which one gates the other, tiles of both beside each other.
TEST(CudaWgmma, GatedProducts) {
  for (auto [columns, k] : std::vector<std::pair<int64_t, int64_t>>{
           {24, 64}, {60, 40}, {136, 136}}) {
    std::string x = type({0, k}), w = type({2 * columns, k}, halfRows),
                both = type({0, 2 * columns}), y = type({0, columns});
    auto half = [&](const std::string &name, int64_t begin) {
      return name + " = vlm.slice_features %0 [" + std::to_string(begin) +
             ", " + std::to_string(begin + columns) + "] : (" + both + ") -> " +
             y + "\n";
    };
    double scale = 2 / std::sqrt(static_cast<double>(k));
    checkWgmma(
        kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                   "%0 = vlm.linear %x, %w : (" + x + ", " + w + ") -> " +
                       both + "\n" + half("%1", 0) + half("%2", columns) +
                       "%3 = vlm.activation silu %1 : " + y +
                       "\n%y = vlm.multiply %3, %2 : " + y),
        columns % 8 ? 1 : 8,
        {{random({150, k}, 1), random({2 * columns, k}, 2, -scale, scale)}},
        on90a());
  }
}

/// What does not fit is made as for other chips, and it is known why.
TEST(CudaWgmma, WhatDoesNotFit) {
  auto product = [](const std::string &left, const std::string &input,
                    const std::string &weight, const std::string &body,
                    const std::string &y) {
    return kernelText("gemm", "%x: " + left + ", %w: " + weight, y,
                      body + "%y = vlm.linear %0, %w : (" + input + ", " +
                          weight + ") -> " + y);
  };
  auto same = [&](int64_t n, int64_t k) {
    std::string x = type({0, k}), w = type({n, k}, halfRows), y = type({0, n});
    return kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                      "%y = vlm.linear %x, %w : (" + x + ", " + w + ") -> " +
                          y);
  };
  EXPECT_EQ(whyNot(same(64, 36)),
            "its rows have 36 features, no multiple of 8");
  EXPECT_EQ(whyNot(same(16, 64)), "it is 16x64, less than a tile's half");
  std::string x = type({0, 9, 64}), t = type({0, 1, 64});
  EXPECT_EQ(whyNot(product(x, t, type({64, 64}, halfRows),
                           "%0 = vlm.take_tokens %x at 0 : (" + x + ") -> " +
                               t + "\n",
                           type({0, 1, 64}))),
            "its rows are no rows of memory that follow each other");
  std::string wide = type({0, 132}), part = type({0, 64});
  EXPECT_EQ(whyNot(product(wide, part, type({64, 64}, halfRows),
                           "%0 = vlm.slice_features %x [4, 68] : (" + wide +
                               ") -> " + part + "\n",
                           type({0, 64}))),
            "its rows do not begin at multiples of 16 bytes");
  std::string p = type({0, 3, 16, 16}), v = type({70, 3, 4, 4}, halfRows),
              z = type({0, 16, 70});
  EXPECT_EQ(whyNot(kernelText("gemm", "%x: " + p + ", %w: " + v, z,
                              "%y = vlm.patch_embed %x, %w : (" + p + ", " + v +
                                  ") -> " + z)),
            "its left side is windows of a picture");
}

} // namespace
