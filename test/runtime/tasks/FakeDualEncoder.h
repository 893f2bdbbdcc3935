// FakeDualEncoder.h: a dual encoder written by hand, whose embeddings tell what
// it was given.
//
//   encode_image(pixel_values f32 [B, 3, 2, 2]) -> image_embeds [B, 3] = sum of
//   all pixels, 1, 0 encode_text(input_ids i64 [B, T], attention_mask i64 [B,
//   T])
//     -> text_embeds [B, 3] = sum of the ids attended to, of the mask, of the
//     ids masked out
//   similarity(image_embeds [I, 3], text_embeds [N, 3]) -> logits_per_image [I,
//   N] = their product / 64 B up to 40, T up to 6, I up to 4, N up to 16.
//   Padding is 100.
#ifndef VLMC_TEST_RUNTIME_TASKS_FAKEDUALENCODER_H
#define VLMC_TEST_RUNTIME_TASKS_FAKEDUALENCODER_H

#include "runtime/abi/vlm_abi.h"

#include <string>

namespace fake {

/// A table with the first `entries` of the entry points above.
vlm_abi_model dualEncoder(uint32_t entries, uint32_t head);

/// The weights file that belongs to it: a header without tensors.
std::string emptyWeights();

} // namespace fake

#endif // VLMC_TEST_RUNTIME_TASKS_FAKEDUALENCODER_H
