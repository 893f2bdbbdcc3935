//===- Format.cpp - Python's two ways of formatting -----------------------===//
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

namespace {

/// What stands between '%' or ':' and the letter of a conversion.
struct Spec {
  std::string fill = " ";
  char align = 0; // '<', '>', '^', '='
  char sign = 0;  // '+', ' '
  bool alternate = false;
  char grouping = 0;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

} // namespace

// Wider fields and longer fractions are refused.
static constexpr int64_t maxWidth = 1'000'000, maxPrecision = 500;

static std::string pad(std::string text, const Spec &spec, char otherwise) {
  int64_t missing = spec.width - int64_t(length(text));
  if (missing <= 0)
    return text;
  char align = spec.align ? spec.align : otherwise;
  int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string left, right;
  for (int64_t i = 0; i < missing; ++i)
    (i < before ? left : right) += spec.fill;
  if (align != '=')
    return left + text + right;
  size_t sign =
      text.starts_with('-') || text.starts_with('+') || text.starts_with(' ');
  if (text.size() > sign + 1 && text[sign] == '0' &&
      std::isalpha((unsigned char)text[sign + 1]))
    sign += 2;
  return text.insert(sign, left);
}

static std::string grouped(std::string digits, char grouping) {
  if (!grouping)
    return digits;
  size_t begin = digits.starts_with('-') ? 1 : 0;
  size_t end = std::min(digits.find('.'), digits.find('e'));
  end = std::min(end, digits.size());
  for (size_t i = end; i > begin + 3; i -= 3)
    digits.insert(i - 3, 1, grouping);
  return digits;
}

static std::string wholeText(int64_t value, const Spec &spec) {
  bool negative = value < 0;
  uint64_t left = negative ? -uint64_t(value) : uint64_t(value);
  unsigned base = spec.type == 'x' || spec.type == 'X' ? 16
                  : spec.type == 'o'                   ? 8
                  : spec.type == 'b'                   ? 2
                                                       : 10;
  std::string digits;
  do
    digits += (spec.type == 'X' ? "0123456789ABCDEF"
                                : "0123456789abcdef")[left % base];
  while (left /= base);
  std::reverse(digits.begin(), digits.end());
  if (base == 10)
    digits = grouped(digits, spec.grouping);
  if (spec.alternate && base != 10)
    digits = std::string("0") + spec.type + digits;
  return (negative ? "-" : spec.sign ? std::string(1, spec.sign) : "") + digits;
}

static std::string realText(double value, const Spec &spec) {
  char type = spec.type ? spec.type : 'g';
  std::string text;
  if (!spec.type && spec.precision < 0) {
    text = reprReal(value);
  } else if (!std::isfinite(value)) {
    text = reprReal(value);
    if (std::isupper((unsigned char)type))
      for (char &c : text)
        c = char(std::toupper(c));
  } else {
    double shown = type == '%' ? value * 100 : value;
    int precision = int(spec.precision < 0 ? 6 : spec.precision);
    char format[] = {'%', spec.alternate ? '#' : '.', '.', '*', type, 0};
    if (type == '%')
      format[4] = 'f';
    const char *used = format;
    std::string plainFormat = std::string("%.*") + format[4];
    if (!spec.alternate)
      used = plainFormat.c_str();
    int size = std::snprintf(nullptr, 0, used, precision, shown);
    text.resize(size_t(size) + 1);
    std::snprintf(text.data(), text.size(), used, precision, shown);
    text.pop_back();
    if (type == '%')
      text += '%';
    // Without a type, Python keeps a digit behind the point.
    if (!spec.type && text.find_first_of(".en") == text.npos)
      text += ".0";
  }
  text = grouped(std::move(text), spec.grouping);
  if (spec.sign && !text.starts_with('-'))
    text.insert(0, 1, spec.sign);
  return text;
}

static std::string cut(const std::string &text, int64_t precision) {
  if (precision < 0)
    return text;
  return utf8(
      std::u32string_view(characters(text)).substr(0, size_t(precision)));
}

// `text % args`.

namespace {

class Percent {
public:
  Percent(Machine &machine, const std::string &text, const Value &args)
      : machine(machine), text(text), args(args),
        list(args.is(Kind::Tuple) ? args.items() : std::vector<Value>{args}) {}

