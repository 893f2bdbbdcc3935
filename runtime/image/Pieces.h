//===- Pieces.h - Pictures that become several ----------------------------===//
//
// A picture becomes its quarters and itself, each resized by itself and zeros
// around the smaller ones (image_processing_idefics2 of transformers); or it is
// resized to whole squares and cut into them, line by line, and itself is one
// more (image_processing_idefics3); or it is resized twice, the second time to
// one such square.
//
//   if (becomesPieces(processing))
//     std::vector<Size> sizes = pieceSizes(processing, {480, 640});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_PIECES_H
#define VLMC_RUNTIME_IMAGE_PIECES_H

#include "runtime/image/Processor.h"

#include <array>
#include <vector>

namespace vlmc::rt {

/// Whether pictures are processed in one of these ways.
bool becomesPieces(const vlm_abi_image &processing);

/// How many lines of how many squares a picture is cut into; 0: it is not.
Size cutLines(const vlm_abi_image &processing, const Size &picture);

/// A part of a picture.
struct Part {
  int64_t top, left;
  Size size;
};

/// The quarters, line by line, and the whole; what is left of an odd side goes
/// to the second half.
std::array<Part, 5> quartersOf(const Size &picture);

/// How many pieces a picture becomes.
int64_t countPieces(const vlm_abi_image &processing, const Size &picture);

/// The size of each piece, in their order.
std::vector<Size> pieceSizes(const vlm_abi_image &processing,
                             const Size &picture);

/// The larger of all heights and of all widths.
Size largestPiece(const vlm_abi_image &processing, const Size &picture);

/// Writes f32 [pieces, 3, H, W] of the largest piece's size.
vlm_status_t *processPieces(const vlm_abi_image &processing,
                            vlm_image_backend_t backend, vlm_pool_t *pool,
                            const vlm_image_t &image, float *pixels);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_PIECES_H
