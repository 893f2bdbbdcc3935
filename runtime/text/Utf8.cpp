//===- Utf8.cpp - Reading and writing UTF-8 -------------------------------===//
#include "runtime/text/Utf8.h"

#include <cstdint>

using namespace vlmc::rt::text;

/// How many bytes at `at` belong together: a whole character (`whole` is then
/// true), or the longest beginning of one.
static size_t measure(std::string_view bytes, size_t at, bool &whole) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  uint8_t lead = byte(at);
  whole = lead < 0x80;
  if (whole || lead < 0xC2 || lead > 0xF4)
    return 1;
  size_t count = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what is
  // above U+10FFFF.
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < count; ++i) {
    if (at + i >= bytes.size() || byte(at + i) < low || byte(at + i) > high)
      return i;
    low = 0x80;
    high = 0xBF;
  }
  whole = true;
  return count;
}

std::string vlmc::rt::text::repairUtf8(std::string_view bytes, bool goesOn) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    bool whole;
    size_t count = measure(bytes, at, whole);
    auto lead = static_cast<uint8_t>(bytes[at]);
    bool mayBegin = lead >= 0xC2 && lead <= 0xF4 && at + count == bytes.size();
    if (goesOn && !whole && mayBegin)
      break;
    if (whole)
      out.append(bytes.substr(at, count));
    else
      out.append("\xEF\xBF\xBD");
    at += count;
  }
  return out;
}

void vlmc::rt::text::appendUtf8(std::string &out, char32_t c) {
  auto put = [&](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (c < 0x80)
    return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}
