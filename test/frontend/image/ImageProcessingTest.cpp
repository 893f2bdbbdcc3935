// Reading image processing from a checkpoint, and the table of floats.
#include "frontend/image/ImageProcessing.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

using namespace vlmc;

namespace {
/// A folder of its own for each test.
class ImageProcessingTest : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "vlmc-image-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string &name, const std::string &text) {
    std::ofstream(folder + "/" + name) << text;
  }
  Result<ImageProcessing> read() {
    warnings.clear();
    return readImageProcessing(folder, known, warnings);
  }
  ImageProcessing readGood(const std::string &text) {
    write("preprocessor_config.json", text);
    Result<ImageProcessing> image = read();
    EXPECT_TRUE(image) << (image ? "" : image.message());
    return image ? *image : ImageProcessing();
  }
  /// Expects that message behind "FOLDER/preprocessor_config.json: ".
  void expectError(const std::string &text, const std::string &message) {
    write("preprocessor_config.json", text);
    Result<ImageProcessing> image = read();
    ASSERT_FALSE(image) << text;
    EXPECT_EQ(image.message(),
              folder + "/preprocessor_config.json: " + message);
  }

  std::string folder;
  std::vector<std::string> warnings;
  ImageProcessorClass known{{"FooImageProcessor"}, ImageProcessing()};
};
} // namespace

TEST_F(ImageProcessingTest, AbsentFilesMeanDefaultsAndAWarning) {
  Result<ImageProcessing> image = read();
  ASSERT_TRUE(image);
  EXPECT_EQ(*image, ImageProcessing());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0],
            folder + ": found neither preprocessor_config.json nor an "
                     "image_processor in processor_config.json, pictures are "
                     "processed by the defaults of FooImageProcessor");
}

TEST_F(ImageProcessingTest, AbsentAndNullKeysMeanDefaults) {
  EXPECT_EQ(readGood("{}"), ImageProcessing());
  EXPECT_EQ(readGood(R"({"size": null, "image_std": null, "do_pad": null})"),
            ImageProcessing());
  EXPECT_TRUE(warnings.empty());
}

TEST_F(ImageProcessingTest, ReadsTheNewForm) {
  ImageProcessing image = readGood(R"({
    "image_processor_type": "FooImageProcessorFast", "do_resize": false,
    "size": {"height": 20, "width": 30}, "resample": 2,
    "do_center_crop": false, "crop_size": {"height": 5, "width": 6},
    "do_rescale": false, "rescale_factor": 0.5, "do_normalize": false,
    "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3],
    "do_convert_rgb": true, "data_format": "channels_first"})");
  ImageProcessing expected;
  expected.doResize = expected.doCenterCrop = false;
  expected.doRescale = expected.doNormalize = false;
  expected.shortestEdge.reset();
  expected.height = 20;
  expected.width = 30;
  expected.resample = Resample::Bilinear;
  expected.cropHeight = 5;
  expected.cropWidth = 6;
  expected.rescaleFactor = 0.5;
  expected.mean = {0.1, 0.2, 0.3};
  expected.std = {1, 2, 3};
  EXPECT_EQ(image, expected);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(ImageProcessingTest, ReadsOldForms) {
  ImageProcessing image = readGood(
      R"({"feature_extractor_type": "FooFeatureExtractor", "size": 336,
          "crop_size": 330, "image_mean": 0.5})");
  EXPECT_EQ(image.shortestEdge, 336);
  EXPECT_EQ(image.cropHeight, 330);
  EXPECT_EQ(image.cropWidth, 330);
  EXPECT_EQ(image.mean, (std::array<double, 3>{0.5, 0.5, 0.5}));
  image = readGood(R"({"size": [7, 8], "crop_size": [3, 4]})");
  EXPECT_FALSE(image.shortestEdge);
  EXPECT_EQ(image.height, 7);
  EXPECT_EQ(image.width, 8);
  EXPECT_EQ(image.cropHeight, 3);
  EXPECT_EQ(image.cropWidth, 4);
  image = readGood(R"({"size": 9, "default_to_square": true})");
  EXPECT_EQ(image.height, 9);
  EXPECT_EQ(image.width, 9);
  image = readGood(R"({"size": 9, "use_square_size": true})");
  EXPECT_EQ(image.height, 224);
  EXPECT_EQ(image.width, 224);
}