  Value run() {
    std::string out;
    while (at < text.size() && !machine.failed()) {
      if (text[at] != '%') {
        out += text[at++];
        continue;
      }
      ++at;
      out += conversion();
      if (!machine.room(out.size()))
        return {};
    }
    // What can be subscripted counts as a mapping to Python, and may be left.
    bool mapping = args.isDict() || args.is(Kind::List) || args.isUndefined();
    if (!machine.failed() && next < list.size() && !named && !mapping)
      return machine.typeError(
          "not all arguments converted during string formatting");
    return out;
  }

private:
  std::string fail(const char *kind, std::string message) {
    machine.fail(kind, std::move(message));
    return "";
  }

  Value take() {
    if (named)
      return current;
    if (next >= list.size()) {
      machine.typeError("not enough arguments for format string");
      return {};
    }
    return list[next++];
  }

  bool number(int64_t &out, int64_t limit) {
    if (at < text.size() && text[at] == '*') {
      ++at;
      Value value = take();
      if (!value.isInteger())
        machine.typeError("* wants int");
      out = value.asInteger();
    } else {
      out = 0;
      while (at < text.size() && std::isdigit((unsigned char)text[at]) &&
             out <= limit)
        out = out * 10 + (text[at++] - '0');
    }
    if (out > limit)
      machine.fail("ValueError", "width or precision too large: expected at "
                                 "most " +
                                     std::to_string(limit));
    return !machine.failed();
  }

  std::string conversion() {
    Spec spec;
    named = false;
    if (at < text.size() && text[at] == '(') {
      size_t close = text.find(')', at);
      if (close == text.npos)
        return fail("ValueError", "incomplete format key");
      if (!args.isDict())
        return fail("TypeError", "format requires a mapping");
      std::string key = text.substr(at + 1, close - at - 1);
      const Value *found = args.named(key);
      if (!found)
        return fail("KeyError", reprText(key));
      current = *found;
      named = true;
      at = close + 1;
    }
    bool zero = false, left = false;
    for (; at < text.size() &&
           std::string_view("-+ #0").find(text[at]) != std::string_view::npos;
         ++at) {
      left |= text[at] == '-';
      zero |= text[at] == '0';
      spec.alternate |= text[at] == '#';
      if (text[at] == '+' || (text[at] == ' ' && !spec.sign))
        spec.sign = text[at];
    }
    if (!number(spec.width, maxWidth))
      return "";
    if (spec.width < 0) {
      left = true;
      spec.width = -spec.width;
    }
    if (at < text.size() && text[at] == '.') {
      ++at;
      if (!number(spec.precision, maxPrecision))
        return "";
      spec.precision = std::max<int64_t>(spec.precision, 0);
    }
    if (at >= text.size())
      return fail("ValueError", "incomplete format");
    spec.align = left ? '<' : '>';
    return converted(text[at++], spec, zero && !left);
  }

  std::string converted(char type, Spec spec, bool zero) {
    if (type == '%')
      return "%";
    Value value = take();
    if (machine.failed())
      return "";
    switch (type) {
    case 's':
      return pad(cut(str(value), spec.precision), spec, '>');
    case 'r':
      return pad(cut(repr(value), spec.precision), spec, '>');
    case 'c':
      if (value.isString() && length(value.text()) == 1)
        return pad(value.text(), spec, '>');
      if (value.isInteger() && value.asInteger() >= 0 &&
          value.asInteger() < 0xD800)
        return pad(utf8(std::u32string(1, char32_t(value.asInteger()))), spec,
                   '>');
      return fail("TypeError", "%c requires int or char");
    default:
      break;
    }
    if (zero) {
      spec.fill = "0";
      spec.align = '=';
    }
    if (std::string_view("diuxXo").find(type) != std::string_view::npos)
      return whole(type, value, spec);
    if (std::string_view("eEfFgG").find(type) == std::string_view::npos)
      return fail("ValueError",
                  std::string("unsupported format character '") + type + "'");
    if (!value.isNumber())
      return fail(value.isUndefined() ? "UndefinedError" : "TypeError",
                  "must be real number, not " + typeName(value));
    spec.type = type;
    return pad(realText(value.asReal(), spec), spec, '>');
  }

