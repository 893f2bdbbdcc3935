//===- Filters.cpp - The filters of templates -----------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

using Filter = Value (*)(Machine &, const Value &, Args &);

static bool given(const Value *value) { return value && !value->isNone(); }

static int64_t wholeOr(Machine &machine, const Value *value,
                       int64_t otherwise) {
  if (!given(value))
    return otherwise;
  if (!value->isInteger())
    machine.typeError("expected a whole number, found " + typeName(*value));
  return value->asInteger();
}

static Value generator(std::vector<Value> items) {
  return Value::list(std::move(items), Kind::Iterator, "generator");
}

// The parts of items that filters look at.

static Value ignoreCase(const Value &value) {
  return value.isString() ? Value(text::pythonLower(value.text())) : value;
}

/// `attribute` of a filter: "a.b.0", or a number.
static Value part(Machine &machine, Value of, const Value &path,
                  const Value *otherwise) {
  auto stepInto = [&](const Value &key) {
    of = machine.item(of, key);
    if (of.isUndefined() && otherwise)
      of = *otherwise;
  };
  if (!path.isString()) {
    stepInto(path);
    return of;
  }
  std::string_view text = path.text();
  while (!machine.failed()) {
    size_t dot = std::min(text.find('.'), text.size());
    std::string name(text.substr(0, dot));
    bool number = !name.empty() && name.size() < 18 &&
                  std::all_of(
                      name.begin(), name.end(),
                      [](char c) { return c >= '0' && c <= '9'; });
    stepInto(number ? Value::integer(std::atoll(name.c_str())) : Value(name));
    if (dot == text.size())
      break;
    text = text.substr(dot + 1);
  }
  return of;
}

static std::vector<Value> keysOf(Machine &machine,
                                 const std::vector<Value> &items,
                                 const Value *path, bool caseSensitive,
                                 const Value *otherwise = nullptr) {
  std::vector<Value> keys;
  for (const Value &item : items) {
    Value key = given(path) ? part(machine, item, *path, otherwise) : item;
    keys.push_back(caseSensitive ? key : ignoreCase(key));
    if (machine.failed())
      break;
  }
  return keys;
}

/// The same for sort, which takes several paths in one text.
static std::vector<Value> sortKeysOf(Machine &machine,
                                     const std::vector<Value> &items,
                                     const Value *path, bool caseSensitive) {
  if (!given(path) || !path->isString() ||
      path->text().find(',') == std::string::npos) {
    // Lists, so that what has no order may be equal.
    std::vector<Value> keys = keysOf(machine, items, path, caseSensitive);
    for (Value &key : keys)
      key = Value::list({key});
    return keys;
  }
  std::vector<Value> keys;
  for (const Value &item : items) {
    std::vector<Value> parts;
    std::string_view text = path->text();
    for (bool last = false; !last && !machine.failed();) {
      size_t comma = std::min(text.find(','), text.size());
      Value one = part(machine, item, Value(text.substr(0, comma)), nullptr);
      parts.push_back(caseSensitive ? one : ignoreCase(one));
      last = comma == text.size();
      text = text.substr(std::min(comma + 1, text.size()));
    }
    keys.push_back(Value::list(std::move(parts)));
  }
  return keys;
}

// Numbers.

static Value absolute(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "abs", args, {}, 0).good)
    return {};
  if (value.isInteger() && value.asInteger() != INT64_MIN)
    return Value::integer(std::abs(value.asInteger()));
  if (value.is(Kind::Float))
    return Value::real(std::fabs(value.asReal()));
  return machine.typeError("bad operand type for abs(): '" + typeName(value) +
                           "'");
}

/// Reads a number as Python's float() does.
static bool readReal(std::string_view text, double &out) {
  std::string all = strip(text, nullptr, true, true);
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] == '_') {
      if (i == 0 || i + 1 >= all.size() || !std::isdigit(all[i - 1]) ||
          !std::isdigit((unsigned char)all[i + 1]))
        return false;
      all.erase(i--, 1);
    }
  if (all.empty() || all.find_first_of("xXpP(") != all.npos)
    return false;
  char *end = nullptr;
  out = std::strtod(all.c_str(), &end);
  return end == all.c_str() + all.size();
}

