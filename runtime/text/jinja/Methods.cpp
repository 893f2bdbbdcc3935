//===- Methods.cpp - Methods of strings, lists, tuples and dicts ----------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

using Method = Value (*)(Machine &, const Value &, Args &);

static Value texts(std::vector<std::string> parts) {
  std::vector<Value> items;
  for (std::string &part : parts)
    items.emplace_back(std::move(part));
  return Value::list(std::move(items));
}

/// A string argument, or null with a failure.
static const std::string *textOf(Machine &machine, const Value *value) {
  if (value && value->isString())
    return &value->text();
  if (value)
    machine.typeError("expected a string, found " + typeName(*value));
  return nullptr;
}

/// A whole number argument.
static int64_t wholeOf(Machine &machine, const Value *value,
                       int64_t otherwise) {
  if (!value)
    return otherwise;
  if (!value->isInteger())
    machine.typeError("'" + typeName(*value) +
                      "' object cannot be interpreted as an integer");
  return value->asInteger();
}

static Value stripped(Machine &machine, const Value &self, Args &args,
                      const char *name, bool left, bool right) {
  Bound bound = bind(machine, name, args, {"/chars"}, 0);
  if (!bound.good)
    return {};
  if (bound[0] && !bound[0]->isNone() && !textOf(machine, bound[0]))
    return {};
  return strip(self.text(), bound[0], left, right);
}

/// Splits at white space, from the left.
static std::vector<std::string> splitSpace(std::string_view text,
                                           int64_t limit) {
  std::vector<std::string> out;
  size_t at = 0;
  auto isSpace = [&](size_t from, size_t &behind) {
    behind = from;
    return text::isPythonSpace(text::nextChar(text, behind));
  };
  for (size_t behind = 0;;) {
    while (at < text.size() && isSpace(at, behind))
      at = behind;
    if (at >= text.size())
      return out;
    if (limit >= 0 && int64_t(out.size()) == limit) {
      out.push_back(strip(text.substr(at), nullptr, false, true));
      return out;
    }
    size_t end = at;
    while (end < text.size() && !isSpace(end, behind))
      end = behind;
    out.emplace_back(text.substr(at, end - at));
    at = end;
  }
}

