//===- ImageSpec.cpp - Image processing in and out of specs ---------------===//
#include "frontend/families/ImageSpec.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace vlmc {

bool hasImageProcessor(const std::string &folder) {
  std::error_code ignored;
  for (const char *name : {"processor_config.json", "preprocessor_config.json"})
    if (std::filesystem::exists(std::filesystem::path(folder) / name, ignored))
      return true;
  return false;
}

spec::ImageProcessing toSpec(const ImageProcessing &image) {
  spec::ImageProcessing result;
  result.set_do_resize(image.doResize);
  if (image.shortestEdge)
    result.set_shortest_edge(*image.shortestEdge);
  if (image.height)
    result.set_height(*image.height);
  if (image.width)
    result.set_width(*image.width);
  if (image.longestEdge)
    result.set_longest_edge(*image.longestEdge);
  if (image.maxHeight)
    result.set_max_height(*image.maxHeight);
  if (image.maxWidth)
    result.set_max_width(*image.maxWidth);
  result.set_resample(static_cast<int64_t>(image.resample));
  result.set_do_center_crop(image.doCenterCrop);
  result.set_crop_height(image.cropHeight);
  result.set_crop_width(image.cropWidth);
  result.set_do_rescale(image.doRescale);
  result.set_rescale_factor(image.rescaleFactor);
  result.set_do_normalize(image.doNormalize);
  for (double mean : image.mean)
    result.add_mean(mean);
  for (double deviation : image.std)
    result.add_std(deviation);
  result.set_keep_transparent_color(!image.doConvertRgb);
  result.set_round_size(image.roundsSize);
  result.set_only_shrink(image.onlyShrinks);
  result.set_crop_half_to_even(image.cropsHalfToEven);
  result.set_patch_size(image.patchSize);
  result.set_max_patches(image.maxPatches);
  result.set_rescale_offset(image.offsetsRescaled);
  result.set_divide_again(image.dividesAgain);
  result.set_stretch_tiles(image.stretchesTiles);
  result.set_fit_tiles(image.fitsTiles);
  result.set_pad_groups(image.padsGroups);
  result.set_pans(image.pans);
  result.set_pan_crops(image.panCrops);
  result.set_pan_side(image.panSide);
  result.set_pan_ratio(image.panRatio);
  result.set_pad_to_square(image.padsToSquare);
  result.set_cap_edges(image.capsEdges);
  result.set_quarters(image.quarters);
  result.set_tile_size(image.tileSize);
  result.set_cut_lines(image.cutsLines);
  for (auto [height, width] : image.grid) {
    spec::Resolution *resolution = result.add_grid();
    resolution->set_height(height);
    resolution->set_width(width);
  }
  if (image.backend == ImageBackend::Pil)
    result.set_backend(spec::ImageProcessing::PIL);
  return result;
}

static Failure wrong(const std::string &field, const std::string &expected,
                     const std::string &found) {
  return Failure{"image." + field + ": expected " + expected + ", found " +
                 found + "; mend the spec"};
}

/// Whether any side is given that pictures are resized to.
static bool hasSize(const spec::ImageProcessing &image) {
  return image.has_shortest_edge() || image.has_longest_edge() ||
         image.has_height() || image.has_width() || image.has_max_height() ||
         image.has_max_width();
}

/// Wrong unless the size has one of its forms.
static std::optional<Failure> checkForm(const spec::ImageProcessing &image) {
  std::string found;
  for (auto [name, has] :
       {std::pair("shortest_edge", image.has_shortest_edge()),
        std::pair("longest_edge", image.has_longest_edge()),
        std::pair("height", image.has_height()),
        std::pair("width", image.has_width()),
        std::pair("max_height", image.has_max_height()),
        std::pair("max_width", image.has_max_width())})
    if (has)
      found += (found.empty() ? "" : ", ") + std::string(name);
  for (const char *form : {"shortest_edge", "shortest_edge, longest_edge",
                           "height, width", "max_height, max_width"})
    if (found == form)
      return std::nullopt;
  if (found == "longest_edge" && image.tile_size())
    return std::nullopt;
  return wrong("shortest_edge",
               "it alone or with longest_edge, or height and width, or "
               "max_height and max_width",
               found.empty() ? "none of them" : found);
}

