//===- Sizes.h - The sizes that pictures are resized to -------------------===//
//
// What a model's processing makes of a picture's size; nothing is decoded.
//
//   Size resized = resizedSize(processing, {480, 640});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_SIZES_H
#define VLMC_RUNTIME_IMAGE_SIZES_H

#include "runtime/image/Processor.h"

namespace vlmc::rt {

/// The size behind the resize.
Size resizedSize(const vlm_abi_image &processing, const Size &size);

/// How many patches a picture becomes, down and across, where it is cut so.
Size patchGrid(const vlm_abi_image &processing, const Size &picture);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_SIZES_H