static std::vector<std::string> splitSpaceRight(std::string_view text,
                                                int64_t limit) {
  std::vector<std::string> out;
  size_t at = text.size();
  auto isSpace = [&](size_t from) {
    return text::isPythonSpace(text::nextChar(text, from));
  };
  while (true) {
    while (at > 0 && isSpace(text::previousChar(text, at)))
      at = text::previousChar(text, at);
    if (at == 0)
      break;
    if (limit >= 0 && int64_t(out.size()) == limit) {
      out.push_back(strip(text.substr(0, at), nullptr, true, false));
      break;
    }
    size_t begin = at;
    while (begin > 0 && !isSpace(text::previousChar(text, begin)))
      begin = text::previousChar(text, begin);
    out.emplace_back(text.substr(begin, at - begin));
    at = begin;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

static Value split(Machine &machine, const Value &self, Args &args,
                   bool right) {
  Bound bound =
      bind(machine, right ? "rsplit" : "split", args, {"sep", "maxsplit"}, 0);
  if (!bound.good)
    return {};
  int64_t limit = wholeOf(machine, bound[1], -1);
  std::string_view text = self.text();
  if (!bound[0] || bound[0]->isNone())
    return texts(right ? splitSpaceRight(text, limit)
                       : splitSpace(text, limit));
  const std::string *sep = textOf(machine, bound[0]);
  if (!sep)
    return {};
  if (sep->empty())
    return machine.fail("ValueError", "empty separator");
  std::vector<std::string> out;
  while (limit < 0 || int64_t(out.size()) < limit) {
    size_t at = right ? text.rfind(*sep) : text.find(*sep);
    if (at == text.npos)
      break;
    out.emplace_back(right ? text.substr(at + sep->size())
                           : text.substr(0, at));
    text = right ? text.substr(0, at) : text.substr(at + sep->size());
  }
  out.emplace_back(text);
  if (right)
    std::reverse(out.begin(), out.end());
  return texts(std::move(out));
}

static Value partition(Machine &machine, const Value &self, Args &args,
                       bool right) {
  Bound bound = bind(machine, "partition", args, {"/sep"}, 1);
  const std::string *sep = bound.good ? textOf(machine, bound[0]) : nullptr;
  if (!sep)
    return {};
  if (sep->empty())
    return machine.fail("ValueError", "empty separator");
  const std::string &text = self.text();
  size_t at = right ? text.rfind(*sep) : text.find(*sep);
  if (at == text.npos)
    return right ? Value::tuple({"", "", text}) : Value::tuple({text, "", ""});
  return Value::tuple(
      {text.substr(0, at), *sep, text.substr(at + sep->size())});
}

/// The part of a text that `start` and `end` of a method name; false if it lies
/// beyond the text.
static bool window(Machine &machine, const Value &self, const Value *from,
                   const Value *to, std::u32string &part, int64_t &begin) {
  std::u32string all = characters(self.text());
  int64_t count = int64_t(all.size());
  auto given = [](const Value *value) { return value && !value->isNone(); };
  begin = given(from) ? wholeOf(machine, from, 0) : 0;
  int64_t end = given(to) ? wholeOf(machine, to, 0) : count;
  if (end > count)
    end = count;
  if (end < 0)
    end = std::max<int64_t>(end + count, 0);
  if (begin < 0)
    begin = std::max<int64_t>(begin + count, 0);
  if (begin > end)
    return false;
  part = all.substr(size_t(begin), size_t(end - begin));
  return true;
}

static Value startsOrEnds(Machine &machine, const Value &self, Args &args,
                          bool starts) {
  const char *name = starts ? "startswith" : "endswith";
  Bound bound = bind(machine, name, args, {"/prefix", "/start", "/end"}, 1);
  if (!bound.good)
    return {};
  std::vector<Value> wanted = bound[0]->is(Kind::Tuple)
                                  ? bound[0]->items()
                                  : std::vector<Value>{*bound[0]};
  std::u32string part;
  int64_t begin = 0;
  bool inside = window(machine, self, bound[1], bound[2], part, begin);
  for (const Value &one : wanted) {
    if (!one.isString())
      return machine.typeError(
          std::string(name) + " first arg must be str or a tuple of str, not " +
          typeName(one));
    std::u32string text = characters(one.text());
    if (inside && (starts ? part.starts_with(text) : part.ends_with(text)))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

/// find, rfind, index, rindex and count.
static Value search(Machine &machine, const Value &self, Args &args,
                    const char *name, bool right, bool mustFind, bool counts) {
  Bound bound = bind(machine, name, args, {"/sub", "/start", "/end"}, 1);
  const std::string *sub = bound.good ? textOf(machine, bound[0]) : nullptr;
  if (!sub)
    return {};
  std::u32string part, wanted = characters(*sub);
  int64_t begin = 0;
  bool inside = window(machine, self, bound[1], bound[2], part, begin);
  if (counts) {
    if (!inside)
      return Value::integer(0);
    if (wanted.empty())
      return Value::integer(int64_t(part.size()) + 1);
    int64_t count = 0;
    for (size_t at = 0; (at = part.find(wanted, at)) != part.npos;
         at += wanted.size())
      ++count;
    return Value::integer(count);
  }
  size_t at = !inside ? part.npos
              : right ? part.rfind(wanted)
                      : part.find(wanted);
  if (at != part.npos)
    return Value::integer(begin + int64_t(at));
  return mustFind ? machine.fail("ValueError", "substring not found")
                  : Value::integer(-1);
}

/// ljust, rjust and center.
static Value padded(Machine &machine, const Value &self, Args &args,
                    const char *name, bool left, bool right) {
  Bound bound = bind(machine, name, args, {"/width", "/fillchar"}, 1);
  if (!bound.good)
    return {};
  int64_t width = wholeOf(machine, bound[0], 0);
  std::string fill = bound[1] ? str(*bound[1]) : " ";
  if (length(fill) != 1 || (bound[1] && !bound[1]->isString()))
    return machine.typeError(
        "The fill character must be exactly one character long");
  int64_t missing = width - int64_t(length(self.text()));
  if (missing <= 0 || !machine.room(size_t(missing), fill.size()))
    return self.text();
  // Where a blank is left over, center has it on the left of an odd width.
  int64_t before = !left    ? 0
                   : !right ? missing
                            : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < before; ++i)
    out += fill;
  out += self.text();
  for (int64_t i = before; i < missing; ++i)
    out += fill;
  return out;
}

static Value join(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "join", args, {"/iterable"}, 1);
  if (!bound.good)
    return {};
  std::string out;
  bool first = true;
  int64_t number = 0;
  for (const Value &item : machine.iterate(*bound[0])) {
    if (!item.isString())
      return machine.typeError("sequence item " + std::to_string(number) +
                               ": expected str instance, " + typeName(item) +
                               " found");
    if (!first)
      out += self.text();
    first = false;
    out += item.text();
    ++number;
    if (out.size() > (size_t(1) << 20) && !machine.room(out.size()))
      return {};
  }
  return out;
}

static Value replace(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "replace", args, {"/old", "/new", "count"}, 2);
  if (!bound.good)
    return {};
  const std::string *from = textOf(machine, bound[0]);
  const std::string *to = textOf(machine, bound[1]);
  int64_t count = wholeOf(machine, bound[2], -1);
  return from && to
             ? Value(replaceText(machine, self.text(), *from, *to, count))
             : Value();
}

/// Title case as str.title has it: a letter behind another is in lower case.
static std::string titled(std::string_view text) {
  std::string out;
  bool inWord = false;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    char32_t c = text::nextChar(text, at);
    std::string one(text.substr(begin, at - begin));
    std::string lower = text::pythonLower(one);
    out += inWord ? lower : capitalize(one);
    std::string_view category =
        text::categoryName(text::charClass(text::charClassId(c)).category);
    inWord = category == "Lu" || category == "Ll" || category == "Lt" ||
             lower != one || upper(one) != one;
  }
  return out;
}

