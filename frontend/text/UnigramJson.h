//===- UnigramJson.h - A unigram model of tokenizer.json --------*- C++ -*-===//
#ifndef VLMC_FRONTEND_TEXT_UNIGRAMJSON_H
#define VLMC_FRONTEND_TEXT_UNIGRAMJSON_H

#include "frontend/text/Description.h"
#include "frontend/text/Fields.h"

namespace vlmc::text {

/// Whether the section `model` is a unigram one.
bool isUnigram(const Fields &root);

/// Fills in the model with tokens by id and their scores; `unknown` is the id
/// of the token of unknown characters.
void takeUnigram(const std::vector<std::pair<std::string, double>> &tokens,
                 uint32_t unknown, TokenizerDescription &tokenizer);

/// Fills in the model; a fault is left in `root`'s fault.
void readUnigram(const Fields &root, TokenizerDescription &tokenizer);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_UNIGRAMJSON_H
