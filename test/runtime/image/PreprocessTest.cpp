// Preprocessing equals transformers' backends, bit for bit, on pipelines that
// vlmc-halide made for this program.
#include "frontend/image/ImageProcessing.h"
#include "runtime/core/Sha256.h"
#include "runtime/image/ImageInternal.h"
#include "test/runtime/image/Goldens.h"

#include <gtest/gtest.h>

#include <map>

using namespace vlmc;
using rt::sha256;
using rt::toHex;

extern "C" {
int test_image_resize_rows_argv(void **args);
int test_image_resize_columns_argv(void **args);
int test_image_finish_argv(void **args);
}

namespace {
/// What a package would hold.
struct Processing {
  NormalisationTable pil, torchvision;
  vlm_abi_image abi{};

  explicit Processing(const ImageProcessing &image)
      : pil(makeNormalisationTable(image, ImageBackend::Pil)),
        torchvision(makeNormalisationTable(image, ImageBackend::Torchvision)) {
    abi.resize = !image.doResize      ? VLM_ABI_RESIZE_NONE
                 : image.longestEdge  ? VLM_ABI_RESIZE_EDGES
                 : image.shortestEdge ? VLM_ABI_RESIZE_SHORTEST_EDGE
                 : image.height       ? VLM_ABI_RESIZE_EXACT
                 : image.roundsSize   ? VLM_ABI_RESIZE_ROUNDED
                 : image.onlyShrinks  ? VLM_ABI_RESIZE_SHRUNK
                                      : VLM_ABI_RESIZE_WITHIN;
    abi.filter = static_cast<int32_t>(image.resample);
    abi.edge = static_cast<int32_t>(image.shortestEdge.value_or(0));
    abi.longest_edge = static_cast<int32_t>(image.longestEdge.value_or(0));
    abi.height = static_cast<int32_t>(
        image.height.value_or(image.maxHeight.value_or(0)));
    abi.width =
        static_cast<int32_t>(image.width.value_or(image.maxWidth.value_or(0)));
    if (image.doCenterCrop)
      abi.do_crop = image.cropsHalfToEven ? VLM_ABI_CROP_CENTER_EVEN
                                          : VLM_ABI_CROP_CENTER;
    abi.crop_height = static_cast<int32_t>(image.cropHeight);
    abi.crop_width = static_cast<int32_t>(image.cropWidth);
    abi.resize_rows = test_image_resize_rows_argv;
    abi.resize_columns = test_image_resize_columns_argv;
    abi.finish = test_image_finish_argv;
    abi.pil_table = pil.data();
    abi.torchvision_table = torchvision.data();
  }
  Processing(const Processing &) = delete;
  Processing &operator=(const Processing &) = delete;
};

struct Pool {
  explicit Pool(int threads) {
    EXPECT_EQ(take(vlm_pool_create(threads, &pool)), "");
  }
  ~Pool() { vlm_pool_destroy(pool); }
  vlm_pool_t *pool = nullptr;
};
} // namespace

static std::vector<float>
process(const Processing &processing, const vlm_image_t *image,
        vlm_pool_t *pool, int64_t &height, int64_t &width,
        vlm_image_backend_t backend = VLM_IMAGE_BACKEND_PIL) {
  EXPECT_EQ(
      take(vlm_image_processed_size(&processing.abi, vlm_image_height(image),
                                    vlm_image_width(image), &height, &width)),
      "");
  std::vector<float> pixels(3 * height * width, -1e30F);
  EXPECT_EQ(take(vlm_image_process(&processing.abi, backend, pool, image,
                                   pixels.data())),
            "");
  return pixels;
}

static ImageProcessing readSettings(const std::string &name) {
  std::vector<std::string> warnings;
  ImageProcessorClass known{{"CLIPImageProcessor"}, ImageProcessing()};
  Result<ImageProcessing> image = readImageProcessing(
      goldenFolder() + "pixels/settings/" + name, known, warnings);
  EXPECT_TRUE(image) << (image ? "" : image.message());
  return image ? *image : ImageProcessing();
}

