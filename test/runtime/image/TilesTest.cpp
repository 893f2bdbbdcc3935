// How pictures are cut into tiles, and which features are read of them. The
// expected values are those of transformers 5.23: select_best_resolution,
// get_patch_output_size, and unpad_image of features that count up.
#include "runtime/image/Tiles.h"

#include <algorithm>
#include <gtest/gtest.h>

#include <array>
#include <bit>
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
    FeatureRows packed = packedRows(cut.picture, grid, kSide, kPerTile, 0);
    EXPECT_EQ(packed.taps, 1);
    std::vector<int32_t> rows = packed.rows;
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
  std::vector<int32_t> rows = packedRows({2, 4}, {1, 2}, 2, 5, 0).rows;
  EXPECT_EQ(rows, (std::vector<int32_t>{1, 2, 3, 4,         // the whole
                                        6, 7, 11, 12, 0,    // line 0
                                        8, 9, 13, 14, 0})); // line 1
}

/// What tokens are made of features that are linear over a map: the place of a
/// feature, down and across, behind a row 0 that is far away.
std::vector<std::array<float, 2>> placesOf(const FeatureRows &rows,
                                           std::vector<float> features) {
  std::vector<std::array<float, 2>> places(size_t(rows.size()));
  rows.gather(features.data(), 2, places.data()->data());
  return places;
}

TEST(Tiles, LargeMapsAreResampled) {
  // Two tiles above each other of 3 x 3 features; as many of one tile are the
  // most: the ratio is sqrt(2), 6 // sqrt(2) = 4 and 3 // sqrt(2) = 2.
  std::vector<float> features;
  for (int tile = 0; tile < 3; ++tile)
    for (int i = -1; i < 9; ++i) {
      int y = 3 * (tile - 1) + i / 3;
      features.insert(features.end(), {i < 0 ? 100.0F : float(y),
                                       i < 0 ? 100.0F : float(i % 3)});
    }
  FeatureRows rows = packedRows({60, 30}, {2, 1}, 3, 10, 1);
  EXPECT_EQ(rows.taps, 4);
  ASSERT_EQ(rows.size(), 9 + 4 * 3);
  auto places = placesOf(rows, features);
  // torch.nn.functional.interpolate(map, [4, 2], mode="bilinear").
  const float down[] = {0.25F, 1.75F, 3.25F, 4.75F}, across[] = {0.25F, 1.75F};
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 2; ++x) {
      EXPECT_FLOAT_EQ(places[size_t(9 + 3 * y + x)][0], down[y]);
      EXPECT_FLOAT_EQ(places[size_t(9 + 3 * y + x)][1], across[x]);
    }
    EXPECT_EQ(places[size_t(9 + 3 * y + 2)][0], 100); // the newline
  }
  // A limit that is nearly kept changes nothing.
  EXPECT_EQ(packedRows({60, 30}, {2, 1}, 3, 10, 2).taps, 1);
}

TEST(Tiles, FramesArePooled) {
  std::vector<float> features;
  for (int frame = 0; frame < 2; ++frame)
    for (int i = -1; i < 9; ++i)
      features.insert(features.end(),
                      {i < 0 ? -7.0F : float(10 * frame + i / 3),
                       i < 0 ? -7.0F : float(i % 3)});
  FeatureRows rows = pooledRows(2, 3, 10);
  auto places = placesOf(rows, features);
  ASSERT_EQ(places.size(), 9U); // twice 2 x 2, and one newline
  EXPECT_FLOAT_EQ(places[0][0], 0.25F);
  EXPECT_FLOAT_EQ(places[3][0], 1.75F);
  EXPECT_FLOAT_EQ(places[5][0], 10.25F);
  EXPECT_FLOAT_EQ(places[5][1], 1.75F);
  EXPECT_EQ(places[8][0], -7);
}

TEST(Tiles, LongPicturesHaveCrops) {
  vlm_abi_image processing{};
  processing.pan_crops = 4;
  processing.pan_side = 256;
  processing.pan_ratio = std::bit_cast<uint64_t>(1.2);
  auto crops = [&](int64_t height, int64_t width) {
    Size grid = panGrid(processing, {height, width});
    return std::array<int64_t, 2>{grid.height, grid.width};
  };
  using Crops = std::array<int64_t, 2>;
  EXPECT_EQ(crops(500, 599), (Crops{0, 0})); // less than 1.2
  EXPECT_EQ(crops(500, 600), (Crops{1, 2})); // at least two
  EXPECT_EQ(crops(600, 500), (Crops{2, 1}));
  EXPECT_EQ(crops(300, 1500), (Crops{1, 4})); // at most four
  EXPECT_EQ(crops(400, 1000), (Crops{1, 3})); // halves are rounded up
  EXPECT_EQ(crops(260, 500), (Crops{0, 0}));  // crops of 250 are too small
  View view;
  view.panSide = 100;
  view.panCrops = 8;
  view.panRatio = 3;
  processing = panned(processing, view);
  EXPECT_EQ(crops(300, 1500), (Crops{1, 5}));
  EXPECT_EQ(crops(500, 600), (Crops{0, 0}));
}

} // namespace
