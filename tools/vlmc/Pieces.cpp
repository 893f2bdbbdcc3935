//===- Pieces.cpp - Pictures that become several --------------------------===//
#include "tools/vlmc/Pieces.h"

#include "runtime/image/ImageInternal.h"
#include "runtime/tasks/GridTower.h"
#include "tools/vlmc/EmbedTask.h"
#include "tools/vlmc/Entries.h"
#include "tools/vlmc/Tiles.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace vlmc::tool {

static std::optional<Fault> openTower(const vlm_model_t *model,
                                      rt::GridTower &tower) {
  const vlm_entry_t *entry = nullptr;
  std::optional<Fault> fault =
      check(vlm_model_entry(model, "encode_image", &entry));
  return fault ? fault : check(tower.open(entry));
}

bool readsPieces(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  rt::GridTower tower;
  if (!vlm_model_abi(model)->generation || !image ||
      !hasEntry(model, "encode_image") || openTower(model, tower))
    return false;
  return tower.isThere() || image->do_crop == VLM_ABI_CROP_QUARTERS ||
         image->do_crop == VLM_ABI_CROP_LINES ||
         image->do_crop == VLM_ABI_CROP_SQUARE;
}

//===----------------------------------------------------------------------===//
// Preprocessing
//===----------------------------------------------------------------------===//

namespace {
/// A picture's pieces, [n, 3, H, W], and the height and width of each.
struct Pieces {
  HostTensor planes;
  std::vector<std::array<int64_t, 2>> sizes;
  std::vector<int64_t> counts; ///< for the prompt
};
} // namespace

static std::optional<Fault> readPieces(const vlm_model_t *model,
                                       const vlm_tokenizer_t *tokenizer,
                                       const rt::GridTower &tower,
                                       const vlm_image_t *image, Pieces &out) {
  const int64_t height = vlm_image_height(image),
                width = vlm_image_width(image);
  int64_t most[2] = {}, count = 0, lines = 0, columns = 0;
  std::optional<Fault> fault = check(
      vlm_model_preprocess_size(model, height, width, &most[0], &most[1]));
  if (!fault)
    fault = check(vlm_model_tile_count(model, height, width, &count));
  if (!fault)
    fault =
        check(vlm_model_picture_lines(model, height, width, &lines, &columns));
  if (fault)
    return fault;
  out.planes = HostTensor::zeros(VLM_F32, {count, 3, most[0], most[1]});
  for (int64_t i = 0; i < count; ++i) {
    auto &[own, across] = out.sizes.emplace_back();
    vlm_image_piece_size(vlm_model_abi(model)->image, height, width, i, &own,
                         &across);
    if (std::string text = tower.fault(own, across);
        tower.isThere() && !text.empty())
      return Fault(text);
  }
  int64_t tokens = count * vlm_tokenizer_picture_tokens(tokenizer, 0, 0);
  if (vlm_tokenizer_pictures_are_cut(tokenizer))
    out.counts = {lines, columns};
  else
    out.counts = {tokens};
  if (tokens == 0) { // then the model says it
    Outcome<int64_t> rows = countRows(model, height, width);
    if (!rows)
      return rows.takeFault();
    out.counts = {*rows};
  }
  return check(vlm_model_preprocess(model, image, out.planes.data<float>()));
}

/// Pieces in the top left corners of larger planes, and their masks.
static void addToBatch(const Pieces &pieces, int64_t height, int64_t width,
                       HostTensor &pixels, HostTensor &mask) {
  const std::vector<int64_t> &shape = pieces.planes.shape;
  const float *from = pieces.planes.data<float>();
  for (size_t i = 0; i < pieces.sizes.size(); ++i) {
    auto [own, across] = pieces.sizes[i];
    HostTensor planes = HostTensor::zeros(VLM_F32, {3, height, width});
    HostTensor seen = HostTensor::zeros(VLM_U8, {height, width});
    for (int64_t row = 0; row < 3 * shape[2]; ++row, from += shape[3]) {
      const int64_t channel = row / shape[2], y = row % shape[2];
      std::copy_n(from, shape[3],
                  planes.data<float>() + (channel * height + y) * width);
    }
    for (int64_t y = 0; y < own; ++y)
      std::fill_n(seen.bytes.begin() + y * width, across, uint8_t(1));
    pixels.bytes.insert(pixels.bytes.end(), planes.bytes.begin(),
                        planes.bytes.end());
    mask.bytes.insert(mask.bytes.end(), seen.bytes.begin(), seen.bytes.end());
    ++pixels.shape[0];
    ++mask.shape[0];
  }
}

