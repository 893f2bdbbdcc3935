//===- Preprocess.cpp - The sizes, and the C API of preprocessing ---------===//
#include "runtime/abi/ImagePipelines.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/image/Processor.h"

#include <algorithm>
#include <climits>
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

/// The size behind the resize.
static Size resizedSize(const vlm_abi_image &processing, const Size &size) {
  if (processing.resize == VLM_ABI_RESIZE_EXACT)
    return {processing.height, processing.width};
  if (processing.resize != VLM_ABI_RESIZE_SHORTEST_EDGE)
    return size;
  // As transformers' get_resize_output_image_size: a division, then the
  // fraction is dropped.
  bool isPortrait = size.width <= size.height;
  int64_t shorter = isPortrait ? size.width : size.height;
  int64_t longer = isPortrait ? size.height : size.width;
  double scaled = static_cast<double>(processing.edge) *
                  static_cast<double>(longer) / static_cast<double>(shorter);
  auto edge = static_cast<int64_t>(std::min(scaled, double(INT64_MAX / 4)));
  return isPortrait ? Size{edge, processing.edge} : Size{processing.edge, edge};
}

static Size resultSize(const vlm_abi_image &processing, const Size &resized) {
  return processing.do_crop
             ? Size{processing.crop_height, processing.crop_width}
             : resized;
}

static vlm_status_t *checkSizes(const Size &size, const Size &resized,
                                const Size &result) {
  if (size.height < 1 || size.width < 1)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "expected a picture of at least 1 x 1 pixels, found " +
                          sizeText(size) + " (height x width)");
  // Pipelines count bytes of a block and result values in 32 bits.
  int64_t blockRows = std::min<int64_t>(size.height, rowsPerBlock);
  bool fits = size.width <= INT_MAX / 3 / blockRows - pixelsPerTile &&
              size.height <= INT_MAX && resized.height <= INT_MAX / 4 &&
              resized.width <= INT_MAX / 4 &&
              result.height <= INT_MAX / 3 / result.width;
  return fits ? nullptr : tooElongated(size, resized);
}

extern "C" {

vlm_status_t *vlm_image_processed_size(const vlm_abi_image *processing,
                                       int64_t height, int64_t width,
                                       int64_t *outHeight, int64_t *outWidth) {
  return guarded("preprocessing a picture", [&]() -> vlm_status_t * {
    Size size{height, width};
    Size resized =
        height > 0 && width > 0 ? resizedSize(*processing, size) : Size{1, 1};
    Size result = resultSize(*processing, resized);
    if (vlm_status_t *status = checkSizes(size, resized, result))
      return status;
    *outHeight = result.height;
    *outWidth = result.width;
    return nullptr;
  });
}

vlm_status_t *vlm_image_process(const vlm_abi_image *processing,
                                vlm_pool_t *pool, const vlm_image_t *image,
                                float *pixels) {
  return guarded("preprocessing a picture", [&]() -> vlm_status_t * {
    Size size{image->height, image->width};
    Size resized = resizedSize(*processing, size);
    Size result = resultSize(*processing, resized);
    if (vlm_status_t *status = checkSizes(size, resized, result))
      return status;
    Direction down(size.height, resized.height, result.height);
    Direction across(size.width, resized.width, result.width);
    return Processor(*processing, pool, *image, down, across, pixels).run();
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
  const vlm_abi_image *processing;
  vlm_status_t *status = processingOf(model, &processing);
  return status ? status
                : vlm_image_process(processing, vlm_model_pool(model), image,
                                    pixels);
}

} // extern "C"
