//===- BpeFiles.h - Vocabulary and merges ---------------------------------===//
//
// Reads the model of a byte-pair tokenizer, from tokenizer.json's section
// `model` or from vocab.json and merges.txt.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_BPEFILES_H
#define VLMC_FRONTEND_TEXT_BPEFILES_H

#include "frontend/support/Result.h"
#include "frontend/text/Description.h"
#include "frontend/text/Fields.h"

namespace vlmc::text {

/// The section `model` of tokenizer.json; a fault is left in `root`'s fault.
BpeDescription readBpe(const Fields &root);

/// Token to id, as tokenizer.json and vocab.json write it.
Vocabulary readVocabulary(const Fields &fields);

/// Only vocabulary and merges are filled in.
Result<BpeDescription> readBpeFiles(const std::string &vocabPath,
                                    const std::string &mergesPath);

/// What is wrong with the merges, "" if nothing: each must join two tokens to a
/// third. `where` opens the message.
std::string checkMerges(const BpeDescription &bpe, const std::string &where);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_BPEFILES_H
