//===- Tiles.h - Pictures that are cut ------------------------------------===//
//
// A picture is fitted into the best of some resolutions, the rest stays black,
// and cut into tiles of one size; the whole picture, resized to a tile, is the
// first. Source: LLaVA-NeXT (AnyRes); select_best_resolution and
// get_patch_output_size of transformers' image_processing_utils, unpad_image
// and pack_image_features of its modeling_llava_next. Or it is stretched to the
// resolution of the nearest aspect: get_optimal_tiled_canvas of
// image_processing_got_ocr2.
//
//   Size target = bestResolution({grid, n}, size);
//   Size fitted = fittedSize(size, target);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_TILES_H
#define VLMC_RUNTIME_IMAGE_TILES_H

#include "runtime/image/Processor.h"

#include <cstdint>
#include <span>

namespace vlmc::rt {

/// The resolution, of pairs of a height and a width, that keeps most of a
/// picture's pixels and wastes least.
Size bestResolution(std::span<const int32_t> grid, const Size &picture);

/// The resolution whose aspect is nearest to the picture's; among equal ones a
/// later one where the picture has more than half of its pixels.
Size nearestAspect(std::span<const int32_t> grid, const Size &picture);

/// The number of the resolution, of tiles of `tile` pixels, that enlarges a
/// picture least when it is filled in one direction, or that shrinks it least;
/// of equal ones that with fewest pixels. Source: get_optimal_tiled_canvas of
/// transformers' image_processing_mllama.
size_t leastScaled(std::span<const int32_t> grid, const Size &picture);

/// The size of the picture in such a resolution: not smaller than a tile in one
/// direction, and not larger than the picture unless for that. Source:
/// get_image_size_fit_to_canvas.
Size tiledSize(const Size &picture, const Size &target, int64_t tile);

/// The size of the picture when it fills the target in one direction.
Size fittedSize(const Size &picture, const Size &target);

/// The features that are left of a grid of `all` when the black borders are
/// taken off, as first place and count in each direction.
struct Window {
  Span rows, columns;
};
Window unpadded(const Size &picture, const Size &all);

/// Rows of the features of a picture's tiles, `perTile` rows each of which row
/// 0 ends lines, in the order in which the model reads them. `side` features
/// make a tile's side, `grid` is in tiles. Where they are more than 1.21 times
/// those of `mostTiles`, if that is not 0, the map is resampled to about those.
/// Source: pack_image_features of transformers' modeling_llava_onevision.
FeatureRows packedRows(const Size &picture, const Size &grid, int64_t side,
                       int64_t perTile, int64_t mostTiles);

/// The same of a video's frames, each a map of `side`, resampled to half of it,
/// rounded up; row 0 ends the last one. Source: get_video_features there.
FeatureRows pooledRows(int64_t frames, int64_t side, int64_t perTile);

/// The processing with what a view says of crops.
vlm_abi_image panned(const vlm_abi_image &processing, const View &view);

/// How many crops of a picture are shown beside it, down and across; 0 x 0:
/// none. Source: pan_and_scan of transformers' image_processing_gemma3.
Size panGrid(const vlm_abi_image &processing, const Size &picture);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_TILES_H
