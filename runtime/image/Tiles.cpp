//===- Tiles.cpp - Pictures that are cut ----------------------------------===//
#include "runtime/image/Tiles.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Pieces.h"
#include "runtime/image/Sizes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace vlmc::rt {

Size bestResolution(std::span<const int32_t> grid, const Size &picture) {
  Size best;
  int64_t mostKept = 0, leastWasted = std::numeric_limits<int64_t>::max();
  auto height = double(picture.height), width = double(picture.width);
  for (size_t i = 0; i + 1 < grid.size(); i += 2) {
    double scale = std::min(grid[i + 1] / width, grid[i] / height);
    auto scaledWidth = int64_t(width * scale),
         scaledHeight = int64_t(height * scale);
    int64_t kept =
        std::min(scaledWidth * scaledHeight, picture.height * picture.width);
    int64_t wasted = int64_t(grid[i]) * grid[i + 1] - kept;
    if (kept > mostKept || (kept == mostKept && wasted < leastWasted)) {
      mostKept = kept;
      leastWasted = wasted;
      best = {grid[i], grid[i + 1]};
    }
  }
  return best;
}

Size nearestAspect(std::span<const int32_t> grid, const Size &picture) {
  Size best;
  double least = std::numeric_limits<double>::infinity();
  double aspect = double(picture.width) / double(picture.height);
  for (size_t i = 0; i + 1 < grid.size(); i += 2) {
    Size size{grid[i], grid[i + 1]};
    // The sides are whole tiles, so that the quotient is that of their numbers.
    double difference =
        std::abs(aspect - double(size.width) / double(size.height));
    bool isLarge = double(picture.width * picture.height) >
                   0.5 * double(size.width * size.height);
    if (difference < least || (difference == least && isLarge))
      best = size;
    least = std::min(least, difference);
  }
  return best;
}

size_t leastScaled(std::span<const int32_t> grid, const Size &picture) {
  size_t best = 0;
  double chosen = 0;
  int64_t area = 0;
  for (size_t i = 0; i + 1 < grid.size(); i += 2) {
    double down = double(grid[i]) / double(picture.height);
    double across = double(grid[i + 1]) / double(picture.width);
    double scale = across > down ? down : across;
    int64_t pixels = int64_t(grid[i]) * grid[i + 1];
    // Among those that enlarge the least scale wins, among others the largest;
    // the first kind before the second.
    bool enlarges = scale >= 1, chosenEnlarges = chosen >= 1;
    bool isBetter = enlarges != chosenEnlarges ? enlarges
                    : enlarges                 ? scale < chosen
                                               : scale > chosen;
    if (i == 0 || isBetter || (scale == chosen && pixels < area)) {
      best = i / 2;
      chosen = scale;
      area = pixels;
    }
  }
  return best;
}

Size tiledSize(const Size &picture, const Size &target, int64_t tile) {
  Size wanted{std::clamp(picture.height, tile, target.height),
              std::clamp(picture.width, tile, target.width)};
  double down = double(wanted.height) / double(picture.height);
  double across = double(wanted.width) / double(picture.width);
  auto side = [](double length, int64_t most) {
    return std::min(std::max<int64_t>(1, int64_t(std::floor(length))), most);
  };
  if (across < down)
    return {side(double(picture.height) * across, wanted.height), wanted.width};
  return {wanted.height, side(double(picture.width) * down, wanted.width)};
}

Size fittedSize(const Size &picture, const Size &target) {
  auto height = double(picture.height), width = double(picture.width);
  double across = double(target.width) / width,
         down = double(target.height) / height;
  if (across < down)
    return {std::min(int64_t(std::ceil(height * across)), target.height),
            target.width};
  return {target.height,
          std::min(int64_t(std::ceil(width * down)), target.width)};
}

/// Python's int(round(value, 7)).
static int64_t roundedDown(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.7f", value);
  return int64_t(std::strtod(text, nullptr));
}

Window unpadded(const Size &picture, const Size &all) {
  Window window{{0, all.height}, {0, all.width}};
  auto cut = [](int64_t length, int64_t kept) {
    int64_t border = (length - kept) >= 0 ? (length - kept) / 2 : 0;
    return Span{border, length - border};
  };
  auto height = double(picture.height), width = double(picture.width);
  if (width / height > double(all.width) / double(all.height))
    window.rows =
        cut(all.height, roundedDown(height * (double(all.width) / width)));
  else
    window.columns =
        cut(all.width, roundedDown(width * (double(all.height) / height)));
  return window;
}

