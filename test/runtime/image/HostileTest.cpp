// Files that are damaged, or made to do harm.
#include "test/runtime/image/Goldens.h"

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cstdio>
#include <random>

static std::string decode(const std::string &bytes,
                          const vlm_image_limits_t *limits = nullptr) {
  vlm_image_t *image = nullptr;
  std::string message =
      take(vlm_image_decode(bytes.data(), bytes.size(), "x", limits, &image));
  if (message.empty())
    vlm_image_destroy(image);
  else
    EXPECT_EQ(image, nullptr);
  return message;
}

static std::string bigEndian(uint32_t value) {
  char bytes[4];
  png_save_uint_32(reinterpret_cast<png_bytep>(bytes), value);
  return std::string(bytes, 4);
}

static std::string chunk(const std::string &type, const std::string &data) {
  std::string body = type + data;
  uLong crc = crc32(0, reinterpret_cast<const Bytef *>(body.data()),
                    static_cast<uInt>(body.size()));
  return bigEndian(static_cast<uint32_t>(data.size())) + body +
         bigEndian(static_cast<uint32_t>(crc));
}

static const std::string signature = "\x89PNG\r\n\x1a\n";

/// A PNG header for 8-bit RGB.
static std::string pngHeader(uint32_t width, uint32_t height) {
  return signature + chunk("IHDR", bigEndian(width) + bigEndian(height) +
                                       std::string("\x08\x02\0\0\0", 5));
}

static std::string goldenPicture(const std::string &name) {
  return readWhole(goldenFolder() + "pictures/" + name);
}

TEST(Hostile, Truncated) {
  std::string png = goldenPicture("rgb-31x33.png");
  std::string jpeg = goldenPicture("jpeg-420-q85-97x131.jpg");
  ASSERT_FALSE(png.empty() || jpeg.empty());
  EXPECT_EQ(decode(png.substr(0, png.size() / 2)),
            "4: x: truncated PNG file: the file ends too early; fetch or "
            "export the picture again");
  EXPECT_EQ(decode(jpeg.substr(0, jpeg.size() / 2)),
            "4: x: truncated JPEG file: Premature end of input file; fetch or "
            "export the picture again");
  for (size_t size = 1; size < png.size(); size += 97)
    decode(png.substr(0, size));
  for (size_t size = 1; size < jpeg.size(); size += 97)
    EXPECT_NE(decode(jpeg.substr(0, size)), "") << size;
}

TEST(Hostile, NoBytesOrAnotherKind) {
  EXPECT_EQ(decode(""), "4: x: expected a PNG or JPEG file, found no bytes");
  EXPECT_EQ(decode("hello"), "7: x: expected a PNG or JPEG file, found "
                             "neither; convert the picture to PNG");
  EXPECT_EQ(decode("GIF89a..."), "7: x: expected a PNG or JPEG file, found a "
                                 "GIF file; convert the picture to PNG");
  EXPECT_EQ(decode("RIFF....WEBPVP8 "),
            "7: x: expected a PNG or JPEG file, found a WebP file; convert the "
            "picture to PNG");
}

TEST(Hostile, NoPixels) {
  EXPECT_EQ(decode(pngHeader(0, 7)),
            "1: x: expected a picture of at least 1 x 1 pixels, found 7 x 0 "
            "(height x width)");
  // The sides stand behind the marker SOF0: length, precision, height, width.
  std::string jpeg = goldenPicture("jpeg-444-q95-64x48.jpg");
  size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg[frame + 7] = jpeg[frame + 8] = 0;
  EXPECT_EQ(decode(jpeg),
            "1: x: expected a picture of at least 1 x 1 pixels, found 48 x 0 "
            "(height x width)");
}

TEST(Hostile, TooManyPixels) {
  std::string expected =
      "1: x: expected at most 178956970 pixels, found 60000 x 60000 (height x "
      "width); make the picture smaller or raise the limit max_pixels";
  EXPECT_EQ(decode(pngHeader(60000, 60000) + chunk("IDAT", "")), expected);
  std::string jpeg = goldenPicture("jpeg-444-q95-64x48.jpg");
  size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg.replace(frame + 5, 4, "\xea\x60\xea\x60");
  EXPECT_EQ(decode(jpeg), expected);
}

TEST(Hostile, Limits) {
  std::string png = goldenPicture("rgb-31x33.png");
  vlm_image_limits_t limits{sizeof(limits), 31 * 33};
  EXPECT_EQ(decode(png, &limits), "");
  limits.max_pixels = 31 * 33 - 1;
  EXPECT_EQ(decode(png, &limits),
            "1: x: expected at most 1022 pixels, found 33 x 31 (height x "
            "width); make the picture smaller or raise the limit max_pixels");
  limits.max_pixels = -1;
  EXPECT_EQ(decode(png, &limits), "1: limits->max_pixels: expected 0 (the "
                                  "default) or more, found -1");
  limits.struct_bytes = 3;
  EXPECT_EQ(decode(png, &limits),
            "1: limits->struct_bytes: expected 16, found 3; set it to "
            "sizeof(vlm_image_limits_t)");
}

TEST(Hostile, HugeChunkAndWrongChecksum) {
  std::string huge = pngHeader(3, 3) + bigEndian(0x7fffffff) + "IDATabc";
  EXPECT_EQ(decode(huge), "4: x: truncated PNG file: the file ends too early; "
                          "fetch or export the picture again");
  std::string text = pngHeader(3, 3) + bigEndian(0x7fffffff) + "zTXtabc";
  EXPECT_TRUE(decode(text).starts_with("4: x: ")) << decode(text);
  std::string png = goldenPicture("rgb-31x33.png");
  png[png.find("IDAT") + 20] ^= 1;
  EXPECT_TRUE(decode(png).starts_with("4: x: damaged PNG file: "))
      << decode(png);
}

TEST(Hostile, GarbageNeverCrashes) {
  std::mt19937 random(1);
  for (const char *name :
       {"grey-7x5.png", "extra-palette.png", "extra-rgba.png",
        "jpeg-420-q100-33x17.jpg", "jpeg-420-q85-240x180-progressive.jpg",
        "extra-exif-6.jpg", "jpeg-grey-q85-130x70.jpg"}) {
    const std::string good = goldenPicture(name);
    ASSERT_FALSE(good.empty());
    for (int round = 0; round < 200; ++round) {
      std::string bad = good;
      for (int change = 0; change < 4; ++change)
        bad[random() % bad.size()] = static_cast<char>(random());
      decode(bad);
    }
  }
}

TEST(Hostile, Files) {
  vlm_image_t *image = nullptr;
  EXPECT_EQ(
      take(vlm_image_decode_file("/no/such/picture.png", nullptr, &image)),
      "2: /no/such/picture.png: cannot open: No such file or directory");
  std::string folder = testing::TempDir();
  EXPECT_EQ(take(vlm_image_decode_file(folder.c_str(), nullptr, &image)),
            "6: " + folder + ": cannot read: Is a directory");
}

// libjpeg and libpng print by default.
TEST(Hostile, PrintsNothing) {
  testing::internal::CaptureStderr();
  decode(goldenPicture("jpeg-420-q85-97x131.jpg").substr(0, 1500));
  decode(goldenPicture("rgb-31x33.png").substr(0, 900));
  decode(pngHeader(3, 3) + chunk("gAMA", "x") + chunk("IDAT", "y"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}