  std::string whole(char type, const Value &value, Spec &spec) {
    bool decimal = type == 'd' || type == 'i' || type == 'u';
    if (!value.isInteger() && !(decimal && value.is(Kind::Float)))
      return fail(value.isUndefined() ? "UndefinedError" : "TypeError",
                  std::string("%") + type +
                      " format: a number is required, "
                      "not " +
                      typeName(value));
    if (value.is(Kind::Float) && !(std::fabs(value.asReal()) < 9e18))
      return fail("OverflowError", "whole numbers have at most 64 bits");
    spec.type = decimal ? 'd' : type;
    std::string digits = wholeText(
        value.is(Kind::Float) ? int64_t(value.asReal()) : value.asInteger(),
        spec);
    size_t sign = !digits.empty() && !std::isalnum((unsigned char)digits[0]);
    int64_t missing = spec.precision - int64_t(digits.size() - sign);
    if (missing > 0)
      digits.insert(sign, size_t(missing), '0');
    return pad(digits, spec, '>');
  }

  Machine &machine;
  const std::string &text;
  const Value &args;
  std::vector<Value> list;
  size_t at = 0, next = 0;
  bool named = false;
  Value current;
};

/// `text.format(...)`.
class Braces {
public:
  Braces(Machine &machine, const Args &args) : machine(machine), args(args) {}

  std::string run(std::string_view text, unsigned level) {
    std::string out;
    for (size_t at = 0; at < text.size() && !machine.failed();) {
      char c = text[at++];
      bool twice = at < text.size() && text[at] == c;
      if (c != '{' && c != '}') {
        out += c;
      } else if (twice) {
        out += c;
        ++at;
      } else if (c == '}') {
        machine.fail("ValueError", "Single '}' encountered in format string");
      } else {
        size_t end = at, open = 1;
        while (end < text.size() && open) {
          open += text[end] == '{';
          open -= text[end] == '}';
          ++end;
        }
        if (open)
          machine.fail("ValueError", "expected '}' before end of string");
        else
          out += field(text.substr(at, end - at - 1), level);
        at = end;
      }
      if (!machine.room(out.size()))
        return "";
    }
    return out;
  }

private:
  std::string field(std::string_view text, unsigned level) {
    if (level > 1) {
      machine.fail("ValueError", "Max string recursion exceeded");
      return "";
    }
    size_t colon = std::min(text.find(':'), text.size());
    std::string_view name = text.substr(0, colon);
    std::string spec(text.substr(std::min(colon + 1, text.size())));
    size_t mark = name.find('!');
    std::string_view conversion;
    if (mark != name.npos) {
      conversion = name.substr(mark + 1);
      name = name.substr(0, mark);
    }
    Value value = named(name);
    if (conversion == "r" || conversion == "a")
      value = Value(repr(value));
    else if (conversion == "s")
      value = Value(str(value));
    else if (mark != std::string_view::npos)
      machine.fail("ValueError", "unknown conversion specifier");
    spec = run(spec, level + 1);
    return machine.failed() ? "" : formatted(value, spec);
  }

  static bool isNumber(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           std::all_of(
               text.begin(), text.end(),
               [](char c) { return c >= '0' && c <= '9'; });
  }

  Value named(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    std::string first(name.substr(0, end));
    Value value;
    if (first.empty() || isNumber(first)) {
      size_t index = first.empty() ? next++ : size_t(std::stoul(first));
      if (automatic != 0 && automatic != (first.empty() ? 1 : 2))
        return machine.fail("ValueError", "cannot switch between automatic "
                                          "and manual field numbering");
      automatic = first.empty() ? 1 : 2;
      if (index >= args.items.size())
        return machine.fail("IndexError", "Replacement index " +
                                              std::to_string(index) +
                                              " out of range");
      value = args.items[index];
    } else {
      auto found = std::find_if(args.named.begin(), args.named.end(),
                                [&](auto &arg) { return arg.first == first; });
      if (found == args.named.end())
        return machine.fail("KeyError", reprText(first));
      value = found->second;
    }
    while (end < name.size() && !machine.failed()) {
      if (name[end] == '.') {
        size_t stop = std::min(name.find_first_of(".[", end + 1), name.size());
        value = machine.attribute(
            value, std::string(name.substr(end + 1, stop - end - 1)));
        end = stop;
        continue;
      }
      size_t close = name.find(']', end);
      if (name[end] != '[' || close == name.npos)
        return machine.fail("ValueError", "Missing ']' in format string");
      std::string key(name.substr(end + 1, close - end - 1));
      value = machine.item(value, isNumber(key) ? Value::integer(std::stol(key))
                                                : Value(key));
      end = close + 1;
    }
    return value;
  }