static std::string swapped(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    text::nextChar(text, at);
    std::string_view one = text.substr(begin, at - begin);
    out += isUpper(one) ? text::pythonLower(one) : upper(one);
  }
  return out;
}

template <typename Test> static Value all(const Value &self, const Test &test) {
  const std::string &text = self.text();
  bool good = !text.empty();
  for (size_t at = 0; at < text.size() && good;) {
    char32_t c = text::nextChar(text, at);
    good = test(
        text::categoryName(text::charClass(text::charClassId(c)).category), c);
  }
  return Value::boolean(good);
}

static bool isDigitCharacter(std::string_view category, char32_t c) {
  return category == "Nd" || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
         c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
         (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468);
}

static Value removed(Machine &machine, const Value &self, Args &args,
                     bool prefix) {
  Bound bound = bind(machine, prefix ? "removeprefix" : "removesuffix", args,
                     {"/affix"}, 1);
  const std::string *affix = bound.good ? textOf(machine, bound[0]) : nullptr;
  if (!affix)
    return {};
  const std::string &text = self.text();
  if (prefix ? !text.starts_with(*affix) : !text.ends_with(*affix))
    return text;
  return prefix ? text.substr(affix->size())
                : text.substr(0, text.size() - affix->size());
}

static Value zeroFilled(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "zfill", args, {"/width"}, 1);
  if (!bound.good)
    return {};
  int64_t missing =
      wholeOf(machine, bound[0], 0) - int64_t(length(self.text()));
  if (missing <= 0 || !machine.room(size_t(missing)))
    return self.text();
  std::string text = self.text();
  bool sign = text.starts_with('-') || text.starts_with('+');
  return text.insert(sign ? 1 : 0, size_t(missing), '0');
}

template <typename Text> static Method plain(const Text &) {
  return [](Machine &machine, const Value &self, Args &args) -> Value {
    return bind(machine, "method", args, {}, 0).good ? Value(Text()(self))
                                                     : Value();
  };
}

static Value lines(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "splitlines", args, {"keepends"}, 0);
  return bound.good
             ? texts(splitLines(self.text(), bound[0] && truth(*bound[0])))
             : Value();
}

struct NamedMethod {
  std::string_view name;
  Method method;
};

