//===- TextFilters.cpp - Filters of texts ------------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

static std::string titled(const Value &value) {
  std::string out;
  bool begins = true;
  std::string text = str(value), word;
  auto flush = [&] {
    if (word.empty())
      return;
    size_t first = 0;
    text::nextChar(word, first);
    out += upper(word.substr(0, first)) + text::pythonLower(word.substr(first));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    char32_t c = text::nextChar(text, at);
    begins = text::isPythonSpace(c) ||
             (c < 128 && std::string_view("-({[<").find(char(c)) !=
                             std::string_view::npos);
    if (begins) {
      flush();
      out += text.substr(begin, at - begin);
    } else {
      word += text.substr(begin, at - begin);
    }
  }
  flush();
  return out;
}

static Value trimmed(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "trim", args, {"chars"}, 0);
  if (!bound.good)
    return {};
  if (given(bound[0]) && !bound[0]->isString())
    return machine.typeError("strip arg must be None or str");
  return strip(str(value), bound[0], true, true);
}

static Value replaced(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "replace", args, {"old", "new", "count"}, 2);
  return bound.good ? Value(replaceText(machine, str(value), str(*bound[0]),
                                        str(*bound[1]),
                                        wholeOr(machine, bound[2], -1)))
                    : Value();
}

static Value centered(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "center", args, {"width"}, 0);
  if (!bound.good)
    return {};
  Args width{{bound[0] ? *bound[0] : Value::integer(80)}, {}};
  bool found = false;
  Value center = method(Value(str(value)), "center", found);
  return machine.call(center, width);
}

static Value formatted(Machine &machine, const Value &value, Args &args) {
  if (!args.items.empty() && !args.named.empty())
    return machine.fail("FilterArgumentError",
                        "can't handle positional and keyword arguments at the "
                        "same time");
  Value given = Value::tuple(args.items);
  if (!args.named.empty()) {
    given = Value::dict();
    for (const auto &[name, one] : args.named)
      given.set(name, one);
  }
  return percentFormat(machine, str(value), given);
}

static Value indented(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "indent", args, {"width", "first", "blank"}, 0);
  if (!bound.good)
    return {};
  if (value.isUndefined())
    return machine.fail("UndefinedError", value.text());
  if (!value.isString())
    return machine.typeError("unsupported operand type(s) for +=: '" +
                             typeName(value) + "' and 'str'");
  int64_t width =
      bound[0] && bound[0]->isString() ? 0 : wholeOr(machine, bound[0], 4);
  std::vector<std::string> lines = splitLines(value.text() + "\n", false);
  size_t each = bound[0] && bound[0]->isString()
                    ? bound[0]->text().size()
                    : size_t(std::max<int64_t>(width, 0));
  if (!machine.room(lines.size() + 1, each + 1))
    return {};
  std::string by = bound[0] && bound[0]->isString() ? bound[0]->text()
                                                    : std::string(each, ' ');
  bool blank = bound[2] && truth(*bound[2]);
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    bool indents =
        i ? blank || !lines[i].empty() : bound[1] && truth(*bound[1]);
    out += (i ? "\n" : "") + (indents ? by : "") + lines[i];
  }
  return machine.room(out.size()) ? Value(out) : Value();
}

static Value truncated(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "truncate", args,
                     {"length", "killwords", "end", "leeway"}, 0);
  if (!bound.good)
    return {};
  int64_t limit = wholeOr(machine, bound[0], 255);
  int64_t leeway = wholeOr(machine, bound[3], 5);
  if (!value.isString()) {
    Args none;
    Value size = count(machine, value, none);
    return !machine.failed() && size.asInteger() - leeway <= limit
               ? value
               : machine.typeError("'" + typeName(value) +
                                   "' object cannot be truncated");
  }
  std::u32string end = characters(bound[2] ? str(*bound[2]) : "...");
  std::u32string text = characters(value.text());
  if (limit < int64_t(end.size()) || leeway < 0)
    return machine.fail("AssertionError",
                        "expected length >= " + std::to_string(end.size()) +
                            ", got " + std::to_string(limit));
  if (int64_t(text.size()) <= limit || int64_t(text.size()) - limit <= leeway)
    return value;
  std::u32string kept = text.substr(0, size_t(limit) - end.size());
  if (!bound[1] || !truth(*bound[1]))
    kept = kept.substr(0, std::min(kept.rfind(U' '), kept.size()));
  return utf8(kept + end);
}

static Value wordCount(const Value &value) {
  std::string text = str(value);
  int64_t count = 0;
  bool inWord = false;
  for (size_t at = 0; at < text.size();) {
    char32_t c = text::nextChar(text, at);
    bool word = c == '_' ||
                (text::hasFlag(c, text::CharWord) &&
                 text::categoryName(
                     text::charClass(text::charClassId(c)).category)[0] != 'M');
    count += word && !inWord;
    inWord = word;
  }
  return Value::integer(count);
}

static Value wrapped(Machine &machine, const Value &value, Args &args) {
  Bound bound =
      bind(machine, "wordwrap", args,
           {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0);
  if (!bound.good)
    return {};
  if (value.isUndefined())
    return machine.fail("UndefinedError", value.text());
  if (!value.isString())
    return machine.fail("AttributeError", "'" + typeName(value) +
                                              "' object has no attribute "
                                              "'splitlines'");
  auto flag = [&](size_t i) { return !bound[i] || truth(*bound[i]); };
  int64_t width = bound[0] ? wholeOr(machine, bound[0], 0) : 79;
  std::string by = given(bound[2]) ? str(*bound[2]) : "\n", out;
  bool begun = false;
  for (const std::string &line : splitLines(value.text(), false)) {
    if (width <= 0)
      return machine.fail("ValueError", "invalid width " +
                                            std::to_string(width) +
                                            " (must be > 0)");
    out += std::exchange(begun, true) ? by : "";
    bool first = true;
    for (const std::u32string &part :
         wrapLine(characters(line), size_t(width), flag(1), flag(3))) {
      out += (first ? "" : by) + utf8(part);
      first = false;
      if (!machine.step() || !machine.room(out.size()))
        return {};
    }
  }
  return out;
}

static Value pretty(Machine &machine, const Value &value, Args &args) {
  return bind(machine, "pprint", args, {}, 0).good
             ? Value(prettyText(machine, value))
             : Value();
}

std::span<const NamedFilter> vlmc::rt::jinja::textFilters() {
  static const NamedFilter filters[] = {
      {"capitalize",
       textFilter([](const Value &value) { return capitalize(str(value)); })},
      {"center", centered},
      {"format", formatted},
      {"indent", indented},
      {"lower", textFilter([](const Value &value) {
         return text::pythonLower(str(value));
       })},
      {"pprint", pretty},
      {"replace", replaced},
      {"title", textFilter([](const Value &value) { return titled(value); })},
      {"trim", trimmed},
      {"truncate", truncated},
      {"upper",
       textFilter([](const Value &value) { return upper(str(value)); })},
      {"wordcount",
       textFilter([](const Value &value) { return wordCount(value); })},
      {"wordwrap", wrapped},
  };
  return filters;
}
