//===- PieceModels.h - Tokenizers that are a SentencePiece file -*- C++ -*-===//
//
// Pipelines of tokenizers whose vocabulary is in spiece.model or
// tokenizer.model and in no tokenizer.json: words by their scores, with tokens
// behind the pieces that stand for gaps in a text; and byte pairs of whole
// texts. Source: transformers, models/t5/tokenization_t5.py; InternLM2's
// tokenization_internlm2.py and tokenization_internlm2_fast.py.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_PIECEMODELS_H
#define VLMC_FRONTEND_TEXT_PIECEMODELS_H

#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// The tokens of gaps, by id: the last one first. `config` may be null.
std::vector<std::string> gapTokens(const Fields *config);

/// Words by their scores; the model has been read. `added` are its own fixed
/// pieces.
void startScoredWords(TokenizerDescription &tokenizer, SpecialTokens &special,
                      const Fields *config,
                      const std::vector<AddedToken> &added);
/// What stands behind a text.
void finishScoredWords(TokenizerDescription &tokenizer);

/// Byte pairs of whole texts with visible blanks, one before each text between
/// added tokens if `addsPrefix`.
void startScoredBpe(TokenizerDescription &tokenizer, SpecialTokens &special,
                    bool addsPrefix);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_PIECEMODELS_H
