//===- Preprocess.cpp - The C API of preprocessing ------------------------===//
#include "runtime/abi/ImagePipelines.h"
#include "runtime/core/LargeMemory.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Pieces.h"
#include "runtime/image/Processor.h"
#include "runtime/image/Sizes.h"
#include "runtime/image/Tiles.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

using namespace vlmc::rt;

static std::string sizeText(const Size &size) {
  return std::to_string(size.height) + " x " + std::to_string(size.width);
}

vlm_status_t *vlmc::rt::tooElongated(const Size &from, const Size &to) {
  return makeStatus(
      VLM_INVALID_ARGUMENT,
      "a picture of " + sizeText(from) + " cannot be resized to " +
          sizeText(to) +
          " (height x width): too many pixels or too long a filter; crop the "
          "picture or make it smaller first");
}

static Size resultSize(const vlm_abi_image &processing, const Size &resized) {
  return processing.do_crop && processing.do_crop != VLM_ABI_CROP_PATCH_ROWS
             ? Size{processing.crop_height, processing.crop_width}
             : resized;
}

static vlm_status_t *checkSizes(const Size &size, const Size &resized,
                                const Size &result) {
  if (size.height < 1 || size.width < 1)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "expected a picture of at least 1 x 1 pixels, found " +
                          sizeText(size) + " (height x width)");
  if (resized.height < 1 || resized.width < 1)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "a picture of " + sizeText(size) +
                          " would be resized to " + sizeText(resized) +
                          " (height x width), which has no pixels; crop the "
                          "picture to a less elongated one");
  // Pipelines count bytes of a block and result values in 32 bits.
  int64_t blockRows = std::min<int64_t>(size.height, rowsPerBlock);
  bool fits = size.width <= INT_MAX / 3 / blockRows - pixelsPerTile &&
              size.height <= INT_MAX && resized.height <= INT_MAX / 4 &&
              resized.width <= INT_MAX / 4 &&
              result.height <= INT_MAX / 3 / result.width;
  return fits ? nullptr : tooElongated(size, resized);
}

/// torchvision has fewer filters for tensors than Pillow.
static vlm_status_t *checkFilter(const vlm_abi_image &processing,
                                 vlm_image_backend_t backend) {
  bool isBox = processing.filter == 4, isHamming = processing.filter == 5;
  if (backend == VLM_IMAGE_BACKEND_PIL ||
      processing.resize == VLM_ABI_RESIZE_NONE || (!isBox && !isHamming))
    return nullptr;
  return makeStatus(
      VLM_UNSUPPORTED,
      std::string("resample: torchvision does not resize with the filter ") +
          (isBox ? "box" : "Hamming") +
          "; choose the backend pil (--image-backend pil, "
          "VLM_IMAGE_BACKEND_PIL), which does");
}

/// How the backend, or the processing itself, crops and pads.
static Placing placingOf(const vlm_abi_image &processing,
                         vlm_image_backend_t backend) {
  if (processing.do_crop == VLM_ABI_CROP_CENTER_EVEN)
    return Placing::HalfToEven;
  return backend == VLM_IMAGE_BACKEND_TORCHVISION ? Placing::ShortInFront
                                                  : Placing::LongInFront;
}

vlm_status_t *vlmc::rt::processTo(const vlm_abi_image &processing,
                                  vlm_image_backend_t backend, vlm_pool_t *pool,
                                  const vlm_image_t &image, const Size &resized,
                                  const Size &result, Placing placing,
                                  float *pixels) {
  Size size{image.height, image.width};
  if (vlm_status_t *status = checkSizes(size, resized, result))
    return status;
  if (vlm_status_t *status = checkFilter(processing, backend))
    return status;
  Direction down(size.height, resized.height, result.height, placing);
  Direction across(size.width, resized.width, result.width, placing);
  return Processor(processing, backend, pool, image, down, across, pixels)
      .run();
}

using Floats = std::vector<float, LargeAllocator<float>>;

