//===-- EmulatorTest.cpp - kernels give what a GPU would ------------------===//
#include "test/emulator/Support.h"
#include <atomic>

using namespace vlmc::emulator;

TEST(Half, EveryValueGoesRoundAndTiesGoToEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto half = static_cast<uint16_t>(bits);
    float x = halfToFloat(half);
    if (std::isnan(x))
      EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(x))));
    else
      ASSERT_EQ(floatToHalf(x), half) << bits;
  }
  EXPECT_EQ(floatToHalf(1.0F + 0x1p-11F), 0x3c00);
  EXPECT_EQ(floatToHalf(1.0F + 0x1.8p-10F), 0x3c02);
  EXPECT_EQ(floatToHalf(65519.0F), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0F), 0x7c00);
  EXPECT_EQ(floatToHalf(0x1p-25F), 0);
  EXPECT_EQ(floatToHalf(0x1.8p-25F), 1);
}

TEST(Elements, BlocksAndThreadsCoverRaggedSizes) {
  for (unsigned hostThreads : {1U, 2U}) {
    Kernels kernels("elements.ll", {.hostThreads = hostThreads});
    Device<float> x(randomFloats(1000, 1)), y(1000);
    Stats stats;
    EXPECT_EQ(kernels.run("scale",
                          {.grid = {8}, .block = {128}, .stats = &stats},
                          x.pointer(), y.pointer(), 2.5F, int64_t{1000}),
              "");
    for (size_t i = 0; i < 1000; ++i)
      ASSERT_EQ(y[i], x[i] * 2.5F) << i;
    EXPECT_EQ(stats.switches, 1024U);
  }
}

TEST(Elements, MathIsTheHosts) {
  Kernels kernels("elements.ll");
  std::vector<float> values = {0.5F, 1.0F, 2.0F, 3.5F};
  Device<float> x(values), y(16);
  EXPECT_EQ(kernels.run("math", {.block = {4}}, x.pointer(), y.pointer()), "");
  for (size_t i = 0; i < 4; ++i) {
    float v = values[i];
    EXPECT_NEAR(y[4 * i], std::exp2(v), 1e-6F * std::exp2(v));
    EXPECT_NEAR(y[4 * i + 1], std::exp(v), 1e-6F * std::exp(v));
    EXPECT_NEAR(y[4 * i + 2], std::tanh(v), 1e-6F);
    EXPECT_NEAR(y[4 * i + 3],
                1 / v + 1 / std::sqrt(v) + static_cast<float>(i + 1), 1e-5F);
  }
}

TEST(Elements, AGridConstantIsPassedWhole) {
  Kernels kernels("elements.ll", {.check = true});
  struct Constant {
    uint32_t words[32];
  } constant = {};
  for (uint32_t i = 0; i < 32; ++i)
    constant.words[i] = i * i + 7;
  Buffers::add(&constant, sizeof constant);
  Device<uint32_t> y(32);
  void *pointer = y.pointer();
  void *arguments[] = {&constant, &pointer};
  std::string error;
  EXPECT_TRUE(
      kernels.module->launch("constants", {.block = {32}}, arguments, error))
      << error;
  Buffers::remove(&constant);
  for (uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(y[i], i * i + 7);
  EXPECT_EQ(kernels.module->argumentBytes("constants"),
            (std::vector<size_t>{128, 8}));
  EXPECT_EQ(kernels.module->argumentBytes("scale"),
            (std::vector<size_t>{8, 8, 4, 8}));
}

TEST(Elements, AtomicsCountOverBlocks) {
  Kernels kernels("elements.ll", {.hostThreads = 2});
  Device<uint32_t> y(std::vector<uint32_t>{0, 0});
  EXPECT_EQ(kernels.run("count", {.grid = {50}, .block = {96}}, y.pointer()),
            "");
  EXPECT_EQ(y[0], 4800U);
  EXPECT_EQ(y[1], 4800U);
}

TEST(Elements, GlobalsAreFoundByName) {
  Kernels kernels("elements.ll");
  size_t bytes = 0;
  auto *table =
      static_cast<const float *>(kernels.module->global("table", bytes));
  ASSERT_TRUE(table);
  EXPECT_EQ(bytes, 16U);
  EXPECT_EQ(table[3], 4.0F);
  EXPECT_FALSE(kernels.module->global("chair", bytes));
}

TEST(Warp, ShufflesReadTheLanesOfTheManual) {
  Kernels kernels("warp.ll", {.check = true, .seed = 3});
  Device<int32_t> y(5 * 32);
  EXPECT_EQ(kernels.run("shuffles", {.block = {32}}, y.pointer()), "");
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(y[lane], 100 + (lane ^ 5));
    EXPECT_EQ(y[32 + lane], 100 + (lane < 3 ? lane : lane - 3));
    EXPECT_EQ(y[64 + lane], 100 + (lane + 4 > 31 ? lane : lane + 4));
    EXPECT_EQ(y[96 + lane], lane + 4 > 31 ? 0 : 1);
    EXPECT_EQ(y[128 + lane], 100 + lane / 16 * 16 + 3);
  }
}

