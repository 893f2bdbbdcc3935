//===- TokenizerHandle.h - What a vlm_tokenizer_t is ----------------------===//
//
// For the files of the C interface that look into the tables themselves:
//
//   const vlm_text_header &header = tokenizer->tokenizer->header();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_TOKENIZERHANDLE_H
#define VLMC_RUNTIME_TEXT_TOKENIZERHANDLE_H

#include "runtime/text/Tokenizer.h"

#include <memory>

struct vlm_tokenizer_t {
  std::unique_ptr<vlmc::rt::text::Tokenizer> tokenizer;
};

#endif // VLMC_RUNTIME_TEXT_TOKENIZERHANDLE_H
