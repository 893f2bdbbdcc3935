//===- Regex.h - Finding the matches of a pattern -------------------------===//
//
// A pattern of a tokenizer, compiled once: a regular expression or a plain
// string. Matching is const and thread-safe.
//
//   std::unique_ptr<Regex> words;
//   if (std::string problem = Regex::create("\\p{L}+", words);
//   !problem.empty())
//     ...
//   std::vector<Span> found;
//   bool done = words->findAll(text, found);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_REGEX_H
#define VLMC_RUNTIME_TEXT_REGEX_H

#include "runtime/text/RegexTranslate.h"

#include <memory>

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;

namespace vlmc::rt::text {

/// Bytes [begin, end).
struct Span {
  size_t begin;
  size_t end;
};

class Regex {
public:
  /// Compiles a regular expression. Returns "" or what is wrong with it.
  static std::string create(std::string_view pattern,
                            std::unique_ptr<Regex> &out);
  /// A pattern that matches just this string, which is not empty.
  static std::unique_ptr<Regex> literal(std::string_view text);
  ~Regex();

  /// The matches in well-formed text, from left to right, not overlapping.
  /// False if the work outgrew its limits.
  bool findAll(std::string_view text, std::vector<Span> &out) const;

private:
  Regex() = default;
  bool findSymbols(std::string_view symbols, std::vector<Span> &out) const;

  std::string word; // a literal
  SymbolPattern symbols;
  pcre2_real_code_8 *code = nullptr;
  pcre2_real_match_context_8 *limits = nullptr;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_REGEX_H