static std::string hash(const std::vector<float> &pixels) {
  return toHex(sha256(pixels.data(), pixels.size() * sizeof(float)));
}

/// Compares with a table of the oracle.
static void expectEqual(const std::string &table, vlm_image_backend_t backend) {
  auto rows = readTable(table);
  EXPECT_GE(rows.size(), 300U);
  std::map<std::string, ImagePtr> images;
  for (const auto &row : rows) {
    SCOPED_TRACE(row[0] + " " + row[1]);
    Processing processing(readSettings(row[0]));
    ImagePtr &image = images[row[1]];
    if (!image)
      image = decodeGolden(row[1]);
    ASSERT_TRUE(image);
    int64_t height, width;
    std::vector<float> pixels =
        process(processing, image.get(), nullptr, height, width, backend);
    EXPECT_EQ(std::to_string(height), row[2]);
    EXPECT_EQ(std::to_string(width), row[3]);
    EXPECT_EQ(hash(pixels), row[5]);
  }
}

TEST(Preprocess, EqualsPillow) {
  expectEqual("pixels.tsv", VLM_IMAGE_BACKEND_PIL);
}

TEST(Preprocess, EqualsTorchvision) {
  expectEqual("pixels-torchvision.tsv", VLM_IMAGE_BACKEND_TORCHVISION);
}

/// Pixels of a transparent colour become white where the processor converts to
/// RGB, as CLIPImageProcessor does unless told otherwise; digests of what it
/// gives with its own settings.
TEST(Preprocess, TransparentColoursBecomeWhite) {
  struct Row {
    const char *picture;
    vlm_image_backend_t backend;
    bool keeps;
    const char *digest;
  } rows[] = {
      {"extra-palette-transparent.png", VLM_IMAGE_BACKEND_PIL, false,
       "25fd1ab23b9e0a2a14b969a19ea14cc58ccc9681aa7b57b3096178fcdaef78c1"},
      {"extra-palette-transparent.png", VLM_IMAGE_BACKEND_PIL, true,
       "db977ff7d9025def19d0f757f9e14dd31a304b9d54ce584621b5e9583f1aa897"},
      {"extra-palette-transparent.png", VLM_IMAGE_BACKEND_TORCHVISION, false,
       "8267795f221b544a5a913f58f72e7abdd1705e37dd011e5f2f3a4500acf6cd9f"},
      {"extra-palette-transparent.png", VLM_IMAGE_BACKEND_TORCHVISION, true,
       "9ace8d22e2ff23f4dcc3ab8060a8e23663d77ea557fa1b341ab75aa197447601"},
      {"extra-gif-transparent.gif", VLM_IMAGE_BACKEND_PIL, false,
       "b4a8cbb4e189c1d0150934014e9d896c38abdd0105a6e16d1f52715a052bc67a"},
  };
  Processing processing{ImageProcessing()};
  for (const Row &row : rows) {
    SCOPED_TRACE(row.picture);
    ImagePtr image = decodeGolden(row.picture);
    ASSERT_TRUE(image);
    processing.abi.keeps_key = row.keeps;
    int64_t height, width;
    EXPECT_EQ(hash(process(processing, image.get(), nullptr, height, width,
                           row.backend)),
              row.digest);
  }
}

/// A picture of noise.
static ImagePtr makeNoise(int64_t height, int64_t width) {
  std::vector<uint8_t> bytes(height * width * 3);
  uint32_t state = 1;
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  vlm_image_t *image = nullptr;
  EXPECT_EQ(
      take(vlm_image_create(bytes.data(), height, width, 3 * width, &image)),
      "");
  return ImagePtr(image);
}

