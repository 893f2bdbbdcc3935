//===- Decoder.h - From tokens to text ------------------------------------===//
//
// The last stage: each step makes tokens of tokens, and what comes out is
// joined to a text. A kind is a function in Decoder.cpp and a line in
// decodeTokens().
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_DECODER_H
#define VLMC_RUNTIME_TEXT_DECODER_H

#include "runtime/text/Tables.h"

#include <string>
#include <vector>

namespace vlmc::rt::text {

/// A token, and whether it is one of the special ones.
struct DecodedToken {
  std::string text;
  bool special = false;
};

/// Returns "" or the problem.
std::string checkDecoders(const Tables &tables);

/// The text of some tokens, well-formed; of tokens behind which others may come
/// (`isBegun`) as much as is certain whatever they are. `skipsSpecial`: none of
/// them is special.
std::string decodeTokens(const Tables &tables, std::vector<DecodedToken> tokens,
                         bool isBegun, bool skipsSpecial);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_DECODER_H