/// Quarters and squares go with nothing else that cuts pictures.
static std::optional<Failure> checkPieces(const spec::ImageProcessing &image) {
  constexpr int64_t maxSide = 65536;
  const bool isCut = image.do_center_crop() || image.grid_size() > 0 ||
                     image.patch_size() || image.pad_to_square();
  if (image.tile_size() < 0 || image.tile_size() > maxSide)
    return wrong("tile_size", "0 to 65536", std::to_string(image.tile_size()));
  if (image.tile_size() && (isCut || image.quarters()))
    return wrong("tile_size",
                 "0 beside quarters, a crop, a grid, patches or pad_to_square",
                 std::to_string(image.tile_size()));
  if (image.cut_lines() && !image.tile_size())
    return wrong("cut_lines", "false without a tile_size", "true");
  if (image.quarters() && isCut)
    return wrong("quarters",
                 "false beside a crop, a grid, patches or pad_to_square",
                 "true");
  const bool hasEdges = image.has_shortest_edge() && image.has_longest_edge();
  if (image.cap_edges() && !(image.do_resize() && hasEdges))
    return wrong("cap_edges",
                 "false without do_resize, shortest_edge and longest_edge",
                 "true");
  return std::nullopt;
}

/// The first side that no picture has.
static std::optional<Failure> checkSides(const spec::ImageProcessing &image) {
  constexpr int64_t maxSide = 65536;
  struct Side {
    const char *field;
    bool isUsed;
    int64_t value;
  } sides[] = {
      {"shortest_edge", image.has_shortest_edge(), image.shortest_edge()},
      {"height", image.has_height(), image.height()},
      {"width", image.has_width(), image.width()},
      {"longest_edge", image.has_longest_edge(), image.longest_edge()},
      {"max_height", image.has_max_height(), image.max_height()},
      {"max_width", image.has_max_width(), image.max_width()},
      {"crop_height", image.do_center_crop(), image.crop_height()},
      {"crop_width", image.do_center_crop(), image.crop_width()},
  };
  for (const Side &side : sides)
    if (side.isUsed && (side.value < 1 || side.value > maxSide))
      return wrong(side.field, "1 to 65536", std::to_string(side.value));
  if (image.patch_size() < 0 || image.patch_size() > 4096)
    return wrong("patch_size", "0 to 4096", std::to_string(image.patch_size()));
  if (image.patch_size() && (image.do_center_crop() || image.grid_size() > 0))
    return wrong("patch_size", "0 beside a crop or a grid",
                 std::to_string(image.patch_size()));
  if (image.max_patches() < 0 || image.max_patches() > 65536)
    return wrong("max_patches", "0 to 65536",
                 std::to_string(image.max_patches()));
  if (image.max_patches() && (!image.patch_size() || hasSize(image)))
    return wrong("max_patches", "0 without a patch_size or beside a size",
                 std::to_string(image.max_patches()));
  if (image.pad_to_square() &&
      (image.patch_size() || image.grid_size() > 0 || image.mean_size() != 3))
    return wrong("pad_to_square", "false beside patches or a grid, and a mean",
                 "true");
  if (auto fault = checkPieces(image))
    return fault;
  if (image.round_size() && image.only_shrink())
    return wrong("only_shrink", "false beside round_size", "true");
  if ((image.round_size() || image.only_shrink()) && !image.has_max_height())
    return wrong("max_height", "a number, as a box is filled", "none");
  if (image.do_resize() && !image.max_patches())
    return checkForm(image);
  return std::nullopt;
}

/// The first number that gives no picture, or another number of them than 3.
static std::optional<Failure> checkNumbers(const spec::ImageProcessing &image) {
  if (image.do_rescale() && !std::isfinite(image.rescale_factor()))
    return wrong("rescale_factor", "a finite number",
                 std::to_string(image.rescale_factor()));
  if (!image.do_normalize() && !image.divide_again())
    return std::nullopt;
  for (auto [field, list] :
       {std::pair("mean", &image.mean()), std::pair("std", &image.std())}) {
    if (list->size() != 3)
      return wrong(field, "3 numbers (red, green, blue)",
                   std::to_string(list->size()));
    for (double value : *list)
      if (!std::isfinite(static_cast<float>(value)) ||
          (list == &image.std() && static_cast<float>(value) == 0.0F))
        return wrong(field, "finite numbers, deviations other than 0",
                     std::to_string(value));
  }
  return std::nullopt;
}

/// Crops are at most as many as their number has room for, of some pixels.
static std::optional<Failure> checkPans(const spec::ImageProcessing &image) {
  if (image.pan_crops() < 0 || image.pan_crops() > 4096)
    return wrong("pan_crops", "0 to 4096", std::to_string(image.pan_crops()));
  if (!image.pan_crops())
    return image.pans() ? wrong("pans", "false without pan_crops", "true")
                        : std::optional<Failure>();
  if (image.pan_side() < 1 || image.pan_side() > 65536)
    return wrong("pan_side", "1 to 65536", std::to_string(image.pan_side()));
  if (!(image.pan_ratio() >= 0 && image.pan_ratio() <= 1e9))
    return wrong("pan_ratio", "0 to 1e9", std::to_string(image.pan_ratio()));
  if (image.patch_size() || image.grid_size() > 0 || image.pad_to_square())
    return wrong("pan_crops", "0 beside patches, a grid or pad_to_square",
                 std::to_string(image.pan_crops()));
  return std::nullopt;
}

