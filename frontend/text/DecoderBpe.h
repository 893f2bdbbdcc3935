//===- DecoderBpe.h - Byte pairs as language models have them ---*- C++ -*-===//
//
// The pipelines that transformers 5 builds for the tokenizers of Llama, Qwen2,
// GPT-2 and GPT-NeoX: of tokenizer.json they take vocabulary, merges, special
// tokens and, but for the last, post-processor, the rest is fixed. Source:
// transformers, models/*/tokenization_*.py of llama, qwen2, gpt2 and gpt_neox.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_DECODERBPE_H
#define VLMC_FRONTEND_TEXT_DECODERBPE_H

#include "frontend/text/Fields.h"
#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// Whole texts with visible blanks, one before the text; characters outside of
/// the vocabulary are bytes. `config` may be null.
void startMetaspaceBpe(TokenizerDescription &tokenizer, SpecialTokens &special,
                       const Fields *config);

/// Words of bytes.
void startByteBpe(TokenizerDescription &tokenizer, SpecialTokens &special,
                  const Fields *config);

/// The same of texts in normal form C.
void startComposedByteBpe(TokenizerDescription &tokenizer,
                          SpecialTokens &special, const Fields *config);

/// Words of bytes in normal form C.
void startWordBpe(TokenizerDescription &tokenizer, SpecialTokens &special,
                  const Fields *config);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_DECODERBPE_H
