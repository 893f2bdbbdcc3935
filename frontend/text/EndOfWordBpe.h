//===- EndOfWordBpe.h - Lower-cased words of bytes ------------------------===//
//
// The pipeline that transformers 5 builds for contrastive models in OpenAI's
// way: of tokenizer.json it takes vocabulary and merges only, the rest is
// fixed. Source: transformers, models/clip/tokenization_clip.py.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_ENDOFWORDBPE_H
#define VLMC_FRONTEND_TEXT_ENDOFWORDBPE_H

#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// Fills in the fixed stages before tokens are added.
void startEndOfWordBpe(TokenizerDescription &tokenizer, SpecialTokens &special);

/// Fills in what depends on the ids of the special tokens.
void finishEndOfWordBpe(TokenizerDescription &tokenizer,
                        const SpecialTokens &special);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_ENDOFWORDBPE_H
