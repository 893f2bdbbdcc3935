//===- Json.cpp - JSON to values of templates and back --------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

namespace {

class JsonWriter {
public:
  JsonWriter(const JsonStyle &style, std::string &out, std::string &fault)
      : style(style), out(out), fault(fault) {}

  bool write(const Value &value, unsigned level) {
    if (out.size() > (size_t(1) << 26)) {
      fault = "expected at most 64 MiB of JSON";
      return false;
    }
    switch (value.kind()) {
    case Kind::None:
      out += "null";
      return true;
    case Kind::Bool:
      out += value.asInteger() ? "true" : "false";
      return true;
    case Kind::Int:
      out += std::to_string(value.asInteger());
      return true;
    case Kind::Float:
      out += number(value.asReal());
      return true;
    case Kind::String:
      text(value.text());
      return true;
    case Kind::List:
    case Kind::Tuple:
      return list(value.items(), level);
    case Kind::Dict:
      return dict(value, level);
    default:
      fault = "Object of type " + typeName(value) + " is not JSON serializable";
      return false;
    }
  }

private:
  static std::string number(double value) {
    if (std::isnan(value))
      return "NaN";
    if (std::isinf(value))
      return value < 0 ? "-Infinity" : "Infinity";
    return reprReal(value);
  }

  void unit(unsigned unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4)
      out += "0123456789abcdef"[(unit >> shift) & 15];
  }

  void text(std::string_view text) {
    out += '"';
    for (size_t at = 0; at < text.size();) {
      char32_t c = text::nextChar(text, at);
      static constexpr std::string_view plain = "\"\\\n\r\t\f\b",
                                        escaped = "\"\\nrtfb";
      size_t known = c < 128 ? plain.find(char(c)) : plain.npos;
      if (known != plain.npos) {
        (out += '\\') += escaped[known];
      } else if (c >= 0x10000 && style.ascii) {
        unit(0xD800 + ((c - 0x10000) >> 10));
        unit(0xDC00 + ((c - 0x10000) & 0x3FF));
      } else if (c < 0x20 || (style.ascii && c > 0x7E)) {
        // DEL goes as it is.
        if (c == 0x7F)
          out += char(c);
        else
          unit(c);
      } else {
        text::appendUtf8(out, c);
      }
    }
    out += '"';
  }

  void newLine(unsigned level) {
    if (!style.lines)
      return;
    out += '\n';
    for (unsigned i = 0; i < level; ++i)
      out += style.indent;
  }

  bool list(const std::vector<Value> &items, unsigned level) {
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i)
        out += style.comma;
      newLine(level + 1);
      if (!write(items[i], level + 1))
        return false;
    }
    if (!items.empty())
      newLine(level);
    out += ']';
    return true;
  }

  bool key(const Value &value) {
    switch (value.kind()) {
    case Kind::String:
      text(value.text());
      return true;
    case Kind::None:
      text("null");
      return true;
    case Kind::Bool:
      text(value.asInteger() ? "true" : "false");
      return true;
    case Kind::Int:
      text(std::to_string(value.asInteger()));
      return true;
    case Kind::Float:
      text(number(value.asReal()));
      return true;
    default:
      fault =
          "keys must be str, int, float, bool or None, not " + typeName(value);
      return false;
    }
  }

  bool dict(const Value &value, unsigned level) {
    auto entries = value.entries().items;
    if (style.sorted) {
      bool texts = std::all_of(entries.begin(), entries.end(), [](auto &entry) {
        return entry.first.isString();
      });
      bool numbers =
          std::all_of(entries.begin(), entries.end(),
                      [](auto &entry) { return entry.first.isNumber(); });
      if (!texts && !numbers && entries.size() > 1) {
        fault = "keys of different types cannot be sorted";
        return false;
      }
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto &left, const auto &right) {
                         return texts ? left.first.text() < right.first.text()
                                      : left.first.asReal() <
                                            right.first.asReal();
                       });
    }
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i)
        out += style.comma;
      newLine(level + 1);
      if (!key(entries[i].first))
        return false;
      out += style.colon;
      if (!write(entries[i].second, level + 1))
        return false;
    }
    if (!entries.empty())
      newLine(level);
    out += '}';
    return true;
  }

  const JsonStyle &style;
  std::string &out;
  std::string &fault;
};

class JsonReader {
public:
  explicit JsonReader(std::string_view json) : json(json) {}

  vlm_status_t *read(Value &out) {
    out = value(1);
    skip();
    if (!fault && at < json.size())
      fail("expected the end of the text");
    if (!fault)
      return nullptr;
    size_t line = 1, column = 1;
    for (size_t i = 0; i < std::min(faultAt, json.size()); ++i) {
      column = json[i] == '\n' ? 1 : column + 1;
      line += json[i] == '\n';
    }
    std::string found =
        faultAt < json.size()
            ? reprText(text::repairUtf8(json.substr(faultAt, 12)))
            : "the end";
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "JSON, line " + std::to_string(line) + ", column " +
                          std::to_string(column) + ": " + fault + ", found " +
                          found);
  }