/// Cuts a result [3, H, W] into tiles [n, 3, side, side], row by row.
static void cutTiles(const Floats &whole, const Size &size, int64_t side,
                     float *tiles) {
  for (int64_t top = 0; top < size.height; top += side)
    for (int64_t left = 0; left < size.width; left += side)
      for (int64_t channel = 0; channel < 3; ++channel)
        for (int64_t y = top; y < top + side; ++y) {
          const float *row =
              whole.data() + (channel * size.height + y) * size.width + left;
          tiles = std::copy_n(row, side, tiles);
        }
}

/// Whole patches, whose border has the value 1, which is not black.
static vlm_status_t *processPatches(const vlm_abi_image &processing,
                                    vlm_image_backend_t backend,
                                    vlm_pool_t *pool, const vlm_image_t &image,
                                    float *pixels) {
  Size size{image.height, image.width};
  Size resized = resizedSize(processing, size);
  int64_t side = processing.crop_height;
  Size grid = patchGrid(processing, size);
  Size target{grid.height * side, grid.width * side};
  Floats whole(size_t(3 * target.height * target.width));
  if (vlm_status_t *status =
          processTo(processing, backend, pool, image, resized, target,
                    Placing::AtStart, whole.data()))
    return status;
  const float *table = backend == VLM_IMAGE_BACKEND_PIL
                           ? processing.pil_table
                           : processing.torchvision_table;
  for (int64_t channel = 0; channel < 3; ++channel)
    for (int64_t y = 0; y < target.height; ++y) {
      float *row = whole.data() + (channel * target.height + y) * target.width;
      int64_t first = y < resized.height ? resized.width : 0;
      std::fill(row + first, row + target.width, table[channel * 256 + 1]);
    }
  cutTiles(whole, target, side, pixels);
  return nullptr;
}

/// Pictures that are not resized have to be whole patches already, and not too
/// many.
static vlm_status_t *checkPatchRows(const vlm_abi_image &processing,
                                    const Size &resized) {
  const int64_t side = processing.crop_height;
  const int64_t patches = resized.height / side * (resized.width / side);
  if (processing.do_crop != VLM_ABI_CROP_PATCH_ROWS ||
      (resized.height % side == 0 && resized.width % side == 0 &&
       patches <= processing.longest_edge))
    return nullptr;
  return makeStatus(VLM_INVALID_ARGUMENT,
                    "expected a picture of whole patches of " +
                        sizeText({side, side}) + " pixels, at most " +
                        std::to_string(processing.longest_edge) +
                        " of them, found one of " + sizeText(resized) +
                        " pixels (height x width), which the checkpoint does "
                        "not resize; resize it first");
}

/// Whole patches as rows of their pixels.
static vlm_status_t *processPatchRows(const vlm_abi_image &processing,
                                      vlm_image_backend_t backend,
                                      vlm_pool_t *pool,
                                      const vlm_image_t &image, float *pixels) {
  Size resized = resizedSize(processing, {image.height, image.width});
  if (vlm_status_t *status = checkPatchRows(processing, resized))
    return status;
  Floats whole(size_t(3 * resized.height * resized.width));
  if (vlm_status_t *status =
          processTo(processing, backend, pool, image, resized, resized,
                    placingOf(processing, backend), whole.data()))
    return status;
  const int64_t side = processing.crop_height;
  vlm_image_cut_patches(whole.data(), resized.height, resized.width, side,
                        resized.height / side, resized.width / side, pixels);
  return nullptr;
}

/// A copy whose pixels of the transparent colour are white; nothing if there is
/// no memory.
static std::unique_ptr<vlm_image_t> whiten(const vlm_image_t &image) {
  std::unique_ptr<vlm_image_t> copy;
  vlm_status_t *status = makeImage("picture", image.height, image.width,
                                   std::numeric_limits<int64_t>::max(), copy);
  vlm_status_destroy(status);
  if (!copy)
    return nullptr;
  const uint8_t *from = image.rgb.get(), *key = image.key.rgb;
  uint8_t *to = copy->rgb.get();
  for (int64_t i = 0; i < image.height * image.width; ++i, from += 3, to += 3) {
    bool isKey = std::equal(from, from + 3, key);
    for (int channel = 0; channel < 3; ++channel)
      to[channel] = isKey ? 255 : from[channel];
  }
  return copy;
}