static bool readWhole(std::string_view text, int64_t base, int64_t &out) {
  std::string all = strip(text, nullptr, true, true);
  size_t at = all.starts_with('-') || all.starts_with('+') ? 1 : 0;
  if ((base == 16 || base == 8 || base == 2) && all.size() > at + 1 &&
      all[at] == '0') {
    char mark = char(std::tolower((unsigned char)all[at + 1]));
    if (mark == (base == 16 ? 'x' : base == 8 ? 'o' : 'b'))
      all.erase(at, 2);
  }
  for (size_t i = at; i < all.size(); ++i) {
    if (all[i] == '_' && i > at && i + 1 < all.size() && all[i - 1] != '_')
      all.erase(i--, 1);
    else if (!std::isalnum((unsigned char)all[i]))
      return false;
  }
  if (all.size() == at || base < 2 || base > 36)
    return false;
  errno = 0;
  char *end = nullptr;
  out = std::strtoll(all.c_str(), &end, int(base));
  return !errno && end == all.c_str() + all.size();
}

static Value toInteger(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "int", args, {"default", "base"}, 0);
  if (!bound.good)
    return {};
  Value otherwise = bound[0] ? *bound[0] : Value::integer(0);
  if (value.isUndefined())
    return machine.fail("UndefinedError", value.text());
  if (value.isInteger())
    return Value::integer(value.asInteger());
  int64_t whole = 0;
  if (value.isString() &&
      readWhole(value.text(), wholeOr(machine, bound[1], 10), whole))
    return Value::integer(whole);
  double real = value.asReal();
  if (value.isString() ? !readReal(value.text(), real) : !value.is(Kind::Float))
    return otherwise;
  if (!std::isfinite(real)) {
    // int(inf) itself is an error that the filter does not catch.
    return value.isString() || std::isnan(real)
               ? otherwise
               : machine.fail("OverflowError",
                              "cannot convert float infinity to integer");
  }
  if (std::fabs(real) >= 9.2e18)
    return machine.fail("OverflowError", "whole numbers have at most 64 bits");
  return Value::integer(int64_t(real));
}

static Value toReal(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "float", args, {"default"}, 0);
  if (!bound.good)
    return {};
  if (value.isUndefined())
    return machine.fail("UndefinedError", value.text());
  double real = value.isNumber() ? value.asReal() : 0;
  if (value.isNumber() || (value.isString() && readReal(value.text(), real)))
    return Value::real(real);
  return bound[0] ? *bound[0] : Value::real(0);
}

static double rounded(double value, int64_t digits) {
  if (digits > 300 || !std::isfinite(value))
    return value;
  if (digits < -300)
    return std::copysign(0.0, value);
  if (digits < 0) {
    double unit = std::pow(10.0, double(-digits));
    double scaled = value / unit;
    double whole = std::nearbyint(scaled);
    return whole * unit;
  }
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", int(digits), value);
  return std::strtod(buffer, nullptr);
}

static Value roundTo(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "round", args, {"precision", "method"}, 0);
  if (!bound.good)
    return {};
  int64_t digits = wholeOr(machine, bound[0], 0);
  std::string how = bound[1] ? str(*bound[1]) : "common";
  if (how != "common" && how != "ceil" && how != "floor")
    return machine.fail("FilterArgumentError",
                        "method must be common, ceil or floor");
  if (!value.isNumber())
    return machine.typeError("type " + typeName(value) +
                             " doesn't define __round__ method");
  if (how == "common") {
    if (value.isInteger() && digits >= 0)
      return Value::integer(value.asInteger());
    double real = rounded(value.asReal(), digits);
    return value.isInteger() ? Value::integer(int64_t(real))
                             : Value::real(real);
  }
  double unit = std::pow(10.0, double(digits)), scaled = value.asReal() * unit;
  return Value::real((how == "ceil" ? std::ceil(scaled) : std::floor(scaled)) /
                     unit);
}

