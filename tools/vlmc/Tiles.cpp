//===- Tiles.cpp - Pictures that a language model reads -------------------===//
#include "tools/vlmc/Tiles.h"

#include "runtime/abi/vlm_abi.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/tasks/TiledTower.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/Videos.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace vlmc::tool {

bool cutsPictures(const vlm_model_t *model) {
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  return facts && facts->n_grid;
}

bool stretchesPictures(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->do_crop == VLM_ABI_CROP_STRETCHED;
}

bool fitsPictures(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->do_crop == VLM_ABI_CROP_FITTED;
}

bool groupsPictures(const vlm_model_t *model) {
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  return facts && facts->picture_flags & VLM_ABI_GROUPS_WHOLE;
}

bool pansPictures(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->pan_crops;
}

//===----------------------------------------------------------------------===//
// Preprocessing
//===----------------------------------------------------------------------===//

/// A picture or video as [tiles, 3, H, W], and its size.
static std::optional<Fault> addTiles(const vlm_model_t *model,
                                     const std::string &path,
                                     const vlm_image_t *image,
                                     const rt::View &view, HostTensor &tiles,
                                     std::vector<int64_t> &sizes) {
  int64_t height = vlm_image_height(image), width = vlm_image_width(image),
          tileHeight = 0, tileWidth = 0, count = 0;
  std::optional<Fault> fault = check(
      vlm_model_preprocess_size(model, height, width, &tileHeight, &tileWidth));
  if (!fault)
    fault = check(vlm_model_view_tiles(model, height, width, view, &count));
  if (!fault) {
    tiles = HostTensor::zeros(VLM_F32, {count, 3, tileHeight, tileWidth});
    fault = check(
        vlm_model_view_preprocess(model, image, view, tiles.data<float>()));
  }
  if (fault)
    return Fault(path + ": " + fault->message, fault->code);
  sizes.insert(sizes.end(), {height, width});
  return std::nullopt;
}

/// The same of a file.
static std::optional<Fault>
readTiles(const vlm_model_t *model, const std::string &path, HostTensor &tiles,
          std::vector<int64_t> &sizes, const rt::View &view = {}) {
  Outcome<Image> image = decodeImage(path);
  if (!image)
    return image.takeFault();
  return addTiles(model, path, image->get(), view, tiles, sizes);
}

/// Tiles of all pictures, one behind the other.
static HostTensor joinTiles(const std::vector<HostTensor> &pictures) {
  HostTensor all = pictures.front();
  for (size_t i = 1; i < pictures.size(); ++i) {
    all.shape[0] += pictures[i].shape[0];
    all.bytes.insert(all.bytes.end(), pictures[i].bytes.begin(),
                     pictures[i].bytes.end());
  }
  return all;
}

Outcome<HostTensor>
preprocessVideos(const vlm_model_t *model,
                 const std::vector<std::vector<std::string>> &videos) {
  HostTensor all;
  for (const std::vector<std::string> &frames : videos) {
    const std::string name = frames.empty() ? "video" : frames.front();
    Outcome<Image> video = decodeVideo(frames);
    if (!video)
      return video.takeFault();
    HostTensor pixels;
    std::vector<int64_t> sizes;
    if (std::optional<Fault> fault =
            addTiles(model, name, video->get(), {.frames = frames.size()},
                     pixels, sizes))
      return *fault;
    pixels.shape.insert(pixels.shape.begin(), 1);
    if (all.shape.empty()) {
      all = std::move(pixels);
      continue;
    }
    if (all.shape[1] != pixels.shape[1])
      return Fault(name + ": expected a video of " +
                   std::to_string(all.shape[1]) +
                   " frames, as the one before it, found " +
                   std::to_string(pixels.shape[1]) +
                   "; give videos of one length in a request");
    ++all.shape[0];
    all.bytes.insert(all.bytes.end(), pixels.bytes.begin(), pixels.bytes.end());
  }
  return all;
}

