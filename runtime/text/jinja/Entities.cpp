//===- Entities.cpp - Characters that HTML writes by name -----------------===//
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>

namespace {
#include "runtime/text/jinja/Entities.inc"
} // namespace

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

/// What a name stands for, which may end with a semicolon; empty: nothing.
static std::string_view named(std::string_view name) {
  std::string_view all(kEntities, sizeof kEntities - 1);
  bool closed = name.ends_with(';');
  if (closed)
    name.remove_suffix(1);
  for (char mark : {'\2', '\3'}) {
    std::string key = '\1' + std::string(name) + mark;
    size_t at = all.find(key);
    if (at == all.npos || (mark == '\2' && !closed))
      continue;
    at += key.size();
    return all.substr(at, all.find('\1', at) - at);
  }
  return {};
}

static std::string numbered(std::string_view digits, unsigned base) {
  uint32_t number = 0;
  for (char c : digits) {
    auto lower = static_cast<char>(c | 0x20);
    unsigned digit = c <= '9' ? c - '0' : lower - 'a' + 10;
    number = std::min<uint32_t>(number * base + digit, 0x1000000);
  }
  auto within = [&](const auto &range) {
    return number >= range[0] && number <= range[1];
  };
  auto *other = std::ranges::find_if(
      kReplacedNumbers, [&](const auto &pair) { return pair[0] == number; });
  std::string out;
  if (other != std::end(kReplacedNumbers))
    text::appendUtf8(out, (*other)[1]);
  else if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF)
    text::appendUtf8(out, 0xFFFD);
  else if (std::ranges::none_of(kDroppedNumbers, within))
    text::appendUtf8(out, number);
  return out;
}

/// The bytes of a name or number behind '&', semicolon included; 0: none.
static size_t referenceBytes(std::string_view text) {
  auto run = [&](size_t at, std::string_view set) {
    size_t end = std::min(text.find_first_not_of(set, at), text.size());
    return end == at ? 0 : end + (end < text.size() && text[end] == ';');
  };
  if (text.starts_with("#x") || text.starts_with("#X"))
    return run(2, "0123456789abcdefABCDEF");
  if (text.starts_with('#'))
    return run(1, "0123456789");
  size_t at = 0;
  for (size_t count = 0; count < 32 && at < text.size(); ++count) {
    if (std::string_view("\t\n\f <&#;").find(text[at]) !=
        std::string_view::npos)
      break;
    text::nextChar(text, at);
  }
  return at ? at + (at < text.size() && text[at] == ';') : 0;
}

static std::string resolved(std::string_view reference) {
  if (reference.starts_with('#')) {
    std::string_view digits = reference.substr(1);
    if (digits.ends_with(';'))
      digits.remove_suffix(1);
    bool hex = (digits[0] | 0x20) == 'x';
    return numbered(digits.substr(hex), hex ? 16 : 10);
  }
  if (std::string_view whole = named(reference); !whole.empty())
    return std::string(whole);
  // The longest beginning that is a name.
  for (size_t end = reference.size(); end-- > 2;)
    if ((static_cast<unsigned char>(reference[end]) & 0xC0) != 0x80)
      if (std::string_view part = named(reference.substr(0, end));
          !part.empty())
        return std::string(part) + std::string(reference.substr(end));
  return '&' + std::string(reference);
}

std::string vlmc::rt::jinja::unescapedText(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t next = std::min(text.find('&', at), text.size());
    out.append(text, at, next - at);
    at = next;
    if (at == text.size())
      break;
    size_t bytes = referenceBytes(text.substr(at + 1));
    out += bytes ? resolved(text.substr(at + 1, bytes)) : "&";
    at += 1 + bytes;
  }
  return out;
}
