//===- Orientation.h - Turning pictures upright ---------------------------===//
//
// Cameras store pictures as their sensor saw them and say in the metadata how
// to turn them. Decoders find the metadata and call these.
//
//   int orientation = findOrientation(exif, exifBytes, xmp, xmpBytes);
//   return turnUpright(name, orientation, image);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_ORIENTATION_H
#define VLMC_RUNTIME_IMAGE_ORIENTATION_H

#include "runtime/vlm.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vlmc::rt {

/// The EXIF orientation, 1 (upright) to 8, from a TIFF structure, with or
/// without "Exif" and two zeros in front, or from XMP text where the former has
/// no such tag; either may be absent (0 bytes). 1 if neither tells, or if what
/// they tell makes no sense.
int findOrientation(const uint8_t *exif, size_t exifBytes, const uint8_t *xmp,
                    size_t xmpBytes);

/// Replaces `image` by one that is upright.
vlm_status_t *turnUpright(const char *name, int orientation,
                          std::unique_ptr<vlm_image_t> &image);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_ORIENTATION_H