std::optional<Fault> addPieces(const vlm_model_t *model,
                               const vlm_tokenizer_t *tokenizer,
                               const std::vector<std::string> &paths,
                               TensorMap &out,
                               std::vector<std::vector<int64_t>> &counts) {
  rt::GridTower tower;
  if (std::optional<Fault> fault = openTower(model, tower))
    return fault;
  std::vector<Pieces> pictures;
  std::vector<int64_t> pieceCounts;
  int64_t height = 0, width = 0;
  for (const std::string &path : paths) {
    Outcome<Image> image = decodeImage(path);
    if (!image)
      return image.takeFault();
    Pieces &own = pictures.emplace_back();
    if (std::optional<Fault> fault =
            readPieces(model, tokenizer, tower, image->get(), own))
      return Fault(path + ": " + fault->message, fault->code);
    height = std::max(height, own.planes.shape[2]);
    width = std::max(width, own.planes.shape[3]);
    pieceCounts.push_back(own.planes.shape[0]);
    counts.push_back(own.counts);
  }
  HostTensor pixels = HostTensor::zeros(VLM_F32, {0, 3, height, width});
  HostTensor mask = HostTensor::zeros(VLM_U8, {0, height, width});
  for (const Pieces &own : pictures)
    addToBatch(own, height, width, pixels, mask);
  out["pixel_values"] = std::move(pixels);
  out["pixel_attention_mask"] = std::move(mask);
  out["piece_counts"] = HostTensor::of(VLM_I64, {int64_t(pieceCounts.size())},
                                       pieceCounts.data());
  return std::nullopt;
}

void arrangePieces(const std::vector<int64_t> &pictures, TensorMap &out) {
  auto found = out.find("piece_counts");
  if (found == out.end())
    return;
  const auto *counts = found->second.data<int64_t>();
  std::vector<int64_t> own; // pieces of each prompt
  for (int64_t count : pictures) {
    int64_t &sum = own.emplace_back(0);
    for (int64_t i = 0; i < count; ++i)
      sum += *counts++;
  }
  out.erase(found);
  const int64_t most = *std::ranges::max_element(own);
  for (const char *name : {"pixel_values", "pixel_attention_mask"}) {
    const HostTensor all = std::move(out[name]);
    std::vector<int64_t> shape = all.shape;
    shape[0] = most;
    shape.insert(shape.begin(), int64_t(own.size()));
    HostTensor batch = HostTensor::zeros(all.dtype, shape);
    const uint8_t *from = all.bytes.data();
    for (size_t i = 0; i < own.size(); ++i) {
      const size_t bytes = size_t(own[i]) * all.rowBytes();
      std::memcpy(batch.bytes.data() + i * size_t(most) * all.rowBytes(), from,
                  bytes);
      from += bytes;
    }
    out[name] = std::move(batch);
  }
}

//===----------------------------------------------------------------------===//
// The tower
//===----------------------------------------------------------------------===//

/// Numbers of the pieces that are there: transformers leaves out those that are
/// all zeros.
static std::vector<int64_t> findReal(const HostTensor &pixels) {
  std::vector<int64_t> real;
  const std::vector<int64_t> &shape = pixels.shape;
  const int64_t size = shape[2] * shape[3] * shape[4];
  const auto *values = pixels.data<float>();
  for (int64_t i = 0; i < shape[0] * shape[1]; ++i, values += size)
    if (std::any_of(values, values + size,
                    [](float each) { return each != 0; }))
      real.push_back(i);
  return real;
}

/// The height and width of what is there of piece `number`.
static std::optional<Fault> readMask(const TensorMap &tensors, int64_t number,
                                     std::array<int64_t, 2> &size) {
  const std::vector<int64_t> &shape = tensors.at("pixel_values").shape;
  const int64_t height = shape[3], width = shape[4];
  size = {height, width};
  auto found = tensors.find("pixel_attention_mask");
  if (found == tensors.end())
    return std::nullopt;
  const HostTensor &mask = found->second;
  if (mask.shape != std::vector<int64_t>{shape[0], shape[1], height, width})
    return Fault("pixel_attention_mask: expected the shape of pixel_values "
                 "without channels, found " +
                 describeShape(mask.shape) + "; mend the file of tensors");
  auto isSeen = [&](int64_t y, int64_t x) {
    int64_t at = (number * height + y) * width + x;
    return mask.dtype == VLM_U8 ? mask.bytes[size_t(at)] != 0
                                : mask.data<int64_t>()[at] != 0;
  };
  size = {0, 0};
  while (size[0] < height && isSeen(size[0], 0))
    ++size[0];
  while (size[1] < width && isSeen(0, size[1]))
    ++size[1];
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      if (isSeen(y, x) != (y < size[0] && x < size[1]))
        return Fault("pixel_attention_mask: expected a rectangle at the top "
                     "left of each picture, found another in picture " +
                     std::to_string(number) + "; mend the file of tensors");
  return std::nullopt;
}