TEST(Preprocess, PadsToSquaresFirst) {
  const uint8_t color[3] = {122, 116, 104};
  const int64_t sizes[][2] = {{5, 8}, {90, 31}, {1, 50}, {7, 7}};
  for (const auto &[height, width] : sizes) {
    ImagePtr image = makeNoise(height, width);
    const int64_t side = std::max(height, width);
    std::vector<uint8_t> square(3 * side * side);
    for (size_t i = 0; i < square.size(); ++i)
      square[i] = color[i % 3];
    for (int64_t y = 0; y < height; ++y)
      std::copy_n(vlm_image_rgb(image.get()) + 3 * width * y, 3 * width,
                  square.data() + 3 * (side * ((side - height) / 2 + y) +
                                       (side - width) / 2));
    vlm_image_t *made = nullptr;
    ASSERT_EQ(
        take(vlm_image_create(square.data(), side, side, 3 * side, &made)), "");
    ImagePtr padded(made);
    Processing processing{ImageProcessing()};
    int64_t h = 0, w = 0;
    std::vector<float> expected =
        process(processing, padded.get(), nullptr, h, w);
    processing.abi.background =
        1 << 24 | color[0] << 16 | color[1] << 8 | color[2];
    EXPECT_EQ(process(processing, image.get(), nullptr, h, w), expected);
    EXPECT_EQ(h, 224);
  }
  // Without a crop the result is a square, too.
  ImageProcessing whole;
  whole.doCenterCrop = false;
  Processing processing{whole};
  processing.abi.background = 1 << 24;
  int64_t h = 0, w = 0;
  EXPECT_EQ(take(vlm_image_processed_size(&processing.abi, 10, 30, &h, &w)),
            "");
  EXPECT_EQ(h, 224);
  EXPECT_EQ(w, 224);
  ImagePtr line = makeNoise(1, 20000);
  float pixel = 0;
  EXPECT_EQ(
      take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_PIL, nullptr,
                             line.get(), &pixel)),
      "1: a picture of 1 x 20000 (height x width) would become a square "
      "of 400000000 pixels, expected at most 178956970; crop it to a less "
      "elongated one");
  EXPECT_EQ(take(vlm_image_processed_size(&processing.abi, 0, 30, &h, &w)),
            "1: expected a picture of at least 1 x 1 pixels, found 0 x 30 "
            "(height x width)");
}

TEST(Preprocess, ThreadsDoNotChangeBits) {
  // Rows first, columns first, one direction, padding, more than one chunk.
  const int64_t sizes[][2] = {{301, 477}, {900, 200}, {64, 200},
                              {20, 31},   {40, 5000}, {1, 1}};
  for (int edge : {64, 30})
    for (const auto &size : sizes) {
      ImageProcessing settings;
      settings.shortestEdge = edge;
      settings.cropHeight = 64;
      settings.cropWidth = 70;
      Processing processing(settings);
      ImagePtr image = makeNoise(size[0], size[1]);
      int64_t height, width;
      for (auto backend :
           {VLM_IMAGE_BACKEND_PIL, VLM_IMAGE_BACKEND_TORCHVISION}) {
        auto alone =
            process(processing, image.get(), nullptr, height, width, backend);
        for (int threads : {1, 2, 3, 7}) {
          Pool pool(threads);
          EXPECT_EQ(process(processing, image.get(), pool.pool, height, width,
                            backend),
                    alone)
              << size[0] << " x " << size[1] << ", " << threads << " threads";
        }
      }
    }
}

// What the crop keeps is all that is computed: the same values as without it.
TEST(Preprocess, CropKeepsTheMiddle) {
  ImageProcessing settings;
  settings.shortestEdge = 50;
  settings.doCenterCrop = false;
  Processing whole(settings);
  settings.doCenterCrop = true;
  settings.cropHeight = 21;
  settings.cropWidth = 33;
  Processing cropped(settings);
  ImagePtr image = makeNoise(133, 207);
  int64_t height, width, cropHeight, cropWidth;
  auto all = process(whole, image.get(), nullptr, height, width);
  auto part = process(cropped, image.get(), nullptr, cropHeight, cropWidth);
  int64_t top = (height - 21) / 2, left = (width - 33) / 2;
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < 21; ++y)
      for (int64_t x = 0; x < 33; ++x)
        ASSERT_EQ(part[(c * 21 + y) * 33 + x],
                  all[(c * height + y + top) * width + x + left])
            << c << " " << y << " " << x;
}

