// How pictures are cut into tiles, and which features are read of them. The
// expected values are those of transformers 5.23: select_best_resolution,
// get_patch_output_size, and unpad_image of features that count up.
#include "runtime/image/Tiles.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

using namespace vlmc::rt;

namespace {

constexpr int32_t kGrid[] = {336, 672,  672, 336, 672,
                             672, 1008, 336, 336, 1008};
constexpr int64_t kTile = 336, kSide = 24, kPerTile = kSide * kSide + 1;

struct Cut {
  Size picture, best, fitted;
  int64_t rows, columns; ///< of features that are left
  int32_t first;         ///< the first of them; -1: none is left
};

const Cut kCuts[] = {
    {{480, 640}, {672, 672}, {504, 672}, 36, 48, 288},
    {{1, 1}, {336, 672}, {336, 336}, 24, 24, 12},
    {{1, 5000}, {336, 672}, {1, 672}, 0, 48, -1},
    {{5000, 1}, {336, 672}, {336, 1}, 24, 0, -1},
    {{336, 336}, {336, 672}, {336, 336}, 24, 24, 12},
    {{1008, 336}, {1008, 336}, {1008, 336}, 72, 24, 0},
    {{333, 1000}, {336, 1008}, {336, 1008}, 24, 72, 0},
    {{700, 701}, {672, 672}, {672, 672}, 48, 48, 0},
    {{97, 131}, {336, 672}, {336, 454}, 24, 32, 8},
};

TEST(Tiles, AreThoseOfTransformers) {
  for (const Cut &cut : kCuts) {
    SCOPED_TRACE(std::to_string(cut.picture.height) + " x " +
                 std::to_string(cut.picture.width));
    Size best = bestResolution(kGrid, cut.picture);
    EXPECT_EQ(best.height, cut.best.height);
    EXPECT_EQ(best.width, cut.best.width);
    Size fitted = fittedSize(cut.picture, best);
    EXPECT_EQ(fitted.height, cut.fitted.height);
    EXPECT_EQ(fitted.width, cut.fitted.width);
    Size all{best.height / kTile * kSide, best.width / kTile * kSide};
    Window window = unpadded(cut.picture, all);
    EXPECT_EQ(window.rows.size(), cut.rows);
    EXPECT_EQ(window.columns.size(), cut.columns);
    if (cut.first >= 0)
      EXPECT_EQ(window.rows.begin * all.width + window.columns.begin,
                cut.first);
  }
}

TEST(Tiles, FeaturesAreReadLineByLine) {
  for (const Cut &cut : kCuts) {
    Size grid{cut.best.height / kTile, cut.best.width / kTile};
    std::vector<int32_t> rows = packedRows(cut.picture, grid, kSide, kPerTile);
    ASSERT_EQ(int64_t(rows.size()),
              kPerTile - 1 + cut.rows * (cut.columns + 1));
    EXPECT_EQ(rows.front(), 1);
    EXPECT_EQ(rows[kPerTile - 2], kPerTile - 1);
    // Each line ends with row 0, the newline, and only there it is.
    EXPECT_EQ(std::count(rows.begin(), rows.end(), 0), cut.rows);
    for (int64_t line = 1; line <= cut.rows; ++line)
      EXPECT_EQ(rows[size_t(kPerTile - 1 + line * (cut.columns + 1) - 1)], 0);
  }
  // Two tiles side by side: a line goes through both.
  std::vector<int32_t> rows = packedRows({2, 4}, {1, 2}, 2, 5);
  EXPECT_EQ(rows, (std::vector<int32_t>{1, 2, 3, 4,         // the whole
                                        6, 7, 11, 12, 0,    // line 0
                                        8, 9, 13, 14, 0})); // line 1
}

} // namespace
