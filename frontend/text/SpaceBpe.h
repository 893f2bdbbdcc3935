//===- SpaceBpe.h - Byte pairs over text with visible blanks ----*- C++ -*-===//
//
// The pipeline that transformers 5 builds for vocabularies in Gemma's way: of
// tokenizer.json it takes vocabulary, merges and special tokens, the rest is
// fixed; a text is one word, and characters outside of the vocabulary are
// bytes. Source: transformers, models/gemma/tokenization_gemma.py and
// models/siglip2/tokenization_siglip2.py.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_SPACEBPE_H
#define VLMC_FRONTEND_TEXT_SPACEBPE_H

#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// Fills in the fixed stages; `lower`: in lower case first.
void startSpaceBpe(TokenizerDescription &tokenizer, SpecialTokens &special,
                   bool lower);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_SPACEBPE_H
