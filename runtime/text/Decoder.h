//===- Decoder.h - From tokens to text ------------------------------------===//
//
// The last stage: the first step makes text of tokens, further ones change the
// text. A kind is a function in Decoder.cpp and a line in decodeTokens().
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_DECODER_H
#define VLMC_RUNTIME_TEXT_DECODER_H

#include "runtime/text/Tables.h"

#include <string>
#include <vector>

namespace vlmc::rt::text {

/// Returns "" or the problem.
std::string checkDecoders(const Tables &tables);

/// The text of some tokens, well-formed.
std::string decodeTokens(const Tables &tables,
                         const std::vector<std::string_view> &tokens);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_DECODER_H
