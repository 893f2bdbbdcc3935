//===- Utf8.h - Reading and writing UTF-8 ---------------------------------===//
//
// The few functions on UTF-8 that the text library needs. Only repairUtf8
// takes any bytes; the others are for text that went through it.
//
//   for (size_t at = 0; at < text.size();)
//     char32_t c = nextChar(text, at); // moves `at`
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_UTF8_H
#define VLMC_RUNTIME_TEXT_UTF8_H

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace vlmc::rt::text {

/// The text with each ill-formed part replaced by U+FFFD, one for each maximal
/// beginning of a character, as Python's errors="replace" and Rust's
/// from_utf8_lossy do. Of text that goes on, the beginning of a character at
/// its end is left out.
std::string repairUtf8(std::string_view bytes, bool goesOn = false);

/// Bytes of the character that begins with `lead`.
inline size_t charBytes(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The character at `at`, which moves behind it. Of text that is not
/// well-formed, as strings of damaged tables may be, any character; never
/// beyond the end.
inline char32_t nextChar(std::string_view text, size_t &at) {
  auto byte = [&](size_t i) {
    return i < text.size()
               ? static_cast<char32_t>(static_cast<unsigned char>(text[i]))
               : 0;
  };
  char32_t lead = byte(at);
  if (lead < 0x80)
    return text[at++];
  size_t start = at;
  if (lead < 0xE0) {
    at = std::min(at + 2, text.size());
    return (lead & 0x1F) << 6 | (byte(start + 1) & 0x3F);
  }
  if (lead < 0xF0) {
    at = std::min(at + 3, text.size());
    return (lead & 0x0F) << 12 | (byte(start + 1) & 0x3F) << 6 |
           (byte(start + 2) & 0x3F);
  }
  at = std::min(at + 4, text.size());
  char32_t c = (lead & 0x07) << 18 | (byte(start + 1) & 0x3F) << 12 |
               (byte(start + 2) & 0x3F) << 6 | (byte(start + 3) & 0x3F);
  return c <= 0x10FFFF ? c : U'\uFFFD';
}

/// Where the character before `at` begins; `at` > 0.
inline size_t previousChar(std::string_view text, size_t at) {
  do
    --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void appendUtf8(std::string &out, char32_t c);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_UTF8_H
