//===- Pieces.cpp - Pictures that become several --------------------------===//
#include "runtime/image/Pieces.h"

#include "runtime/core/LargeMemory.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/Sizes.h"

#include <algorithm>
#include <limits>
#include <memory>

namespace vlmc::rt {

using Floats = std::vector<float, LargeAllocator<float>>;

static vlm_status_t *makeUnlimited(const Size &size,
                                   std::unique_ptr<vlm_image_t> &out) {
  return makeImage("picture", size.height, size.width,
                   std::numeric_limits<int64_t>::max(), out);
}

/// A picture of another size, its values 8 bits as before.
static vlm_status_t *resizeImage(const vlm_abi_image &processing,
                                 vlm_image_backend_t backend, vlm_pool_t *pool,
                                 const vlm_image_t &image, const Size &to,
                                 std::unique_ptr<vlm_image_t> &out) {
  static const std::vector<float> plain = [] {
    std::vector<float> table(size_t(3 * 256));
    for (size_t i = 0; i < table.size(); ++i)
      table[i] = float(i % 256);
    return table;
  }();
  vlm_abi_image bare = processing;
  bare.pil_table = bare.torchvision_table = plain.data();
  Floats planes(size_t(3 * to.height * to.width));
  if (vlm_status_t *status = processTo(bare, backend, pool, image, to, to,
                                       Placing::AtStart, planes.data()))
    return status;
  if (vlm_status_t *status = makeUnlimited(to, out))
    return status;
  const int64_t plane = to.height * to.width;
  uint8_t *rgb = out->rgb.get();
  for (int64_t i = 0; i < plane; ++i)
    for (int64_t channel = 0; channel < 3; ++channel)
      *rgb++ = uint8_t(planes[size_t(channel * plane + i)]);
  return nullptr;
}

static vlm_status_t *cutPart(const vlm_image_t &image, const Part &part,
                             std::unique_ptr<vlm_image_t> &out) {
  if (vlm_status_t *status = makeUnlimited(part.size, out))
    return status;
  for (int64_t y = 0; y < part.size.height; ++y)
    std::copy_n(image.row(part.top + y) + 3 * part.left, 3 * part.size.width,
                out->row(y));
  return nullptr;
}

/// Planes [3, H, W] with zeros at the right and the bottom.
static void placePlanes(const Floats &planes, const Size &size,
                        const Size &room, float *out) {
  const float *from = planes.data();
  for (int64_t row = 0; row < 3 * room.height; ++row, out += room.width) {
    std::fill_n(out, room.width, 0.0F);
    if (row % room.height >= size.height)
      continue;
    std::copy_n(from, size.width, out);
    from += size.width;
  }
}

static vlm_status_t *processQuarters(const vlm_abi_image &processing,
                                     vlm_image_backend_t backend,
                                     vlm_pool_t *pool, const vlm_image_t &image,
                                     float *pixels) {
  const Size picture{image.height, image.width};
  const Size largest = largestPiece(processing, picture);
  const std::vector<Size> sizes = pieceSizes(processing, picture);
  size_t number = 0;
  for (const Part &part : quartersOf(picture)) {
    const Size &size = sizes[number++];
    std::unique_ptr<vlm_image_t> own;
    if (vlm_status_t *status = cutPart(image, part, own))
      return status;
    Floats planes(size_t(3 * size.height * size.width));
    if (vlm_status_t *status = processTo(processing, backend, pool, *own, size,
                                         size, Placing::AtStart, planes.data()))
      return status;
    placePlanes(planes, size, largest, pixels);
    pixels += 3 * largest.height * largest.width;
  }
  return nullptr;
}

/// The pixels go through 8 bits between one resize and the next.
static vlm_status_t *processSquares(const vlm_abi_image &processing,
                                    vlm_image_backend_t backend,
                                    vlm_pool_t *pool, const vlm_image_t &image,
                                    float *pixels) {
  const int64_t side = processing.crop_height;
  const Size square{side, side}, picture{image.height, image.width};
  const Size first = resizedSize(processing, picture);
  std::unique_ptr<vlm_image_t> resized, whole;
  if (vlm_status_t *status =
          resizeImage(processing, backend, pool, image, first, resized))
    return status;
  const Size lines = cutLines(processing, picture);
  if (!lines.height)
    return processTo(processing, backend, pool, *resized, square, square,
                     Placing::AtStart, pixels);
  const Size target{lines.height * side, lines.width * side};
  if (vlm_status_t *status =
          resizeImage(processing, backend, pool, *resized, target, whole))
    return status;
  for (int64_t line = 0; line < lines.height; ++line)
    for (int64_t column = 0; column < lines.width; ++column) {
      std::unique_ptr<vlm_image_t> own;
      if (vlm_status_t *status =
              cutPart(*whole, {line * side, column * side, square}, own))
        return status;
      if (vlm_status_t *status =
              processTo(processing, backend, pool, *own, square, square,
                        Placing::AtStart, pixels))
        return status;
      pixels += 3 * side * side;
    }
  return processTo(processing, backend, pool, *whole, square, square,
                   Placing::AtStart, pixels);
}

vlm_status_t *processPieces(const vlm_abi_image &processing,
                            vlm_image_backend_t backend, vlm_pool_t *pool,
                            const vlm_image_t &image, float *pixels) {
  return processing.do_crop == VLM_ABI_CROP_QUARTERS
             ? processQuarters(processing, backend, pool, image, pixels)
             : processSquares(processing, backend, pool, image, pixels);
}

} // namespace vlmc::rt