static Value sum(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "sum", args, {"attribute", "start"}, 0);
  if (!bound.good)
    return {};
  Value total = bound[1] ? *bound[1] : Value::integer(0);
  if (total.isString())
    return machine.typeError("sum() can't sum strings [use ''.join(seq) "
                             "instead]");
  for (const Value &item : machine.iterate(value)) {
    Value one =
        given(bound[0]) ? part(machine, item, *bound[0], nullptr) : item;
    if (machine.failed())
      break;
    total = machine.binary("+", total, one);
  }
  return total;
}

// Sequences.

static Value count(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "length", args, {}, 0).good)
    return {};
  if (value.isString())
    return Value::integer(int64_t(length(value.text())));
  if (value.isDict())
    return Value::integer(int64_t(value.entries().items.size()));
  if (value.is(Kind::Loop))
    return Value::integer(int64_t(value.loopData()->items.size()));
  if (value.isUndefined() || (value.isItems() && !value.is(Kind::Iterator)))
    return Value::integer(int64_t(value.items().size()));
  return machine.typeError("object of type '" + typeName(value) +
                           "' has no len()");
}

static Value first(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "first", args, {}, 0).good)
    return {};
  std::vector<Value> items = machine.iterate(value);
  return items.empty() ? Value::undefined("No first item, sequence was empty.")
                       : items.front();
}

static Value last(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "last", args, {}, 0).good)
    return {};
  if (value.is(Kind::Iterator))
    return machine.typeError("'" + typeName(value) +
                             "' object is not reversible");
  std::vector<Value> items = machine.iterate(value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.")
                       : items.back();
}

static Value toList(Machine &machine, const Value &value, Args &args) {
  return bind(machine, "list", args, {}, 0).good
             ? Value::list(machine.iterate(value))
             : Value();
}

static Value joined(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "join", args, {"d", "attribute"}, 0);
  if (!bound.good)
    return {};
  std::string by = bound[0] ? str(*bound[0]) : "", out;
  bool begun = false;
  for (const Value &item : machine.iterate(value)) {
    if (begun)
      out += by;
    begun = true;
    out +=
        str(given(bound[1]) ? part(machine, item, *bound[1], nullptr) : item);
    if (machine.failed() ||
        (out.size() > (size_t(1) << 20) && !machine.room(out.size())))
      return {};
  }
  return out;
}

static Value reversed(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "reverse", args, {}, 0).good)
    return {};
  if (value.isString()) {
    std::u32string text = characters(value.text());
    std::reverse(text.begin(), text.end());
    return utf8(text);
  }
  std::vector<Value> items = machine.iterate(value);
  std::reverse(items.begin(), items.end());
  bool list = value.is(Kind::Iterator) || value.isUndefined();
  return Value::list(std::move(items), list ? Kind::List : Kind::Iterator,
                     list ? "" : "reversed");
}

static Value sorted(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "sort", args,
                     {"reverse", "case_sensitive", "attribute"}, 0);
  if (!bound.good)
    return {};
  std::vector<Value> items = machine.iterate(value);
  std::vector<Value> keys =
      sortKeysOf(machine, items, bound[2], bound[1] && truth(*bound[1]));
  if (!machine.failed())
    sortBy(machine, items, keys, bound[0] && truth(*bound[0]));
  return Value::list(std::move(items));
}

static Value sortedDict(Machine &machine, const Value &value, Args &args) {
  Bound bound =
      bind(machine, "dictsort", args, {"case_sensitive", "by", "reverse"}, 0);
  if (!bound.good)
    return {};
  std::string by = bound[1] ? str(*bound[1]) : "key";
  if (by != "key" && by != "value")
    return machine.fail("FilterArgumentError",
                        "You can only sort by either \"key\" or \"value\"");
  if (!value.isDict())
    return machine.fail(
        value.isUndefined() ? "UndefinedError" : "AttributeError",
        "'" + typeName(value) + "' object has no attribute 'items'");
  std::vector<Value> items, keys;
  for (const auto &[key, entry] : value.entries().items) {
    items.push_back(Value::tuple({key, entry}));
    const Value &one = by == "key" ? key : entry;
    keys.push_back(bound[0] && truth(*bound[0]) ? one : ignoreCase(one));
  }
  sortBy(machine, items, keys, bound[2] && truth(*bound[2]));
  return Value::list(std::move(items));
}

