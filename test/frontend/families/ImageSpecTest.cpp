//===- ImageSpecTest.cpp - Tests of image processing in specs -------------===//
#include "frontend/families/ImageSpec.h"

#include <gtest/gtest.h>

using namespace vlmc;

TEST(ImageSpec, GoesThereAndBack) {
  ImageProcessing image;
  image.resample = Resample::Lanczos;
  image.doRescale = false;
  image.mean = {0.1, 0.2, 0.3};
  auto again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  image.shortestEdge.reset();
  image.height = 20;
  image.width = 30;
  image.doCenterCrop = false;
  image.backend = ImageBackend::Pil;
  again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  image.height.reset();
  image.width.reset();
  image.maxHeight = 40;
  image.maxWidth = 50;
  again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  image = ImageProcessing();
  image.panCrops = 3;
  image.panSide = 40;
  image.panRatio = 1.5;
  image.pans = true;
  again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  image = ImageProcessing();
  image.shortestEdge.reset();
  image.height = image.width = 30;
  image.doCenterCrop = false;
  image.grid = {{30, 60}, {90, 30}};
  image.padsGroups = true;
  again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  image = ImageProcessing();
  image.longestEdge = 333;
  again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
}

TEST(ImageSpec, HoldsPatchesAndOffsets) {
  ImageProcessing image;
  image.shortestEdge.reset();
  image.doCenterCrop = false;
  image.patchSize = 14;
  image.maxPatches = 729;
  image.offsetsRescaled = image.dividesAgain = true;
  auto again = fromSpec(toSpec(image));
  ASSERT_TRUE(again) << again.message();
  EXPECT_EQ(*again, image);
  spec::ImageProcessing wrong = toSpec(image);
  wrong.set_max_patches(70000);
  EXPECT_EQ(fromSpec(wrong).message(),
            "image.max_patches: expected 0 to 65536, found 70000; mend the "
            "spec");
  wrong.set_max_patches(9);
  wrong.set_shortest_edge(20);
  EXPECT_EQ(fromSpec(wrong).message(),
            "image.max_patches: expected 0 without a patch_size or beside a "
            "size, found 9; mend the spec");
}

TEST(ImageSpec, TellsWhatNoPictureCanBeProcessedWith) {
  auto messageOf = [](auto change) {
    spec::ImageProcessing image = toSpec(ImageProcessing());
    change(image);
    auto result = fromSpec(image);
    return result ? std::string() : result.message();
  };
  using Image = spec::ImageProcessing;
  EXPECT_EQ(messageOf([](Image &image) { image.set_crop_width(0); }),
            "image.crop_width: expected 1 to 65536, found 0; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_shortest_edge(-3); }),
            "image.shortest_edge: expected 1 to 65536, found -3; mend the "
            "spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_width(9); }),
            "image.shortest_edge: expected it alone or with longest_edge, or "
            "height and width, or max_height and max_width, found "
            "shortest_edge, width; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.clear_shortest_edge(); }),
            "image.shortest_edge: expected it alone or with longest_edge, or "
            "height and width, or max_height and max_width, found none of "
            "them; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_longest_edge(70000); }),
            "image.longest_edge: expected 1 to 65536, found 70000; mend the "
            "spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_pad_groups(true); }),
            "image.pad_groups: expected false without a grid and a mean, found "
            "true; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_pans(true); }),
            "image.pans: expected false without pan_crops, found true; mend "
            "the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_pan_crops(4); }),
            "image.pan_side: expected 1 to 65536, found 0; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_pan_crops(-1); }),
            "image.pan_crops: expected 0 to 4096, found -1; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) {
              image.set_pan_crops(4);
              image.set_pan_side(10);
              image.set_pan_ratio(-1);
            }),
            "image.pan_ratio: expected 0 to 1e9, found -1.000000; mend the "
            "spec");
  EXPECT_EQ(messageOf([](Image &image) {
              image.set_pan_crops(4);
              image.set_pan_side(10);
              image.set_pad_to_square(true);
            }),
            "image.pan_crops: expected 0 beside patches, a grid or "
            "pad_to_square, found 4; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) {
              image.clear_shortest_edge();
              image.set_height(20);
              image.set_width(30);
              image.set_do_center_crop(false);
              spec::Resolution *resolution = image.add_grid();
              resolution->set_height(40);
              resolution->set_width(40);
            }),
            "image.width: expected the height, as tiles are square, found 30; "
            "mend the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_resample(6); }),
            "image.resample: expected a filter from 0 to 5, found 6; mend the "
            "spec");
  EXPECT_EQ(messageOf([](Image &image) { image.add_mean(1); }),
            "image.mean: expected 3 numbers (red, green, blue), found 4; mend "
            "the spec");
  EXPECT_EQ(messageOf([](Image &image) { image.set_std(1, 0); }),
            "image.std: expected finite numbers, deviations other than 0, "
            "found 0.000000; mend the spec");
  EXPECT_EQ(messageOf([](Image &image) {
              image.set_rescale_factor(std::numeric_limits<double>::infinity());
            }),
            "image.rescale_factor: expected a finite number, found inf; mend "
            "the spec");
  EXPECT_EQ(messageOf([](Image &image) {
              image.set_do_normalize(false);
              image.clear_mean();
            }),
            "");
}
