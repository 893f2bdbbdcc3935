//===- Lexer.cpp - A template's text to tokens ----------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Syntax.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

namespace {

/// After Jinja2's lexer, with trim_blocks and lstrip_blocks.
class Lexer {
public:
  Lexer(std::string_view given, std::vector<Token> &out, SyntaxFault &fault)
      : out(out), fault(fault) {
    for (size_t i = 0; i < given.size(); ++i) {
      if (given[i] == '\r' && i + 1 < given.size() && given[i + 1] == '\n')
        ++i;
      source += given[i] == '\r' || given[i] == '\n' ? '\n' : given[i];
    }
    if (source.ends_with('\n'))
      source.pop_back();
  }

  bool run() {
    while (at < source.size())
      if (!root())
        return false;
    out.push_back({TokenKind::End, line, "", {}});
    return true;
  }

private:
  bool fail(std::string message) {
    fault = {line, std::move(message)};
    return false;
  }

  std::string_view rest() const { return std::string_view(source).substr(at); }

  void countLines(std::string_view text) {
    line += unsigned(std::count(text.begin(), text.end(), '\n'));
  }

  /// Goes to `end`.
  void moveTo(size_t end) {
    lineStarting = end > at ? source[end - 1] == '\n' : lineStarting;
    countLines(std::string_view(source).substr(at, end - at));
    at = end;
  }

  size_t behindSpace(size_t from) const {
    while (from < source.size()) {
      size_t next = from;
      if (!text::isPythonSpace(text::nextChar(source, next)))
        break;
      from = next;
    }
    return from;
  }

  static std::string_view stripRight(std::string_view text) {
    while (!text.empty()) {
      size_t before = text::previousChar(text, text.size());
      size_t next = before;
      if (!text::isPythonSpace(text::nextChar(text, next)))
        break;
      text = text.substr(0, before);
    }
    return text;
  }

  /// The text before a tag, as the tag's sign leaves it.
  std::string_view beforeTag(std::string_view text, char sign,
                             bool block) const {
    if (sign == '-')
      return stripRight(text);
    if (sign == '+' || !block)
      return text;
    size_t begin = text.rfind('\n') + 1; // npos + 1 is 0
    if ((begin > 0 || lineStarting) && begin < text.size() &&
        stripRight(text.substr(begin)).empty())
      return text.substr(0, begin);
    return text;
  }

  void pushData(std::string_view text) {
    if (!text.empty())
      out.push_back({TokenKind::Data, line, std::string(text), {}});
  }

  /// Behind an end of a tag that begins at `close`, "%}" for instance, before
  /// which a sign stands or not.
  size_t behindClose(size_t close, char sign, bool trims) const {
    size_t end = close + 2;
    if (sign == '-')
      return behindSpace(end);
    if (trims && sign != '+' && end < source.size() && source[end] == '\n')
      return end + 1;
    return end;
  }

  bool root() {
    size_t open = at;
    for (;; ++open) {
      open = source.find('{', open);
      if (open == source.npos || open + 1 >= source.size()) {
        pushData(rest());
        moveTo(source.size());
        return true;
      }
      char next = source[open + 1];
      if (next == '%' || next == '{' || next == '#')
        break;
    }
    char type = source[open + 1];
    size_t inner = open + 2;
    char sign = inner < source.size() ? source[inner] : 0;
    if (sign == '-' || sign == '+')
      ++inner;
    std::string_view text = std::string_view(source).substr(at, open - at);
    std::string_view kept = beforeTag(text, sign, type != '{');
    size_t behindRaw = type == '%' ? rawBegin(inner) : 0;
    pushData(kept);
    moveTo(behindRaw ? behindRaw : inner);
    if (behindRaw)
      return raw();
    if (type == '#')
      return comment();
    bool block = type == '%';
    out.push_back({block ? TokenKind::BlockBegin : TokenKind::ExpressionBegin,
                   line,
                   "",
                   {}});
    return tag(block);
  }

  /// Behind "raw %}" at `from`, or 0.
  size_t rawBegin(size_t from) const {
    from = behindSpace(from);
    if (source.compare(from, 3, "raw") != 0)
      return 0;
    from = behindSpace(from + 3);
    if (source.compare(from, 3, "-%}") == 0)
      return behindSpace(from + 3);
    return source.compare(from, 2, "%}") == 0 ? from + 2 : 0;
  }