static Value extreme(Machine &machine, const Value &value, Args &args,
                     bool least) {
  Bound bound = bind(machine, least ? "min" : "max", args,
                     {"case_sensitive", "attribute"}, 0);
  if (!bound.good)
    return {};
  std::vector<Value> items = machine.iterate(value);
  if (items.empty())
    return Value::undefined("No aggregated item, sequence was empty.");
  std::vector<Value> keys =
      keysOf(machine, items, bound[1], bound[0] && truth(*bound[0]));
  size_t best = 0;
  for (size_t i = 1; i < items.size() && !machine.failed(); ++i)
    if (machine.compare(least ? "<" : ">", keys[i], keys[best]))
      best = i;
  return machine.failed() ? Value() : items[best];
}

static Value unique(Machine &machine, const Value &value, Args &args) {
  Bound bound =
      bind(machine, "unique", args, {"case_sensitive", "attribute"}, 0);
  if (!bound.good)
    return {};
  std::vector<Value> items = machine.iterate(value), seen, out;
  std::vector<Value> keys =
      keysOf(machine, items, bound[1], bound[0] && truth(*bound[0]));
  for (size_t i = 0; i < keys.size() && machine.step(); ++i) {
    if (keys[i].is(Kind::List) || keys[i].isDict())
      return machine.typeError("unhashable type: '" + typeName(keys[i]) + "'");
    if (std::none_of(seen.begin(), seen.end(),
                     [&](const Value &old) { return equal(old, keys[i]); })) {
      seen.push_back(keys[i]);
      out.push_back(items[i]);
    }
  }
  return generator(std::move(out));
}

static Value grouped(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "groupby", args,
                     {"attribute", "default", "case_sensitive"}, 1);
  if (!bound.good)
    return {};
  bool exact = bound[2] && truth(*bound[2]);
  const Value *otherwise = given(bound[1]) ? bound[1] : nullptr;
  std::vector<Value> items = machine.iterate(value), out, group;
  std::vector<Value> keys = keysOf(machine, items, bound[0], exact, otherwise);
  if (machine.failed())
    return {};
  sortBy(machine, items, keys, false);
  for (size_t i = 0; i < items.size() && !machine.failed(); ++i) {
    group.push_back(items[i]);
    if (i + 1 < items.size() && equal(keys[i], keys[i + 1]))
      continue;
    Value key = exact ? keys[i] : part(machine, group[0], *bound[0], otherwise);
    out.push_back(Value::list({key, Value::list(std::exchange(group, {}))},
                              Kind::Tuple, "group"));
  }
  return Value::list(std::move(out));
}

static Value batches(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "batch", args, {"linecount", "fill_with"}, 1);
  if (!bound.good)
    return {};
  int64_t size = wholeOr(machine, bound[0], 0);
  std::vector<Value> out, batch;
  for (const Value &item : machine.iterate(value)) {
    if (int64_t(batch.size()) == size)
      out.push_back(Value::list(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (given(bound[1]) && int64_t(batch.size()) < size &&
        machine.room(size_t(size), sizeof(Value)))
      batch.resize(size_t(size), *bound[1]);
    out.push_back(Value::list(std::move(batch)));
  }
  return generator(std::move(out));
}

static Value slices(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "slice", args, {"slices", "fill_with"}, 1);
  if (!bound.good)
    return {};
  int64_t count = wholeOr(machine, bound[0], 0);
  std::vector<Value> items = machine.iterate(value), out;
  if (count == 0)
    return machine.fail("ZeroDivisionError",
                        "integer division or modulo by zero");
  if (count < 0 || !machine.room(size_t(count), sizeof(ListData)))
    return generator({});
  size_t each = items.size() / size_t(count),
         more = items.size() % size_t(count);
  size_t at = 0;
  for (size_t i = 0; i < size_t(count); ++i) {
    size_t size = each + (i < more);
    std::vector<Value> slice(items.begin() + ptrdiff_t(at),
                             items.begin() + ptrdiff_t(at + size));
    at += size;
    if (given(bound[1]) && i >= more)
      slice.push_back(*bound[1]);
    out.push_back(Value::list(std::move(slice)));
  }
  return generator(std::move(out));
}