static const NamedMethod textMethods[] = {
    {"capitalize",
     plain([](const Value &self) { return capitalize(self.text()); })},
    {"casefold",
     plain([](const Value &self) { return text::pythonLower(self.text()); })},
    {"center",
     [](Machine &m, const Value &self, Args &args) {
       return padded(m, self, args, "center", true, true);
     }},
    {"count",
     [](Machine &m, const Value &self, Args &args) {
       return search(m, self, args, "count", false, false, true);
     }},
    {"endswith", [](Machine &m, const Value &self,
                    Args &args) { return startsOrEnds(m, self, args, false); }},
    {"find",
     [](Machine &m, const Value &self, Args &args) {
       return search(m, self, args, "find", false, false, false);
     }},
    {"format", [](Machine &m, const Value &self,
                  Args &args) { return braceFormat(m, self.text(), args); }},
    {"index",
     [](Machine &m, const Value &self, Args &args) {
       return search(m, self, args, "index", false, true, false);
     }},
    {"isalnum", plain([](const Value &self) {
       return all(self, [](std::string_view category, char32_t c) {
         return category[0] == 'L' || category[0] == 'N' ||
                isDigitCharacter(category, c);
       });
     })},
    {"isalpha", plain([](const Value &self) {
       return all(self, [](std::string_view category, char32_t) {
         return category[0] == 'L';
       });
     })},
    {"isascii", plain([](const Value &self) {
       return Value::boolean(
           std::all_of(self.text().begin(), self.text().end(),
                       [](char c) { return (unsigned char)c < 128; }));
     })},
    {"isdecimal", plain([](const Value &self) {
       return all(self, [](std::string_view category, char32_t) {
         return category == "Nd";
       });
     })},
    {"isdigit",
     plain([](const Value &self) { return all(self, isDigitCharacter); })},
    {"islower", plain([](const Value &self) {
       return Value::boolean(isLower(self.text()));
     })},
    {"isnumeric", plain([](const Value &self) {
       return all(self, [](std::string_view category, char32_t) {
         return category[0] == 'N';
       });
     })},
    {"isspace", plain([](const Value &self) {
       return all(self, [](std::string_view, char32_t c) {
         return text::isPythonSpace(c);
       });
     })},
    {"istitle", plain([](const Value &self) {
       const std::string &text = self.text();
       return Value::boolean(titled(text) == text &&
                             (isUpper(upper(text)) || isLower(text)));
     })},
    {"isupper", plain([](const Value &self) {
       return Value::boolean(isUpper(self.text()));
     })},
    {"join", join},
    {"ljust",
     [](Machine &m, const Value &self, Args &args) {
       return padded(m, self, args, "ljust", false, true);
     }},
    {"lower",
     plain([](const Value &self) { return text::pythonLower(self.text()); })},
    {"lstrip",
     [](Machine &m, const Value &self, Args &args) {
       return stripped(m, self, args, "lstrip", true, false);
     }},
    {"partition", [](Machine &m, const Value &self,
                     Args &args) { return partition(m, self, args, false); }},
    {"removeprefix", [](Machine &m, const Value &self,
                        Args &args) { return removed(m, self, args, true); }},
    {"removesuffix", [](Machine &m, const Value &self,
                        Args &args) { return removed(m, self, args, false); }},
    {"replace", replace},
    {"rfind",
     [](Machine &m, const Value &self, Args &args) {
       return search(m, self, args, "rfind", true, false, false);
     }},
    {"rindex",
     [](Machine &m, const Value &self, Args &args) {
       return search(m, self, args, "rindex", true, true, false);
     }},
    {"rjust",
     [](Machine &m, const Value &self, Args &args) {
       return padded(m, self, args, "rjust", true, false);
     }},
    {"rpartition", [](Machine &m, const Value &self,
                      Args &args) { return partition(m, self, args, true); }},
    {"rsplit", [](Machine &m, const Value &self,
                  Args &args) { return split(m, self, args, true); }},
    {"rstrip",
     [](Machine &m, const Value &self, Args &args) {
       return stripped(m, self, args, "rstrip", false, true);
     }},
    {"split", [](Machine &m, const Value &self,
                 Args &args) { return split(m, self, args, false); }},
    {"splitlines", lines},
    {"startswith",
     [](Machine &m, const Value &self, Args &args) {
       return startsOrEnds(m, self, args, true);
     }},
    {"strip",
     [](Machine &m, const Value &self, Args &args) {
       return stripped(m, self, args, "strip", true, true);
     }},
    {"swapcase", plain([](const Value &self) { return swapped(self.text()); })},
    {"title", plain([](const Value &self) { return titled(self.text()); })},
    {"upper", plain([](const Value &self) { return upper(self.text()); })},
    {"zfill", zeroFilled},
};

