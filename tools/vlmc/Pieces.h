//===- Pieces.h - Pictures that become several, or have sizes of their own
//-===//
//
// Models whose prompts have pixel_values [batch, pieces, 3, H, W], zeros behind
// the pieces of prompts with fewer and around smaller ones, and a mask of the
// pixels that are there: those of quarters, of squares, and of whole pictures
// whose tower takes any grid.
//
//   if (readsPieces(model))
//     if (std::optional<Fault> fault = addPieces(model, tokenizer, paths, out,
//                                                counts)) ...
//   arrangePieces({1, 2}, out); // pictures of each prompt
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_PIECES_H
#define VLMC_TOOLS_VLMC_PIECES_H

#include "tools/vlmc/Tensors.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// Whether the model's pictures are of this kind.
bool readsPieces(const vlm_model_t *model);

/// Preprocesses pictures: pixel_values [pieces, 3, H, W], pixel_attention_mask
/// [pieces, H, W] and piece_counts [pictures]. `counts` get for each picture
/// what vlm_tokenizer_encode_prompt takes.
std::optional<Fault> addPieces(const vlm_model_t *model,
                               const vlm_tokenizer_t *tokenizer,
                               const std::vector<std::string> &paths,
                               TensorMap &out,
                               std::vector<std::vector<int64_t>> &counts);

/// Makes a batch of them; `pictures` are those of each prompt.
void arrangePieces(const std::vector<int64_t> &pictures, TensorMap &out);

/// Runs the tower on the pieces that are there: image_features [pieces, R, D],
/// or [places, D] where each patch is a feature, and vision_features, where the
/// model has that tap.
/// Errors: shapes that do not fit; masks that are no rectangle at the top left.
Outcome<TensorMap> encodePieces(const vlm_model_t *model,
                                const TensorMap &tensors);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_PIECES_H
