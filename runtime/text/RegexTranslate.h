//===- RegexTranslate.h - From Unicode patterns to patterns on bytes ------===//
//
// Tokenizers' regular expressions are written for Oniguruma and classes such
// as \p{L} of its version of Unicode. This turns one into a pattern of 8-bit
// symbols for PCRE2: characters that the pattern cannot tell apart share one
// symbol. ASCII characters are their own symbols, so nothing depends on
// PCRE2's Unicode version, and matching is as fast as on ASCII.
//
//   SymbolPattern symbols;
//   std::string problem = translateRegex("\\p{N}|[^\\s]+", symbols);
//   uint8_t symbol = symbols.map(U'\u00e9');
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_REGEXTRANSLATE_H
#define VLMC_RUNTIME_TEXT_REGEXTRANSLATE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc::rt::text {

struct SymbolPattern {
  std::string pattern; // for PCRE2, without UTF
  /// Symbols of characters above ASCII: by the interval that the pattern's own
  /// characters cut, then by character class.
  std::vector<char32_t> bounds; // ascending, the first is 0
  std::vector<uint8_t> symbols; // [bounds.size()][charClassCount()]

  uint8_t map(char32_t c) const;
};

/// Translates `pattern`. Returns "" or what is wrong with it: what is not
/// supported, and where.
std::string translateRegex(std::string_view pattern, SymbolPattern &out);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_REGEXTRANSLATE_H