// The rows resized along the row are more than a stripe may hold.
TEST(Preprocess, StripesDoNotChangeBits) {
  ImageProcessing settings;
  settings.shortestEdge.reset();
  settings.height = 1411;
  settings.width = 8000;
  settings.doCenterCrop = false;
  Processing wide(settings);
  ImagePtr image = makeNoise(1410, 2);
  int64_t height, width;
  auto pixels = process(wide, image.get(), nullptr, height, width);
  // By Pillow: sha256 of the float32 pixel_values [3, 1411, 8000].
  EXPECT_EQ(hash(pixels),
            "2a5122907f5445fa0414e2aedb862aa51d28e20c460e56fa8fc55081423fa9d4");
}

TEST(Preprocess, Sizes) {
  ImageProcessing settings;
  settings.doCenterCrop = false;
  settings.shortestEdge = 224;
  Processing processing(settings);
  int64_t height = 0, width = 0;
  auto sizeOf = [&](int64_t h, int64_t w) {
    EXPECT_EQ(
        take(vlm_image_processed_size(&processing.abi, h, w, &height, &width)),
        "");
    return std::pair(height, width);
  };
  // int(224 * long / short) drops the fraction.
  EXPECT_EQ(sizeOf(480, 640), std::pair(int64_t(224), int64_t(298)));
  EXPECT_EQ(sizeOf(640, 480), std::pair(int64_t(298), int64_t(224)));
  EXPECT_EQ(sizeOf(1, 1), std::pair(int64_t(224), int64_t(224)));
}

TEST(Preprocess, SizesWithinABox) {
  ImageProcessing settings;
  settings.doCenterCrop = false;
  settings.shortestEdge.reset();
  settings.maxHeight = 50;
  settings.maxWidth = 70;
  auto sizeOf = [&](int64_t h, int64_t w) {
    Processing processing(settings);
    int64_t height = 0, width = 0;
    EXPECT_EQ(
        take(vlm_image_processed_size(&processing.abi, h, w, &height, &width)),
        "");
    return std::to_string(height) + " x " + std::to_string(width);
  };
  settings.roundsSize = true;
  // round(side / max(h / 50, w / 70)), by ResizeKeepRatio of open_clip.
  EXPECT_EQ(sizeOf(131, 97), "50 x 37");
  EXPECT_EQ(sizeOf(97, 131), "50 x 68");
  EXPECT_EQ(sizeOf(100, 75), "50 x 38");
  EXPECT_EQ(sizeOf(100, 73), "50 x 36");
  EXPECT_EQ(sizeOf(5, 7), "50 x 70");
  settings.roundsSize = false;
  settings.onlyShrinks = true;
  EXPECT_EQ(sizeOf(131, 97), "50 x 37");
  EXPECT_EQ(sizeOf(97, 131), "49 x 67"); // 97 * (50 / 97) is below 50
  EXPECT_EQ(sizeOf(5, 7), "5 x 7");
  EXPECT_EQ(sizeOf(50, 70), "50 x 70");
  EXPECT_EQ(sizeOf(20, 71), "19 x 70");
}

TEST(Preprocess, CutsPatches) {
  ImageProcessing settings;
  settings.doResize = settings.doRescale = settings.doNormalize = false;
  settings.doCenterCrop = false;
  Processing processing(settings);
  processing.abi.do_crop = VLM_ABI_CROP_PATCHES;
  processing.abi.crop_height = processing.abi.crop_width = 4;
  ImagePtr image = makeNoise(6, 9); // 2 x 3 patches
  std::vector<float> pixels(size_t(6 * 3 * 4 * 4), -1.0F);
  ASSERT_EQ(take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_PIL,
                                   nullptr, image.get(), pixels.data())),
            "");
  for (int64_t patch = 0; patch < 6; ++patch)
    for (int64_t channel = 0; channel < 3; ++channel)
      for (int64_t i = 0; i < 16; ++i) {
        int64_t y = patch / 3 * 4 + i / 4, x = patch % 3 * 4 + i % 4;
        float expected =
            y < 6 && x < 9 ? static_cast<float>(image->row(y)[3 * x + channel])
                           : 1.0F;
        ASSERT_EQ(pixels[size_t((patch * 3 + channel) * 16 + i)], expected)
            << patch << " " << channel << " " << i;
      }
}

