// The sizes of pictures that are capped, and of those that become pieces. The
// expected values are those of transformers 5.23: get_resize_output_image_size
// of image_processing_idefics2 and of image_processing_idefics3, and
// get_number_of_image_patches.
#include "runtime/image/Pieces.h"
#include "runtime/image/Sizes.h"

#include <gtest/gtest.h>
#include <string>

using namespace vlmc::rt;

namespace {

struct Sizes {
  Size picture, capped, longest, higher, lines;
};

const Sizes kSizes[] = {
    {{480, 640}, {480, 640}, {1092, 1456}, {3072, 4096}, {3, 4}},
    {{1, 5000}, {378, 980}, {1, 1456}, {1, 4096}, {1, 4}},
    {{5000, 1}, {980, 378}, {1456, 1}, {4096, 1}, {4, 1}},
    {{980, 980}, {980, 980}, {1456, 1456}, {4096, 4096}, {4, 4}},
    {{981, 980}, {980, 979}, {1456, 1454}, {4096, 4091}, {4, 4}},
    {{377, 979}, {378, 979}, {560, 1456}, {1577, 4096}, {2, 4}},
    {{100, 99}, {378, 378}, {1456, 1442}, {4096, 4055}, {4, 4}},
    {{333, 1000}, {378, 980}, {484, 1456}, {1364, 4096}, {2, 4}},
    {{1001, 70}, {980, 378}, {1456, 102}, {4096, 286}, {4, 1}},
    {{2000, 1999}, {980, 979}, {1456, 1456}, {4096, 4094}, {4, 4}},
    {{57, 57}, {378, 378}, {1456, 1456}, {4096, 4096}, {4, 4}},
};

void expectSize(const Size &found, const Size &expected) {
  EXPECT_EQ(found.height, expected.height);
  EXPECT_EQ(found.width, expected.width);
}

vlm_abi_image processingOf(int32_t resize, int32_t longest, int32_t crop) {
  vlm_abi_image processing{};
  processing.resize = resize;
  processing.edge = 378;
  processing.longest_edge = longest;
  processing.do_crop = crop;
  processing.crop_height = processing.crop_width = 364;
  return processing;
}

TEST(Pieces, HaveTheSizesOfTransformers) {
  const vlm_abi_image capped =
      processingOf(VLM_ABI_RESIZE_CAPPED, 980, VLM_ABI_CROP_NONE);
  const vlm_abi_image longest =
      processingOf(VLM_ABI_RESIZE_LONGEST, 1456, VLM_ABI_CROP_LINES);
  const vlm_abi_image higher =
      processingOf(VLM_ABI_RESIZE_LONGEST, 5000, VLM_ABI_CROP_NONE);
  for (const Sizes &each : kSizes) {
    SCOPED_TRACE(std::to_string(each.picture.height) + " x " +
                 std::to_string(each.picture.width));
    expectSize(resizedSize(capped, each.picture), each.capped);
    expectSize(resizedSize(longest, each.picture), each.longest);
    expectSize(resizedSize(higher, each.picture), each.higher);
    expectSize(cutLines(longest, each.picture), each.lines);
    EXPECT_EQ(countPieces(longest, each.picture),
              each.lines.height * each.lines.width + 1);
    expectSize(largestPiece(longest, each.picture), {364, 364});
  }
}

TEST(Pieces, AreOneSquareWhereNoneIsCut) {
  vlm_abi_image processing =
      processingOf(VLM_ABI_RESIZE_LONGEST, 364, VLM_ABI_CROP_LINES);
  expectSize(cutLines(processing, {100, 200}), {0, 0});
  EXPECT_EQ(countPieces(processing, {100, 200}), 1);
  processing.do_crop = VLM_ABI_CROP_SQUARE;
  processing.longest_edge = 3000;
  expectSize(cutLines(processing, {100, 200}), {0, 0});
  EXPECT_EQ(pieceSizes(processing, {100, 200}).size(), 1U);
}

TEST(Pieces, AreQuartersAndTheWhole) {
  const vlm_abi_image processing =
      processingOf(VLM_ABI_RESIZE_NONE, 0, VLM_ABI_CROP_QUARTERS);
  std::vector<Size> sizes = pieceSizes(processing, {5, 7});
  ASSERT_EQ(sizes.size(), 5U);
  const Size expected[] = {{2, 3}, {2, 4}, {3, 3}, {3, 4}, {5, 7}};
  for (size_t i = 0; i < sizes.size(); ++i)
    expectSize(sizes[i], expected[i]);
  expectSize(largestPiece(processing, {5, 7}), {5, 7});
  const vlm_abi_image capped =
      processingOf(VLM_ABI_RESIZE_CAPPED, 980, VLM_ABI_CROP_QUARTERS);
  // Quarters are enlarged to the shorter edge, the whole is not shrunk to it.
  expectSize(pieceSizes(capped, {500, 900})[0], {378, 450});
  expectSize(largestPiece(capped, {500, 900}), {500, 900});
}

} // namespace