static Value items(Machine &machine, const Value &value, Args &args) {
  if (!bind(machine, "items", args, {}, 0).good)
    return {};
  if (!value.isUndefined() && !value.isDict())
    return machine.typeError("Can only get item pairs from a mapping.");
  std::vector<Value> out;
  for (const auto &[key, entry] : value.entries().items)
    out.push_back(Value::tuple({key, entry}));
  return generator(std::move(out));
}

static Value mapped(Machine &machine, const Value &value, Args &args) {
  if (!truth(value))
    return generator({});
  const Value *path = nullptr, *otherwise = nullptr;
  if (args.items.empty())
    for (const auto &[name, given] : args.named) {
      if (name == "attribute")
        path = &given;
      else if (name == "default")
        otherwise = given.isNone() ? nullptr : &given;
      else
        return machine.fail("FilterArgumentError",
                            "Unexpected keyword argument " + reprText(name));
    }
  if (!path && (args.items.empty() || !args.items[0].isString()))
    return machine.fail("FilterArgumentError",
                        "map requires a filter argument");
  std::vector<Value> out;
  for (const Value &item : machine.iterate(value)) {
    if (path) {
      out.push_back(part(machine, item, *path, otherwise));
    } else {
      Args rest{{args.items.begin() + 1, args.items.end()}, args.named};
      out.push_back(machine.filter(args.items[0].text(), item, rest));
    }
    if (!machine.step())
      break;
  }
  return generator(std::move(out));
}

static Value chosen(Machine &machine, const Value &value, Args &args,
                    bool wanted, bool byPart) {
  if (!truth(value))
    return generator({});
  size_t skip = byPart ? 1 : 0;
  if (byPart && args.items.empty())
    return machine.fail("FilterArgumentError",
                        "Missing parameter for attribute name");
  bool tested = args.items.size() > skip;
  if (tested && !args.items[skip].isString())
    return machine.typeError("expected a test's name, found " +
                             typeName(args.items[skip]));
  std::vector<Value> out;
  for (const Value &item : machine.iterate(value)) {
    Value one = byPart ? part(machine, item, args.items[0], nullptr) : item;
    bool good = truth(one);
    if (tested && !machine.failed()) {
      Args rest{{args.items.begin() + ptrdiff_t(skip) + 1, args.items.end()},
                args.named};
      good = machine.test(args.items[skip].text(), one, rest);
    }
    if (!machine.step())
      break;
    if (good == wanted)
      out.push_back(item);
  }
  return generator(std::move(out));
}

// Texts.

static std::string escapedText(std::string_view text) {
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

/// A filter of no arguments that makes text of text.
template <typename Text> static Filter textFilter(const Text &) {
  return [](Machine &machine, const Value &value, Args &args) -> Value {
    return bind(machine, "filter", args, {}, 0).good ? Value(Text()(value))
                                                     : Value();
  };
}

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

static Value orDefault(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "default", args, {"default_value", "boolean"}, 0);
  if (!bound.good)
    return {};
  bool other =
      value.isUndefined() || (bound[1] && truth(*bound[1]) && !truth(value));
  return !other ? value : bound[0] ? *bound[0] : Value("");
}

static Value attributeOf(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "attr", args, {"name"}, 1);
  if (!bound.good)
    return {};
  if (!bound[0]->isString())
    return machine.typeError("attribute name must be string, not '" +
                             typeName(*bound[0]) + "'");
  // Entries are no attributes.
  bool found = false;
  if (value.isDict()) {
    Value bound2 = method(value, bound[0]->text(), found);
    return found ? bound2
                 : Value::undefined("'dict object' has no attribute " +
                                    repr(*bound[0]));
  }
  return machine.attribute(value, bound[0]->text());
}