private:
  Value fail(const char *why) {
    if (!fault) {
      fault = why;
      faultAt = at;
    }
    return {};
  }

  void skip() {
    while (at < json.size() && (json[at] == ' ' || json[at] == '\n' ||
                                json[at] == '\r' || json[at] == '\t'))
      ++at;
  }

  bool take(char c) {
    skip();
    if (at >= json.size() || json[at] != c)
      return false;
    ++at;
    return true;
  }

  bool word(std::string_view word) {
    if (json.substr(at, word.size()) != word)
      return false;
    at += word.size();
    return true;
  }

  Value value(unsigned level) {
    skip();
    if (level >= maxValueDepth)
      return fail("expected at most 199 objects and arrays inside each other");
    if (at >= json.size())
      return fail("expected a value");
    switch (json[at]) {
    case '{':
      return object(level);
    case '[':
      return array(level);
    case '"':
      return string();
    default:
      break;
    }
    if (word("null"))
      return Value::none();
    if (word("true"))
      return Value::boolean(true);
    if (word("false"))
      return Value::boolean(false);
    return number();
  }

  Value object(unsigned level) {
    Value out = Value::dict();
    ++at;
    if (take('}'))
      return out;
    do {
      skip();
      if (at >= json.size() || json[at] != '"')
        return fail("expected a name in double quotes");
      Value name = string();
      if (!fault && !take(':'))
        fail("expected ':'");
      Value item = fault ? Value() : value(level + 1);
      if (fault)
        return {};
      out.set(name, std::move(item));
    } while (take(','));
    return take('}') ? out : fail("expected ',' or '}'");
  }

  Value array(unsigned level) {
    std::vector<Value> items;
    ++at;
    if (take(']'))
      return Value::list({});
    do {
      items.push_back(value(level + 1));
      if (fault)
        return {};
    } while (take(','));
    return take(']') ? Value::list(std::move(items))
                     : fail("expected ',' or ']'");
  }

  bool hex(char32_t &unit) {
    unit = 0;
    if (at + 4 > json.size())
      return false;
    auto end = json.data() + at + 4;
    uint32_t read = 0;
    if (std::from_chars(json.data() + at, end, read, 16).ptr != end)
      return false;
    at += 4;
    unit = read;
    return true;
  }

  bool escape(std::string &out) {
    static constexpr std::string_view names = "\"\\/bfnrt",
                                      means = "\"\\/\b\f\n\r\t";
    if (at >= json.size())
      return false;
    char c = json[at++];
    if (size_t known = names.find(c); known != names.npos) {
      out += means[known];
      return true;
    }
    char32_t first, second;
    if (c != 'u' || !hex(first))
      return false;
    if (first >= 0xD800 && first < 0xDC00 && json.substr(at, 2) == "\\u") {
      size_t before = at;
      at += 2;
      if (!hex(second))
        return false;
      if (second >= 0xDC00 && second < 0xE000)
        first = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
      else
        at = before;
    }
    // Half of a pair is no character.
    text::appendUtf8(out, first >= 0xD800 && first < 0xE000 ? 0xFFFD : first);
    return true;
  }

  Value string() {
    std::string out;
    ++at;
    while (at < json.size() && json[at] != '"') {
      if (static_cast<unsigned char>(json[at]) < 0x20)
        return fail("expected no control character in a string");
      if (json[at] != '\\') {
        out += json[at++];
        continue;
      }
      ++at;
      if (!escape(out))
        return fail("expected an escape of JSON");
    }
    if (at >= json.size())
      return fail("expected a double quote at the end of a string");
    ++at;
    return text::repairUtf8(out);
  }

  Value number() {
    size_t start = at;
    bool real = false;
    while (at < json.size() &&
           std::string_view("+-.eE0123456789").find(json[at]) !=
               std::string_view::npos) {
      real |= json[at] == '.' || json[at] == 'e' || json[at] == 'E';
      ++at;
    }
    std::string_view text = json.substr(start, at - start);
    const char *end = text.data() + text.size();
    int64_t whole = 0;
    if (!text.empty() && !real) {
      auto [rest, error] = std::from_chars(text.data(), end, whole);
      if (rest == end && error == std::errc())
        return Value::integer(whole);
    }
    double value = 0;
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (!text.empty() && real && rest == end && error == std::errc())
      return Value::real(value);
    at = start;
    return fail("expected a value; whole numbers have at most 64 bits");
  }

  std::string_view json;
  size_t at = 0;
  const char *fault = nullptr;
  size_t faultAt = 0;
};

} // namespace

bool vlmc::rt::jinja::toJson(const Value &value, const JsonStyle &style,
                             std::string &out, std::string &fault) {
  return JsonWriter(style, out, fault).write(value, 0);
}

vlm_status_t *vlmc::rt::jinja::parseJson(std::string_view json, Value &out) {
  return JsonReader(json).read(out);
}
