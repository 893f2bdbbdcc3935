//===- Unicode.h - What `tokenizers` knows of characters ------------------===//
//
// Categories, lower case and normal forms exactly as the Python package
// `tokenizers` has them: the tables come from asking it about every code point
// (unicode/make_tables.py), not from a Unicode library at hand.
//
//   std::string normal = normalForm("e\xCC\x81", /*compose=*/true); // e-acute
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_UNICODE_H
#define VLMC_RUNTIME_TEXT_UNICODE_H

#include <cstdint>
#include <string>
#include <string_view>

namespace vlmc::rt::text {

/// Bits of CharClass::flags. The first three are what \s, \w and \d match in
/// the package's regular expressions; the Rust ones serve added tokens.
enum CharFlag : uint8_t {
  CharSpace = 1,
  CharWord = 2,
  CharDigit = 4,
  CharRustSpace = 8,
  CharRustWord = 16,
  CharLowers = 32,  // has another lower case
  CharNormals = 64, // may change in a normal form
};

/// Characters of one class are alike in everything below.
struct CharClass {
  uint8_t category; // index into categoryName()
  uint8_t flags;    // CharFlag
};

unsigned charClassCount();
/// The number of a character's class; c <= U+10FFFF.
unsigned charClassId(char32_t c);
CharClass charClass(unsigned id);
inline bool hasFlag(char32_t c, CharFlag flag) {
  return charClass(charClassId(c)).flags & flag;
}

/// General categories, "Cn" being 0; none at or above categoryCount().
unsigned categoryCount();
std::string_view categoryName(unsigned category);

/// Each character in lower case, one by one, as Rust's char::to_lowercase.
std::string lowerCase(std::string_view text);

/// The same as Python's str.lower() does, which minds where a sigma stands.
std::string pythonLower(std::string_view text);

/// Normal form C (`compose`) or D of well-formed text.
std::string normalForm(std::string_view text, bool compose);

/// Each character that has one by its compatibility decomposition: before
/// normalForm, normal forms KC and KD come of it.
std::string compatible(std::string_view text);

/// The bytes of the grapheme that the text, which is not empty, begins with; a
/// pair of flags is two.
size_t graphemeBytes(std::string_view text);

/// What Python's str.strip() takes off.
bool isPythonSpace(char32_t c);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_UNICODE_H
