//===- SeenPictures.h - Pictures that tokens attend to ----------*- C++ -*-===//
//
// For models whose layers attend to pictures: which of them each token sees,
// as the tensor `image_attention_mask` [batch, tokens, pictures] of
// transformers has it, and back to the rows of features.
//
//   addSeenPictures(facts, {2}, tensors);   // one prompt with two pictures
//   Outcome<SeenRows> rows =
//       readSeenRows(facts, tensors, 0, columns, rowsPerPicture);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_SEENPICTURES_H
#define VLMC_TOOLS_VLMC_SEENPICTURES_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/tasks/FrameTower.h"
#include "runtime/tasks/TiledTower.h"
#include "tools/vlmc/Entries.h"

namespace vlmc::tool {

/// Makes image_attention_mask of input_ids and attention_mask, and gives
/// pixel_values [pictures, ...] the shape [batch, pictures of a prompt, ...].
void addSeenPictures(const vlm_abi_generation &facts,
                     const std::vector<int64_t> &pictures, TensorMap &tensors);

/// That pixel_values, where there are some, have a row for each of input_ids.
std::optional<Fault> checkSeenPictures(const TensorMap &tensors);

/// image_features [batch, pictures, rows, D] of pixel_values [batch, pictures,
/// frames, 3, H, W], of which `frame_counts` [batch, pictures] are there; for
/// models that read videos. Errors: other shapes; those of the runs.
Outcome<HostTensor> encodeFrames(const vlm_model_t *model,
                                 const TensorMap &tensors);

/// Of each token, the rows of features that it sees: [first, last), and
/// whether they are of pictures before it.
struct SeenRows {
  std::vector<int32_t> first, last, shown;
};

/// Reads row `number` of image_attention_mask at `columns`; tokens that see no
/// picture see all, where the model has it so. Errors: a mask that is not of the
/// ids' shape, or of pictures that are no range.
Outcome<SeenRows> readSeenRows(const vlm_abi_generation &facts,
                               const TensorMap &tensors, size_t number,
                               const std::vector<int64_t> &columns,
                               int64_t rowsPerPicture);

/// The same by cross_attention_mask [batch, tokens, pictures, tiles] and
/// aspect_ratio_mask, of rows in the order of gatherTiles().
Outcome<SeenRows> readSeenTiles(const TensorMap &tensors, size_t number,
                                const std::vector<int64_t> &columns,
                                const rt::TiledTower &tower);

/// The features of prompt `number`, [1, M, D], of `features` [batch, pictures,
/// rows, D]: those of tiles that are there, of all its pictures, then the
/// others.
HostTensor gatherTiles(const TensorMap &tensors, const HostTensor &features,
                       size_t number, const rt::TiledTower &tower);

/// Runs the tower on pixel_values [batch, pictures, tiles, 3, H, W] to
/// image_features [batch, pictures, rows, D], tile by tile, and where the model
/// has that tap vision_features [batch, pictures, tiles, tokens, D'].
Outcome<TensorMap> encodeTiles(const vlm_model_t *model,
                                const TensorMap &tensors,
                                rt::TiledTower &tower);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_SEENPICTURES_H