/// The size of a picture when it has become a square.
static Size squareSize(const vlm_abi_image &processing, const Size &size) {
  int64_t side = std::max(size.height, size.width);
  return processing.background ? Size{side, side} : size;
}

/// As many pixels as a file may have, if nobody says otherwise.
static constexpr int64_t mostSquarePixels = 178'956'970;

/// The picture in the middle of a square; of an odd border the shorter half is
/// in front. Null where there is no memory.
static std::unique_ptr<vlm_image_t> padToSquare(const vlm_image_t &image,
                                                int32_t background) {
  int64_t side = std::max(image.height, image.width);
  std::unique_ptr<vlm_image_t> square;
  vlm_status_t *status = makeImage("picture", side, side,
                                   std::numeric_limits<int64_t>::max(), square);
  vlm_status_destroy(status);
  if (!square)
    return nullptr;
  uint8_t *to = square->rgb.get();
  for (int64_t i = 0; i < side * side; ++i, to += 3)
    for (int channel = 0; channel < 3; ++channel)
      to[channel] = uint8_t(background >> (8 * (2 - channel)));
  int64_t top = (side - image.height) / 2, left = (side - image.width) / 2;
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.row(y), 3 * image.width, square->row(top + y) + 3 * left);
  return square;
}

/// The whole picture as a tile, then the tiles of the best resolution.
static vlm_status_t *processTiles(const vlm_abi_image &processing,
                                  vlm_image_backend_t backend, vlm_pool_t *pool,
                                  const vlm_image_t &image, float *pixels) {
  Size size{image.height, image.width};
  int64_t edge = processing.resize == VLM_ABI_RESIZE_EXACT ? processing.height
                                                           : processing.edge;
  Size tile{edge, edge};
  if (vlm_status_t *status =
          processTo(processing, backend, pool, image, tile, tile,
                    placingOf(processing, backend), pixels))
    return status;
  Size target = bestResolution({processing.grid, 2 * processing.n_grid}, size);
  Floats whole(size_t(3 * target.height * target.width));
  // The border before the picture is the shorter one, as torchvision has it.
  if (vlm_status_t *status =
          processTo(processing, backend, pool, image, fittedSize(size, target),
                    target, Placing::ShortInFront, whole.data()))
    return status;
  cutTiles(whole, target, edge, pixels + 3 * edge * edge);
  return nullptr;
}

/// Tiles of the stretched picture, then the whole one, if they are several.
static vlm_status_t *processStretched(const vlm_abi_image &processing,
                                      vlm_image_backend_t backend,
                                      vlm_pool_t *pool,
                                      const vlm_image_t &image, float *pixels) {
  const int64_t edge = processing.crop_height;
  Size target = nearestAspect({processing.grid, 2 * processing.n_grid},
                              {image.height, image.width});
  Floats whole(size_t(3 * target.height * target.width));
  if (vlm_status_t *status =
          processTo(processing, backend, pool, image, target, target,
                    placingOf(processing, backend), whole.data()))
    return status;
  cutTiles(whole, target, edge, pixels);
  if (target.height == edge && target.width == edge)
    return nullptr;
  Size tile{edge, edge};
  return processTo(processing, backend, pool, image, tile, tile,
                   placingOf(processing, backend), pixels + whole.size());
}

