//===- SafetensorsHeader.cpp - Reads the header of a weights file ---------===//

#include "runtime/core/SafetensorsHeader.h"

#include <algorithm>
#include <string_view>

namespace vlmc::rt {
namespace {

/// A strict scanner of JSON text. Each function takes one thing off the front;
/// on failure it keeps the first error, and all later calls fail too.
class JsonScanner {
public:
  explicit JsonScanner(std::string_view text) : text(text) {}

  bool fail(const std::string &what) {
    if (error.empty())
      error = what + " at byte " + std::to_string(8 + at);
    return false;
  }
  /// Takes `c` if it comes next.
  bool take(char c) {
    skipSpace();
    if (!error.empty() || at >= text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }
  bool expect(char c) {
    return take(c) || fail(std::string("expected '") + c + "'");
  }
  bool string(std::string &out);
  bool unsignedNumber(uint64_t &out);
  /// Any value; arrays and objects at most `depth` deep.
  bool skipValue(int depth = 16);
  /// Calls member(key) for each member of an object; it takes the value off.
  template <typename Member> bool object(const Member &member) {
    if (!expect('{'))
      return false;
    if (take('}'))
      return true;
    std::string key;
    do {
      if (!string(key) || !expect(':') || !member(key))
        return false;
    } while (take(','));
    return expect('}');
  }
  bool end() {
    skipSpace();
    return at == text.size() || fail("expected the end of the header");
  }

  std::string error;

private:
  void skipSpace() {
    while (at < text.size() &&
           std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos)
      ++at;
  }
  bool escape(std::string &out);
  bool hex4(uint32_t &out);

  std::string_view text;
  size_t at = 0;
};

bool JsonScanner::hex4(uint32_t &out) {
  out = 0;
  for (int i = 0; i < 4; ++i, ++at) {
    size_t digit = at < text.size()
                       ? std::string_view("0123456789abcdef")
                             .find(char(text[at] >= 'A' && text[at] <= 'F'
                                            ? text[at] - 'A' + 'a'
                                            : text[at]))
                       : std::string_view::npos;
    if (digit == std::string_view::npos)
      return fail("expected four hexadecimal digits");
    out = out << 4 | uint32_t(digit);
  }
  return true;
}

static void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
    return;
  }
  if (c >= 0x10000) {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3f));
  } else if (c >= 0x800) {
    out += char(0xe0 | c >> 12);
  } else {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 0x3f));
    return;
  }
  out += char(0x80 | (c >> 6 & 0x3f));
  out += char(0x80 | (c & 0x3f));
}

/// What follows a backslash.
bool JsonScanner::escape(std::string &out) {
  if (at >= text.size())
    return fail("expected the end of a string");
  char c = text[at++];
  size_t plain = std::string_view("\"\\/bfnrt").find(c);
  if (plain != std::string_view::npos) {
    out += "\"\\/\b\f\n\r\t"[plain];
    return true;
  }
  uint32_t code, low;
  if (c != 'u')
    return fail("unknown escape");
  if (!hex4(code))
    return false;
  if (code >= 0xd800 && code < 0xdc00) {
    if (text.substr(at, 2) != "\\u")
      return fail("expected the second half of a surrogate pair");
    at += 2;
    if (!hex4(low))
      return false;
    if (low < 0xdc00 || low > 0xdfff)
      return fail("expected the second half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
  }
  appendUtf8(out, code);
  return true;
}

bool JsonScanner::string(std::string &out) {
  out.clear();
  if (!expect('"'))
    return false;
  while (at < text.size()) {
    char c = text[at++];
    if (c == '"')
      return true;
    if (static_cast<unsigned char>(c) < 0x20)
      return fail("control character in a string");
    if (c != '\\')
      out += c;
    else if (!escape(out))
      return false;
  }
  return fail("expected the end of a string");
}

bool JsonScanner::unsignedNumber(uint64_t &out) {
  skipSpace();
  size_t start = at;
  out = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    if (__builtin_mul_overflow(out, 10, &out) ||
        __builtin_add_overflow(out, uint64_t(text[at] - '0'), &out))
      return fail("number too large");
  return at > start || fail("expected a whole number");
}

bool JsonScanner::skipValue(int depth) {
  skipSpace();
  if (at >= text.size())
    return fail("expected a value");
  if (depth == 0)
    return fail("values nested too deeply");
  std::string ignored;
  if (text[at] == '"')
    return string(ignored);
  if (text[at] == '{')
    return object([&](const std::string &) { return skipValue(depth - 1); });
  if (take('[')) {
    if (take(']'))
      return true;
    do {
      if (!skipValue(depth - 1))
        return false;
    } while (take(','));
    return expect(']');
  }
  size_t start = at;
  while (at < text.size() &&
         std::string_view("+-.0123456789abcdefghijklmnopqrstuvwxyzE")
                 .find(text[at]) != std::string_view::npos)
    ++at;
  return at > start || fail("expected a value");
}

/// Reads one tensor's object and adds it.
bool readTensor(JsonScanner &json, const std::string &name,
                SafetensorsHeader &header) {
  uint64_t begin = 0, end = 0;
  bool found = false;
  bool ok = json.object([&](const std::string &key) {
    if (key != "data_offsets")
      return json.skipValue();
    found = true;
    return json.expect('[') && json.unsignedNumber(begin) && json.expect(',') &&
           json.unsignedNumber(end) && json.expect(']');
  });
  if (!ok)
    return false;
  uint64_t fileEnd;
  if (!found || begin > end ||
      __builtin_add_overflow(header.headerBytes, end, &fileEnd))
    return json.fail("tensor '" + name +
                     "': expected data_offsets [begin, end]");
  header.tensors.push_back({name, header.headerBytes + begin, end - begin});
  header.fileBytes = std::max(header.fileBytes, fileEnd);
  return true;
}

} // namespace

std::string readSafetensorsHeader(const void *data, size_t bytes,
                                  SafetensorsHeader &header) {
  header = SafetensorsHeader();
  if (bytes < 8)
    return "expected at least 8 bytes, found " + std::to_string(bytes);
  const auto *p = static_cast<const unsigned char *>(data);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | p[i];
  if (length > bytes - 8)
    return "the header ends at byte " + std::to_string(length) +
           " + 8, beyond the " + std::to_string(bytes) + " bytes there are";
  header.headerBytes = header.fileBytes = 8 + length;

  JsonScanner json(
      std::string_view(static_cast<const char *>(data) + 8, length));
  bool ok = json.object([&](const std::string &key) {
    if (key != "__metadata__")
      return readTensor(json, key, header);
    return json.object([&](const std::string &metaKey) {
      return json.string(header.metadata[metaKey]);
    });
  });
  if (ok)
    json.end();
  return json.error;
}

} // namespace vlmc::rt
