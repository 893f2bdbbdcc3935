//===- PieceSizes.cpp - The sizes of pieces of pictures -------------------===//
#include "runtime/image/Pieces.h"
#include "runtime/image/Sizes.h"

#include <algorithm>

namespace vlmc::rt {

bool becomesPieces(const vlm_abi_image &processing) {
  return processing.do_crop == VLM_ABI_CROP_QUARTERS ||
         processing.do_crop == VLM_ABI_CROP_LINES ||
         processing.do_crop == VLM_ABI_CROP_SQUARE;
}

std::array<Part, 5> quartersOf(const Size &picture) {
  const int64_t height = picture.height / 2, width = picture.width / 2;
  const int64_t below = picture.height - height, right = picture.width - width;
  return {Part{0, 0, {height, width}}, Part{0, width, {height, right}},
          Part{height, 0, {below, width}}, Part{height, width, {below, right}},
          Part{0, 0, picture}};
}

/// Enlarged to whole squares, as resize_for_vision_encoder of transformers'
/// image_processing_idefics3.
static Size wholeSquares(const Size &size, int64_t side) {
  auto up = [&](int64_t length) { return (length + side - 1) / side * side; };
  const double aspect = double(size.width) / double(size.height);
  if (size.width >= size.height) {
    int64_t width = up(size.width);
    return {up(std::max<int64_t>(1, int64_t(double(width) / aspect))), width};
  }
  int64_t height = up(size.height);
  return {height, up(std::max<int64_t>(1, int64_t(double(height) * aspect)))};
}

Size cutLines(const vlm_abi_image &processing, const Size &picture) {
  if (processing.do_crop != VLM_ABI_CROP_LINES)
    return {};
  const int64_t side = processing.crop_height;
  Size whole = wholeSquares(resizedSize(processing, picture), side);
  Size lines{whole.height / side, whole.width / side};
  return lines.height == 1 && lines.width == 1 ? Size{} : lines;
}

int64_t countPieces(const vlm_abi_image &processing, const Size &picture) {
  if (processing.do_crop != VLM_ABI_CROP_LINES)
    return processing.do_crop == VLM_ABI_CROP_QUARTERS ? 5 : 1;
  Size lines = cutLines(processing, picture);
  return lines.height * lines.width + 1;
}

std::vector<Size> pieceSizes(const vlm_abi_image &processing,
                             const Size &picture) {
  const Size square{processing.crop_height, processing.crop_height};
  if (processing.do_crop != VLM_ABI_CROP_QUARTERS)
    return std::vector<Size>(size_t(countPieces(processing, picture)), square);
  std::vector<Size> sizes;
  for (const Part &part : quartersOf(picture))
    sizes.push_back(part.size.height && part.size.width
                        ? resizedSize(processing, part.size)
                        : Size{});
  return sizes;
}

Size largestPiece(const vlm_abi_image &processing, const Size &picture) {
  if (processing.do_crop != VLM_ABI_CROP_QUARTERS)
    return {processing.crop_height, processing.crop_height};
  Size largest;
  for (const Size &size : pieceSizes(processing, picture)) {
    largest.height = std::max(largest.height, size.height);
    largest.width = std::max(largest.width, size.width);
  }
  return largest;
}

} // namespace vlmc::rt
