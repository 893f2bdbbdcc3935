//===- CaptionSentencePiece.h - Captions cut by SentencePiece ---*- C++ -*-===//
//
// The pipeline of transformers' tokenizers that run SentencePiece on canonical
// captions: lower case, no punctuation, single blanks. All of the vocabulary is
// in spiece.model. Source: transformers, models/siglip/tokenization_siglip.py
// and tokenization_utils_sentencepiece.py.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_CAPTIONSENTENCEPIECE_H
#define VLMC_FRONTEND_TEXT_CAPTIONSENTENCEPIECE_H

#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// Fills in the fixed stages before tokens are added; `config` is
/// tokenizer_config.json, null where there is none.
void startCaptionSentencePiece(TokenizerDescription &tokenizer,
                               SpecialTokens &special, const Fields *config);

/// Fills in what depends on the ids of the special tokens.
void finishCaptionSentencePiece(TokenizerDescription &tokenizer,
                                const SpecialTokens &special);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_CAPTIONSENTENCEPIECE_H