namespace {
/// A place between two of a line.
struct Between {
  int64_t first = 0, second = 0;
  float weight = 0; ///< of the second
};
} // namespace

/// As torch.nn.functional.interpolate resamples a line linearly, corners not
/// aligned and without a filter.
static std::vector<Between> linearPlaces(int64_t from, int64_t to) {
  std::vector<Between> places;
  const float scale = float(from) / float(to);
  for (int64_t i = 0; i < to; ++i) {
    float place = std::max(scale * (float(i) + 0.5F) - 0.5F, 0.0F);
    int64_t first = std::min(int64_t(place), from - 1);
    float weight = std::clamp(place - float(first), 0.0F, 1.0F);
    places.push_back({first, first + (first < from - 1), weight});
  }
  return places;
}

static void addRow(int64_t row, FeatureRows &out) {
  for (int64_t tap = 0; tap < out.taps; ++tap) {
    out.rows.push_back(int32_t(row));
    if (out.taps > 1)
      out.weights.push_back(tap ? 0.0F : 1.0F);
  }
}

/// A map resampled; `rowOf` tells the row of a place. With `endsLines` row 0
/// stands behind each line.
static void addResampled(const Size &map, const Size &wanted, bool endsLines,
                         const auto &rowOf, FeatureRows &out) {
  std::vector<Between> down = linearPlaces(map.height, wanted.height);
  std::vector<Between> across = linearPlaces(map.width, wanted.width);
  for (const Between &y : down) {
    for (const Between &x : across) {
      for (auto [line, share] :
           {std::pair(y.first, 1 - y.weight), std::pair(y.second, y.weight)}) {
        out.rows.push_back(int32_t(rowOf(line, x.first)));
        out.rows.push_back(int32_t(rowOf(line, x.second)));
        out.weights.push_back(share * (1 - x.weight));
        out.weights.push_back(share * x.weight);
      }
    }
    if (endsLines)
      addRow(0, out);
  }
}

/// Python's int(length // ratio).
static int64_t floorQuotient(double length, double ratio) {
  double rest = std::fmod(length, ratio);
  double quotient = (length - rest) / ratio, whole = std::floor(quotient);
  return int64_t(quotient - whole > 0.5 ? whole + 1 : whole);
}

FeatureRows packedRows(const Size &picture, const Size &grid, int64_t side,
                       int64_t perTile, int64_t mostTiles) {
  Window window = unpadded(picture, {grid.height * side, grid.width * side});
  Size map{window.rows.size(), window.columns.size()};
  double ratio = 0;
  if (mostTiles)
    ratio = std::sqrt(double(map.height * map.width) /
                      double(mostTiles * side * side));
  const bool isResampled = ratio > 1.1;
  FeatureRows out;
  out.taps = isResampled ? 4 : 1;
  for (int64_t i = 1; i < perTile; ++i) // the whole picture
    addRow(i, out);
  auto rowOf = [&](int64_t y, int64_t x) {
    y += window.rows.begin;
    x += window.columns.begin;
    int64_t tile = 1 + y / side * grid.width + x / side;
    return tile * perTile + 1 + y % side * side + x % side;
  };
  if (isResampled) {
    Size wanted{floorQuotient(double(map.height), ratio),
                floorQuotient(double(map.width), ratio)};
    addResampled(map, wanted, /*endsLines=*/true, rowOf, out);
    return out;
  }
  for (int64_t y = 0; y < map.height; ++y) {
    for (int64_t x = 0; x < map.width; ++x)
      addRow(rowOf(y, x), out);
    addRow(0, out);
  }
  return out;
}

FeatureRows pooledRows(int64_t frames, int64_t side, int64_t perTile) {
  FeatureRows out;
  out.taps = 4;
  const int64_t half = (side + 1) / 2;
  for (int64_t frame = 0; frame < frames; ++frame)
    addResampled(
        {side, side}, {half, half}, /*endsLines=*/false,
        [&](int64_t y, int64_t x) {
          return frame * perTile + 1 + y * side + x;
        },
        out);
  addRow(0, out);
  return out;
}

