//===- Sizes.cpp - The sizes that pictures are resized to -----------------===//
#include "runtime/image/Sizes.h"

#include <algorithm>
#include <cmath>

using namespace vlmc::rt;

/// The length of a side that is not given: Python's int(), which drops the
/// fraction.
static int64_t wholeSide(double side) {
  return static_cast<int64_t>(std::min(side, double(INT64_MAX / 4)));
}

/// As transformers' get_resize_output_image_size.
static Size shortestEdgeSize(int64_t edge, const Size &size) {
  bool isPortrait = size.width <= size.height;
  auto shorter = static_cast<double>(isPortrait ? size.width : size.height);
  auto longer = static_cast<double>(isPortrait ? size.height : size.width);
  int64_t other = wholeSide(static_cast<double>(edge) * longer / shorter);
  return isPortrait ? Size{other, edge} : Size{edge, other};
}

/// As transformers' get_size_with_aspect_ratio.
static Size edgesSize(const vlm_abi_image &processing, const Size &size) {
  auto height = static_cast<double>(size.height);
  auto width = static_cast<double>(size.width);
  double shorter = std::min(height, width), longer = std::max(height, width);
  double edge = processing.edge;
  double exact = edge;
  if (longer / shorter * edge > processing.longest_edge) {
    exact = processing.longest_edge * shorter / longer;
    edge = std::nearbyint(exact); // half to even, as Python's round
  }
  if (shorter == edge)
    return size;
  auto side = static_cast<int64_t>(edge);
  return width < height ? Size{wholeSide(exact * height / width), side}
                        : Size{side, wholeSide(exact * width / height)};
}

/// As transformers' get_image_size_for_max_height_width.
static Size withinSize(const vlm_abi_image &processing, const Size &size) {
  auto height = static_cast<double>(size.height);
  auto width = static_cast<double>(size.width);
  double scale = std::min(processing.height / height, processing.width / width);
  return {wholeSide(height * scale), wholeSide(width * scale)};
}

/// As ResizeKeepRatio of open_clip.transform: by the longer side, to the
/// nearest pixel.
static Size roundedSize(const vlm_abi_image &processing, const Size &size) {
  auto height = static_cast<double>(size.height);
  auto width = static_cast<double>(size.width);
  double ratio = std::max(height / processing.height, width / processing.width);
  auto toEven = [](double side) { return wholeSide(std::nearbyint(side)); };
  return {toEven(height / ratio), toEven(width / ratio)};
}

/// As get_resize_output_image_size of transformers' image_processing_idefics2.
static Size cappedSize(const vlm_abi_image &processing, const Size &size) {
  Size capped = size;
  const double aspect =
      static_cast<double>(size.width) / static_cast<double>(size.height);
  const double most = processing.longest_edge;
  if (size.width >= size.height && size.width > processing.longest_edge)
    capped = {wholeSide(most / aspect), processing.longest_edge};
  else if (size.height > size.width && size.height > processing.longest_edge)
    capped = {processing.longest_edge, wholeSide(most * aspect)};
  return {std::max<int64_t>(capped.height, processing.edge),
          std::max<int64_t>(capped.width, processing.edge)};
}

/// The longer side as long as `most`; the other follows the aspect.
static Size withLonger(const Size &size, int64_t most) {
  const double aspect =
      static_cast<double>(size.width) / static_cast<double>(size.height);
  const auto longer = static_cast<double>(most);
  return size.width >= size.height ? Size{wholeSide(longer / aspect), most}
                                   : Size{most, wholeSide(longer * aspect)};
}

/// As get_resize_output_image_size of transformers' image_processing_idefics3.
static Size longestSize(const vlm_abi_image &processing, const Size &size) {
  constexpr int64_t highest = 4096;
  Size result = withLonger(size, processing.longest_edge);
  int64_t &shorter = size.width >= size.height ? result.height : result.width;
  shorter = std::max<int64_t>(1, shorter + shorter % 2);
  if (std::max(result.height, result.width) > highest)
    result = withLonger(result, highest);
  return {std::max<int64_t>(1, result.height),
          std::max<int64_t>(1, result.width)};
}

/// As get_image_size_for_max_num_patches of transformers'
/// image_processing_siglip2, to the last bit of the scale that is searched for.
static Size patchesSize(const vlm_abi_image &processing, const Size &size) {
  const int64_t patch = processing.crop_height;
  auto scaled = [&](double scale, int64_t side) {
    double patches = std::ceil(static_cast<double>(side) * scale /
                               static_cast<double>(patch));
    return std::max<int64_t>(1, wholeSide(patches)) * patch;
  };
  constexpr double accuracy = 1e-5;
  double least = accuracy / 10, most = 100;
  while (most - least >= accuracy) {
    double scale = (least + most) / 2;
    double patches = static_cast<double>(scaled(scale, size.height) / patch) *
                     static_cast<double>(scaled(scale, size.width) / patch);
    (patches <= processing.longest_edge ? least : most) = scale;
  }
  return {scaled(least, size.height), scaled(least, size.width)};
}

Size vlmc::rt::resizedSize(const vlm_abi_image &processing, const Size &size) {
  switch (processing.resize) {
  case VLM_ABI_RESIZE_EXACT:
    return {processing.height, processing.width};
  case VLM_ABI_RESIZE_SHORTEST_EDGE:
    return shortestEdgeSize(processing.edge, size);
  case VLM_ABI_RESIZE_EDGES:
    return edgesSize(processing, size);
  case VLM_ABI_RESIZE_WITHIN:
    return withinSize(processing, size);
  case VLM_ABI_RESIZE_ROUNDED:
    return roundedSize(processing, size);
  case VLM_ABI_RESIZE_SHRUNK:
    return size.height <= processing.height && size.width <= processing.width
               ? size
               : withinSize(processing, size);
  case VLM_ABI_RESIZE_PATCHES:
    return patchesSize(processing, size);
  case VLM_ABI_RESIZE_CAPPED:
    return cappedSize(processing, size);
  case VLM_ABI_RESIZE_LONGEST:
    return longestSize(processing, size);
  default:
    return size;
  }
}

Size vlmc::rt::patchGrid(const vlm_abi_image &processing, const Size &picture) {
  Size resized = resizedSize(processing, picture);
  auto count = [](int64_t pixels, int64_t side) {
    return (pixels + side - 1) / side;
  };
  return {count(resized.height, processing.crop_height),
          count(resized.width, processing.crop_width)};
}