/// Tiles of the picture in the resolution that scales it least, black behind
/// it.
static vlm_status_t *processFitted(const vlm_abi_image &processing,
                                   vlm_image_backend_t backend,
                                   vlm_pool_t *pool, const vlm_image_t &image,
                                   float *pixels) {
  const int64_t edge = processing.crop_height;
  Size size{image.height, image.width};
  const int32_t *chosen =
      processing.grid +
      2 * leastScaled({processing.grid, 2 * processing.n_grid}, size);
  Size target{chosen[0], chosen[1]};
  Floats whole(size_t(3 * target.height * target.width));
  if (vlm_status_t *status = processTo(processing, backend, pool, image,
                                       tiledSize(size, target, edge), target,
                                       Placing::AtStart, whole.data()))
    return status;
  cutTiles(whole, target, edge, pixels);
  return nullptr;
}

/// The size of the pieces that a picture becomes.
static vlm_status_t *measurePieces(const vlm_abi_image &processing,
                                   const Size &picture, Size &out) {
  const bool isQuartered = processing.do_crop == VLM_ABI_CROP_QUARTERS;
  if (picture.height >= 1 && picture.width >= 1 && isQuartered &&
      (picture.height < 2 || picture.width < 2))
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "a picture of " + sizeText(picture) +
                          " (height x width) has no quarters; give one of at "
                          "least 2 x 2 pixels");
  const bool isThere = picture.height >= 1 && picture.width >= 1;
  out = isThere ? largestPiece(processing, picture) : Size{1, 1};
  Size resized = isThere ? resizedSize(processing, picture) : out;
  if (vlm_status_t *status = checkSizes(picture, resized, out))
    return status;
  constexpr int64_t most = 4096;
  if (countPieces(processing, picture) > most)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "a picture of " + sizeText(picture) +
                          " (height x width) would be cut into more than " +
                          std::to_string(most) + " squares; make it smaller");
  return nullptr;
}

/// A rectangle of a picture. Null where there is no memory.
static std::unique_ptr<vlm_image_t>
cropOf(const vlm_image_t &image, int64_t top, int64_t left, const Size &size) {
  std::unique_ptr<vlm_image_t> crop;
  vlm_status_t *status = makeImage("picture", size.height, size.width,
                                   std::numeric_limits<int64_t>::max(), crop);
  vlm_status_destroy(status);
  if (!crop)
    return nullptr;
  crop->key = image.key;
  for (int64_t y = 0; y < size.height; ++y)
    std::copy_n(image.row(top + y) + 3 * left, 3 * size.width, crop->row(y));
  return crop;
}

/// The whole picture, then its crops.
static vlm_status_t *processPanned(const vlm_abi_image &processing,
                                   vlm_image_backend_t backend,
                                   vlm_pool_t *pool, const vlm_image_t &image,
                                   float *pixels) {
  if (vlm_status_t *status =
          vlm_image_process(&processing, backend, pool, &image, pixels))
    return status;
  Size grid = panGrid(processing, {image.height, image.width}), result;
  if (grid.height < 1)
    return nullptr;
  if (vlm_status_t *status =
          vlm_image_processed_size(&processing, image.height, image.width,
                                   &result.height, &result.width))
    return status;
  const Size size{(image.height + grid.height - 1) / grid.height,
                  (image.width + grid.width - 1) / grid.width};
  for (int64_t i = 0; i < grid.height; ++i)
    for (int64_t j = 0; j < grid.width; ++j) {
      const int64_t top = i * size.height, left = j * size.width;
      if (top >= image.height || left >= image.width)
        return makeStatus(VLM_INVALID_ARGUMENT,
                          "a picture of " +
                              sizeText({image.height, image.width}) +
                              " (height x width) has no " +
                              std::to_string(grid.height * grid.width) +
                              " crops; give a larger one");
      auto crop = cropOf(image, top, left,
                         {std::min(size.height, image.height - top),
                          std::min(size.width, image.width - left)});
      if (!crop)
        return outOfMemory("picture");
      pixels += 3 * result.height * result.width;
      if (vlm_status_t *status =
              vlm_image_process(&processing, backend, pool, crop.get(), pixels))
        return status;
    }
  return nullptr;
}