TEST_F(ImageProcessingTest, ReadsEveryFormOfSize) {
  ImageProcessing image =
      readGood(R"({"size": {"shortest_edge": 20, "longest_edge": 50}})");
  EXPECT_EQ(image.shortestEdge, 20);
  EXPECT_EQ(image.longestEdge, 50);
  image = readGood(R"({"size": {"max_height": 30, "max_width": 40}})");
  EXPECT_EQ(image.maxHeight, 30);
  EXPECT_EQ(image.maxWidth, 40);
  EXPECT_FALSE(image.shortestEdge);
  image = readGood(R"({"size": {"height": 3, "width": 4,
                                "shortest_edge": null}})");
  EXPECT_EQ(image.height, 3);
  EXPECT_FALSE(image.shortestEdge);
}

TEST_F(ImageProcessingTest, ReadsWhetherTransparentColoursBecomeWhite) {
  EXPECT_TRUE(readGood("{}").doConvertRgb);
  EXPECT_FALSE(readGood(R"({"do_convert_rgb": false})").doConvertRgb);
  EXPECT_TRUE(readGood(R"({"do_convert_rgb": null})").doConvertRgb);
}

TEST_F(ImageProcessingTest, TypeTellsTheBackend) {
  auto backendOf = [&](const std::string &key, const std::string &name) {
    return readGood("{\"" + key + "\": \"" + name + "\"}").backend;
  };
  EXPECT_EQ(readGood("{}").backend, ImageBackend::Torchvision);
  EXPECT_EQ(backendOf("image_processor_type", "FooImageProcessor"),
            ImageBackend::Torchvision);
  EXPECT_EQ(backendOf("image_processor_type", "FooImageProcessorFast"),
            ImageBackend::Torchvision);
  EXPECT_EQ(backendOf("feature_extractor_type", "FooFeatureExtractor"),
            ImageBackend::Torchvision);
  EXPECT_EQ(backendOf("image_processor_type", "FooImageProcessorPil"),
            ImageBackend::Pil);
}

TEST_F(ImageProcessingTest, NestedObjectWins) {
  write("preprocessor_config.json", R"({"size": 1})");
  write("processor_config.json", R"({"processor_class": "FooProcessor"})");
  EXPECT_EQ(read()->shortestEdge, 1);
  write("processor_config.json", R"({"image_processor": {"size": 2}})");
  EXPECT_EQ(read()->shortestEdge, 2);
  write("processor_config.json", R"({"image_processor": {"size": -2}})");
  EXPECT_EQ(read().message(),
            folder + "/processor_config.json: image_processor.size: expected "
                     "an integer from 1 to 65536, found -2; mend the file");
  write("processor_config.json", R"({"image_processor": 5})");
  EXPECT_EQ(read().message(),
            folder + "/processor_config.json: image_processor: expected an "
                     "object, found 5; mend the file");
}

TEST_F(ImageProcessingTest, WarnsOfUnknownKeys) {
  readGood(R"({"shiny": 1, "do_shine": false})");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0], folder + "/preprocessor_config.json: shiny: unknown "
                                  "key without effect, ignored");
}

TEST_F(ImageProcessingTest, RefusesWrongValues) {
  // Where all pictures have one size, there is nothing to be filled up.
  EXPECT_EQ(readGood(R"({"do_pad": true, "pad_size": {"height": 224,
                         "width": 224}})"),
            ImageProcessing());
  const std::string unpadded =
      "do_pad: expected false, found true; this step is not supported where "
      "pictures come out in several sizes or smaller than pad_size, set it to "
      "false if the model works without it";
  expectError(R"({"do_pad": true, "do_center_crop": false})", unpadded);
  expectError(R"({"do_pad": true, "pad_size": 300})", unpadded);
  expectError(R"({"image_processor_type": "BarImageProcessor"})",
              "image_processor_type: expected \"FooImageProcessor\", found "
              "\"BarImageProcessor\"; this model family is not known to work "
              "with that processor");
  expectError(R"({"do_resize": 1})",
              "do_resize: expected true or false, found 1; mend the file");
  expectError(R"({"size": {"shortest_edge": 224.5}})",
              "size.shortest_edge: expected an integer from 1 to 65536, found "
              "224.5; mend the file");
  expectError(R"({"size": {"shortest_edge": 18446744073709551615}})",
              "size.shortest_edge: expected an integer from 1 to 65536, found "
              "18446744073709551615; mend the file");
  expectError(R"({"size": {"longest_edge": 224}})",
              "size: expected an integer, [height, width], "
              "{\"shortest_edge\"}, {\"shortest_edge\", \"longest_edge\"}, "
              "{\"height\", \"width\"} or {\"max_height\", \"max_width\"}, "
              "found {\"longest_edge\":224}; mend the file");
  expectError(R"({"crop_size": {"shortest_edge": 224}})",
              "crop_size: expected an integer, [height, width] or "
              "{\"height\", \"width\"}, found {\"shortest_edge\":224}; mend "
              "the file");
  expectError(R"({"resample": 6})",
              "resample: expected an integer from 0 to 5 (0 nearest, 1 "
              "Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming), found 6; "
              "mend the file");
  expectError(R"({"rescale_factor": "1/255"})",
              "rescale_factor: expected a finite number, found \"1/255\"; "
              "mend the file");
  expectError(R"({"image_mean": [0.5, 0.5]})",
              "image_mean: expected 3 numbers (red, green, blue) or one for "
              "all, found [0.5,0.5]; mend the file");
  expectError(R"({"image_std": [1, 0, 1]})",
              "image_std[1]: expected a finite number other than 0, found 0; "
              "mend the file");
  expectError("[1]", "expected a JSON object, found [1]; mend the file");
}

