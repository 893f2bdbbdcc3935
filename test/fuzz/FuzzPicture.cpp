//===- FuzzPicture.cpp - Picture files ------------------------------------===//
#include "runtime/vlm.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Few pixels, so that time goes into the readers.
  vlm_image_limits_t limits{sizeof(vlm_image_limits_t), 1 << 16};
  vlm_image_t *image = nullptr;
  vlm_status_destroy(vlm_image_decode(data, size, "picture", &limits, &image));
  if (!image)
    return 0;
  const uint8_t *rgb = vlm_image_rgb(image);
  int64_t bytes = 3 * vlm_image_height(image) * vlm_image_width(image);
  unsigned sum = 0;
  for (int64_t i = 0; i < bytes; ++i)
    sum += rgb[i];
  volatile unsigned used = sum;
  (void)used;
  vlm_image_destroy(image);
  return 0;
}