Outcome<TensorMap> preprocessTiles(const vlm_model_t *model,
                                   const std::vector<std::string> &paths,
                                   const std::vector<rt::View> &views) {
  std::vector<HostTensor> pictures(paths.size());
  std::vector<int64_t> sizes;
  int64_t most = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (std::optional<Fault> fault =
            readTiles(model, paths[i], pictures[i], sizes, views[i]))
      return *fault;
    most = std::max(most, pictures[i].shape[0]);
  }
  TensorMap out;
  out["image_sizes"] =
      HostTensor::of(VLM_I64, {int64_t(paths.size()), 2}, sizes.data());
  if (stretchesPictures(model) || pansPictures(model)) {
    out["pixel_values"] = joinTiles(pictures);
    return out;
  }
  std::vector<int64_t> shape = pictures.front().shape;
  shape[0] = most;
  shape.insert(shape.begin(), int64_t(paths.size()));
  HostTensor pixels = HostTensor::zeros(VLM_F32, shape);
  for (size_t i = 0; i < pictures.size(); ++i)
    std::ranges::copy(pictures[i].bytes,
                      pixels.bytes.begin() +
                          ptrdiff_t(i * (pixels.bytes.size() / paths.size())));
  out["pixel_values"] = std::move(pixels);
  return out;
}

Outcome<TensorMap> preprocessFitted(const vlm_model_t *model,
                                    const std::vector<std::string> &paths) {
  rt::TiledTower tower;
  const vlm_entry_t *entry = nullptr;
  std::optional<Fault> fault =
      check(vlm_model_entry(model, "encode_image", &entry));
  if (!fault)
    fault = check(tower.open(entry));
  if (fault)
    return *fault;
  auto count = int64_t(paths.size());
  TensorMap out;
  std::vector<int64_t> ids, mask(size_t(count * tower.tiles), 0);
  HostTensor &pixels = out["pixel_values"];
  for (int64_t i = 0; i < count; ++i) {
    HostTensor tiles;
    std::vector<int64_t> size;
    fault = readTiles(model, paths[size_t(i)], tiles, size);
    if (fault)
      return *fault;
    if (pixels.shape.empty())
      pixels = HostTensor::zeros(
          VLM_F32, {count, tower.tiles, 3, tiles.shape[2], tiles.shape[3]});
    std::ranges::copy(
        tiles.bytes,
        pixels.bytes.begin() +
            ptrdiff_t(size_t(i) * (pixels.bytes.size() / size_t(count))));
    ids.push_back(
        vlm_image_arrangement(vlm_model_abi(model)->image, size[0], size[1]));
    std::fill_n(mask.begin() + ptrdiff_t(i * tower.tiles), tiles.shape[0], 1);
  }
  out["aspect_ratio_ids"] = HostTensor::of(VLM_I64, {count}, ids.data());
  out["aspect_ratio_mask"] =
      HostTensor::of(VLM_I64, {count, tower.tiles}, mask.data());
  return out;
}

bool readsPatches(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->do_crop == VLM_ABI_CROP_PATCHES;
}

/// Patches of planes [n, 3, P, P] as rows of pixels [n, P * P * 3], or back.
static HostTensor turnPatches(const HostTensor &from, int64_t side,
                              bool toPlanes) {
  const int64_t count = from.shape[0], pixels = side * side;
  HostTensor to = HostTensor::zeros(VLM_F32, {count, pixels * 3});
  if (toPlanes)
    to.shape = {count, 3, side, side};
  for (int64_t i = 0; i < count; ++i)
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      for (int64_t channel = 0; channel < 3; ++channel) {
        int64_t plane = (i * 3 + channel) * pixels + pixel;
        int64_t row = (i * pixels + pixel) * 3 + channel;
        to.data<float>()[toPlanes ? plane : row] =
            from.data<float>()[toPlanes ? row : plane];
      }
  return to;
}