TEST_F(ImageProcessingTest, ReadsTheGridOfClassesThatCutPictures) {
  known.cutsTiles = true;
  ImageProcessing image = readGood(
      R"({"image_grid_pinpoints": [[224, 448], [448, 224]], "do_pad": true})");
  EXPECT_EQ(image.grid,
            (std::vector<std::array<int64_t, 2>>{{224, 448}, {448, 224}}));
  EXPECT_TRUE(warnings.empty());
  expectError(R"({"image_grid_pinpoints": [[224]]})",
              "image_grid_pinpoints: expected pairs of a height and a width in "
              "pixels, found [[224]]; mend the file");
  expectError(R"({"image_grid_pinpoints": [[224, 300]]})",
              "image_grid_pinpoints: expected multiples of the tile's side "
              "224, found [224, 300]; mend the file");
  expectError(R"({"size": 256})",
              "size and crop_size: expected tiles of one side, found others; "
              "such processors are not supported");
}

TEST_F(ImageProcessingTest, OneClassPadsToSquares) {
  known.names = {"FooImageProcessor", "BarImageProcessor"};
  known.padsAs = "BarImageProcessor";
  EXPECT_TRUE(readGood(R"({"image_processor_type": "BarImageProcessorFast",
                           "do_pad": true})")
                  .padsToSquare);
  EXPECT_FALSE(readGood(R"({"image_processor_type": "BarImageProcessor"})")
                   .padsToSquare);
  EXPECT_FALSE(readGood(R"({"image_processor_type": "FooImageProcessor",
                            "do_pad": true})")
                   .padsToSquare);
}

TEST_F(ImageProcessingTest, PassesOnWhatIsWrongWithTheFile) {
  write("preprocessor_config.json", "{\"size\": }");
  Result<ImageProcessing> image = read();
  ASSERT_FALSE(image);
  EXPECT_TRUE(
      image.message().starts_with(folder + "/preprocessor_config.json:1:"))
      << image.message();
}

static uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// The expected bits are NumPy's:
//   x = (np.uint8(v).astype(np.float64) * factor).astype(np.float32)
//   ((x - np.float32(mean)) / np.float32(std)).view(np.uint32)
TEST(NormalisationTable, EqualsNumPy) {
  NormalisationTable table =
      makeNormalisationTable(ImageProcessing(), ImageBackend::Pil);
  EXPECT_EQ(bitsOf(table[0]), 0xbfe568dcU);
  EXPECT_EQ(bitsOf(table[1]), 0xbfe38a7fU);
  EXPECT_EQ(bitsOf(table[256 + 77]), 0xbf18b427U);
  EXPECT_EQ(bitsOf(table[512 + 255]), 0x40095660U);
}

TEST(NormalisationTable, LeavesOutSteps) {
  ImageProcessing image;
  image.doNormalize = false;
  image.rescaleFactor = 0.0078;
  EXPECT_EQ(makeNormalisationTable(image, ImageBackend::Pil)[512 + 201],
            1.5678F);
  image.doRescale = false;
  EXPECT_EQ(makeNormalisationTable(image, ImageBackend::Pil)[201], 201.0F);
  image.doNormalize = true;
  image.mean = {1, 2, 3};
  image.std = {2, 4, 8};
  EXPECT_EQ(makeNormalisationTable(image, ImageBackend::Pil)[256 + 8], 1.5F);
}

// The expected bits are PyTorch's:
//   m, s = (torch.tensor(x) * (1.0 / factor) for x in (mean, std))
//   ((torch.tensor(v, dtype=torch.uint8).float() - m) / s).view(torch.int32)
TEST(NormalisationTable, EqualsPyTorch) {
  ImageProcessing image;
  NormalisationTable table =
      makeNormalisationTable(image, ImageBackend::Torchvision);
  EXPECT_EQ(bitsOf(table[0]), 0xbfe568dcU);
  EXPECT_EQ(bitsOf(table[1]), 0xbfe38a80U);
  EXPECT_EQ(bitsOf(table[333]), 0xbf18b428U);
  EXPECT_EQ(bitsOf(table[767]), 0x40095661U);
  image.doNormalize = false;
  image.rescaleFactor = 0.0078;
  table = makeNormalisationTable(image, ImageBackend::Torchvision);
  EXPECT_EQ(table[512 + 201], 201.0F * 0.0078F);
}

