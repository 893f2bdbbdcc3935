//===- SentencePieceFile.h - A SentencePiece model file ---------*- C++ -*-===//
//
// Reads spiece.model and its like: the pieces with their scores, and what the
// normaliser inside does. Unigram models only.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_SENTENCEPIECEFILE_H
#define VLMC_FRONTEND_TEXT_SENTENCEPIECEFILE_H

#include "frontend/support/Result.h"
#include "frontend/text/Description.h"

#include <optional>
#include <string>
#include <vector>

namespace vlmc::text {

/// Fills in the model. Errors: no such file, not a model, one of another kind,
/// a piece that stands there twice.
std::optional<Failure> readSentencePieceFile(const std::string &path,
                                             TokenizerDescription &tokenizer);

/// Vocabulary and merges of a BPE model, as transformers takes them from it:
/// by ids, without scores, normaliser or unused pieces. `added` are its control
/// and user-defined pieces.
std::optional<Failure> readSentencePieceBpe(const std::string &path,
                                            BpeDescription &bpe,
                                            std::vector<AddedToken> &added);

/// The two parts of a precompiled charsmap; `where` opens the message.
std::optional<Failure> readCharsmap(const std::string &bytes,
                                    const std::string &where,
                                    UnigramDescription &unigram);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_SENTENCEPIECEFILE_H
