//===- MarkupFilters.cpp - Filters of HTML and addresses ---------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>
#include <cctype>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

std::string vlmc::rt::jinja::escapedText(std::string_view text) {
  std::string out;
  for (char c : text) {
    static constexpr std::string_view marks = "&<>'\"";
    static constexpr const char *names[] = {"&amp;", "&lt;", "&gt;", "&#39;",
                                            "&#34;"};
    size_t known = marks.find(c);
    out += known == marks.npos ? std::string(1, c) : names[known];
  }
  return out;
}

static std::string quoted(const Value &value, bool query) {
  static constexpr std::string_view plain = "_.-~";
  std::string out;
  for (char c : str(value)) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 128 && std::isalnum(byte)) || plain.find(c) != plain.npos ||
        (c == '/' && !query))
      out += c;
    else if (c == ' ' && query)
      out += '+';
    else
      (((out += '%') += "0123456789ABCDEF"[byte >> 4]) +=
       "0123456789ABCDEF"[byte & 15]);
  }
  return out;
}

static Value urlEncoded(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "urlencode", args, {}, 0).good)
    return {};
  if (value.isString() || value.isNumber() || value.isNone())
    return quoted(value, false);
  std::string out;
  std::vector<Value> pairs;
  if (value.isDict())
    for (const auto &[key, entry] : value.entries().items)
      pairs.push_back(Value::tuple({key, entry}));
  else
    pairs = machine.iterate(value);
  for (const Value &pair : pairs) {
    std::vector<Value> both = machine.iterate(pair);
    if (both.size() != 2)
      return machine.fail("ValueError", "expected pairs of key and value");
    out += (out.empty() ? "" : "&") + quoted(both[0], true) + "=" +
           quoted(both[1], true);
  }
  return out;
}

/// Text without tags and comments, blanks collapsed, entities resolved.
static Value withoutTags(const Value &value) {
  std::string text = str(value), kept;
  size_t at = 0;
  for (size_t open; (open = text.find('<', at)) != text.npos;) {
    bool comment = text.compare(open, 4, "<!--") == 0;
    size_t end = comment ? text.find("-->", open + 4) : text.find('>', open);
    if (end == text.npos)
      break;
    kept.append(text, at, open - at);
    at = end + (comment ? 3 : 1);
  }
  kept.append(text, at);
  std::string out;
  bool waiting = false;
  for (at = 0; at < kept.size();) {
    size_t begin = at;
    if (text::isPythonSpace(text::nextChar(kept, at))) {
      waiting = !out.empty();
      continue;
    }
    out.append(waiting ? " " : "").append(kept, begin, at - begin);
    waiting = false;
  }
  return Value(unescapedText(out)).asMarkup();
}

static Value attributes(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "xmlattr", args, {"autospace"}, 0);
  if (!bound.good)
    return {};
  if (!value.isDict())
    return machine.fail(
        value.isUndefined() ? "UndefinedError" : "AttributeError",
        "'" + typeName(value) + "' object has no attribute 'items'");
  auto escape = [](const Value &one) {
    return one.isMarkup() ? one.text() : escapedText(str(one));
  };
  std::string out;
  for (const auto &[key, entry] : value.entries().items) {
    if (entry.isNone() || entry.isUndefined())
      continue;
    if (!key.isString())
      return machine.typeError("expected string or bytes-like object, got '" +
                               typeName(key) + "'");
    for (size_t at = 0; at < key.text().size();) {
      char32_t c = text::nextChar(key.text(), at);
      if (c == '/' || c == '>' || c == '=' || text::isPythonSpace(c))
        return machine.fail(
            "ValueError", "Invalid character in attribute name: " + repr(key));
    }
    out +=
        (out.empty() ? "" : " ") + escape(key) + "=\"" + escape(entry) + "\"";
  }
  bool spaced = !bound[0] || truth(*bound[0]);
  return (spaced && !out.empty() ? " " : "") + out;
}

/// What jinja2 has and no chat template uses: told when it is met.
template <const char *const *name>
static Value refused(Machine &machine, const Value &, Args &) {
  return machine.fail("", std::string("the filter '") + *name +
                              "' is not supported in chat templates");
}
static constexpr const char *kRandom = "random";
static constexpr const char *kUrlize = "urlize";

static const Filter escaping = textFilter([](const Value &value) {
  return (value.isMarkup() ? value : Value(escapedText(str(value)))).asMarkup();
});

std::span<const NamedFilter> vlmc::rt::jinja::markupFilters() {
  static const NamedFilter filters[] = {
      {"e", escaping},
      {"escape", escaping},
      {"forceescape", textFilter([](const Value &value) {
         return Value(escapedText(str(value))).asMarkup();
       })},
      {"random", refused<&kRandom>},
      {"safe", textFilter([](const Value &value) {
         return Value(str(value)).asMarkup();
       })},
      {"striptags",
       textFilter([](const Value &value) { return withoutTags(value); })},
      {"urlencode", urlEncoded},
      {"urlize", refused<&kUrlize>},
      {"xmlattr", attributes},
  };
  return filters;
}