vlm_abi_image panned(const vlm_abi_image &processing, const View &view) {
  vlm_abi_image own = processing;
  own.pans = view.pans.value_or(own.pans != 0);
  if (view.panSide)
    own.pan_side = uint32_t(*view.panSide);
  if (view.panCrops)
    own.pan_crops = uint32_t(*view.panCrops);
  if (view.panRatio)
    own.pan_ratio = std::bit_cast<uint64_t>(*view.panRatio);
  return own;
}

Size panGrid(const vlm_abi_image &processing, const Size &picture) {
  const bool isWide = picture.width >= picture.height;
  const int64_t longer = std::max(picture.height, picture.width);
  const int64_t shorter = std::min(picture.height, picture.width);
  const double ratio = double(longer) / double(shorter);
  const int64_t side = processing.pan_side, most = processing.pan_crops;
  if (ratio < std::bit_cast<double>(processing.pan_ratio))
    return {};
  int64_t crops = std::min(longer / side, int64_t(std::floor(ratio + 0.5)));
  crops = std::min(most, std::max<int64_t>(2, crops));
  const int64_t length = (longer + crops - 1) / crops;
  if (std::min(length, shorter) < side)
    return {};
  return isWide ? Size{1, crops} : Size{crops, 1};
}

} // namespace vlmc::rt

using namespace vlmc::rt;

/// Rows of features that each tile has; 0 if the model sees nothing.
static int64_t featuresOfTile(const vlm_abi_model &abi) {
  const vlm_abi_level &level = abi.levels[0];
  for (uint32_t i = 0; i < level.n_entries; ++i)
    if (std::strcmp(level.entries[i].name, "encode_image") == 0 &&
        level.entries[i].n_outputs && level.entries[i].outputs[0].rank == 3)
      return level.entries[i].outputs[0].dims[1];
  return 0;
}

static vlm_status_t *checkPicture(int64_t height, int64_t width) {
  constexpr int64_t most = int64_t(1) << 24;
  if (height >= 1 && width >= 1 && height <= most && width <= most)
    return nullptr;
  return makeStatus(VLM_INVALID_ARGUMENT,
                    "expected a picture of 1 x 1 to 16,777,216 x 16,777,216 "
                    "pixels, found " +
                        std::to_string(height) + " x " + std::to_string(width) +
                        " (height x width)");
}

/// The processing, where it cuts pictures into patches; else null.
static const vlm_abi_image *findPatches(const vlm_abi_model &abi) {
  return abi.image && abi.image->do_crop == VLM_ABI_CROP_PATCHES ? abi.image
                                                                 : nullptr;
}

/// Whether tiles are of a stretched picture, and all of their features read.
static bool stretchesTiles(const vlm_abi_model &abi) {
  return abi.image && abi.image->do_crop == VLM_ABI_CROP_STRETCHED;
}

/// The processing, where tiles are of a fitted picture; else null.
static const vlm_abi_image *findFitted(const vlm_abi_model &abi) {
  return abi.image && abi.image->do_crop == VLM_ABI_CROP_FITTED ? abi.image
                                                                : nullptr;
}

/// The processing, where pictures become pieces; else null.
static const vlm_abi_image *findPieces(const vlm_abi_model &abi) {
  return abi.image && becomesPieces(*abi.image) ? abi.image : nullptr;
}

/// The places of all pieces of a picture where each patch of a tower with grids
/// of their own is a feature; 0: features are of another number.
static int64_t countPlaces(const vlm_abi_model &abi, const Size &picture) {
  const vlm_abi_level &level = abi.levels[0];
  int64_t features = 0;
  for (uint32_t i = 0; i < level.n_entries; ++i) {
    const vlm_abi_entry &entry = level.entries[i];
    if (std::strcmp(entry.name, "encode_image") != 0 || !entry.n_outputs ||
        entry.outputs[0].rank != 3 || entry.outputs[0].symbols[1] < 0)
      continue;
    for (uint32_t k = 0; k < entry.n_inputs; ++k)
      if (std::strcmp(entry.inputs[k].name, "pixel_values") == 0 &&
          entry.inputs[k].rank == 3)
        features = entry.inputs[k].dims[2];
  }
  if (!features || !abi.image)
    return 0;
  const auto side = int64_t(std::lround(std::sqrt(double(features) / 3)));
  std::vector<Size> sizes{resizedSize(*abi.image, picture)};
  if (becomesPieces(*abi.image))
    sizes = pieceSizes(*abi.image, picture);
  int64_t places = 0;
  for (const Size &size : sizes)
    places += size.height / side * (size.width / side);
  return places;
}