/// Tiles are square, of the crop's side, and make up each resolution.
static std::optional<Failure> checkGrid(const spec::ImageProcessing &image) {
  const bool isExact = image.stretch_tiles() || image.fit_tiles();
  int64_t tile = isExact                  ? image.height()
                 : image.do_center_crop() ? image.crop_height()
                 : image.has_height()     ? image.height()
                                          : image.shortest_edge();
  if (image.has_height() && !image.do_center_crop() && image.grid_size() &&
      image.height() != image.width())
    return wrong("width", "the height, as tiles are square",
                 std::to_string(image.width()));
  if (image.pad_groups() && (image.grid().empty() || image.mean_size() != 3))
    return wrong("pad_groups", "false without a grid and a mean", "true");
  if (isExact && (image.do_center_crop() || image.height() != image.width()))
    return wrong(image.fit_tiles() ? "fit_tiles" : "stretch_tiles",
                 "false beside a crop or sides that differ", "true");
  if (image.fit_tiles() &&
      (image.stretch_tiles() || !image.do_resize() || image.grid().empty()))
    return wrong("fit_tiles",
                 "false beside stretch_tiles, or without a grid or a resize",
                 "true");
  for (const spec::Resolution &resolution : image.grid())
    if (tile < 1 || resolution.height() < 1 || resolution.width() < 1 ||
        resolution.height() > 65536 || resolution.width() > 65536 ||
        resolution.height() % tile || resolution.width() % tile)
      return wrong("grid", "multiples of the crop's side, at most 65536",
                   std::to_string(resolution.height()) + " x " +
                       std::to_string(resolution.width()));
  return std::nullopt;
}

Result<ImageProcessing> fromSpec(const spec::ImageProcessing &image) {
  if (auto fault = checkSides(image))
    return *fault;
  if (image.resample() < 0 || image.resample() > 5)
    return wrong("resample", "a filter from 0 to 5",
                 std::to_string(image.resample()));
  if (auto fault = checkNumbers(image))
    return *fault;
  if (auto fault = checkGrid(image))
    return *fault;
  if (auto fault = checkPans(image))
    return *fault;
  ImageProcessing result;
  for (const spec::Resolution &resolution : image.grid())
    result.grid.push_back({resolution.height(), resolution.width()});
  result.doConvertRgb = !image.keep_transparent_color();
  result.roundsSize = image.round_size();
  result.onlyShrinks = image.only_shrink();
  result.cropsHalfToEven = image.crop_half_to_even();
  result.patchSize = image.patch_size();
  result.maxPatches = image.max_patches();
  result.offsetsRescaled = image.rescale_offset();
  result.dividesAgain = image.divide_again();
  result.stretchesTiles = image.stretch_tiles();
  result.fitsTiles = image.fit_tiles();
  result.padsGroups = image.pad_groups();
  result.pans = image.pans();
  result.panCrops = image.pan_crops();
  result.panSide = image.pan_side();
  result.panRatio = image.pan_ratio();
  result.padsToSquare = image.pad_to_square();
  result.capsEdges = image.cap_edges();
  result.quarters = image.quarters();
  result.tileSize = image.tile_size();
  result.cutsLines = image.cut_lines();
  result.doResize = image.do_resize();
  result.shortestEdge.reset();
  if (image.has_shortest_edge())
    result.shortestEdge = image.shortest_edge();
  if (image.has_height())
    result.height = image.height();
  if (image.has_width())
    result.width = image.width();
  if (image.has_longest_edge())
    result.longestEdge = image.longest_edge();
  if (image.has_max_height())
    result.maxHeight = image.max_height();
  if (image.has_max_width())
    result.maxWidth = image.max_width();
  result.resample = static_cast<Resample>(image.resample());
  result.doCenterCrop = image.do_center_crop();
  result.cropHeight = image.crop_height();
  result.cropWidth = image.crop_width();
  result.doRescale = image.do_rescale();
  result.rescaleFactor = image.rescale_factor();
  result.doNormalize = image.do_normalize();
  if (image.mean_size() == 3)
    std::ranges::copy(image.mean(), result.mean.begin());
  if (image.std_size() == 3)
    std::ranges::copy(image.std(), result.std.begin());
  if (image.backend() == spec::ImageProcessing::PIL)
    result.backend = ImageBackend::Pil;
  return result;
}

} // namespace vlmc