// The expected numbers are what EfficientNetImageProcessorPil and
// EfficientNetImageProcessor of transformers make of the first channel.
TEST(NormalisationTable, OffsetsAndDividesAgain) {
  ImageProcessing image;
  image.mean = {0.5, 0.5, 0.5};
  image.std = {0.5, 0.5, 0.5};
  image.doNormalize = false;
  image.rescaleFactor = 1 / 127.5;
  image.offsetsRescaled = true;
  auto valueOf = [&](ImageBackend backend, int value) {
    return makeNormalisationTable(image, backend)[value];
  };
  EXPECT_EQ(valueOf(ImageBackend::Pil, 0), -1.0F);
  EXPECT_EQ(valueOf(ImageBackend::Pil, 100), -0x1.b9b9b8p-3F);
  EXPECT_EQ(valueOf(ImageBackend::Torchvision, 100), -0x1.b9b9b0p-3F);
  // Normalised behind the offset, not together with the factor.
  image.doNormalize = true;
  image.dividesAgain = true;
  image.rescaleFactor = 0.01;
  EXPECT_EQ(valueOf(ImageBackend::Pil, 1), -0x1.7d70a4p+2F);
  image.doNormalize = false;
  EXPECT_EQ(valueOf(ImageBackend::Torchvision, 0), -2.0F);
}

TEST_F(ImageProcessingTest, ReadsClassesOfPatches) {
  known.defaults.shortestEdge.reset();
  known.defaults.patchSize = 16;
  known.defaults.maxPatches = 256;
  ImageProcessing image = readGood(
      R"({"patch_size": 14, "max_num_patches": 729, "size": {"height": 3,
          "width": 4}})");
  EXPECT_EQ(image.patchSize, 14);
  EXPECT_EQ(image.maxPatches, 729);
  EXPECT_FALSE(image.height || image.doCenterCrop);
  expectError(R"({"patch_size": 0})",
              "patch_size: expected an integer from 1 to 4096, found 0; mend "
              "the file");
  expectError(R"({"max_num_patches": 1.5})",
              "max_num_patches: expected an integer from 1 to 65536, found "
              "1.5; mend the file");
}

TEST_F(ImageProcessingTest, ReadsOffsetsOfClassesThatHaveThem) {
  known.offsetsRescaled = true;
  known.defaults.dividesAgain = true;
  ImageProcessing image = readGood(R"({"rescale_offset": true})");
  EXPECT_TRUE(image.offsetsRescaled && image.dividesAgain);
  EXPECT_FALSE(readGood(R"({"include_top": false})").dividesAgain);
}

TEST_F(ImageProcessingTest, VideosHaveFilesOfTheirOwn) {
  known.isOfVideos = true;
  auto read = [&] {
    warnings.clear();
    return readVideoProcessing(folder, known, warnings);
  };
  Result<ImageProcessing> video = read();
  ASSERT_TRUE(video);
  EXPECT_EQ(*video, known.defaults);
  EXPECT_TRUE(warnings.empty());
  // That of pictures counts where nothing else is there, whatever its class.
  write("preprocessor_config.json",
        R"({"image_processor_type": "Other", "resample": 2, "do_pad": true,
            "image_grid_pinpoints": [[1, 2]]})");
  video = read();
  ASSERT_TRUE(video) << video.message();
  EXPECT_EQ(video->resample, Resample::Bilinear);
  EXPECT_TRUE(video->grid.empty());
  write("video_preprocessor_config.json",
        R"({"resample": 1, "do_sample_frames": true})");
  video = read();
  ASSERT_TRUE(video) << video.message();
  EXPECT_EQ(video->resample, Resample::Lanczos);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0], folder +
                             "/video_preprocessor_config.json: "
                             "do_sample_frames: true, but all frames that are "
                             "given are taken");
  write("processor_config.json", R"({"video_processor": {"resample": 0}})");
  video = read();
  ASSERT_TRUE(video) << video.message();
  EXPECT_EQ(video->resample, Resample::Nearest);
  write("processor_config.json", R"({"video_processor": 3})");
  video = read();
  ASSERT_FALSE(video);
  EXPECT_EQ(video.message(), folder + "/processor_config.json: "
                                      "video_processor: expected an object, "
                                      "found 3; mend the file");
}
