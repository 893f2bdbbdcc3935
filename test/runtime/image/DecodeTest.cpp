// Decoding equals Pillow's, and the picture object does what vlm.h says.
#include "runtime/core/Sha256.h"
#include "test/runtime/image/Goldens.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cstring>

using vlmc::rt::sha256;
using vlmc::rt::toHex;

TEST(Decode, EqualsTheOracle) {
  auto rows = readTable("decode.tsv");
  EXPECT_GE(rows.size(), 90U);
  for (const auto &row : rows) {
    ImagePtr image = decodeGolden(row[0]);
    ASSERT_TRUE(image) << row[0];
    int64_t width = vlm_image_width(image.get());
    int64_t height = vlm_image_height(image.get());
    EXPECT_EQ(std::to_string(width), row[1]) << row[0];
    EXPECT_EQ(std::to_string(height), row[2]) << row[0];
    EXPECT_EQ(toHex(sha256(vlm_image_rgb(image.get()), width * height * 3)),
              row[3])
        << row[0];
  }
}

/// A PNG file that libpng writes from 16-bit samples.
static std::string writeWidePng(int colorType, const uint16_t *samples,
                                uint32_t width, int channels) {
  std::string out;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp png, png_bytep data, size_t bytes) {
        static_cast<std::string *>(png_get_io_ptr(png))
            ->append(reinterpret_cast<char *>(data), bytes);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, width, 1, 16, colorType, PNG_INTERLACE_ADAM7,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  std::vector<png_byte> row;
  for (uint32_t i = 0; i < width * channels; ++i) {
    row.push_back(samples[i] >> 8);
    row.push_back(samples[i] & 255);
  }
  for (int pass = png_set_interlace_handling(png); pass > 0; --pass)
    png_write_row(png, row.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

// Pillow clips 16-bit grey to 8 bits and takes the upper byte of 16-bit colour.
TEST(Decode, SixteenBitsAsPillow) {
  const uint16_t samples[] = {0, 1, 255, 256, 0x1234, 0xffff};
  std::string grey = writeWidePng(PNG_COLOR_TYPE_GRAY, samples, 6, 1);
  std::string color = writeWidePng(PNG_COLOR_TYPE_RGB, samples, 2, 3);
  vlm_image_t *image = nullptr;
  ASSERT_EQ(take(vlm_image_decode(grey.data(), grey.size(), "grey.png", nullptr,
                                  &image)),
            "");
  const uint8_t expected[] = {0, 1, 255, 255, 255, 255};
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(vlm_image_rgb(image)[3 * i + 1], expected[i]) << i;
  vlm_image_destroy(image);
  ASSERT_EQ(take(vlm_image_decode(color.data(), color.size(), "color.png",
                                  nullptr, &image)),
            "");
  const uint8_t upper[] = {0, 0, 0, 1, 0x12, 0xff};
  EXPECT_EQ(std::memcmp(vlm_image_rgb(image), upper, 6), 0);
  vlm_image_destroy(image);
}

TEST(Create, CopiesRows) {
  const uint8_t bytes[] = {1, 2, 3, 9, 4, 5, 6, 9};
  vlm_image_t *image = nullptr;
  ASSERT_EQ(take(vlm_image_create(bytes, 2, 1, 4, &image)), "");
  EXPECT_EQ(vlm_image_height(image), 2);
  EXPECT_EQ(vlm_image_width(image), 1);
  const uint8_t packed[] = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(std::memcmp(vlm_image_rgb(image), packed, 6), 0);
  vlm_image_destroy(image);
}

TEST(Create, MakesVideosOfFrames) {
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  vlm_image_t *frames[3] = {}, *video = nullptr;
  for (vlm_image_t *&frame : frames)
    ASSERT_EQ(take(vlm_image_create(bytes, 2, 2, 6, &frame)), "");
  EXPECT_EQ(vlm_image_frame_count(frames[0]), 0U);
  ASSERT_EQ(take(vlm_image_create_video(frames, 3, &video)), "");
  EXPECT_EQ(frames[0], nullptr); // the video's
  EXPECT_EQ(vlm_image_frame_count(video), 3U);
  EXPECT_EQ(vlm_image_width(video), 2);
  EXPECT_EQ(vlm_image_rgb(video), nullptr);
  EXPECT_EQ(vlm_image_frame(video, 3), nullptr);
  EXPECT_EQ(vlm_image_rgb(vlm_image_frame(video, 2))[11], 12);

  EXPECT_EQ(take(vlm_image_create_video(frames, 0, &frames[0])),
            "1: video: expected at least one frame, found none; give its "
            "pictures in their order");
  vlm_image_t *mixed[] = {video, nullptr};
  EXPECT_EQ(take(vlm_image_create_video(mixed, 1, &frames[0])),
            "1: video: frame 0: expected a picture, found a video");
  ASSERT_EQ(take(vlm_image_create(bytes, 2, 2, 6, &frames[0])), "");
  ASSERT_EQ(take(vlm_image_create(bytes, 1, 2, 6, &frames[1])), "");
  EXPECT_EQ(take(vlm_image_create_video(frames, 2, &frames[2])),
            "1: video: frame 1: expected 2 x 2 pixels (height x width), as "
            "frame 0 has, found 1 x 2; give frames of one size");
  EXPECT_NE(frames[0], nullptr); // still there
  for (vlm_image_t *image : {video, frames[0], frames[1]})
    vlm_image_destroy(image);
}

TEST(Create, RefusesBadSizes) {
  const uint8_t bytes[3] = {};
  vlm_image_t *image = nullptr;
  EXPECT_EQ(take(vlm_image_create(bytes, 0, 1, 3, &image)),
            "1: picture: expected a picture of at least 1 x 1 pixels, found 0 "
            "x 1 (height x width); give another picture");
  EXPECT_EQ(take(vlm_image_create(bytes, 1, -5, 3, &image)),
            "1: picture: expected a picture of at least 1 x 1 pixels, found 1 "
            "x -5 (height x width); give another picture");
  EXPECT_EQ(take(vlm_image_create(bytes, 1, 2, 5, &image)),
            "1: row_bytes: expected at least 6 (3 * width), found 5");
  const int64_t side = int64_t(1) << 31;
  EXPECT_EQ(take(vlm_image_create(bytes, side, side, 3 * side, &image)),
            "5: picture: not enough memory");
}
