//===- Tiles.h - Pictures that a language model reads -----------*- C++ -*-===//
//
// From pictures to the rows of features that stand for their placeholders, for
// models that take each picture whole and for those that cut it into tiles.
//
//   Outcome<PlacedPictures> pictures = placePictures(model, tensors);
//   ... // encode_image of pictures->pixels gives features [tiles, T, D]
//   features[pictures->rows[i]] // of placeholder i
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_TILES_H
#define VLMC_TOOLS_VLMC_TILES_H

#include "runtime/image/ImageInternal.h"
#include "tools/vlmc/Tensors.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// Whether the model takes pictures to be cut.
bool cutsPictures(const vlm_model_t *model);

/// Whether the tiles are of pictures that are stretched; then all of their
/// features are read, and pixels are [tiles, 3, H, W].
bool stretchesPictures(const vlm_model_t *model);

/// Whether pictures of a prompt with several are not cut.
bool groupsPictures(const vlm_model_t *model);

/// Whether long pictures may be shown in crops too.
bool pansPictures(const vlm_model_t *model);

/// Preprocesses pictures of such a model, each shown as `views` says:
/// pixel_values [N, P, 3, H, W], behind the tiles of a picture with fewer than
/// P zeros, and image_sizes [N, 2]; of stretched and panned ones [tiles, 3, H,
/// W].
Outcome<TensorMap> preprocessTiles(const vlm_model_t *model,
                                   const std::vector<std::string> &paths,
                                   const std::vector<rt::View> &views);

/// Preprocesses the frames of each video: pixels [videos, frames, 3, H, W].
/// Errors: videos of several lengths.
Outcome<HostTensor>
preprocessVideos(const vlm_model_t *model,
                 const std::vector<std::vector<std::string>> &videos);

/// Whether the tiles of a fitted picture are one sequence of the tower.
bool fitsPictures(const vlm_model_t *model);

/// Preprocesses pictures of such a model: pixel_values [N, T, 3, H, W], zeros
/// for tiles that are not there, aspect_ratio_ids [N] and aspect_ratio_mask
/// [N, T].
Outcome<TensorMap> preprocessFitted(const vlm_model_t *model,
                                    const std::vector<std::string> &paths);

/// Whether the model reads pictures as lines of patches.
bool readsPatches(const vlm_model_t *model);

/// Preprocesses pictures of such a model: pixel_values [patches, P * P * 3], the
/// pixels of a patch row by row; `lines` tells of each picture the patches of
/// its lines.
Outcome<TensorMap> preprocessPatches(const vlm_model_t *model,
                                     const std::vector<std::string> &paths,
                                     std::vector<std::vector<int64_t>> &lines);

/// How many placeholders a picture of height x width has.
Outcome<int64_t> countRows(const vlm_model_t *model, int64_t height,
                           int64_t width, const rt::View &view = {});

struct PlacedPictures {
  HostTensor pixels;    ///< [tiles, 3, H, W]
  rt::FeatureRows rows; ///< of the features, counted over all tiles
};

/// Takes pixel_values_videos [videos, frames, 3, H, W].
Outcome<PlacedPictures> placeVideos(const vlm_model_t *model,
                                    const TensorMap &tensors);

/// Takes pixel_values, and where pictures are cut image_sizes and, if it is
/// there, batch_num_images.
/// Errors: shapes that do not fit; sizes that no picture has.
Outcome<PlacedPictures> placePictures(const vlm_model_t *model,
                                      const TensorMap &tensors);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_TILES_H