/// The tiles that a picture is cut into, the whole picture included.
static int64_t countTiles(const vlm_abi_model &abi, const Size &picture) {
  const vlm_abi_generation &facts = *abi.generation;
  std::span<const int32_t> grid(facts.grid, 2 * facts.n_grid);
  Size best = stretchesTiles(abi) ? nearestAspect(grid, picture)
                                  : bestResolution(grid, picture);
  int64_t tiles =
      best.height / facts.tile_size * (best.width / facts.tile_size);
  return stretchesTiles(abi) && tiles == 1 ? 1 : 1 + tiles;
}

extern "C" {

int64_t vlm_image_arrangement(const vlm_abi_image *processing, int64_t height,
                              int64_t width) {
  if (processing->do_crop != VLM_ABI_CROP_FITTED || height < 1 || width < 1)
    return 0;
  return 1 + int64_t(leastScaled({processing->grid, 2 * processing->n_grid},
                                 {height, width}));
}

vlm_status_t *vlm_model_picture_lines(const vlm_model_t *model, int64_t height,
                                      int64_t width, int64_t *out_lines,
                                      int64_t *out_columns) {
  if (vlm_status_t *status = checkPicture(height, width))
    return status;
  const vlm_abi_image *patches = findPatches(*vlm_model_abi(model));
  Size grid = patches ? patchGrid(*patches, {height, width}) : Size{};
  if (const vlm_abi_image *pieces = findPieces(*vlm_model_abi(model)))
    grid = cutLines(*pieces, {height, width});
  *out_lines = grid.height;
  *out_columns = grid.width;
  return nullptr;
}

/// Whether the picture's crops are shown as well.
static bool isPanned(const vlm_abi_model &abi, const View &view) {
  return abi.image && abi.image->pan_crops &&
         view.pans.value_or(abi.image->pans != 0);
}

static vlm_status_t *checkView(const vlm_abi_model &abi, const View &view) {
  bool reads =
      abi.generation && abi.generation->picture_flags & VLM_ABI_READS_VIDEOS;
  if (!view.frames || reads)
    return nullptr;
  return makeStatus(VLM_UNSUPPORTED, std::string("model ") + abi.name +
                                         " reads no videos; give pictures");
}

/// Whether the picture is one tile as others stand beside it.
static bool isWhole(const vlm_abi_model &abi, const View &view) {
  return view.isGrouped && abi.generation &&
         abi.generation->picture_flags & VLM_ABI_GROUPS_WHOLE;
}

vlm_status_t *vlm_model_tile_count(const vlm_model_t *model, int64_t height,
                                   int64_t width, int64_t *out_tiles) {
  return vlm_model_view_tiles(model, height, width, View(), out_tiles);
}

vlm_status_t *vlm_model_view_tiles(const vlm_model_t *model, int64_t height,
                                   int64_t width, const View &view,
                                   int64_t *out_tiles) {
  return guarded("counting tiles", [&]() -> vlm_status_t * {
    const vlm_abi_model &abi = *vlm_model_abi(model);
    if (vlm_status_t *status = checkPicture(height, width))
      return status;
    if (vlm_status_t *status = checkView(abi, view))
      return status;
    const vlm_abi_generation *facts = abi.generation;
    *out_tiles = view.frames ? int64_t(view.frames) : 1;
    if (view.frames || isWhole(abi, view))
      return nullptr;
    if (isPanned(abi, view)) {
      Size crops = panGrid(panned(*abi.image, view), {height, width});
      *out_tiles = 1 + crops.height * crops.width;
      return nullptr;
    }
    if (const vlm_abi_image *patches = findPatches(abi)) {
      Size grid = patchGrid(*patches, {height, width});
      *out_tiles = grid.height * grid.width;
    }
    if (const vlm_abi_image *pieces = findPieces(abi))
      *out_tiles = countPieces(*pieces, {height, width});
    if (const vlm_abi_image *fitted = findFitted(abi)) {
      const int32_t *chosen =
          fitted->grid +
          2 * leastScaled({fitted->grid, 2 * fitted->n_grid}, {height, width});
      *out_tiles = int64_t(chosen[0] / fitted->crop_height) *
                   (chosen[1] / fitted->crop_height);
      return nullptr;
    }
    if (!facts || !facts->n_grid)
      return nullptr;
    // The processor cuts by its own list, the model lays out by config.json's.
    if (abi.image && abi.image->n_grid && !stretchesTiles(abi)) {
      auto chosen = [&](const int32_t *grid, size_t count) {
        return bestResolution({grid, 2 * count}, {height, width});
      };
      Size cut = chosen(abi.image->grid, abi.image->n_grid);
      Size read = chosen(facts->grid, facts->n_grid);
      if (cut.height != read.height || cut.width != read.width)
        return makeStatus(
            VLM_INVALID_ARGUMENT,
            "a picture of " + std::to_string(height) + " x " +
                std::to_string(width) + " is cut for " +
                std::to_string(cut.height) + " x " + std::to_string(cut.width) +
                " pixels by the processor's image_grid_pinpoints and for " +
                std::to_string(read.height) + " x " +
                std::to_string(read.width) +
                " by config.json's; make the two lists equal and compile "
                "again");
    }
    *out_tiles = countTiles(abi, {height, width});
    return nullptr;
  });
}

/// All features of some tiles in their order.
static void addAllRows(int64_t count, FeatureRows &rows) {
  for (int64_t i = 0; i < count; ++i)
    addRow(i, rows);
}

vlm_status_t *vlm_model_view_rows(const vlm_model_t *model, int64_t height,
                                  int64_t width, const View &view,
                                  FeatureRows &out) {
  return guarded("placing a picture's features", [&]() -> vlm_status_t * {
    const vlm_abi_model &abi = *vlm_model_abi(model);
    int64_t tiles = 0;
    if (vlm_status_t *status =
            vlm_model_view_tiles(model, height, width, view, &tiles))
      return status;
    if (int64_t places = countPlaces(abi, {height, width}); places > 0) {
      out = {};
      addAllRows(places, out);
      return nullptr;
    }
    const int64_t perTile = featuresOfTile(abi);
    if (!perTile)
      return makeStatus(VLM_UNSUPPORTED,
                        std::string("model ") + abi.name +
                            " does not read pictures between words");
    const vlm_abi_generation *facts = abi.generation;
    out = {};
    const bool hasLines = facts && facts->n_grid && !stretchesTiles(abi);
    if (view.frames && facts->picture_flags & VLM_ABI_POOLS_FRAMES) {
      out = pooledRows(tiles, facts->tile_features, perTile);
    } else if (hasLines && isWhole(abi, view)) {
      for (int64_t i = 1; i < perTile; ++i)
        addRow(i, out);
      addRow(0, out);
    } else if (hasLines && !view.frames) {
      Size best =
          bestResolution({facts->grid, 2 * facts->n_grid}, {height, width});
      out = packedRows(
          {height, width},
          {best.height / facts->tile_size, best.width / facts->tile_size},
          facts->tile_features, perTile, facts->most_tiles);
    } else {
      // A tower over all tiles has those of each at once.
      addAllRows((findFitted(abi) && !view.frames ? 1 : tiles) * perTile, out);
    }
    return nullptr;
  });
}

vlm_status_t *vlm_model_picture_rows(const vlm_model_t *model, int64_t height,
                                     int64_t width, vlm_ids_t *out_rows) {
  return guarded("placing a picture's features", [&]() -> vlm_status_t * {
    FeatureRows rows;
    if (vlm_status_t *status =
            vlm_model_view_rows(model, height, width, View(), rows))
      return status;
    if (rows.taps > 1)
      return makeStatus(
          VLM_UNSUPPORTED,
          "a picture of " + std::to_string(height) + " x " +
              std::to_string(width) +
              " pixels (height x width) has tokens that are sums of several "
              "features; use a session (vlm_session_prompt), which knows them");
    const size_t count = rows.rows.size();
    auto *ids = static_cast<int32_t *>(malloc(count * sizeof(int32_t)));
    if (!ids)
      return makeStatus(VLM_OUT_OF_MEMORY, "no memory for the places of a "
                                           "picture's features");
    std::ranges::copy(rows.rows, ids);
    *out_rows = {ids, count, 0};
    return nullptr;
  });
}

} // extern "C"
