//===- WeightUploadTest.cpp - Weights on their way to a GPU ---------------===//
//
// The stand-in does a stream's work when it is waited for, and its memory holds
// NaNs before: who does not wait sees it.
//
//===----------------------------------------------------------------------===//
#include "runtime/cuda/WeightUpload.h"
#include "test/runtime/cuda/DriverFixture.h"

#include <algorithm>
#include <numeric>

namespace vlmc::rt::cuda {
namespace {

class WeightUploadTest : public DriverFixture {
protected:
  void TearDown() override {
    if (device && stream) {
      ContextScope scope(*device);
      device->api().streamDestroy(stream);
      device->api().free(block);
    }
    DriverFixture::TearDown();
  }

  void begin(const char *failures = "") {
    start(failures);
    ContextScope scope(*device);
    ASSERT_EQ(device->api().streamCreate(&stream, besideNull), success);
    ASSERT_EQ(device->api().allocate(&block, total), success);
    bytes.resize(total);
    std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(7));
  }

  /// Pieces with gaps between them; parts cut some, and some are longer.
  std::vector<WeightPiece> pieces() const {
    std::vector<WeightPiece> all;
    for (auto [offset, length] : std::vector<std::pair<size_t, size_t>>{
             {0, 10}, {16, 48}, {64, 1}, {80, 300}, {512, 488}})
      all.push_back({offset, bytes.data() + offset, length});
    return all;
  }

  /// What the stream finds in the block before `end`, gaps as they should be.
  std::vector<unsigned char> read(size_t end) {
    ContextScope scope(*device);
    std::vector<unsigned char> found(end);
    EXPECT_EQ(device->api().downloadAsync(found.data(), block, end, stream),
              success);
    EXPECT_EQ(device->api().streamWait(stream), success);
    std::vector<unsigned char> whole(bytes.begin(), bytes.begin() + end);
    for (const WeightPiece &piece : pieces())
      for (size_t i = piece.offset;
           i < std::min(end, piece.offset + piece.bytes); ++i)
        whole[i] = found[i];
    return whole;
  }

  void expectAll(WeightUpload &upload) {
    ContextScope scope(*device);
    for (size_t end : {10, 64, 380, 1000}) {
      EXPECT_EQ(textOf(upload.awaitOn(stream, end)), "");
      EXPECT_EQ(read(end),
                std::vector<unsigned char>(bytes.begin(), bytes.begin() + end));
    }
  }

  static constexpr size_t total = 1000;
  Stream *stream = nullptr;
  Pointer block = 0;
  std::vector<unsigned char> bytes;
};

TEST_F(WeightUploadTest, GivesEachPartToThoseWhoAwaitIt) {
  for (size_t part : {16, 100, 999, 1000, 4096}) {
    SCOPED_TRACE(part);
    begin();
    WeightUpload upload(*device);
    ASSERT_EQ(textOf(upload.start(block, pieces(), part)), "");
    expectAll(upload);
  }
}

TEST_F(WeightUploadTest, DoesWithoutPinnedMemory) {
  for (const char *failure : {"cuMemAllocHost:1", "cuMemAllocHost:2"}) {
    begin(failure);
    WeightUpload upload(*device);
    ASSERT_EQ(textOf(upload.start(block, pieces(), 100)), "");
    EXPECT_EQ(upload.buffers(), 0);
    expectAll(upload);
  }
}

TEST_F(WeightUploadTest, TellsThoseWhoAwaitWhatFailed) {
  begin("cuMemcpyHtoDAsync:3:719");
  WeightUpload upload(*device);
  ASSERT_EQ(textOf(upload.start(block, pieces(), 100)), "");
  ContextScope scope(*device);
  std::string text = textOf(upload.awaitOn(stream, total));
  EXPECT_NE(text.find("uploading weights failed with CUDA_ERROR_LAUNCH_FAILED"),
            std::string::npos)
      << text;
  EXPECT_FALSE(upload.isOver());
}

TEST_F(WeightUploadTest, IsBrokenOffAtAnyTime) {
  for (int i = 0; i < 20; ++i) {
    begin();
    WeightUpload upload(*device);
    ASSERT_EQ(textOf(upload.start(block, pieces(), 8)), "");
  }
}

TEST_F(WeightUploadTest, HasNothingToDoWithoutPieces) {
  begin();
  WeightUpload upload(*device);
  ASSERT_EQ(textOf(upload.start(block, {})), "");
  EXPECT_TRUE(upload.isOver());
  EXPECT_EQ(textOf(upload.awaitOn(stream, 0)), "");
}

} // namespace
} // namespace vlmc::rt::cuda
