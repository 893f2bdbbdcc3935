//===- TensorMapsTest.cpp - How copies of tiles know their matrices -------===//
#include "runtime/cuda/TensorMaps.h"
#include "test/runtime/cuda/DriverFixture.h"

namespace vlmc::rt::cuda {
namespace {

class TensorMapsTest : public DriverFixture {
protected:
  /// 64 columns of rows of 96.
  const vlm_abi_map map = {.rows = {},
                           .offset = 32,
                           .stride = 96,
                           .columns = 64,
                           .buffer = 0,
                           .dtype = VLM_ABI_F16,
                           .box_rows = 128,
                           .box_columns = 64};
  const Pointer address = 0x10000;
};

TEST_F(TensorMapsTest, AreMadeOnceForAnAddressAndRows) {
  // The third time that the driver is asked it fails.
  start("cuTensorMapEncodeTiled:3");
  ContextScope scope(*device);
  TensorMaps maps(*device);
  const TensorMap *first = nullptr, *again = nullptr, *other = nullptr;
  EXPECT_EQ(textOf(maps.find(map, address, 4, first)), "");
  EXPECT_EQ(textOf(maps.find(map, address, 4, again)), "");
  EXPECT_EQ(first, again);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0U);
  EXPECT_EQ(textOf(maps.find(map, address, 5, other)), "");
  EXPECT_NE(first, other);
  maps.trim();
  EXPECT_EQ(textOf(maps.find(map, address, 4, again)), "");
  EXPECT_EQ(first, again);
  std::string text = textOf(maps.find(map, address + 4096, 4, other));
  EXPECT_NE(text.find("making the tensor map of 4 rows of 64 failed with "
                      "CUDA_ERROR_"),
            std::string::npos)
      << text;
  EXPECT_EQ(textOf(maps.find(map, address + 4096, 4, other)), "");
}

/// What a map cannot be: rows that do not begin at multiples of 16 bytes.
TEST_F(TensorMapsTest, TellWhatTheDriverRefuses) {
  start();
  ContextScope scope(*device);
  TensorMaps maps(*device);
  vlm_abi_map odd = map;
  odd.stride = 97;
  const TensorMap *made = nullptr;
  std::string text = textOf(maps.find(odd, address, 4, made));
  EXPECT_NE(text.find("failed with CUDA_ERROR_INVALID_VALUE"),
            std::string::npos)
      << text;
  EXPECT_EQ(made, nullptr);
}

} // namespace
} // namespace vlmc::rt::cuda
