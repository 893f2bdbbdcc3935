//===- CharSet.h - Sets of characters in patterns -------------------------===//
//
// What a bracket expression or an escape such as \s stands for. Used by
// RegexTranslate.cpp only.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_CHARSET_H
#define VLMC_RUNTIME_TEXT_CHARSET_H

#include "runtime/text/Unicode.h"

#include <utility>
#include <vector>

namespace vlmc::rt::text {

/// Characters of some categories or flags, or all others.
struct ClassTest {
  uint32_t categories = 0; // bit i: category i
  uint8_t flags = 0;
  bool negated = false;

  bool holds(CharClass c) const {
    return ((categories >> c.category & 1) || (flags & c.flags)) != negated;
  }
};

struct CharSet {
  std::vector<ClassTest> tests;
  std::vector<std::pair<char32_t, char32_t>> ranges; // inclusive
  bool negated = false;

  bool holds(char32_t c, CharClass kind) const {
    for (const ClassTest &test : tests)
      if (test.holds(kind))
        return !negated;
    for (auto [low, high] : ranges)
      if (c >= low && c <= high)
        return !negated;
    return negated;
  }

  /// Adds the other case of ASCII letters, and the two characters above ASCII
  /// whose lower or simple case is an ASCII letter.
  void foldCase() {
    auto has = [&](char32_t c) {
      for (auto [low, high] : ranges)
        if (c >= low && c <= high)
          return true;
      return false;
    };
    std::vector<std::pair<char32_t, char32_t>> more;
    for (char32_t c = 'a'; c <= 'z'; ++c)
      if (has(c) || has(c - 0x20)) {
        more.push_back({c, c});
        more.push_back({c - 0x20, c - 0x20});
        if (c == 's')
          more.push_back({0x17F, 0x17F});
        if (c == 'k')
          more.push_back({0x212A, 0x212A});
      }
    ranges.insert(ranges.end(), more.begin(), more.end());
  }
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_CHARSET_H