  bool parse(const std::string &text, Spec &spec) {
    std::u32string all = characters(text);
    size_t at = 0;
    auto isAlign = [&](size_t i) {
      return i < all.size() && std::u32string_view(U"<>=^").find(all[i]) !=
                                   std::u32string_view::npos;
    };
    if (isAlign(1)) {
      spec.fill = utf8(std::u32string(1, all[0]));
      spec.align = char(all[1]);
      at = 2;
    } else if (isAlign(0)) {
      spec.align = char(all[at++]);
    }
    auto is = [&](char32_t c) { return at < all.size() && all[at] == c; };
    if (is('+') || is('-') || is(' ')) {
      spec.sign = all[at] == '-' ? char(0) : char(all[at]);
      ++at;
    }
    if (is('#')) {
      spec.alternate = true;
      ++at;
    }
    if (is('0')) {
      if (!spec.align) {
        spec.align = '=';
        spec.fill = "0";
      }
      ++at;
    }
    auto number = [&](int64_t &out, int64_t limit) {
      out = 0;
      for (;
           at < all.size() && all[at] >= '0' && all[at] <= '9' && out <= limit;
           ++at)
        out = out * 10 + (all[at] - '0');
      return out <= limit;
    };
    bool good = number(spec.width, maxWidth);
    if (is(',') || is('_'))
      spec.grouping = char(all[at++]);
    if (is('.')) {
      ++at;
      good = good && at < all.size() && all[at] >= '0' && all[at] <= '9' &&
             number(spec.precision, maxPrecision);
    }
    if (at < all.size() && all[at] < 128)
      spec.type = char(all[at++]);
    return good && at == all.size();
  }

  std::string formatted(const Value &value, const std::string &text) {
    Spec spec;
    auto bad = [&] {
      machine.fail("ValueError", "Invalid format specifier " + reprText(text) +
                                     " for object of type '" + typeName(value) +
                                     "'");
      return std::string();
    };
    if (text.empty())
      return str(value);
    if (!parse(text, spec))
      return bad();
    auto oneOf = [&](std::string_view types) {
      return !spec.type || types.find(spec.type) != types.npos;
    };
    if (value.isString()) {
      if (!oneOf("s") || spec.sign || spec.alternate || spec.grouping ||
          (spec.align == '=' && spec.fill != "0"))
        return bad();
      return pad(cut(value.text(), spec.precision), spec, '<');
    }
    if (value.is(Kind::Float) ||
        (value.isInteger() && spec.type && oneOf("eEfFgG%"))) {
      return oneOf("eEfFgG%") ? pad(realText(value.asReal(), spec), spec, '>')
                              : bad();
    }
    if (value.is(Kind::Bool) && !spec.type)
      return pad(wholeText(value.asInteger(), spec), spec, '>');
    if (value.isInteger())
      return oneOf("dxXobn") && spec.precision < 0
                 ? pad(wholeText(value.asInteger(), spec), spec, '>')
                 : bad();
    machine.typeError("unsupported format string passed to " + typeName(value) +
                      ".__format__");
    return "";
  }

  Machine &machine;
  const Args &args;
  size_t next = 0;
  int automatic = 0; // 1: fields without numbers, 2: with
};

} // namespace

Value vlmc::rt::jinja::percentFormat(Machine &machine, const std::string &text,
                                     const Value &args) {
  return Percent(machine, text, args).run();
}

Value vlmc::rt::jinja::braceFormat(Machine &machine, const std::string &text,
                                   const Args &args) {
  return Braces(machine, args).run(text, 0);
}
