//===- SequenceFilters.cpp - Filters of sequences ----------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>
#include <cstdlib>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

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

Value vlmc::rt::jinja::count(Machine &machine, const Value &value, Args &args) {
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

std::span<const NamedFilter> vlmc::rt::jinja::sequenceFilters() {
  static const NamedFilter filters[] = {
      {"batch", batches},
      {"count", count},
      {"dictsort", sortedDict},
      {"first", first},
      {"groupby", grouped},
      {"items", items},
      {"join", joined},
      {"last", last},
      {"length", count},
      {"list", toList},
      {"map", mapped},
      {"max", [](Machine &m, const Value &value,
                 Args &args) { return extreme(m, value, args, false); }},
      {"min", [](Machine &m, const Value &value,
                 Args &args) { return extreme(m, value, args, true); }},
      {"reject",
       [](Machine &m, const Value &value, Args &args) {
         return chosen(m, value, args, false, false);
       }},
      {"rejectattr",
       [](Machine &m, const Value &value, Args &args) {
         return chosen(m, value, args, false, true);
       }},
      {"reverse", reversed},
      {"select",
       [](Machine &m, const Value &value, Args &args) {
         return chosen(m, value, args, true, false);
       }},
      {"selectattr",
       [](Machine &m, const Value &value, Args &args) {
         return chosen(m, value, args, true, true);
       }},
      {"slice", slices},
      {"sort", sorted},
      {"sum", sum},
      {"unique", unique},
  };
  return filters;
}