TEST(Warp, VotesAndReductionsSeeAllLanes) {
  Kernels kernels("warp.ll");
  Device<uint32_t> y(8 * 32);
  EXPECT_EQ(kernels.run("votes", {.block = {32}}, y.pointer()), "");
  for (uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(y[lane], 0x49249249U);
    EXPECT_EQ(y[32 + lane], 0U);
    EXPECT_EQ(y[64 + lane], 1U);
    EXPECT_EQ(y[96 + lane], 496U);
    EXPECT_EQ(y[128 + lane], 5U);
    EXPECT_EQ(y[160 + lane], 0xffU << lane / 8 * 8);
    EXPECT_EQ(y[192 + lane], lane == 0 ? 1U : 0U);
    EXPECT_EQ(y[224 + lane], (1U << lane) - 1);
  }
}

TEST(Warp, HalvesOfAWarpMayMeetApart) {
  Kernels kernels("warp.ll");
  Device<uint32_t> y(32);
  EXPECT_EQ(kernels.run("halves", {.block = {32}}, y.pointer()), "");
  for (uint32_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(y[lane], lane < 16 ? 120U : 31U);
}

TEST(Barriers, OrderThreadsInAnyOrderOfWarps) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    Kernels kernels("barriers.ll", {.check = true, .seed = seed});
    Device<uint32_t> y(200);
    EXPECT_EQ(kernels.run("neighbour", {.block = {200}}, y.pointer(), 0), "");
    for (uint32_t i = 0; i < 200; ++i)
      ASSERT_EQ(y[i], (i + 33) % 200);
    EXPECT_EQ(kernels.run("hand_over", {.block = {64}}, y.pointer(), 1), "");
    for (uint32_t i = 0; i < 32; ++i)
      ASSERT_EQ(y[i], 3 * i);
    EXPECT_EQ(kernels.run("count_true", {.block = {128}}, y.pointer()), "");
    for (uint32_t i = 0; i < 128; ++i)
      ASSERT_EQ(y[i], 26U);
  }
}

//===-- Tensor cores ------------------------------------------------------===//

/// Row i of `a` times row j of `b`, or its column j, on top of c.
static double product(const std::vector<float> &a, const std::vector<float> &b,
                      float c, size_t i, size_t j, size_t depth,
                      bool isTransposed = false) {
  double sum = c;
  for (size_t k = 0; k < depth; ++k)
    sum += static_cast<double>(a[i * depth + k]) *
           b[isTransposed ? k * 8 + j : j * depth + k];
  return sum;
}

static void checkTile(const std::string &kernel, bool isBrain,
                      bool isTransposed) {
  Kernels kernels("mma.ll", {.check = true});
  auto a = randomFloats(256, 1), b = randomFloats(128, 2),
       c = randomFloats(128, 3);
  Device<uint16_t> da(isBrain ? toBrain(a) : toHalf(a)),
      db(isBrain ? toBrain(b) : toHalf(b));
  Device<float> dc(c), dd(128);
  EXPECT_EQ(kernels.run(kernel, {.block = {32}}, da.pointer(), db.pointer(),
                        dc.pointer(), dd.pointer()),
            "");
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j)
      ASSERT_NEAR(dd[i * 8 + j],
                  product(a, b, c[i * 8 + j], i, j, 16, isTransposed), 1e-5)
          << i << ", " << j;
}

