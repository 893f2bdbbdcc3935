//===- AddedVocabulary.h - The ids that added tokens get ------------------===//
//
// Adds tokens to a description as `tokenizers` does: a token that the model
// has keeps its id, another one gets the next; adding it again changes how it
// is looked for.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_ADDEDVOCABULARY_H
#define VLMC_FRONTEND_TEXT_ADDEDVOCABULARY_H

#include "frontend/text/Description.h"

namespace vlmc::text {

void addTokens(TokenizerDescription &tokenizer,
               const std::vector<AddedToken> &tokens);

/// The id of an added token or of one of the model's.
std::optional<uint32_t> findToken(const TokenizerDescription &tokenizer,
                                  const std::string &content);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_ADDEDVOCABULARY_H
