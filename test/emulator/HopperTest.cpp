//===-- HopperTest.cpp - mbarriers, bulk copies, wgmma --------------------===//
#include "test/emulator/Support.h"
#include "test/emulator/TensorMap.h"

using namespace vlmc::emulator;

static TensorMap mapOf(void *base, uint32_t columns, uint32_t rows,
                       uint32_t bytes, uint16_t boxColumns, uint16_t boxRows,
                       uint8_t swizzle) {
  TensorMap map;
  map.base = static_cast<char *>(base);
  map.rank = 2;
  map.elementBytes = static_cast<uint8_t>(bytes);
  map.dims[0] = columns;
  map.dims[1] = rows;
  map.strides[0] = static_cast<uint64_t>(columns) * bytes;
  map.box[0] = boxColumns;
  map.box[1] = boxRows;
  map.swizzle = swizzle;
  return map;
}

//===-- A ring of slots ---------------------------------------------------===//

static std::string runRing(int chunks, int bug, const Options &options,
                           std::vector<float> *sums = nullptr,
                           std::vector<float> *values = nullptr) {
  Kernels kernels("hopper.ll", options);
  auto x = randomFloats(static_cast<size_t>(chunks) * 64, 1);
  Device<float> dx(x), y(32);
  std::string message = kernels.run("ring", {.block = {64}}, dx.pointer(),
                                    y.pointer(), chunks, bug);
  if (sums)
    *sums = y.all();
  if (values)
    *values = x;
  return message;
}

TEST(Ring, HandsSlotsOverInAnyOrder) {
  for (uint64_t seed : {0, 1, 2, 3})
    for (int chunks : {1, 2, 7}) {
      std::vector<float> sums, values;
      EXPECT_EQ(
          runRing(chunks, 0, {.check = true, .seed = seed}, &sums, &values),
          "");
      for (size_t lane = 0; lane < 32; ++lane) {
        float sum = 0;
        for (size_t i = lane; i < values.size(); i += 32)
          sum += values[i];
        ASSERT_NEAR(sums[lane], sum, 1e-5);
      }
    }
}

TEST(Ring, AProducerThatDoesNotWaitForAnEmptySlot) {
  EXPECT_EQ(runRing(7, 1, {}),
            "kernel @ring, block (0,0,0), thread (0,0,0): "
            "mbarrier.arrive.expect.tx.scope.cta.space.cta: the mbarrier's "
            "phase expects 1 arrivals, and this is one more");
}

TEST(Ring, AConsumerThatDoesNotWaitForAFullSlot) {
  // It reads too early, or its word that a slot is empty comes too early.
  bool hasRace = false;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    std::string message = runRing(7, 2, {.check = true, .seed = seed});
    EXPECT_NE(message, "");
    hasRace |= message.find("race: ") != std::string::npos;
  }
  EXPECT_TRUE(hasRace);
}

TEST(Ring, AConsumerThatKeepsItsSlots) {
  EXPECT_EQ(runRing(7, 3, {}),
            "kernel @ring, block (0,0,0), deadlock: 33 threads from thread "
            "(0,0,0) on wait in "
            "mbarrier.try.wait.parity.scope.cta.space.cta");
}

TEST(Mbarriers, HaveToBeInitialised) {
  Kernels kernels("hopper.ll");
  std::string message = kernels.run("not_initialised", {});
  EXPECT_NE(message.find("of a mbarrier that was not initialised"),
            std::string::npos)
      << message;
}

//===-- Copies ------------------------------------------------------------===//

TEST(Bulk, CopiesThroughSharedMemory) {
  Kernels kernels("hopper.ll", {.check = true});
  Device<float> x(randomFloats(128, 1)), y(128);
  EXPECT_EQ(kernels.run("through", {}, x.pointer(), y.pointer()), "");
  EXPECT_EQ(y.all(), x.all());
  // Memory that ends before the copy does.
  Device<float> few(100);
  std::string message = kernels.run("through", {}, few.pointer(), y.pointer());
  EXPECT_NE(message.find("512-byte read outside of every buffer"),
            std::string::npos)
      << message;
}

TEST(Tma, TilesAreZeroOutsideOfATensor) {
  for (uint8_t swizzle : {0, 1, 2, 3}) {
    Kernels kernels("hopper.ll", {.check = true});
    auto values = randomFloats(20 * 12, 1);
    Device<float> x(values), y(8 * 8);
    TensorMap from = mapOf(x.pointer(), 20, 12, 4, 8, 8, swizzle);
    TensorMap to = mapOf(y.pointer(), 8, 8, 4, 8, 8, swizzle);
    int32_t column = 15, row = -2, bytes = 256;
    void *arguments[] = {&from, &to, &column, &row, &bytes};
    std::string error;
    EXPECT_TRUE(kernels.module->launch("move_tile", {}, arguments, error))
        << error;
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < 8; ++j) {
        bool isInside = row + i >= 0 && column + j < 20;
        float want =
            isInside ? values[static_cast<size_t>((row + i) * 20 + column + j)]
                     : 0.0F;
        EXPECT_EQ(y[static_cast<size_t>(i * 8 + j)], want) << i << ", " << j;
      }
  }
}

TEST(Tma, ATensorMapHasToBeOne) {
  Kernels kernels("hopper.ll");
  TensorMap map;
  map.magic = 0;
  int32_t zero = 0;
  void *arguments[] = {&map, &map, &zero, &zero, &zero};
  std::string error;
  EXPECT_FALSE(kernels.module->launch("move_tile", {}, arguments, error));
  EXPECT_NE(error.find("by what is no tensor map of rank 2"), std::string::npos)
      << error;
}

//===-- wgmma -------------------------------------------------------------===//

static std::string runProduct(int bug, const Options &options,
                              std::vector<float> &a, std::vector<float> &b,
                              std::vector<float> &c) {
  Kernels kernels("hopper.ll", options);
  a = randomFloats(64 * 64, 1);
  b = randomFloats(8 * 64, 2);
  Device<uint16_t> da(toHalf(a)), db(toHalf(b));
  Device<float> dc(64 * 8);
  TensorMap ma = mapOf(da.pointer(), 64, 64, 2, 64, 64, 3);
  TensorMap mb = mapOf(db.pointer(), 64, 8, 2, 64, 8, 3);
  void *out = dc.pointer();
  void *arguments[] = {&ma, &mb, &out, &bug};
  std::string error;
  kernels.module->launch("product", {.block = {128}}, arguments, error);
  c = dc.all();
  return error;
}

TEST(Wgmma, MultipliesSwizzledTiles) {
  for (uint64_t seed : {0, 1}) {
    std::vector<float> a, b, c;
    EXPECT_EQ(runProduct(0, {.check = true, .seed = seed}, a, b, c), "");
    for (size_t i = 0; i < 64; ++i)
      for (size_t j = 0; j < 8; ++j) {
        double sum = 0;
        for (size_t k = 0; k < 64; ++k)
          sum += static_cast<double>(a[i * 64 + k]) * b[j * 64 + k];
        ASSERT_NEAR(c[i * 8 + j], sum, 1e-4) << i << ", " << j;
      }
  }
}

TEST(Wgmma, TilesThatNothingWaitsFor) {
  std::vector<float> a, b, c;
  std::string message = runProduct(1, {.check = true}, a, b, c);
  EXPECT_NE(message.find("race: wgmma.mma_async: 16-byte read of shared memory "
                         "at byte"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("since the write by a copy that was not waited for"),
            std::string::npos)
      << message;
  EXPECT_EQ(runProduct(1, {}, a, b, c), "");
  for (float value : c)
    EXPECT_TRUE(std::isnan(value));
}
