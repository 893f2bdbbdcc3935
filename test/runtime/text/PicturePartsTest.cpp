// What stands in the place of pictures in parts. The expected texts are those
// of Idefics2Processor and Idefics3Processor in transformers 5.23.
#include "runtime/text/PictureParts.h"

#include <gtest/gtest.h>
#include <vector>

using namespace vlmc::rt::text;

namespace {

const PictureWords kWords{"<i>", "<f>", "<g>", 2};

TEST(PictureParts, StandBetweenFrames) {
  std::vector<int64_t> one{2}, five{10}, two{2, 4};
  EXPECT_EQ(writeParts(kWords, "a <i>\nb", one), "a <f><i><i><f>\nb");
  EXPECT_EQ(writeParts(kWords, "<i>", five),
            "<f><i><i><f><i><i><f><i><i><f><i><i><f><i><i><f>");
  EXPECT_EQ(writeParts(kWords, "<i><i>.", two),
            "<f><i><i><f><i><i><f><i><i><f> .");
}

TEST(PictureParts, HaveBlanksBeforeWords) {
  std::vector<int64_t> one{2};
  EXPECT_EQ(writeParts(kWords, "<i>b", one), "<f><i><i><f> b");
  EXPECT_EQ(writeParts(kWords, "<i> b", one), "<f><i><i><f> b");
  EXPECT_EQ(writeParts(kWords, "<i>\u3000b", one), "<f><i><i><f>\u3000b");
  EXPECT_EQ(writeParts(kWords, "<i><b>", one), "<f><i><i><f><b>");
  EXPECT_EQ(writeParts(kWords, "<i>猫", one), "<f><i><i><f> 猫");
  // Frames that a prompt brings along: of three that adjoin, two are left.
  EXPECT_EQ(writeParts(kWords, "<f><f>a<f><f><f>", {}), "<f> a<f><f>");
}

TEST(PictureParts, AreTilesInLines) {
  std::vector<int64_t> whole{0, 0}, cut{2, 1}, both{0, 0, 1, 2};
  EXPECT_EQ(writeTiles(kWords, "a<i>b", whole), "a<f><g><i><i><f>b");
  EXPECT_EQ(writeTiles(kWords, "<i>", cut),
            "<f><row_1_col_1><i><i>\n<f><row_2_col_1><i><i>\n\n"
            "<f><g><i><i><f>");
  EXPECT_EQ(writeTiles(kWords, "<i>, <i>", both),
            "<f><g><i><i><f>, <f><row_1_col_1><i><i><f><row_1_col_2><i><i>\n\n"
            "<f><g><i><i><f>");
  EXPECT_EQ(countPlaceholders(kWords, "<i>, <i>"), 2U);
}

} // namespace