Outcome<TensorMap> preprocessPatches(const vlm_model_t *model,
                                     const std::vector<std::string> &paths,
                                     std::vector<std::vector<int64_t>> &lines) {
  TensorMap out;
  HostTensor &all = out["pixel_values"];
  for (const std::string &path : paths) {
    HostTensor patches;
    std::vector<int64_t> size;
    if (std::optional<Fault> fault = readTiles(model, path, patches, size))
      return *fault;
    int64_t count = 0, columns = 0;
    if (std::optional<Fault> fault = check(
            vlm_model_picture_lines(model, size[0], size[1], &count, &columns)))
      return Fault(path + ": " + fault->message, fault->code);
    lines.emplace_back(size_t(count), columns);
    HostTensor rows = turnPatches(patches, patches.shape[3], false);
    if (all.shape.empty()) {
      all = std::move(rows);
      continue;
    }
    all.shape[0] += rows.shape[0];
    all.bytes.insert(all.bytes.end(), rows.bytes.begin(), rows.bytes.end());
  }
  return out;
}

/// Each patch is a picture and has one row.
static Outcome<PlacedPictures> placePatches(const vlm_model_t *model,
                                            const HostTensor &pixels) {
  int64_t side = vlm_model_abi(model)->image->crop_height;
  HostTensor given = pixels;
  // Pictures of one batch stand behind each other.
  if (given.shape.size() == 3)
    given.shape = {given.shape[0] * given.shape[1], given.shape[2]};
  if (given.shape.size() != 2 || given.shape[1] != side * side * 3)
    return Fault("pixel_values: expected a tensor [patches, " +
                 std::to_string(side * side * 3) + "], found " +
                 describeShape(pixels.shape) + "; mend the file of tensors");
  PlacedPictures placed;
  placed.pixels = turnPatches(given, side, true);
  for (int64_t i = 0; i < given.shape[0]; ++i)
    placed.rows.rows.push_back(int32_t(i));
  return placed;
}

//===----------------------------------------------------------------------===//
// Rows of features
//===----------------------------------------------------------------------===//

Outcome<int64_t> countRows(const vlm_model_t *model, int64_t height,
                           int64_t width, const rt::View &view) {
  rt::FeatureRows rows;
  if (std::optional<Fault> fault =
          check(vlm_model_view_rows(model, height, width, view, rows)))
    return *fault;
  return rows.size();
}

/// Adds rows that count from `first` on.
static void addRows(const rt::FeatureRows &own, int64_t first,
                    rt::FeatureRows &all) {
  // One row is the sum of it and some with no weight.
  auto widen = [&](rt::FeatureRows rows) {
    if (rows.taps == all.taps)
      return rows;
    rt::FeatureRows wide{all.taps, {}, {}};
    for (int32_t row : rows.rows)
      for (int64_t tap = 0; tap < all.taps; ++tap) {
        wide.rows.push_back(row);
        wide.weights.push_back(tap ? 0.0F : 1.0F);
      }
    return wide;
  };
  const rt::FeatureRows before = all;
  all.taps = std::max(all.taps, own.taps);
  all = widen(before);
  const rt::FeatureRows more = widen(own);
  for (int32_t row : more.rows)
    all.rows.push_back(int32_t(first + row));
  all.weights.insert(all.weights.end(), more.weights.begin(),
                     more.weights.end());
}

/// The features that each tile has.
static std::optional<Fault> findPerTile(const vlm_model_t *model,
                                        int64_t &perTile) {
  const vlm_entry_t *entry = nullptr;
  vlm_tensor_t output;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, "encode_image", &entry)))
    return fault;
  if (std::optional<Fault> fault = check(vlm_entry_output(entry, 0, &output)))
    return fault;
  perTile = output.dims[1];
  return std::nullopt;
}

