//===- Tests.cpp - Tests and global functions of templates ----------------===//
#include "runtime/text/jinja/Machine.h"

#include <algorithm>
#include <iterator>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

// Tests that take no argument, and the others, which take one.
static constexpr std::string_view
    plainTests[] = {"boolean",  "callable", "defined", "escaped", "even",
                    "false",    "filter",   "float",   "integer", "iterable",
                    "lower",    "mapping",  "none",    "number",  "odd",
                    "sequence", "string",   "test",    "true",    "undefined",
                    "upper"},
    pairTests[] = {"!=",          "<",           "<=",    "==",      ">",
                   ">=",          "divisibleby", "eq",    "equalto", "ge",
                   "greaterthan", "gt",          "in",    "le",      "lessthan",
                   "lt",          "ne",          "sameas"};

template <size_t count>
static bool among(const std::string_view (&names)[count],
                  std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool vlmc::rt::jinja::isTest(std::string_view name) {
  return among(plainTests, name) || among(pairTests, name);
}

static bool remainderIs(Machine &machine, const Value &value,
                        const Value &divisor, int64_t wanted) {
  Value rest = machine.binary("%", value, divisor);
  return !machine.failed() && equal(rest, Value::integer(wanted));
}

static bool sameAs(const Value &left, const Value &right) {
  if (left.kind() != right.kind())
    return false;
  if (left.identity() || right.identity())
    return left.identity() == right.identity();
  return equal(left, right);
}

static bool isIterable(const Value &value) {
  return value.isUndefined() || value.isString() || value.isDict() ||
         value.isItems() || value.is(Kind::Loop);
}

static bool isSequence(const Value &value) {
  return value.isUndefined() || value.isString() || value.isDict() ||
         value.is(Kind::List) || value.is(Kind::Tuple) || value.is(Kind::Range);
}

/// Fails for what Python looks up in no set.
static bool isHashable(Machine &machine, const Value &value) {
  if (value.is(Kind::List) || value.isDict())
    machine.typeError("unhashable type: '" + typeName(value) + "'");
  return !machine.failed();
}

static bool plainTest(Machine &machine, std::string_view name,
                      const Value &value) {
  switch (name[0]) {
  case 'b':
    return value.is(Kind::Bool);
  case 'c':
    // Undefined has a __call__, which raises.
    return value.is(Kind::Function) || value.is(Kind::Loop) ||
           value.isUndefined();
  case 'd':
    return !value.isUndefined();
  case 'e':
    return name == "escaped"
               ? value.isMarkup()
               : remainderIs(machine, value, Value::integer(2), 0);
  case 'f':
    if (name == "filter")
      return isHashable(machine, value) && value.isString() &&
             isFilter(value.text());
    return name == "false" ? value.is(Kind::Bool) && !value.asInteger()
                           : value.is(Kind::Float);
  case 'i':
    return name == "integer" ? value.is(Kind::Int) : isIterable(value);
  case 'l':
    return isLower(str(value));
  case 'm':
    return value.isDict();
  case 'n':
    return name == "none" ? value.isNone() : value.isNumber();
  case 'o':
    return remainderIs(machine, value, Value::integer(2), 1);
  case 's':
    return name == "string" ? value.isString() : isSequence(value);
  case 't':
    if (name == "true")
      return value.is(Kind::Bool) && value.asInteger();
    return isHashable(machine, value) && value.isString() &&
           isTest(value.text());
  default:
    return name == "upper" ? isUpper(str(value)) : value.isUndefined();
  }
}

static bool pairTest(Machine &machine, std::string_view name,
                     const Value &value, const Value &other) {
  if (name == "sameas")
    return sameAs(value, other);
  if (name == "divisibleby")
    return remainderIs(machine, value, other, 0);
  static constexpr std::string_view operators[][2] = {
      {"eq", "=="}, {"equalto", "=="},    {"ne", "!="},
      {"gt", ">"},  {"greaterthan", ">"}, {"ge", ">="},
      {"lt", "<"},  {"lessthan", "<"},    {"le", "<="}};
  for (const auto &[word, symbol] : operators)
    if (name == word)
      name = symbol;
  return machine.compare(name, value, other);
}

bool vlmc::rt::jinja::callTest(Machine &machine, const std::string &name,
                               const Value &value, Args &args, bool &known) {
  bool plain = among(plainTests, name);
  known = plain || among(pairTests, name);
  if (!known)
    return false;
  if (plain)
    return bind(machine, name, args, {}, 0).good &&
           plainTest(machine, name, value);
  Bound bound = bind(machine, name, args,
                     {name == "divisibleby" ? "num"
                      : name == "in"        ? "seq"
                                            : "other"},
                     1);
  return bound.good && pairTest(machine, name, value, *bound[0]);
}

// Functions.

static Value makeRange(Machine &machine, Args &args) {
  Bound bound = bind(machine, "range", args, {"/start", "/stop", "/step"}, 1);
  if (!bound.good)
    return {};
  for (size_t i = 0; i < args.items.size(); ++i)
    if (!bound[i]->isInteger())
      return machine.typeError("'" + typeName(*bound[i]) +
                               "' object cannot be interpreted as an integer");
  int64_t from = bound[1] ? bound[0]->asInteger() : 0;
  int64_t to = (bound[1] ? bound[1] : bound[0])->asInteger();
  int64_t by = bound[2] ? bound[2]->asInteger() : 1;
  if (by == 0)
    return machine.fail("ValueError", "range() arg 3 must not be zero");
  constexpr size_t maxItems = 100000; // Jinja2's sandbox has the same
  std::vector<Value> items;
  for (int64_t at = from; by > 0 ? at < to : at > to;) {
    if (items.size() == maxItems)
      return machine.fail("OverflowError",
                          "Range too big. The sandbox blocks ranges larger "
                          "than MAX_RANGE (100000).");
    items.push_back(Value::integer(at));
    if (__builtin_add_overflow(at, by, &at))
      break;
  }
  std::string text = "range(" + std::to_string(from) + ", " +
                     std::to_string(to) +
                     (by == 1 ? "" : ", " + std::to_string(by)) + ")";
  return Value::list(std::move(items), Kind::Range, text);
}

/// Entries of a dict or namespace: of a mapping, of pairs, by name.
static Value fill(Machine &machine, Value out, Args &args) {
  if (args.items.size() > 1)
    return machine.typeError("dict expected at most 1 argument, got " +
                             std::to_string(args.items.size()));
  auto add = [&](const Value &key, const Value &value) {
    if (out.is(Kind::Namespace) && key.isString() &&
        key.text().starts_with('_'))
      machine.fail("SecurityError",
                   "Chat templates cannot store underscore-prefixed "
                   "attributes on a namespace, but got " +
                       repr(key) + ". Please rename the attribute.");
    if (key.is(Kind::List) || key.isDict())
      machine.typeError("unhashable type: '" + typeName(key) + "'");
    out.set(key, value);
  };
  if (!args.items.empty() && args.items[0].isDict()) {
    for (const auto &[key, value] : args.items[0].entries().items)
      add(key, value);
  } else if (!args.items.empty()) {
    if (args.items[0].isUndefined())
      return out;
    for (const Value &pair : machine.iterate(args.items[0])) {
      std::vector<Value> both = machine.iterate(pair);
      if (both.size() != 2)
        return machine.fail("ValueError",
                            "dictionary update sequence: expected pairs");
      add(both[0], both[1]);
    }
  }
  for (const auto &[name, value] : args.named)
    add(Value(name), value);
  return out;
}

static Value makeCycler(Machine &machine, Args &args) {
  if (args.items.empty() || !args.named.empty())
    return machine.fail("RuntimeError", "at least one item has to be provided");
  auto data = std::make_shared<LoopData>();
  data->items = args.items;
  return Value::loop(std::move(data), Kind::Cycler);
}

static Value makeJoiner(Machine &machine, Args &args) {
  Bound bound = bind(machine, "joiner", args, {"sep"}, 0);
  if (!bound.good)
    return {};
  Value sep = bound[0] ? *bound[0] : Value(", ");
  auto used = std::make_shared<bool>(false);
  return Value::function("joiner", [sep, used](Machine &, Args &) {
    return std::exchange(*used, true) ? sep : Value("");
  });
}

static Value raise(Machine &machine, Args &args) {
  Bound bound = bind(machine, "raise_exception", args, {"message"}, 1);
  return bound.good ? machine.fail("", str(*bound[0])) : Value();
}

static Value now(Machine &machine, Args &args) {
  Bound bound = bind(machine, "strftime_now", args, {"format"}, 1);
  if (!bound.good)
    return {};
  if (!bound[0]->isString() || bound[0]->text().size() > 1000)
    return machine.typeError("strftime_now: expected a format of at most 1000 "
                             "characters");
  std::tm when{};
  if (machine.limits().now) {
    when = *machine.limits().now;
  } else {
    std::time_t clock = std::time(nullptr);
    localtime_r(&clock, &when);
  }
  if (bound[0]->text().empty())
    return Value("");
  // Each conversion is shorter than this.
  std::string out(bound[0]->text().size() * 64, '\0');
  out.resize(
      std::strftime(out.data(), out.size(), bound[0]->text().c_str(), &when));
  return out;
}

/// Random words, which a chat template has no use for.
static Value refuseWords(Machine &machine, Args &) {
  return machine.fail("", "the function 'lipsum' is not supported in chat "
                          "templates");
}

const Value *vlmc::rt::jinja::globalFunction(const std::string &name) {
  static const std::pair<std::string_view, Value> functions[] = {
      {"cycler", Value::function("cycler", makeCycler)},
      {"dict", Value::function("dict",
                               [](Machine &machine, Args &args) {
                                 return fill(machine, Value::dict(), args);
                               })},
      {"joiner", Value::function("joiner", makeJoiner)},
      {"lipsum", Value::function("lipsum", refuseWords)},
      {"namespace", Value::function("namespace",
                                    [](Machine &machine, Args &args) {
                                      return fill(machine, machine.nameSpace(),
                                                  args);
                                    })},
      {"raise_exception", Value::function("raise_exception", raise)},
      {"range", Value::function("range", makeRange)},
      {"strftime_now", Value::function("strftime_now", now)},
  };
  for (const auto &[known, function] : functions)
    if (known == name)
      return &function;
  return nullptr;
}
