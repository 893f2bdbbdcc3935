//===- TokenizerTables.h - A tokenizer folder as tables -------------------===//
//
// Reads the tokenizer of a checkpoint (tokenizer.json, or vocab.json and
// merges.txt, or spiece.model, with tokenizer_config.json,
// special_tokens_map.json and added_tokens.json where they are) as transformers
// 5 does, into the tables that runtime/text uses in place. Layout:
// runtime/abi/vlm_text_abi.h.
//
//   Result<TokenizerTables> tables = readTokenizer(folder);
//   if (!tables)
//     return tables.takeFailure();
//   write(tables->blob); // at a multiple of 64 bytes
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_TOKENIZERTABLES_H
#define VLMC_FRONTEND_TEXT_TOKENIZERTABLES_H

#include "frontend/support/Result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vlmc {

struct TokenizerTables {
  std::vector<uint8_t> blob;
  std::vector<std::string> warnings; // what a user may want to know
};

/// Whether the folder has a file with a vocabulary: tokenizer.json, vocab.json
/// or spiece.model.
bool hasTokenizer(const std::string &folder);

/// Errors: a file that is missing, not JSON, or does not hold what it should;
/// a component that vlmc does not support, by name.
Result<TokenizerTables> readTokenizer(const std::string &folder);

} // namespace vlmc

#endif // VLMC_FRONTEND_TEXT_TOKENIZERTABLES_H