static Value dictGet(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "get", args, {"/key", "/default"}, 1);
  if (!bound.good)
    return {};
  if (bound[0]->is(Kind::List) || bound[0]->isDict())
    return machine.typeError("unhashable type: '" + typeName(*bound[0]) + "'");
  if (const Value *found = self.get(*bound[0]))
    return *found;
  return bound[1] ? *bound[1] : Value::none();
}

static std::vector<Value> entriesOf(const Value &self, bool keys, bool values) {
  std::vector<Value> out;
  for (const auto &[key, value] : self.entries().items)
    out.push_back(keys && values ? Value::tuple({key, value})
                  : keys         ? key
                                 : value);
  return out;
}

static const NamedMethod dictMethods[] = {
    {"copy", plain([](const Value &self) { return self; })},
    {"get", dictGet},
    {"items", plain([](const Value &self) {
       return Value::list(entriesOf(self, true, true), Kind::View,
                          "dict_items");
     })},
    {"keys", plain([](const Value &self) {
       return Value::list(entriesOf(self, true, false), Kind::View,
                          "dict_keys");
     })},
    {"values", plain([](const Value &self) {
       return Value::list(entriesOf(self, false, true), Kind::View,
                          "dict_values");
     })},
};

static Value itemIndex(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "index", args, {"/value"}, 1);
  if (!bound.good)
    return {};
  for (size_t i = 0; i < self.items().size(); ++i)
    if (equal(self.items()[i], *bound[0]))
      return Value::integer(int64_t(i));
  return machine.fail("ValueError", repr(*bound[0]) + " is not in list");
}

static Value itemCount(Machine &machine, const Value &self, Args &args) {
  Bound bound = bind(machine, "count", args, {"/value"}, 1);
  if (!bound.good)
    return {};
  return Value::integer(
      std::count_if(self.items().begin(), self.items().end(),
                    [&](const Value &item) { return equal(item, *bound[0]); }));
}

static const NamedMethod itemMethods[] = {
    {"copy", plain([](const Value &self) { return self; })},
    {"count", itemCount},
    {"index", itemIndex},
};

static bool isMutator(const Value &value, std::string_view name) {
  static constexpr std::string_view ofList[] = {"append",  "clear", "extend",
                                                "insert",  "pop",   "remove",
                                                "reverse", "sort"},
                                    ofDict[] = {"clear", "pop", "popitem",
                                                "setdefault", "update"};
  if (value.is(Kind::List))
    return std::find(std::begin(ofList), std::end(ofList), name) !=
           std::end(ofList);
  return value.isDict() && std::find(std::begin(ofDict), std::end(ofDict),
                                     name) != std::end(ofDict);
}

template <size_t count>
static Value found(const NamedMethod (&methods)[count], const Value &value,
                   const std::string &name, bool &isFound) {
  for (const NamedMethod &known : methods) {
    if (known.name != name)
      continue;
    isFound = true;
    Method method = known.method;
    return Value::function(name, [value, method](Machine &machine, Args &args) {
      return method(machine, value, args);
    });
  }
  return {};
}

Value vlmc::rt::jinja::method(const Value &value, const std::string &name,
                              bool &isFound) {
  isFound = isMutator(value, name);
  if (isFound)
    return Value::undefined("access to attribute " + reprText(name) + " of " +
                            reprText(typeName(value)) + " object is unsafe.");
  if (value.isString())
    return found(textMethods, value, name, isFound);
  if (value.isDict())
    return found(dictMethods, value, name, isFound);
  if (value.is(Kind::List) || value.is(Kind::Tuple))
    return found(itemMethods, value, name, isFound);
  return {};
}