Outcome<PlacedPictures> placeVideos(const vlm_model_t *model,
                                    const TensorMap &tensors) {
  PlacedPictures placed;
  placed.pixels = tensors.at("pixel_values_videos");
  std::vector<int64_t> &shape = placed.pixels.shape;
  if (shape.size() != 5)
    return Fault("pixel_values_videos: expected a tensor [videos, frames, 3, "
                 "height, width], found " +
                 describeShape(shape) + "; mend the file of tensors");
  const int64_t videos = shape[0], frames = shape[1];
  rt::FeatureRows rows;
  int64_t perTile = 0;
  std::optional<Fault> fault =
      check(vlm_model_view_rows(model, 1, 1, {.frames = size_t(frames)}, rows));
  if (!fault)
    fault = findPerTile(model, perTile);
  if (fault)
    return *fault;
  for (int64_t i = 0; i < videos; ++i)
    addRows(rows, i * frames * perTile, placed.rows);
  shape.erase(shape.begin());
  shape[0] = videos * frames;
  return placed;
}

namespace {
/// Puts pictures one behind the other.
class Placing {
public:
  Placing(const vlm_model_t *model, const HostTensor &given, bool isPadded)
      : model(model), given(given), isPadded(isPadded) {
    const std::vector<int64_t> &shape = given.shape;
    placed.pixels.shape.assign(shape.end() - 3, shape.end());
    placed.pixels.shape.insert(placed.pixels.shape.begin(), 0);
    tileBytes = sizeof(float) * size_t(shape[shape.size() - 3] *
                                       shape[shape.size() - 2] * shape.back());
  }
  /// Adds a picture; `number` counts pictures.
  std::optional<Fault> add(int64_t number, int64_t height, int64_t width,
                           const rt::View &view);
  std::optional<Fault> finish();

  PlacedPictures placed;

private:
  const vlm_model_t *model;
  const HostTensor &given;
  bool isPadded; ///< [N, P, ...], of which each picture has some
  size_t tileBytes;
  int64_t tiles = 0, perTile = 0;
};
} // namespace

std::optional<Fault> Placing::add(int64_t number, int64_t height, int64_t width,
                                  const rt::View &view) {
  int64_t count = 0;
  if (std::optional<Fault> fault =
          check(vlm_model_view_tiles(model, height, width, view, &count)))
    return Fault("image_sizes: " + fault->message, fault->code);
  rt::FeatureRows rows;
  if (std::optional<Fault> fault =
          check(vlm_model_view_rows(model, height, width, view, rows)))
    return fault;
  int64_t first = isPadded ? number * given.shape[1] : tiles;
  int64_t room = isPadded ? given.shape[1] : given.shape[0] - tiles;
  if (count > room)
    return Fault("pixel_values: picture " + std::to_string(number) + " of " +
                 std::to_string(height) + " x " + std::to_string(width) +
                 " pixels: expected " + std::to_string(count) +
                 " tiles, found " + std::to_string(room) +
                 "; mend the file of tensors");
  const uint8_t *begin = given.bytes.data() + size_t(first) * tileBytes;
  placed.pixels.bytes.insert(placed.pixels.bytes.end(), begin,
                             begin + size_t(count) * tileBytes);
  if (!perTile)
    if (std::optional<Fault> fault = findPerTile(model, perTile))
      return fault;
  addRows(rows, tiles * perTile, placed.rows);
  tiles += count;
  placed.pixels.shape[0] = tiles;
  return std::nullopt;
}

std::optional<Fault> Placing::finish() {
  if (isPadded || tiles == given.shape[0])
    return std::nullopt;
  return Fault("pixel_values: expected " + std::to_string(tiles) +
               " pictures or tiles, found " + std::to_string(given.shape[0]) +
               "; mend the file of tensors");
}