static Value toJsonText(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "tojson", args,
                     {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  if (!bound.good)
    return {};
  JsonStyle style;
  style.ascii = bound[0] && truth(*bound[0]);
  style.sorted = bound[3] && truth(*bound[3]);
  if (given(bound[1])) {
    style.lines = true;
    style.comma = ",";
    if (bound[1]->isString())
      style.indent = bound[1]->text();
    else
      style.indent = std::string(
          size_t(std::clamp<int64_t>(wholeOr(machine, bound[1], 0), 0, 1000)),
          ' ');
  }
  if (given(bound[2])) {
    std::vector<Value> both = machine.iterate(*bound[2]);
    if (both.size() != 2 || !both[0].isString() || !both[1].isString())
      return machine.fail("ValueError", "separators: expected two strings");
    style.comma = both[0].text();
    style.colon = both[1].text();
  }
  std::string out, fault;
  if (!toJson(value, style, out, fault))
    return machine.typeError(fault);
  return machine.room(out.size()) ? Value(out) : Value();
}

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

static const Filter escaping = textFilter([](const Value &value) {
  return (value.isMarkup() ? value : Value(escapedText(str(value)))).asMarkup();
});

static const NamedFilter filters[] = {
    {"abs", absolute},
    {"attr", attributeOf},
    {"batch", batches},
    {"capitalize",
     textFilter([](const Value &value) { return capitalize(str(value)); })},
    {"center", centered},
    {"count", count},
    {"d", orDefault},
    {"default", orDefault},
    {"dictsort", sortedDict},
    {"e", escaping},
    {"escape", escaping},
    {"first", first},
    {"float", toReal},
    {"forceescape", textFilter([](const Value &value) {
       return Value(escapedText(str(value))).asMarkup();
     })},
    {"format", formatted},
    {"groupby", grouped},
    {"indent", indented},
    {"int", toInteger},
    {"items", items},
    {"join", joined},
    {"last", last},
    {"length", count},
    {"list", toList},
    {"lower", textFilter([](const Value &value) {
       return text::pythonLower(str(value));
     })},
    {"map", mapped},
    {"max", [](Machine &m, const Value &value,
               Args &args) { return extreme(m, value, args, false); }},
    {"min", [](Machine &m, const Value &value,
               Args &args) { return extreme(m, value, args, true); }},
    {"reject", [](Machine &m, const Value &value,
                  Args &args) { return chosen(m, value, args, false, false); }},
    {"rejectattr",
     [](Machine &m, const Value &value, Args &args) {
       return chosen(m, value, args, false, true);
     }},
    {"replace", replaced},
    {"reverse", reversed},
    {"round", roundTo},
    {"safe", textFilter([](const Value &value) {
       return Value(str(value)).asMarkup();
     })},
    {"select", [](Machine &m, const Value &value,
                  Args &args) { return chosen(m, value, args, true, false); }},
    {"selectattr",
     [](Machine &m, const Value &value, Args &args) {
       return chosen(m, value, args, true, true);
     }},
    {"slice", slices},
    {"sort", sorted},
    {"string", textFilter([](const Value &value) {
       return value.isMarkup() ? value : Value(str(value));
     })},
    {"sum", sum},
    {"title", textFilter([](const Value &value) { return titled(value); })},
    {"tojson", toJsonText},
    {"trim", trimmed},
    {"truncate", truncated},
    {"unique", unique},
    {"upper", textFilter([](const Value &value) { return upper(str(value)); })},
    {"urlencode", urlEncoded},
    {"wordcount",
     textFilter([](const Value &value) { return wordCount(value); })},
};

static const NamedFilter *findFilter(std::string_view name) {
  auto *found = std::find_if(std::begin(filters), std::end(filters),
                             [&](auto &known) { return known.name == name; });
  return found == std::end(filters) ? nullptr : found;
}

bool vlmc::rt::jinja::isFilter(std::string_view name) {
  return findFilter(name) != nullptr;
}

Value vlmc::rt::jinja::callFilter(Machine &machine, const std::string &name,
                                  const Value &value, Args &args, bool &known) {
  const NamedFilter *found = findFilter(name);
  known = found != nullptr;
  return known ? found->filter(machine, value, args) : Value();
}
