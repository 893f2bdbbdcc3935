//===- PromptInternal.h - Prompts with pictures and videos ------*- C++ -*-===//
//
// What the runtime's own libraries and tools use to write prompts. Not
// installed.
//
//   std::vector<Medium> media(images + videos);
//   vlm_tokenizer_order_media(tokenizer, text, bytes, images, videos, order);
//   ... // media[i] is that of picture or video order[i]
//   vlm_tokenizer_encode_media(tokenizer, text, bytes, media, special, &ids);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_PROMPTINTERNAL_H
#define VLMC_RUNTIME_TEXT_PROMPTINTERNAL_H

#include "runtime/vlm.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vlmc::rt {
/// What stands at a placeholder.
struct Medium {
  int64_t tokens = 0;
  int64_t frames = 0; ///< of a video; 0: a picture
};
} // namespace vlmc::rt

extern "C" {
/// Which pictures, by their number, and videos, by theirs behind `pictures`,
/// stand at a prompt's placeholders, in their order. Where videos have no
/// placeholder of their own they stand at those of pictures, in the order
/// given, pictures first.
/// Errors: VLM_INVALID_ARGUMENT if there are more videos or fewer than their
/// placeholders.
VLM_API vlm_status_t *
vlm_tokenizer_order_media(const vlm_tokenizer_t *tokenizer, const char *text,
                          size_t bytes, size_t pictures, size_t videos,
                          std::vector<size_t> &order);
/// vlm_tokenizer_encode_prompt with videos.
VLM_API vlm_status_t *vlm_tokenizer_encode_media(
    const vlm_tokenizer_t *tokenizer, const char *text, size_t bytes,
    std::span<const vlmc::rt::Medium> media, int special, vlm_ids_t *out_ids);
}

#endif // VLMC_RUNTIME_TEXT_PROMPTINTERNAL_H