/// The sizes of the pictures; where none are cut they do not matter.
static Outcome<std::vector<int64_t>> readSizes(const vlm_model_t *model,
                                               const TensorMap &tensors,
                                               int64_t pictures) {
  if (!cutsPictures(model))
    return std::vector<int64_t>(size_t(2 * pictures), 1);
  auto sizes = tensors.find("image_sizes");
  if (sizes == tensors.end())
    return Fault("image_sizes: expected a tensor [pictures, 2] of heights and "
                 "widths, found none; mend the file of tensors");
  const std::vector<int64_t> &shape = sizes->second.shape;
  if (shape.size() != 2 || shape[1] != 2 || (pictures && shape[0] != pictures))
    return Fault("image_sizes: expected a tensor [" +
                 (pictures ? std::to_string(pictures) : "pictures") +
                 ", 2] of heights and widths, found " + describeShape(shape) +
                 "; mend the file of tensors");
  const auto *values = sizes->second.data<int64_t>();
  return std::vector<int64_t>(values, values + 2 * shape[0]);
}

/// All features of all tiles are read in their order.
static Outcome<PlacedPictures> placeStretched(const vlm_model_t *model,
                                              const HostTensor &pixels) {
  if (pixels.shape.size() != 4)
    return Fault("pixel_values: expected a tensor [tiles, 3, height, width], "
                 "found " +
                 describeShape(pixels.shape) + "; mend the file of tensors");
  int64_t perTile = 0;
  if (std::optional<Fault> fault = findPerTile(model, perTile))
    return *fault;
  PlacedPictures placed;
  placed.pixels = pixels;
  placed.rows.rows.resize(size_t(pixels.shape[0] * perTile));
  std::iota(placed.rows.rows.begin(), placed.rows.rows.end(), 0);
  return placed;
}

/// Which pictures are among others of their prompt, as batch_num_images tells:
/// of each prompt that has some, how many.
static Outcome<std::vector<rt::View>>
readViews(const vlm_model_t *model, const TensorMap &tensors, size_t pictures) {
  std::vector<rt::View> views;
  auto counts = tensors.find("batch_num_images");
  if (!groupsPictures(model) || counts == tensors.end()) {
    views.resize(pictures);
    return views;
  }
  const HostTensor &given = counts->second;
  const size_t prompts = given.bytes.size() / sizeof(int64_t);
  for (int64_t count : std::span(given.data<int64_t>(), prompts))
    for (int64_t i = 0; i < count && views.size() <= pictures; ++i)
      views.push_back({.isGrouped = count > 1});
  if (views.size() != pictures)
    return Fault("batch_num_images: expected numbers of pictures that make " +
                 std::to_string(pictures) +
                 ", as image_sizes has, found others; mend the file of "
                 "tensors");
  return views;
}

Outcome<PlacedPictures> placePictures(const vlm_model_t *model,
                                      const TensorMap &tensors) {
  const HostTensor &pixels = tensors.at("pixel_values");
  if (readsPatches(model))
    return placePatches(model, pixels);
  // Crops are pictures like others here.
  if (stretchesPictures(model) || (pansPictures(model) && !cutsPictures(model)))
    return placeStretched(model, pixels);
  bool isPadded = cutsPictures(model) && pixels.shape.size() == 5;
  if (pixels.shape.size() != 4 && !isPadded)
    return Fault("pixel_values: expected a tensor [pictures, " +
                 std::string(cutsPictures(model) ? "tiles, " : "") +
                 "3, height, width], found " + describeShape(pixels.shape) +
                 "; mend the file of tensors");
  bool isCounted = isPadded || !cutsPictures(model);
  Outcome<std::vector<int64_t>> sizes =
      readSizes(model, tensors, isCounted ? pixels.shape[0] : 0);
  if (!sizes)
    return sizes.takeFault();
  Outcome<std::vector<rt::View>> views =
      readViews(model, tensors, sizes->size() / 2);
  if (!views)
    return views.takeFault();
  Placing placing(model, pixels, isPadded);
  for (size_t i = 0; i + 1 < sizes->size(); i += 2)
    if (std::optional<Fault> fault = placing.add(
            int64_t(i / 2), (*sizes)[i], (*sizes)[i + 1], (*views)[i / 2]))
      return *fault;
  if (std::optional<Fault> fault = placing.finish())
    return *fault;
  return std::move(placing.placed);
}

} // namespace vlmc::tool
