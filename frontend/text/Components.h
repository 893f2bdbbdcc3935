//===- Components.h - The sections of tokenizer.json ----------------------===//
//
// Each function reads one section of tokenizer.json into stages. To support a
// kind, add its row to the table in Components.cpp, its number to
// runtime/abi/vlm_text_abi.h and its class to runtime/text.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_COMPONENTS_H
#define VLMC_FRONTEND_TEXT_COMPONENTS_H

#include "frontend/text/Description.h"
#include "frontend/text/Fields.h"

namespace vlmc::text {

/// `root` are the fields of the whole file. A fault is left in `root`'s fault.
std::vector<Stage> readNormalizer(const Fields &root);
std::vector<Stage> readPreTokenizer(const Fields &root);
std::vector<Stage> readDecoder(const Fields &root);
std::vector<PostPiece> readPostProcessor(const Fields &root);

/// The pre-tokenizer of BERT: words, and each punctuation mark by itself.
std::vector<Stage> bertWords();

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_COMPONENTS_H
