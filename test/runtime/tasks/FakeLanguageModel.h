// FakeLanguageModel.h: a language model that sees, written by hand, and what
// stands in for libvlm_text and libvlm_image.
//
// An id is a byte of the text; '@' stands for a picture, which takes as many of
// it as it has pixels. The logits behind a token are a hash of all tokens and
// features up to it, read from the cache, so that a token that is missing,
// doubled, or in the wrong place or sequence shows in all that follow. A
// picture is a value; one of value 13 fails in preprocessing.
#ifndef VLMC_TEST_RUNTIME_TASKS_FAKELANGUAGEMODEL_H
#define VLMC_TEST_RUNTIME_TASKS_FAKELANGUAGEMODEL_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"

#include <memory>
#include <string>

namespace fake {

inline constexpr int kWords = 130;    ///< ids from 128 on have no text
inline constexpr int kEndToken = 129; ///< comes about once in 60 tokens
inline constexpr int kMaxTokens = 400;

/// The model's table.
vlm_abi_model languageModel();

/// The weights file that belongs to it: a header without tensors.
std::string noWeights();

using Picture = std::unique_ptr<vlm_image_t, void (*)(vlm_image_t *)>;
Picture makePicture(int64_t tokens, uint8_t value);

} // namespace fake

#endif // VLMC_TEST_RUNTIME_TASKS_FAKELANGUAGEMODEL_H