  bool raw() {
    for (size_t open = at; (open = source.find("{%", open)) != source.npos;
         ++open) {
      size_t inner = open + 2;
      char sign = inner < source.size() ? source[inner] : 0;
      if (sign == '-' || sign == '+')
        ++inner;
      inner = behindSpace(inner);
      if (source.compare(inner, 6, "endraw") != 0)
        continue;
      inner = behindSpace(inner + 6);
      char closing = inner < source.size() ? source[inner] : 0;
      if (closing == '-' || closing == '+')
        ++inner;
      if (source.compare(inner, 2, "%}") != 0)
        continue;
      pushData(beforeTag(std::string_view(source).substr(at, open - at), sign,
                         true));
      moveTo(behindClose(inner, closing, true));
      return true;
    }
    return fail("Missing end of raw directive");
  }

  bool comment() {
    size_t close = source.find("#}", at);
    if (close == source.npos)
      return fail("Missing end of comment tag");
    char sign = close > at ? source[close - 1] : 0;
    moveTo(behindClose(close, sign, true));
    return true;
  }

  bool tag(bool block) {
    std::string open; // brackets to be closed
    while (at < source.size()) {
      if (size_t behind = behindSpace(at); behind > at) {
        moveTo(behind);
        continue;
      }
      if (open.empty() && tagEnd(block))
        return true;
      if (!token(open))
        return false;
    }
    return true; // the parser tells what is missing
  }

  bool tagEnd(bool block) {
    std::string_view end = block ? "%}" : "}}";
    char sign = source[at] == '-' || (block && source[at] == '+') ? source[at]
                                                                  : char(0);
    size_t close = at + (sign ? 1 : 0);
    if (source.compare(close, 2, end) != 0)
      return false;
    out.push_back(
        {block ? TokenKind::BlockEnd : TokenKind::ExpressionEnd, line, "", {}});
    moveTo(behindClose(close, sign, block));
    return true;
  }

  static bool isNameChar(char32_t c) {
    return c < 128 ? std::isalnum(int(c)) || c == '_'
                   : text::hasFlag(c, text::CharWord);
  }

  bool token(std::string &open) {
    char c = source[at];
    if (std::isdigit(static_cast<unsigned char>(c)))
      return number();
    if (c == '\'' || c == '"')
      return string(c);
    size_t end = at;
    while (end < source.size()) {
      size_t next = end;
      if (!isNameChar(text::nextChar(source, next)))
        break;
      end = next;
    }
    if (end == at)
      return symbol(open);
    out.push_back({TokenKind::Name, line, source.substr(at, end - at), {}});
    moveTo(end);
    return true;
  }

  bool symbol(std::string &open) {
    static constexpr std::string_view symbols[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view symbol : symbols) {
      if (!rest().starts_with(symbol))
        continue;
      char c = symbol[0];
      if (c == '{' || c == '(' || c == '[')
        open += c == '{' ? '}' : c == '(' ? ')' : ']';
      if (c == '}' || c == ')' || c == ']') {
        if (open.empty())
          return fail("unexpected '" + std::string(symbol) + "'");
        char expected = open.back();
        open.pop_back();
        if (expected != c)
          return fail("unexpected '" + std::string(symbol) + "', expected '" +
                      std::string(1, expected) + "'");
      }
      out.push_back({TokenKind::Operator, line, std::string(symbol), {}});
      moveTo(at + symbol.size());
      return true;
    }
    size_t next = at;
    (void)text::nextChar(source, next);
    return fail("unexpected char " + reprText(rest().substr(0, next - at)));
  }

  /// Behind the digits at `from`, among which underscores may stand.
  size_t digits(size_t from, int base) const {
    size_t end = from;
    auto digit = [&](size_t i) {
      if (i >= source.size() || !std::isxdigit((unsigned char)source[i]))
        return false;
      int value = std::isdigit((unsigned char)source[i])
                      ? source[i] - '0'
                      : std::tolower(source[i]) - 'a' + 10;
      return value < base;
    };
    while (digit(end) || (end < source.size() && source[end] == '_' &&
                          digit(end + 1) && (end > from || base != 10)))
      ++end;
    return end;
  }

  /// Behind the float at `at`, or `at`.
  size_t floatEnd() const {
    if (at > 0 && source[at - 1] == '.')
      return at;
    size_t whole = digits(at, 10), end = whole;
    if (end < source.size() && source[end] == '.') {
      size_t fraction = digits(end + 1, 10);
      end = fraction > end + 1 ? fraction : end;
    }
    bool point = end > whole;
    if (end < source.size() && (source[end] == 'e' || source[end] == 'E')) {
      size_t power = end + 1;
      if (power < source.size() &&
          (source[power] == '+' || source[power] == '-'))
        ++power;
      size_t behind = digits(power, 10);
      if (behind > power)
        return behind;
    }
    return point ? end : at;
  }