// Expected sizes are those of get_image_size_for_max_num_patches in
// transformers' image_processing_siglip2.
TEST(Preprocess, FindsTheMostPatches) {
  ImageProcessing settings;
  Processing processing(settings);
  processing.abi.resize = VLM_ABI_RESIZE_PATCHES;
  processing.abi.do_crop = VLM_ABI_CROP_PATCH_ROWS;
  struct Case {
    int64_t height, width;
    int32_t patch, most;
    int64_t toHeight, toWidth;
  };
  for (const Case &c : {Case{480, 640, 16, 256, 224, 288},
                        {640, 480, 16, 256, 288, 224},
                        {1, 1, 16, 256, 112, 112},
                        {3, 400, 16, 256, 16, 2144},
                        {400, 3, 14, 9, 126, 14},
                        {224, 224, 16, 256, 256, 256},
                        {1000, 667, 14, 729, 462, 308},
                        {5, 1000, 8, 20, 8, 160},
                        {17, 31, 16, 1, 16, 16},
                        {2000, 3000, 16, 1024, 416, 624}}) {
    processing.abi.crop_height = processing.abi.crop_width = c.patch;
    processing.abi.longest_edge = c.most;
    int64_t height = 0, width = 0;
    ASSERT_EQ(take(vlm_image_processed_size(&processing.abi, c.height, c.width,
                                            &height, &width)),
              "");
    EXPECT_EQ(height, c.toHeight) << c.height << " x " << c.width;
    EXPECT_EQ(width, c.toWidth) << c.height << " x " << c.width;
  }
}

TEST(Preprocess, MakesRowsOfPatches) {
  ImageProcessing settings;
  settings.doResize = settings.doRescale = settings.doNormalize = false;
  Processing processing(settings);
  processing.abi.do_crop = VLM_ABI_CROP_PATCH_ROWS;
  processing.abi.crop_height = processing.abi.crop_width = 4;
  processing.abi.longest_edge = 6;
  ImagePtr image = makeNoise(8, 12); // 2 x 3 patches
  std::vector<float> pixels(size_t(6 * 4 * 4 * 3), -1.0F);
  ASSERT_EQ(take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_PIL,
                                   nullptr, image.get(), pixels.data())),
            "");
  for (int64_t i = 0; i < int64_t(pixels.size()); ++i) {
    int64_t patch = i / 48, channel = i % 3;
    int64_t y = patch / 3 * 4 + i % 48 / 12, x = patch % 3 * 4 + i % 12 / 3;
    ASSERT_EQ(pixels[size_t(i)], image->row(y)[3 * x + channel]) << i;
  }
  // What is not resized has to be whole patches, and not too many.
  int64_t height = 0, width = 0;
  EXPECT_EQ(take(vlm_image_processed_size(&processing.abi, 8, 14, &height,
                                          &width)),
            "1: expected a picture of whole patches of 4 x 4 pixels, at most 6 of "
            "them, found one of 8 x 14 pixels (height x width), which the "
            "checkpoint does not resize; resize it first");
  EXPECT_EQ(take(vlm_image_processed_size(&processing.abi, 8, 16, &height,
                                          &width))
                .substr(0, 30),
            "1: expected a picture of whole");
}

