//===- SentencePieceFile.h - A SentencePiece model file ---------*- C++ -*-===//
//
// Reads spiece.model, tokenizer.model and their like: the pieces with their
// scores, and what the normaliser inside does.
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

/// Fills in a unigram model that cuts texts as SentencePiece does. Errors: no
/// such file, not a model, one of another kind, a piece that stands there
/// twice.
std::optional<Failure> readSentencePieceFile(const std::string &path,
                                             TokenizerDescription &tokenizer);

/// Fills in a unigram model with the scores alone, as `tokenizers` takes them;
/// the tokens `behind` follow the pieces. `added` are its control and
/// user-defined pieces.
std::optional<Failure> readSentencePieceScores(
    const std::string &path, const std::vector<std::string> &behind,
    TokenizerDescription &tokenizer, std::vector<AddedToken> &added);

/// Vocabulary and merges of a BPE model, as transformers takes them from it:
/// by ids, without scores, normaliser or unused pieces. `added` are its control
/// and user-defined pieces.
std::optional<Failure> readSentencePieceBpe(const std::string &path,
                                            BpeDescription &bpe,
                                            std::vector<AddedToken> &added);

/// The same as SentencePiece itself has it: merges by their scores, of pieces
/// that may stand in texts. `addsPrefix`: whether a text begins with a blank.
/// Errors: a model that changes texts beside making blanks visible.
std::optional<Failure> readScoredBpe(const std::string &path,
                                     BpeDescription &bpe,
                                     std::vector<AddedToken> &added,
                                     bool &addsPrefix);

/// The two parts of a precompiled charsmap; `where` opens the message.
std::optional<Failure> readCharsmap(const std::string &bytes,
                                    const std::string &where,
                                    UnigramDescription &unigram);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_SENTENCEPIECEFILE_H
