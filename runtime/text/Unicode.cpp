//===- Unicode.cpp - What `tokenizers` knows of characters ----------------===//
#include "runtime/text/Unicode.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

namespace {
#include "runtime/text/unicode/GraphemeTables.inc"
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

static bool within(char32_t c,
                   std::span<const std::pair<char32_t, char32_t>> ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](auto range) {
    return c >= range.first && c <= range.second;
  });
}

static bool hasCategory(char32_t c,
                        std::initializer_list<std::string_view> names) {
  std::string_view own = categoryName(charClass(charClassId(c)).category);
  return std::find(names.begin(), names.end(), own) != names.end();
}

/// The property Case_Ignorable (Unicode 3.13, D136).
static bool isCaseIgnorable(char32_t c) {
  // Punctuation that may stand within a word.
  static constexpr std::pair<char32_t, char32_t> inWords[] = {
      {0x27, 0x27},     {0x2E, 0x2E},     {0x3A, 0x3A},     {0xB7, 0xB7},
      {0x387, 0x387},   {0x55F, 0x55F},   {0x5F4, 0x5F4},   {0x2018, 0x2019},
      {0x2024, 0x2024}, {0x2027, 0x2027}, {0xFE13, 0xFE13}, {0xFE52, 0xFE52},
      {0xFE55, 0xFE55}, {0xFF07, 0xFF07}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1A}};
  return hasCategory(c, {"Mn", "Me", "Cf", "Lm", "Sk"}) || within(c, inWords);
}

/// The property Cased (D135) of characters that are not case-ignorable.
static bool isCased(char32_t c) {
  // Other_Lowercase and Other_Uppercase.
  static constexpr std::pair<char32_t, char32_t> others[] = {
      {0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
      {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
      {0x1F170, 0x1F189}};
  return hasCategory(c, {"Lu", "Ll", "Lt"}) || within(c, others);
}

/// Whether the sigma at bytes [begin, end) ends a word.
static bool isFinalSigma(std::string_view text, size_t begin, size_t end) {
  bool follows = false;
  while (begin > 0 && !follows) {
    begin = previousChar(text, begin);
    size_t at = begin;
    char32_t c = nextChar(text, at);
    if (isCaseIgnorable(c))
      continue;
    if (!isCased(c))
      return false;
    follows = true;
  }
  while (follows && end < text.size()) {
    char32_t c = nextChar(text, end);
    if (!isCaseIgnorable(c))
      return !isCased(c);
  }
  return follows;
}

std::string vlmc::rt::text::pythonLower(std::string_view text) {
  constexpr std::string_view sigma = "\u03A3";
  std::string out;
  size_t last = 0;
  for (size_t at; (at = text.find(sigma, last)) != text.npos;) {
    out += lowerCase(text.substr(last, at - last));
    last = at + sigma.size();
    out += isFinalSigma(text, at, last) ? "\u03C2" : "\u03C3";
  }
  return out + lowerCase(text.substr(last));
}

bool vlmc::rt::text::isPythonSpace(char32_t c) {
  return hasFlag(c, CharRustSpace) || (c >= 0x1C && c <= 0x1F);
}

//===----------------------------------------------------------------------===//
// Graphemes (Unicode Standard Annex 29)
//===----------------------------------------------------------------------===//

/// Whether a table of first and last characters holds one.
template <size_t N> static bool holds(const uint32_t (&ranges)[N], char32_t c) {
  // The first end that is not before `c`: of an odd place, if `c` is inside.
  const uint32_t *at = std::lower_bound(ranges, ranges + N, uint32_t(c));
  return at != ranges + N && ((at - ranges) % 2 == 1 || *at == c);
}

/// The parts of a syllable of Hangul, and syllables without and with a tail.
enum class Hangul { None, Lead, Vowel, Tail, Open, Closed };
static Hangul hangulOf(char32_t c) {
  auto within = [&](char32_t first, char32_t last) {
    return c >= first && c <= last;
  };
  if (within(0x1100, 0x115F) || within(0xA960, 0xA97C))
    return Hangul::Lead;
  if (within(0x1160, 0x11A7) || within(0xD7B0, 0xD7C6))
    return Hangul::Vowel;
  if (within(0x11A8, 0x11FF) || within(0xD7CB, 0xD7FB))
    return Hangul::Tail;
  if (!within(0xAC00, 0xD7A3))
    return Hangul::None;
  return (c - 0xAC00) % 28 == 0 ? Hangul::Open : Hangul::Closed;
}

static bool joinsSyllable(Hangul last, Hangul next) {
  switch (last) {
  case Hangul::None:
    return false;
  case Hangul::Lead:
    return next != Hangul::None && next != Hangul::Tail;
  case Hangul::Vowel:
  case Hangul::Open:
    return next == Hangul::Vowel || next == Hangul::Tail;
  case Hangul::Tail:
  case Hangul::Closed:
    return next == Hangul::Tail;
  }
  return false;
}

namespace {
/// What of a grapheme decides whether another character joins it.
struct Grapheme {
  explicit Grapheme(char32_t first) { add(first); }
  bool takes(char32_t c) const {
    if (last == '\r' || c == '\r' || c == '\n')
      return last == '\r' && c == '\n';
    return !holds(kJoinsNothing, last) &&
           (holds(kJoinsBefore, c) ||
            (holds(kJoinsBehind, last) && !holds(kJoinsNothing, c)) ||
            (isPicture && last == 0x200D && holds(kJoinsPicture, c)) ||
            (isLinked && holds(kConjunctLetter, c)) ||
            joinsSyllable(hangulOf(last), hangulOf(c)));
  }
  void add(char32_t c) {
    bool isMark = holds(kJoinsBefore, c);
    isPicture = holds(kJoinsPicture, c) || (isPicture && isMark);
    if (!holds(kConjunctMark, c)) {
      bool isLinker = holds(kConjunctLinker, c);
      isLinked = isLinker && isConjunct;
      isConjunct = holds(kConjunctLetter, c) || isLinked;
    }
    last = c;
  }
  char32_t last = 0;
  bool isPicture = false;  ///< a picture and marks
  bool isConjunct = false; ///< a letter, linkers and marks
  bool isLinked = false;   ///< with a linker
};
} // namespace

size_t vlmc::rt::text::graphemeBytes(std::string_view text) {
  size_t at = 0;
  Grapheme grapheme(nextChar(text, at));
  for (size_t next = at; next < text.size(); at = next) {
    char32_t c = nextChar(text, next);
    if (!grapheme.takes(c))
      break;
    grapheme.add(c);
  }
  return at;
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

std::string vlmc::rt::text::compatible(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    char32_t c = nextChar(text, at);
    size_t found = find(kCompatible, static_cast<uint32_t>(c));
    if (found == std::size(kCompatible)) {
      appendUtf8(out, c);
      continue;
    }
    for (size_t i = kCompatibleStart[found]; i < kCompatibleStart[found + 1];
         ++i)
      appendUtf8(out, kCompatibleText[i]);
  }
  return out;
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