TEST(Preprocess, CropsHalfToEven) {
  ImageProcessing settings;
  settings.doResize = settings.doRescale = settings.doNormalize = false;
  settings.cropHeight = settings.cropWidth = 4;
  settings.cropsHalfToEven = true;
  Processing processing(settings);
  // Surplus to what is cut in front: torchvision.transforms.CenterCrop.
  for (auto [surplus, first] :
       {std::pair(1, 0), std::pair(2, 1), std::pair(3, 2), std::pair(5, 2),
        std::pair(7, 4), std::pair(-1, 0), std::pair(-3, -1)}) {
    int64_t side = 4 + surplus, height = 0, width = 0;
    ImagePtr image = makeNoise(side, 4);
    std::vector<float> pixels =
        process(processing, image.get(), nullptr, height, width);
    for (int64_t y = 0; y < 4; ++y) {
      int64_t from = y + first;
      float expected = from < 0 || from >= side
                           ? 0.0F
                           : static_cast<float>(image->row(from)[0]);
      EXPECT_EQ(pixels[size_t(y * 4)], expected) << surplus << " " << y;
    }
  }
}

TEST(Preprocess, RefusesWhatPillowRefuses) {
  Processing processing{ImageProcessing()};
  int64_t height = 0, width = 0;
  EXPECT_EQ(
      take(vlm_image_processed_size(&processing.abi, 0, 5, &height, &width)),
      "1: expected a picture of at least 1 x 1 pixels, found 0 x 5 "
      "(height x width)");
  ImagePtr image = makeNoise(1, 1000000);
  std::vector<float> pixels(3 * 224 * 224);
  EXPECT_EQ(take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_PIL,
                                   nullptr, image.get(), pixels.data())),
            "1: a picture of 1 x 1000000 cannot be resized to 224 x 224000000 "
            "(height x width): too many pixels or too long a filter; crop the "
            "picture or make it smaller first");
}

TEST(Preprocess, SizesOfTwoEdges) {
  ImageProcessing settings;
  settings.doCenterCrop = false;
  settings.shortestEdge = 60;
  settings.longestEdge = 100;
  Processing processing(settings);
  auto sizeOf = [&](int64_t h, int64_t w) {
    int64_t height = 0, width = 0;
    std::string message =
        take(vlm_image_processed_size(&processing.abi, h, w, &height, &width));
    return message.empty()
               ? std::to_string(height) + " x " + std::to_string(width)
               : message;
  };
  // By transformers' get_size_with_aspect_ratio.
  EXPECT_EQ(sizeOf(480, 640), "60 x 80");
  EXPECT_EQ(sizeOf(640, 480), "80 x 60");
  EXPECT_EQ(sizeOf(300, 1000), "30 x 100");
  EXPECT_EQ(sizeOf(1000, 301), "100 x 30");
  EXPECT_EQ(sizeOf(60, 77), "60 x 77");
  EXPECT_EQ(sizeOf(1, 1000),
            "1: a picture of 1 x 1000 would be resized to 0 x 100 (height x "
            "width), which has no pixels; crop the picture to a less elongated "
            "one");
  settings.shortestEdge.reset();
  settings.longestEdge.reset();
  settings.maxHeight = 50;
  settings.maxWidth = 70;
  Processing within(settings);
  processing.abi = within.abi;
  // By transformers' get_image_size_for_max_height_width.
  EXPECT_EQ(sizeOf(100, 200), "35 x 70");
  EXPECT_EQ(sizeOf(200, 100), "50 x 25");
  EXPECT_EQ(sizeOf(7, 5), "50 x 35");
}

TEST(Preprocess, TorchvisionHasFewerFilters) {
  ImagePtr image = makeNoise(30, 40);
  std::vector<float> pixels(3 * 224 * 224);
  for (auto [filter, name] : {std::pair(Resample::Box, "box"),
                              std::pair(Resample::Hamming, "Hamming")}) {
    ImageProcessing settings;
    settings.resample = filter;
    Processing processing(settings);
    EXPECT_EQ(
        take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_TORCHVISION,
                               nullptr, image.get(), pixels.data())),
        std::string("7: resample: torchvision does not resize with the "
                    "filter ") +
            name +
            "; choose the backend pil (--image-backend pil, "
            "VLM_IMAGE_BACKEND_PIL), which does");
    EXPECT_EQ(take(vlm_image_process(&processing.abi, VLM_IMAGE_BACKEND_PIL,
                                     nullptr, image.get(), pixels.data())),
              "");
  }
}
