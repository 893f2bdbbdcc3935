//===- PromptInputs.h - From words and pictures to tensors ------*- C++ -*-===//
//
// What the processors of transformers do for language models that see: pictures
// are preprocessed, the placeholders of the prompts become as many tokens as
// the pictures have features, the prompts become ids, padded to the longest.
//
//   PromptRequest request;
//   request.prompts = {"<image>\nWhat is this?"};
//   request.images = {"cat.jpg"};
//   Outcome<TensorMap> inputs = makePromptInputs(model, tokenizer, request);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_PROMPTINPUTS_H
#define VLMC_TOOLS_VLMC_PROMPTINPUTS_H

#include "runtime/image/ImageInternal.h"
#include "tools/vlmc/EmbedTask.h"

namespace vlmc::tool {

struct PromptRequest {
  std::vector<std::string> prompts;
  std::vector<std::string> images; ///< in the order of the placeholders
  /// Frames of each, in the order of the placeholders of videos.
  std::vector<std::vector<std::string>> videos;
  /// Whether each of both is a video, in the order of the placeholders, where
  /// that is known; else pictures come first.
  std::vector<bool> areVideos;
  rt::View view; ///< whether long pictures are shown in crops too
  bool addsSpecial = true;         ///< the special tokens of the post-processor
  std::optional<bool> padsLeft;    ///< absent: as the tokenizer says
};

/// Opens the model's tokenizer.
std::optional<Fault> openTokenizer(const vlm_model_t *model,
                                   Tokenizer &tokenizer);

/// The text that stands for a picture; "" where prompts have none.
std::string pictureToken(const vlm_tokenizer_t *tokenizer);

/// The same for a video; "" where none does, or that of a picture.
std::string videoToken(const vlm_tokenizer_t *tokenizer);

/// Makes input_ids, attention_mask, pixel_values and `prompt`, the prompts
/// themselves, with a zero byte between two.
Outcome<TensorMap> makePromptInputs(const vlm_model_t *model,
                                    const vlm_tokenizer_t *tokenizer,
                                    const PromptRequest &request);

/// The text of ids, special tokens left out; ids beyond the tokenizer's, which
/// some models have, count for nothing.
std::optional<Fault> decodeIds(const vlm_tokenizer_t *tokenizer,
                               const int64_t *ids, size_t count,
                               std::string &text);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_PROMPTINPUTS_H
