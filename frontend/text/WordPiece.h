//===- WordPiece.h - Words of the longest pieces ----------------*- C++ -*-===//
//
// The model WordPiece of tokenizer.json or vocab.txt, and the pipeline that
// transformers 5 builds for BERT: of tokenizer.json it takes the vocabulary
// only, the rest follows from tokenizer_config.json. Source: transformers,
// models/bert/tokenization_bert.py.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_WORDPIECE_H
#define VLMC_FRONTEND_TEXT_WORDPIECE_H

#include "frontend/support/Result.h"
#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// Whether the section `model` is one.
bool isWordPiece(const Fields &root);

/// The section `model`; a fault is left in `root`'s fault.
void readWordPiece(const Fields &root, TokenizerDescription &tokenizer);

/// A token a line, ids from 0.
std::optional<Failure> readWordPieceFile(const std::string &path,
                                         TokenizerDescription &tokenizer);

/// Fills in the class's stages before tokens are added.
void startWordPiece(TokenizerDescription &tokenizer, SpecialTokens &special,
                    const Fields *config);

/// Fills in what depends on the ids of the special tokens.
void finishWordPiece(TokenizerDescription &tokenizer,
                     const SpecialTokens &special);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_WORDPIECE_H