/// Rows of the patches that are there, [1, n, D], at their places in a grid.
static void spreadPatches(const HostTensor &rows, int64_t columns,
                          int64_t allColumns, int64_t number, HostTensor &all) {
  const size_t bytes = size_t(rows.shape[2]) * sizeof(float);
  uint8_t *to = all.bytes.data() + size_t(number) * all.rowBytes();
  for (int64_t i = 0; i < rows.shape[1]; ++i)
    std::memcpy(to + size_t(i / columns * allColumns + i % columns) * bytes,
                rows.bytes.data() + size_t(i) * bytes, bytes);
}

/// Piece by piece, each with its own grid.
static Outcome<TensorMap> encodeGrids(const vlm_model_t *model,
                                      const rt::GridTower &tower,
                                      const TensorMap &tensors,
                                      const std::vector<int64_t> &real) {
  const HostTensor &pixels = tensors.at("pixel_values");
  const int64_t height = pixels.shape[3], width = pixels.shape[4];
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, "encode_image", &entry)))
    return *fault;
  TensorMap all;
  for (size_t i = 0; i < real.size(); ++i) {
    std::array<int64_t, 2> size;
    std::optional<Fault> fault = readMask(tensors, real[i], size);
    if (std::string text = tower.fault(size[0], size[1]);
        !fault && !text.empty())
      fault = Fault(text);
    if (fault)
      return *fault;
    rt::GridInputs in =
        tower.inputs(pixels.data<float>() + real[i] * 3 * height * width,
                     height, width, size[0], size[1]);
    TensorMap results;
    if ((fault = runEntry(entry, in.tensors, results)))
      return *fault;
    HostTensor &features = all["image_features"];
    const HostTensor &own = results["image_features"];
    if (features.shape.empty())
      features = HostTensor::zeros(VLM_F32, {0, own.shape[1], own.shape[2]});
    // Where patches are features their numbers differ.
    if (!tower.hasLatents())
      features.shape = {features.shape[0] * features.shape[1] + in.rows, 1,
                        own.shape[2]};
    else
      ++features.shape[0];
    features.bytes.insert(features.bytes.end(), own.bytes.begin(),
                          own.bytes.end());
    auto seen = results.find("vision_features");
    if (seen == results.end())
      continue;
    const int64_t columns = width / tower.patch;
    HostTensor &vision = all["vision_features"];
    if (i == 0)
      vision = HostTensor::zeros(VLM_F32, {int64_t(real.size()),
                                           height / tower.patch * columns,
                                           seen->second.shape[2]});
    spreadPatches(seen->second, in.shape[1], columns, int64_t(i), vision);
  }
  return all;
}

Outcome<TensorMap> encodePieces(const vlm_model_t *model,
                                const TensorMap &tensors) {
  rt::GridTower tower;
  if (std::optional<Fault> fault = openTower(model, tower))
    return *fault;
  const HostTensor &pixels = tensors.at("pixel_values");
  const std::vector<int64_t> &shape = pixels.shape;
  if (shape.size() != 5 || shape[2] != 3 || shape[0] * shape[1] < 1)
    return Fault("pixel_values: expected the shape [batch, pictures, 3, "
                 "height, width], found " +
                 describeShape(shape) + "; mend the file of tensors");
  std::vector<int64_t> real = findReal(pixels);
  if (real.empty())
    real.push_back(0);
  if (tower.isThere())
    return encodeGrids(model, tower, tensors, real);
  HostTensor kept =
      HostTensor::zeros(VLM_F32, {0, shape[2], shape[3], shape[4]});
  const size_t bytes = size_t(3 * shape[3] * shape[4]) * sizeof(float);
  for (int64_t number : real) {
    const uint8_t *begin = pixels.bytes.data() + size_t(number) * bytes;
    kept.bytes.insert(kept.bytes.end(), begin, begin + bytes);
    ++kept.shape[0];
  }
  TensorMap given{{"pixel_values", std::move(kept)}}, made;
  if (std::optional<Fault> fault = runRows(model, "encode_image", given, made))
    return *fault;
  return made;
}

} // namespace vlmc::tool
