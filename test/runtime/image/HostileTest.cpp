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

TEST(Hostile, TruncatedWebp) {
  std::string expected = "4: x: truncated WebP file: the file ends too early; "
                         "fetch or export the picture again";
  for (const char *name : {"extra-webp-lossy.webp", "extra-webp-alpha.webp",
                           "extra-webp-lossless.webp"}) {
    std::string webp = goldenPicture(name);
    ASSERT_FALSE(webp.empty());
    for (size_t size = 12; size < webp.size(); size += 29)
      EXPECT_EQ(decode(webp.substr(0, size)), expected) << name << " " << size;
  }
  EXPECT_EQ(decode("RIFF....WEBP"), expected);
}

TEST(Hostile, TruncatedGif) {
  std::string gif = goldenPicture("extra-gif.gif");
  ASSERT_FALSE(gif.empty());
  // The last two bytes end the picture and the file.
  for (size_t size = 6; size + 2 < gif.size(); size += 37)
    EXPECT_EQ(decode(gif.substr(0, size)),
              "4: x: truncated GIF file: the file ends too early; fetch or "
              "export the picture again")
        << size;
}

/// A WebP file with a canvas of that size and no picture.
static std::string webpCanvas(uint32_t width, uint32_t height) {
  auto little = [](uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i)
      text += static_cast<char>(value >> (8 * i));
    return text;
  };
  std::string chunk = "VP8X" + little(10, 4) + little(0, 4) +
                      little(width - 1, 3) + little(height - 1, 3);
  std::string frame = "VP8L" + little(20, 4) + "\x2f";
  return "RIFF" + little(60, 4) + "WEBP" + chunk + frame;
}

/// A GIF file with a screen and a picture of that size, and no pixels.
static std::string gifScreen(uint16_t width, uint16_t height) {
  std::string size;
  for (uint16_t side : {width, height}) {
    size += static_cast<char>(side & 255);
    size += static_cast<char>(side >> 8);
  }
  return "GIF89a" + size + std::string("\0\0\0,\0\0\0\0", 8) + size +
         std::string("\0\x08\0", 3);
}

TEST(Hostile, NewKindsWithoutOrWithTooManyPixels) {
  std::string tooMany =
      "1: x: expected at most 178956970 pixels (the limit max_pixels), found "
      "60000 x 60000 (height x width); make the picture smaller";
  EXPECT_EQ(decode(webpCanvas(60000, 60000)), tooMany);
  EXPECT_EQ(decode(gifScreen(60000, 60000)), tooMany);
  EXPECT_EQ(decode(gifScreen(0, 5)),
            "1: x: expected a picture of at least 1 x 1 pixels, found 5 x 0 "
            "(height x width); give another picture");
  EXPECT_EQ(decode(std::string("GIF89a\1\0\1\0\0\0\0;", 14)),
            "4: x: damaged GIF file: No Image Descriptor detected; fetch or "
            "export the picture again");
  // A lossy picture of 0 x 0.
  std::string webp = goldenPicture("extra-webp-lossy.webp");
  size_t start = webp.find("\x9d\x01\x2a");
  ASSERT_NE(start, webp.npos);
  webp.replace(start + 3, 4, std::string(4, '\0'));
  EXPECT_EQ(decode(webp),
            "4: x: damaged WebP file: its chunks make no sense; fetch or "
            "export the picture again");
}

TEST(Hostile, NoBytesOrAnotherKind) {
  std::string expected = ": x: expected a PNG, JPEG, WebP or GIF file, found ";
  EXPECT_EQ(decode(""),
            "4" + expected + "no bytes; fetch or export the picture again");
  for (auto [bytes, found] :
       {std::pair("hello", "none of them"), std::pair("BM......", "a BMP file"),
        std::pair("RIFF....WAVE", "none of them"),
        std::pair("RIFF", "none of them"),
        std::pair("MM\0*....", "none of them"),
        std::pair("....ftypheic", "a HEIF or AVIF file")})
    EXPECT_EQ(decode(bytes),
              "7" + expected + found + "; convert the picture to PNG");
}

TEST(Hostile, NoPixels) {
  EXPECT_EQ(decode(pngHeader(0, 7)),
            "1: x: expected a picture of at least 1 x 1 pixels, found 7 x 0 "
            "(height x width); give another picture");
  // The sides stand behind the marker SOF0: length, precision, height, width.
  std::string jpeg = goldenPicture("jpeg-444-q95-64x48.jpg");
  size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg[frame + 7] = jpeg[frame + 8] = 0;
  EXPECT_EQ(decode(jpeg),
            "1: x: expected a picture of at least 1 x 1 pixels, found 48 x 0 "
            "(height x width); give another picture");
}

TEST(Hostile, TooManyPixels) {
  std::string expected =
      "1: x: expected at most 178956970 pixels (the limit max_pixels), found "
      "60000 x 60000 (height x width); make the picture smaller";
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
            "1: x: expected at most 1022 pixels (the limit max_pixels), found "
            "33 x 31 (height x width); make the picture smaller");
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
        "extra-exif-6.jpg", "jpeg-grey-q85-130x70.jpg",
        "extra-png-palette2-interlaced.png", "extra-png-exif-profile.png",
        "extra-jpeg-ycck.jpg", "extra-webp-lossy.webp", "extra-webp-alpha.webp",
        "extra-webp-lossless.webp", "extra-webp-animated.webp",
        "extra-exif-webp-6.webp", "extra-gif-screen-larger.gif",
        "extra-gif-grey-interlaced.gif"}) {
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
      "2: /no/such/picture.png: cannot open: No such file or directory; "
      "check the path and its permissions");
  std::string folder = testing::TempDir();
  EXPECT_EQ(take(vlm_image_decode_file(folder.c_str(), nullptr, &image)),
            "6: " + folder + ": cannot read: Is a directory; check the path");
}

// libjpeg and libpng print by default.
TEST(Hostile, PrintsNothing) {
  testing::internal::CaptureStderr();
  decode(goldenPicture("jpeg-420-q85-97x131.jpg").substr(0, 1500));
  decode(goldenPicture("rgb-31x33.png").substr(0, 900));
  decode(goldenPicture("extra-webp-alpha.webp").substr(0, 200));
  decode(goldenPicture("extra-gif.gif").substr(0, 300));
  decode(pngHeader(3, 3) + chunk("gAMA", "x") + chunk("IDAT", "y"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}