  bool number() {
    bool real = true;
    size_t end = floatEnd();
    int base = 10;
    size_t skip = 0;
    if (end == at) {
      real = false;
      char second =
          at + 1 < source.size() ? char(std::tolower(source[at + 1])) : char(0);
      int other = source[at] != '0' ? 0
                  : second == 'x'   ? 16
                  : second == 'o'   ? 8
                  : second == 'b'   ? 2
                                    : 0;
      if (other && digits(at + 2, other) > at + 2) {
        base = other;
        skip = 2;
      }
      end = digits(at + skip, base);
      if (!skip && source[at] == '0') {
        end = at + 1;
        while (end < source.size() &&
               (source[end] == '0' ||
                (source[end] == '_' && end + 1 < source.size() &&
                 source[end + 1] == '0')))
          ++end;
      }
    }
    std::string text = source.substr(at + skip, end - at - skip);
    std::erase(text, '_');
    Value value;
    if (real) {
      value = Value::real(std::strtod(text.c_str(), nullptr));
    } else {
      errno = 0;
      value = Value::integer(std::strtoll(text.c_str(), nullptr, base));
      if (errno)
        return fail("whole numbers have at most 64 bits, found " + text);
    }
    out.push_back({TokenKind::Number, line, "", std::move(value)});
    moveTo(end);
    return true;
  }

  bool string(char quote) {
    size_t end = at + 1;
    while (end < source.size() && source[end] != quote)
      end += source[end] == '\\' ? 2 : 1;
    if (end >= source.size())
      return fail("unexpected char " + reprText(std::string(1, quote)));
    std::string text;
    if (!unescape(std::string_view(source).substr(at + 1, end - at - 1), text))
      return false;
    out.push_back({TokenKind::String, line, std::move(text), {}});
    moveTo(end + 1);
    return true;
  }

  /// Python's decoding of "unicode-escape".
  bool unescape(std::string_view text, std::string &to) {
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '\\' || i + 1 >= text.size()) {
        to += text[i++];
        continue;
      }
      char c = text[i + 1];
      i += 2;
      static constexpr std::string_view names = "\\'\"abfnrtv",
                                        means = "\\'\"\a\b\f\n\r\t\v";
      size_t known = names.find(c);
      if (known != names.npos)
        to += means[known];
      else if (c == '\n')
        continue;
      else if (c >= '0' && c <= '7')
        octal(text, --i, to);
      else if (c == 'x' || c == 'u' || c == 'U') {
        if (!hexadecimal(text, i, c == 'x' ? 2 : c == 'u' ? 4 : 8, to))
          return false;
      } else if (c == 'N') {
        return fail("'\\N' in a string: names of characters are not supported;"
                    " write '\\u' and the number");
      } else {
        to += '\\';
        --i;
        if (static_cast<unsigned char>(c) >= 128)
          backslashed(text, i, to);
        else
          to += text[i++];
      }
    }
    return true;
  }

  /// Python makes "\\xe9" of a backslash before such a character.
  static void backslashed(std::string_view text, size_t &i, std::string &to) {
    char32_t c = text::nextChar(text, i);
    int count = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
    to += count == 2 ? 'x' : count == 4 ? 'u' : 'U';
    for (int digit = count - 1; digit >= 0; --digit)
      to += "0123456789abcdef"[(c >> (4 * digit)) & 15];
  }

  static void octal(std::string_view text, size_t &i, std::string &to) {
    char32_t c = 0;
    for (int count = 0;
         count < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7';
         ++count)
      c = c * 8 + char32_t(text[i++] - '0');
    text::appendUtf8(to, c);
  }

  bool hexadecimal(std::string_view text, size_t &i, int count,
                   std::string &to) {
    char32_t c = 0;
    for (int digit = 0; digit < count; ++digit, ++i) {
      if (i >= text.size() || !std::isxdigit((unsigned char)text[i]))
        return fail("truncated escape in a string");
      c = c * 16 + char32_t(std::stoi(std::string(1, text[i]), nullptr, 16));
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
      return fail("illegal Unicode character in a string");
    text::appendUtf8(to, c);
    return true;
  }

  std::string source;
  std::vector<Token> &out;
  SyntaxFault &fault;
  size_t at = 0;
  unsigned line = 1;
  bool lineStarting = true;
};

} // namespace

bool vlmc::rt::jinja::tokenize(std::string_view source, std::vector<Token> &out,
                               SyntaxFault &fault) {
  return Lexer(source, out, fault).run();
}
