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

/// Up to four tiles of 28, in the order of get_all_supported_aspect_ratios.
constexpr int32_t kArrangements[] = {28, 28, 28, 56, 28, 84, 28,  112,
                                     56, 28, 56, 56, 84, 28, 112, 28};

struct Arranged {
  Size picture;
  size_t number;
  Size size;
};

// get_optimal_tiled_canvas, get_image_size_fit_to_canvas.
const Arranged kArranged[] = {
    {{150, 200}, 5, {42, 56}}, {{131, 97}, 5, {56, 41}},
    {{1, 33}, 1, {1, 33}},     {{33, 1}, 4, {33, 1}},
    {{28, 28}, 0, {28, 28}},   {{5, 7}, 0, {20, 28}},
    {{20, 100}, 3, {20, 100}}, {{1000, 28}, 7, {112, 3}},
    {{84, 28}, 6, {84, 28}},   {{30, 30}, 5, {30, 30}},
    {{1, 5000}, 3, {1, 112}},
};

TEST(Tiles, FitTheArrangementThatScalesLeast) {
  for (const Arranged &each : kArranged) {
    SCOPED_TRACE(std::to_string(each.picture.height) + " x " +
                 std::to_string(each.picture.width));
    size_t number = leastScaled(kArrangements, each.picture);
    EXPECT_EQ(number, each.number);
    Size size = tiledSize(
        each.picture,
        {kArrangements[2 * number], kArrangements[2 * number + 1]}, 28);
    EXPECT_EQ(size.height, each.size.height);
    EXPECT_EQ(size.width, each.size.width);
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