/// The processing of pictures that are not cut.
static vlm_abi_image withoutTiles(const vlm_abi_image &processing) {
  vlm_abi_image whole = processing;
  whole.n_grid = 0;
  whole.background = 0;
  if (whole.do_crop == VLM_ABI_CROP_STRETCHED ||
      whole.do_crop == VLM_ABI_CROP_FITTED)
    whole.do_crop = VLM_ABI_CROP_NONE;
  return whole;
}

extern "C" {

void vlm_image_cut_patches(const float *planes, int64_t height, int64_t width,
                           int64_t patch, int64_t lines, int64_t columns,
                           float *rows) {
  const int64_t plane = height * width;
  for (int64_t line = 0; line < lines; ++line)
    for (int64_t column = 0; column < columns; ++column)
      for (int64_t y = line * patch; y < (line + 1) * patch; ++y)
        for (int64_t x = column * patch; x < (column + 1) * patch; ++x)
          for (int64_t channel = 0; channel < 3; ++channel)
            *rows++ = planes[channel * plane + y * width + x];
}

void vlm_image_piece_size(const vlm_abi_image *processing, int64_t height,
                          int64_t width, int64_t number, int64_t *outHeight,
                          int64_t *outWidth) {
  Size size = becomesPieces(*processing)
                  ? pieceSizes(*processing, {height, width})[size_t(number)]
                  : resizedSize(*processing, {height, width});
  *outHeight = size.height;
  *outWidth = size.width;
}

vlm_status_t *vlm_image_processed_size(const vlm_abi_image *processing,
                                       int64_t height, int64_t width,
                                       int64_t *outHeight, int64_t *outWidth) {
  return guarded("preprocessing a picture", [&]() -> vlm_status_t * {
    if (becomesPieces(*processing)) {
      Size piece;
      vlm_status_t *status = measurePieces(*processing, {height, width}, piece);
      *outHeight = piece.height;
      *outWidth = piece.width;
      return status;
    }
    Size size = squareSize(*processing, {height, width});
    Size resized =
        height > 0 && width > 0 ? resizedSize(*processing, size) : Size{1, 1};
    if (height < 1 || width < 1)
      size = {height, width};
    if (processing->n_grid) // the size of a tile, whatever the picture's
      resized = resizedSize(*processing, {1, 1});
    Size result = resultSize(*processing, resized);
    if (vlm_status_t *status = checkSizes(size, resized, result))
      return status;
    if (vlm_status_t *status = checkPatchRows(*processing, resized))
      return status;
    *outHeight = result.height;
    *outWidth = result.width;
    return nullptr;
  });
}

vlm_status_t *vlm_image_process(const vlm_abi_image *processing,
                                vlm_image_backend_t backend, vlm_pool_t *pool,
                                const vlm_image_t *image, float *pixels) {
  return guarded("preprocessing a picture", [&]() -> vlm_status_t * {
    if (!image->frames.empty())
      return makeStatus(VLM_INVALID_ARGUMENT,
                        "expected a picture, found a video of " +
                            std::to_string(image->frames.size()) +
                            " frames; give them one by one");
    std::unique_ptr<vlm_image_t> opaque;
    if (image->key.isThere && !processing->keeps_key) {
      opaque = whiten(*image);
      if (!opaque)
        return outOfMemory("picture");
      image = opaque.get();
    }
    std::unique_ptr<vlm_image_t> square;
    if (processing->background && image->height != image->width) {
      Size size = squareSize(*processing, {image->height, image->width});
      Size resized = resizedSize(*processing, size);
      // Before memory is taken for a square that is too large.
      if (vlm_status_t *status =
              checkSizes(size, resized, resultSize(*processing, resized)))
        return status;
      if (size.height * size.width > mostSquarePixels)
        return makeStatus(VLM_INVALID_ARGUMENT,
                          "a picture of " +
                              sizeText({image->height, image->width}) +
                              " (height x width) would become a square of " +
                              std::to_string(size.height * size.width) +
                              " pixels, expected at most " +
                              std::to_string(mostSquarePixels) +
                              "; crop it to a less elongated one");
      square = padToSquare(*image, processing->background);
      if (!square)
        return outOfMemory("picture");
      image = square.get();
    }
    if (becomesPieces(*processing))
      return processPieces(*processing, backend, pool, *image, pixels);
    if (processing->do_crop == VLM_ABI_CROP_PATCH_ROWS)
      return processPatchRows(*processing, backend, pool, *image, pixels);
    if (processing->do_crop == VLM_ABI_CROP_PATCHES)
      return processPatches(*processing, backend, pool, *image, pixels);
    if (processing->do_crop == VLM_ABI_CROP_STRETCHED)
      return processStretched(*processing, backend, pool, *image, pixels);
    if (processing->do_crop == VLM_ABI_CROP_FITTED)
      return processFitted(*processing, backend, pool, *image, pixels);
    if (processing->n_grid)
      return processTiles(*processing, backend, pool, *image, pixels);
    Size resized = resizedSize(*processing, {image->height, image->width});
    return processTo(*processing, backend, pool, *image, resized,
                     resultSize(*processing, resized),
                     placingOf(*processing, backend), pixels);
  });
}

/// The model's image processing. Errors: VLM_UNSUPPORTED.
static vlm_status_t *processingOf(const vlm_model_t *model,
                                  const vlm_abi_image **outProcessing) {
  const vlm_abi_model *abi = vlm_model_abi(model);
  if (!abi->image)
    return makeStatus(VLM_UNSUPPORTED,
                      std::string("model ") + abi->name +
                          " takes no pictures; use one with a vision tower");
  *outProcessing = abi->image;
  return nullptr;
}

vlm_status_t *vlm_model_preprocess_size(const vlm_model_t *model,
                                        int64_t height, int64_t width,
                                        int64_t *out_height,
                                        int64_t *out_width) {
  const vlm_abi_image *processing;
  vlm_status_t *status = processingOf(model, &processing);
  return status ? status
                : vlm_image_processed_size(processing, height, width,
                                           out_height, out_width);
}

vlm_status_t *vlm_model_preprocess(const vlm_model_t *model,
                                   const vlm_image_t *image, float *pixels) {
  return vlm_model_view_preprocess(model, image, View(), pixels);
}

vlm_status_t *vlm_model_view_preprocess(const vlm_model_t *model,
                                        const vlm_image_t *image,
                                        const View &view, float *pixels) {
  const vlm_abi_image *processing;
  if (vlm_status_t *status = processingOf(model, &processing))
    return status;
  const vlm_abi_model &abi = *vlm_model_abi(model);
  vlm_image_backend_t backend = vlm_model_image_backend(model);
  vlm_pool_t *pool = vlm_model_pool(model);
  if (view.frames) {
    // transformers has one arithmetic for frames that have a processing.
    if (abi.video)
      backend = VLM_IMAGE_BACKEND_TORCHVISION;
    vlm_abi_image whole = withoutTiles(abi.video ? *abi.video : *processing);
    Size size;
    if (vlm_status_t *status = vlm_image_processed_size(
            &whole, image->height, image->width, &size.height, &size.width))
      return status;
    for (const auto &frame : image->frames) {
      if (vlm_status_t *status =
              vlm_image_process(&whole, backend, pool, frame.get(), pixels))
        return status;
      pixels += 3 * size.height * size.width;
    }
    return nullptr;
  }
  if (view.isGrouped && abi.generation &&
      abi.generation->picture_flags & VLM_ABI_GROUPS_WHOLE) {
    vlm_abi_image whole = withoutTiles(*processing);
    whole.background = processing->group_background;
    return vlm_image_process(&whole, backend, pool, image, pixels);
  }
  if (processing->pan_crops && view.pans.value_or(processing->pans != 0))
    return processPanned(panned(*processing, view), backend, pool, *image,
                         pixels);
  return vlm_image_process(processing, backend, pool, image, pixels);
}

} // extern "C"