TEST(Matrix, HalfTile) { checkTile("half", false, false); }
TEST(Matrix, HalfTileOfTransposedMatrices) {
  checkTile("half_transposed", false, true);
}
TEST(Matrix, BrainTile) { checkTile("brain", true, false); }

TEST(Matrix, Tf32TileDropsTheLowBits) {
  Kernels kernels("mma.ll", {.check = true});
  auto a = randomFloats(128, 1), b = randomFloats(64, 2),
       c = randomFloats(128, 3);
  Device<float> da(a), db(b), dc(c), dd(128);
  EXPECT_EQ(kernels.run("tf32", {.block = {32}}, da.pointer(), db.pointer(),
                        dc.pointer(), dd.pointer()),
            "");
  for (float *value : {a.data(), b.data()})
    for (size_t i = 0; i < (value == a.data() ? a.size() : b.size()); ++i)
      value[i] =
          std::bit_cast<float>(std::bit_cast<uint32_t>(value[i]) & 0xffffe000U);
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j)
      ASSERT_NEAR(dd[i * 8 + j], product(a, b, c[i * 8 + j], i, j, 8), 1e-5);
}

TEST(Matrix, StoresTransposed) {
  Kernels kernels("mma.ll", {.check = true});
  std::vector<uint16_t> a(256), b(128);
  for (uint16_t i = 0; i < 256; ++i)
    a[i] = i;
  Device<uint16_t> da(a), db(b), dd(64);
  void *none = nullptr;
  EXPECT_EQ(kernels.run("transpose", {.block = {32}}, da.pointer(),
                        db.pointer(), none, dd.pointer()),
            "");
  for (uint16_t i = 0; i < 8; ++i)
    for (uint16_t j = 0; j < 8; ++j)
      EXPECT_EQ(dd[i * 8 + j], j * 8 + i);
}

TEST(Gemm, RaggedSizesInAnyOrder) {
  struct Shape {
    int m, n, k;
  };
  for (Shape shape : {Shape{32, 8, 16}, Shape{1, 1, 8}, Shape{50, 21, 72}})
    for (uint64_t seed : {0, 5}) {
      auto [m, n, k] = shape;
      Kernels kernels("gemm.ll",
                      {.check = true, .seed = seed, .hostThreads = 2});
      auto a = randomFloats(static_cast<size_t>(m * k), 1);
      auto b = randomFloats(static_cast<size_t>(n * k), 2);
      Device<uint16_t> da(toHalf(a)), db(toHalf(b));
      Device<float> c(static_cast<size_t>(m * n));
      Launch launch{.grid = {static_cast<uint32_t>(n + 7) / 8,
                             static_cast<uint32_t>(m + 31) / 32},
                    .block = {64},
                    .sharedBytes = 2560};
      EXPECT_EQ(kernels.run("gemm", launch, da.pointer(), db.pointer(),
                            c.pointer(), m, n, k, 0),
                "");
      for (size_t i = 0; i < static_cast<size_t>(m); ++i)
        for (size_t j = 0; j < static_cast<size_t>(n); ++j)
          ASSERT_NEAR(c[i * static_cast<size_t>(n) + j],
                      product(a, b, 0, i, j, static_cast<size_t>(k)), 1e-4);
    }
}

TEST(Gemm, CopiesThatNothingWaitsForAreNotThere) {
  Kernels kernels("gemm.ll");
  auto a = randomFloats(32 * 16, 1), b = randomFloats(8 * 16, 2);
  Device<uint16_t> da(toHalf(a)), db(toHalf(b));
  Device<float> c(256);
  EXPECT_EQ(kernels.run("gemm", {.block = {64}, .sharedBytes = 2560},
                        da.pointer(), db.pointer(), c.pointer(), 32, 8, 16, 1),
            "");
  for (float value : c.all())
    EXPECT_TRUE(std::isnan(value));
}
