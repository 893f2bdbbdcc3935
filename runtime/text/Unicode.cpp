//===- Unicode.cpp - What `tokenizers` knows of characters ----------------===//
#include "runtime/text/Unicode.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace {
#include "runtime/text/unicode/UnicodeTables.inc"
} // namespace

using namespace vlmc::rt::text;

static constexpr std::string_view kCategories[] = {
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
    "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs"};

unsigned vlmc::rt::text::charClassCount() { return std::size(kClassCategory); }

unsigned vlmc::rt::text::charClassId(char32_t c) {
  unsigned middle = kTop[c >> (kLeafBits + kMiddleBits)];
  unsigned inMiddle = c >> kLeafBits & ((1u << kMiddleBits) - 1);
  unsigned leaf = kMiddles[(middle << kMiddleBits) + inMiddle];
  return kLeaves[(leaf << kLeafBits) + (c & ((1u << kLeafBits) - 1))];
}

CharClass vlmc::rt::text::charClass(unsigned id) {
  return {kClassCategory[id], kClassFlags[id]};
}

unsigned vlmc::rt::text::categoryCount() { return std::size(kCategories); }

std::string_view vlmc::rt::text::categoryName(unsigned category) {
  return kCategories[category];
}

/// The place of `value` in a sorted table, or its size.
template <typename T, size_t N>
static size_t find(const T (&table)[N], T value) {
  const T *at = std::lower_bound(table, table + N, value);
  return at != table + N && *at == value ? at - table : N;
}

std::string vlmc::rt::text::lowerCase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    char32_t c = nextChar(text, at);
    if (c < 0x80)
      out.push_back(c >= 'A' && c <= 'Z' ? c + 0x20 : c);
    else if (!hasFlag(c, CharLowers))
      appendUtf8(out, c);
    else if (c == 0x130) // the only character with a lower case of two
      out.append("i\xCC\x87");
    else
      appendUtf8(out, kLowerTo[find(kLowerFrom, static_cast<uint32_t>(c))]);
  }
  return out;
}

bool vlmc::rt::text::isPythonSpace(char32_t c) {
  return hasFlag(c, CharRustSpace) || (c >= 0x1C && c <= 0x1F);
}

//===----------------------------------------------------------------------===//
// Normal forms
//===----------------------------------------------------------------------===//

// Hangul syllables are composed and decomposed by arithmetic (Unicode 3.12).
static constexpr uint32_t kSyllables = 0xAC00, kLeads = 0x1100,
                          kVowels = 0x1161, kTails = 0x11A7, kLeadCount = 19,
                          kVowelCount = 21, kTailCount = 28,
                          kSyllableCount =
                              kLeadCount * kVowelCount * kTailCount;

namespace {
struct Char {
  char32_t point;
  uint8_t mark; // canonical combining class
  size_t place; // among the marks of a run, so that equal ones keep their order
};
} // namespace

static void decompose(char32_t c, std::vector<Char> &out) {
  auto add = [&](uint32_t point) {
    size_t at = find(kMark, point);
    out.push_back(
        {point, at < std::size(kMark) ? kMarkClass[at] : uint8_t(0), 0});
  };
  if (!hasFlag(c, CharNormals))
    return out.push_back({c, 0, 0});
  if (uint32_t index = c - kSyllables; index < kSyllableCount) {
    add(kLeads + index / (kVowelCount * kTailCount));
    add(kVowels + index % (kVowelCount * kTailCount) / kTailCount);
    if (index % kTailCount)
      add(kTails + index % kTailCount);
    return;
  }
  size_t at = find(kDecomposed, static_cast<uint32_t>(c));
  if (at == std::size(kDecomposed))
    return add(c);
  for (size_t i = kDecompositionStart[at]; i < kDecompositionStart[at + 1]; ++i)
    add(kDecomposition[i]);
}

/// Sorts each run of marks by class, keeping the order of equal ones.
static void orderMarks(std::vector<Char> &chars) {
  auto before = [](const Char &a, const Char &b) {
    return a.mark != b.mark ? a.mark < b.mark : a.place < b.place;
  };
  for (size_t i = 0; i < chars.size(); ++i) {
    size_t start = i;
    for (; i < chars.size() && chars[i].mark; ++i)
      chars[i].place = i;
    std::sort(chars.begin() + start, chars.begin() + i, before);
  }
}

/// What two characters compose to, or 0.
static char32_t composed(uint32_t first, uint32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount)
    return kSyllables +
           ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
  if (first - kSyllables < kSyllableCount &&
      (first - kSyllables) % kTailCount == 0 && second > kTails &&
      second - kTails < kTailCount)
    return first + (second - kTails);
  auto [low, high] =
      std::equal_range(std::begin(kPairFirst), std::end(kPairFirst), first);
  size_t base = low - kPairFirst;
  const uint32_t *end = kPairSecond + (high - kPairFirst);
  const uint32_t *at = std::lower_bound(kPairSecond + base, end, second);
  return at != end && *at == second ? kPairComposed[at - kPairSecond] : 0;
}

/// Composes in place (Unicode 3.11, D117).
static void compose(std::vector<Char> &chars) {
  constexpr size_t none = SIZE_MAX;
  size_t starter = none, out = 0;
  for (size_t i = 0; i < chars.size(); ++i) {
    Char c = chars[i];
    if (starter != none) {
      uint8_t last = chars[out - 1].mark;
      bool adjacent = out - 1 == starter;
      bool blocked = !adjacent && (last == 0 || last >= c.mark);
      if (char32_t both =
              blocked ? 0 : composed(chars[starter].point, c.point)) {
        chars[starter].point = both;
        continue;
      }
    }
    if (c.mark == 0)
      starter = out;
    chars[out++] = c;
  }
  chars.resize(out);
}

std::string vlmc::rt::text::normalForm(std::string_view text, bool form) {
  std::string out;
  out.reserve(text.size());
  std::vector<Char> chars;
  auto flush = [&] {
    orderMarks(chars);
    if (form)
      compose(chars);
    for (Char c : chars)
      appendUtf8(out, c.point);
    chars.clear();
  };
  for (size_t at = 0; at < text.size();) {
    char32_t c = nextChar(text, at);
    // Nothing before a character that never changes takes part in what follows.
    if (!hasFlag(c, CharNormals))
      flush();
    decompose(c, chars);
  }
  flush();
  return out;
}
