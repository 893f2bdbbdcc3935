//===- Operators.cpp - Arithmetic, comparing, looking up ------------------===//
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"

#include <algorithm>
#include <cmath>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

static Value overflow(Machine &machine) {
  return machine.fail("OverflowError", "whole numbers have at most 64 bits");
}

static double floorMod(double left, double right) {
  double rest = std::fmod(left, right);
  if (rest == 0)
    return std::copysign(0.0, right);
  return (rest < 0) != (right < 0) ? rest + right : rest;
}

static double floorDivide(double left, double right) {
  double rest = std::fmod(left, right);
  double quotient = (left - rest) / right;
  if (rest != 0 && (right < 0) != (rest < 0))
    quotient -= 1;
  if (quotient == 0)
    return std::copysign(0.0, left / right);
  double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

static Value realPower(Machine &machine, double left, double right) {
  if (left == 0 && right < 0)
    return machine.fail("ZeroDivisionError", "zero to a negative power");
  double value = std::pow(left, right);
  if (std::isnan(value) && !std::isnan(left) && !std::isnan(right))
    return machine.typeError("complex numbers are not supported");
  if (std::isinf(value) && !std::isinf(left) && !std::isinf(right))
    return machine.fail("OverflowError", "Numerical result out of range");
  return Value::real(value);
}

static Value power(Machine &machine, int64_t base, int64_t exponent) {
  if (exponent < 0)
    return realPower(machine, double(base), double(exponent));
  int64_t result = 1;
  while (exponent) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
      return overflow(machine);
    exponent >>= 1;
    if (exponent && __builtin_mul_overflow(base, base, &base))
      return overflow(machine);
  }
  return Value::integer(result);
}

static Value unsupported(Machine &machine, std::string_view symbol,
                         const Value &left, const Value &right) {
  for (const Value *value : {&left, &right})
    if (value->isUndefined())
      return machine.fail("UndefinedError", value->text());
  return machine.typeError("unsupported operand type(s) for " +
                           std::string(symbol) + ": '" + typeName(left) +
                           "' and '" + typeName(right) + "'");
}

static Value wholeArithmetic(Machine &machine, std::string_view symbol,
                             int64_t left, int64_t right) {
  int64_t result = 0;
  bool bad = false;
  if (symbol == "**")
    return power(machine, left, right);
  if (symbol == "+")
    bad = __builtin_add_overflow(left, right, &result);
  else if (symbol == "-")
    bad = __builtin_sub_overflow(left, right, &result);
  else if (symbol == "*")
    bad = __builtin_mul_overflow(left, right, &result);
  else if (right == 0)
    return machine.fail("ZeroDivisionError", "division by zero");
  else if (symbol == "/")
    return Value::real(double(left) / double(right));
  else if (left == INT64_MIN && right == -1)
    return symbol == "%" ? Value::integer(0) : overflow(machine);
  else if (symbol == "//")
    result =
        left / right - ((left % right != 0) && ((left < 0) != (right < 0)));
  else
    result = (left % right + right) % right;
  return bad ? overflow(machine) : Value::integer(result);
}

static Value realArithmetic(Machine &machine, std::string_view symbol,
                            double left, double right) {
  if (symbol == "+")
    return Value::real(left + right);
  if (symbol == "-")
    return Value::real(left - right);
  if (symbol == "*")
    return Value::real(left * right);
  if (symbol == "**")
    return realPower(machine, left, right);
  if (right == 0)
    return machine.fail("ZeroDivisionError", "division by zero");
  if (symbol == "/")
    return Value::real(left / right);
  return Value::real(symbol == "//" ? floorDivide(left, right)
                                    : floorMod(left, right));
}

static std::string escaped(const Value &value) {
  if (value.isMarkup())
    return value.text();
  std::string out;
  for (char c : value.text())
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '"':
      out += "&#34;";
      break;
    default:
      out += c;
    }
  return out;
}

static Value repeat(Machine &machine, const Value &of, int64_t times) {
  size_t count = times > 0 ? size_t(times) : 0;
  if (of.isString()) {
    if (!machine.room(count, of.text().size()))
      return {};
    std::string out;
    for (size_t i = 0; i < count && !of.text().empty(); ++i)
      out += of.text();
    Value text(std::move(out));
    return of.isMarkup() ? text.asMarkup() : text;
  }
  if (!machine.room(count, of.items().size() * sizeof(Value)))
    return {};
  std::vector<Value> out;
  for (size_t i = 0; i < count && !of.items().empty(); ++i)
    out.insert(out.end(), of.items().begin(), of.items().end());
  return Value::list(std::move(out), of.kind());
}

static Value add(Machine &machine, const Value &left, const Value &right) {
  if (left.isString() && right.isString()) {
    if (!machine.room(left.text().size() + right.text().size()))
      return {};
    if (left.isMarkup() || right.isMarkup())
      return Value(escaped(left) + escaped(right)).asMarkup();
    return left.text() + right.text();
  }
  if (left.kind() != right.kind() ||
      !(left.is(Kind::List) || left.is(Kind::Tuple)))
    return unsupported(machine, "+", left, right);
  if (!machine.room(left.items().size() + right.items().size(), sizeof(Value)))
    return {};
  std::vector<Value> out = left.items();
  out.insert(out.end(), right.items().begin(), right.items().end());
  return Value::list(std::move(out), left.kind());
}

Value Machine::binary(std::string_view symbol, const Value &left,
                      const Value &right) {
  if (left.isInteger() && right.isInteger())
    return wholeArithmetic(*this, symbol, left.asInteger(), right.asInteger());
  if (left.isNumber() && right.isNumber())
    return realArithmetic(*this, symbol, left.asReal(), right.asReal());
  if (symbol == "%" && left.isString())
    return percentFormat(*this, left.text(), right);
  if (symbol == "+")
    return add(*this, left, right);
  auto repeats = [](const Value &value) {
    return value.isString() || value.is(Kind::List) || value.is(Kind::Tuple);
  };
  if (symbol == "*" && repeats(left) && right.isInteger())
    return repeat(*this, left, right.asInteger());
  if (symbol == "*" && repeats(right) && left.isInteger())
    return repeat(*this, right, left.asInteger());
  return unsupported(*this, symbol, left, right);
}

static int sign(bool less, bool more) { return less ? -1 : more ? 1 : 0; }

/// The sign of left - right; `good` is false where Python has no order, and
/// `ordered` where the values have none, as NaN.
static int order(Machine &machine, const Value &left, const Value &right,
                 std::string_view symbol, bool &ordered) {
  ordered = true;
  if (!machine.step())
    return 0;
  if (left.isInteger() && right.isInteger())
    return sign(left.asInteger() < right.asInteger(),
                left.asInteger() > right.asInteger());
  if (left.isNumber() && right.isNumber()) {
    ordered = !std::isnan(left.asReal()) && !std::isnan(right.asReal());
    return sign(left.asReal() < right.asReal(), left.asReal() > right.asReal());
  }
  if (left.isString() && right.isString())
    return left.text().compare(right.text()); // UTF-8 keeps the order
  if (left.kind() == right.kind() &&
      (left.is(Kind::List) || left.is(Kind::Tuple))) {
    const auto &a = left.items(), &b = right.items();
    for (size_t i = 0; i < std::min(a.size(), b.size()) && !machine.failed();
         ++i)
      if (!equal(a[i], b[i]))
        return order(machine, a[i], b[i], symbol, ordered);
    return sign(a.size() < b.size(), a.size() > b.size());
  }
  for (const Value *value : {&left, &right})
    if (value->isUndefined()) {
      machine.fail("UndefinedError", value->text());
      return 0;
    }
  machine.typeError("'" + std::string(symbol) +
                    "' not supported between instances of '" + typeName(left) +
                    "' and '" + typeName(right) + "'");
  return 0;
}

bool Machine::compare(std::string_view symbol, const Value &left,
                      const Value &right) {
  if (symbol == "==")
    return equal(left, right);
  if (symbol == "!=")
    return !equal(left, right);
  if (symbol == "in")
    return contains(left, right);
  if (symbol == "not in")
    return !contains(left, right);
  bool ordered = true;
  int found = order(*this, left, right, symbol, ordered);
  if (!ordered || failed())
    return false;
  return symbol == "<"    ? found < 0
         : symbol == "<=" ? found <= 0
         : symbol == ">"  ? found > 0
                          : found >= 0;
}

bool Machine::contains(const Value &value, const Value &in) {
  if (in.isString()) {
    if (!value.isString()) {
      if (value.isUndefined())
        typeError("'in <string>' requires string as left operand, not "
                  "Undefined");
      else
        typeError("'in <string>' requires string as left operand, not " +
                  typeName(value));
      return false;
    }
    step(int64_t(in.text().size() / 64));
    return in.text().find(value.text()) != std::string::npos;
  }
  if (in.isDict()) {
    if (value.is(Kind::List) || value.isDict())
      typeError("unhashable type: '" + typeName(value) + "'");
    return in.get(value) != nullptr;
  }
  if (in.is(Kind::Namespace) || in.isNumber() || in.isNone() ||
      in.is(Kind::Function)) {
    typeError("argument of type '" + typeName(in) + "' is not iterable");
    return false;
  }
  std::vector<Value> items = iterate(in);
  return std::any_of(items.begin(), items.end(), [&](const Value &item) {
    return !failed() && equal(item, value);
  });
}

std::vector<Value> Machine::iterate(const Value &value) {
  std::vector<Value> out;
  switch (value.kind()) {
  case Kind::Undefined:
    break;
  case Kind::String:
    if (!room(length(value.text()), sizeof(Value) + sizeof(TextData)))
      break;
    for (size_t at = 0; at < value.text().size();) {
      size_t begin = at;
      text::nextChar(value.text(), at);
      out.emplace_back(value.text().substr(begin, at - begin));
    }
    break;
  case Kind::Dict:
    for (const auto &entry : value.entries().items)
      out.push_back(entry.first);
    break;
  case Kind::List:
  case Kind::Tuple:
  case Kind::Range:
  case Kind::View:
  case Kind::Iterator:
    out = value.takeItems();
    break;
  default:
    typeError("'" + typeName(value) + "' object is not iterable");
  }
  step(int64_t(out.size() / 8));
  return out;
}

static Value noAttribute(const Value &value, const Value &key) {
  std::string owner =
      value.isNone() ? "None" : "'" + typeName(value) + " object'";
  return Value::undefined(
      owner + (key.isString() ? " has no attribute " : " has no element ") +
      repr(key));
}

static Value loopAttribute(const LoopData &loop, const std::string &name,
                           bool &found) {
  auto whole = [](size_t value) { return Value::integer(int64_t(value)); };
  size_t count = loop.items.size();
  found = true;
  if (name == "index")
    return whole(loop.at + 1);
  if (name == "index0")
    return whole(loop.at);
  if (name == "revindex")
    return whole(count - loop.at);
  if (name == "revindex0")
    return whole(count - loop.at - 1);
  if (name == "first")
    return Value::boolean(loop.at == 0);
  if (name == "last")
    return Value::boolean(loop.at + 1 == count);
  if (name == "length")
    return whole(count);
  if (name == "depth")
    return Value::integer(loop.depth + 1);
  if (name == "depth0")
    return Value::integer(loop.depth);
  if (name == "previtem")
    return loop.at > 0 ? loop.items[loop.at - 1]
                       : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return loop.at + 1 < count ? loop.items[loop.at + 1]
                               : Value::undefined("there is no next item");
  found = false;
  return {};
}

/// `loop.cycle`, `loop.changed` and the methods of a cycler.
static Value loopMethod(const Value &value, const std::string &name,
                        bool &found) {
  found = true;
  if (value.is(Kind::Loop) && name == "cycle")
    return Value::function(name, [value](Machine &machine, Args &args) {
      if (args.items.empty())
        return machine.typeError("no items for cycling given");
      return args.items[value.loopData()->at % args.items.size()];
    });
  if (value.is(Kind::Loop) && name == "changed")
    return Value::function(name, [value](Machine &, Args &args) {
      LoopData &loop = *value.loopData();
      Value now = Value::tuple(args.items);
      bool changed = !loop.hasChanged || !equal(loop.changed, now);
      loop.hasChanged = true;
      loop.changed = now;
      return Value::boolean(changed);
    });
  if (value.is(Kind::Cycler) && name == "current")
    return value.loopData()->items[value.loopData()->at];
  if (value.is(Kind::Cycler) && name == "next")
    return Value::function(name, [value](Machine &, Args &) {
      LoopData &cycler = *value.loopData();
      Value item = cycler.items[cycler.at];
      cycler.at = (cycler.at + 1) % cycler.items.size();
      return item;
    });
  if (value.is(Kind::Cycler) && name == "reset")
    return Value::function(name, [value](Machine &, Args &) {
      value.loopData()->at = 0;
      return Value::none();
    });
  found = false;
  return {};
}

Value Machine::attribute(const Value &value, const std::string &name) {
  if (value.isUndefined())
    return fail("UndefinedError", value.text());
  bool found = false;
  if (LoopData *loop = value.loopData()) {
    Value attribute =
        value.is(Kind::Loop) ? loopAttribute(*loop, name, found) : Value();
    if (!found)
      attribute = loopMethod(value, name, found);
    return found ? attribute : noAttribute(value, name);
  }
  if (value.is(Kind::Namespace)) {
    const Value *entry = value.named(name);
    return entry ? *entry : noAttribute(value, name);
  }
  if (FunctionData *macro = value.function();
      macro && macro->isMacro && name == "name")
    return macro->name.empty() ? Value::none() : Value(macro->name);
  // What groupby makes.
  if (value.is(Kind::Tuple) && value.text() == "group" &&
      (name == "grouper" || name == "list"))
    return value.items()[name == "list"];
  Value bound = method(value, name, found);
  if (found)
    return bound;
  if (const Value *entry = value.isDict() ? value.named(name) : nullptr)
    return *entry;
  return noAttribute(value, name);
}

Value Machine::item(const Value &value, const Value &key) {
  if (value.isUndefined())
    return fail("UndefinedError", value.text());
  if (value.isDict() || value.is(Kind::Namespace)) {
    if (const Value *entry = value.get(key))
      return *entry;
  } else if (key.isInteger() && value.isString()) {
    int64_t count = int64_t(length(value.text()));
    int64_t at = key.asInteger() + (key.asInteger() < 0 ? count : 0);
    if (at >= 0 && at < count) {
      step(count / 64);
      std::u32string all = characters(value.text());
      return utf8(std::u32string_view(all).substr(size_t(at), 1));
    }
  } else if (key.isInteger() &&
             (value.is(Kind::List) || value.is(Kind::Tuple) ||
              value.is(Kind::Range))) {
    int64_t count = int64_t(value.items().size());
    int64_t at = key.asInteger() + (key.asInteger() < 0 ? count : 0);
    if (at >= 0 && at < count)
      return value.items()[size_t(at)];
  }
  if (key.isString() && !value.is(Kind::Namespace))
    return attribute(value, key.text());
  return noAttribute(value, key);
}

/// Where Python begins and ends a slice.
static bool sliceBounds(Machine &machine, int64_t count, const Value &from,
                        const Value &to, const Value &stride, int64_t &begin,
                        int64_t &end, int64_t &by) {
  for (const Value *part : {&from, &to, &stride})
    if (!part->isNone() && !part->isInteger())
      return false;
  by = stride.isNone() ? 1 : stride.asInteger();
  if (by == 0) {
    machine.fail("ValueError", "slice step cannot be zero");
    return false;
  }
  by = std::clamp(by, -count - 1, count + 1);
  if (by == 0)
    by = stride.asInteger() < 0 ? -1 : 1;
  int64_t low = by < 0 ? -1 : 0, high = by < 0 ? count - 1 : count;
  auto place = [&](const Value &part, int64_t otherwise) {
    if (part.isNone())
      return otherwise;
    int64_t at = part.asInteger();
    if (at < 0)
      at = at < -count ? -1 - count : at + count;
    return std::clamp(at, low, high);
  };
  begin = place(from, by < 0 ? high : low);
  end = place(to, by < 0 ? low : high);
  return true;
}

Value Machine::slice(const Value &value, const Value &from, const Value &to,
                     const Value &stride) {
  if (value.isUndefined())
    return fail("UndefinedError", value.text());
  bool isText = value.isString();
  if (!isText && !value.is(Kind::List) && !value.is(Kind::Tuple) &&
      !value.is(Kind::Range))
    return typeError("'" + typeName(value) + "' object cannot be sliced");
  std::u32string all = isText ? characters(value.text()) : std::u32string();
  size_t count = isText ? all.size() : value.items().size();
  int64_t begin = 0, end = 0, by = 1;
  if (!sliceBounds(*this, int64_t(count), from, to, stride, begin, end, by))
    return typeError("slice indices must be integers or None");
  step(int64_t(count / 16));
  std::u32string text;
  std::vector<Value> items;
  for (int64_t i = begin; by > 0 ? i < end : i > end; i += by)
    if (isText)
      text += all[size_t(i)];
    else
      items.push_back(value.items()[size_t(i)]);
  if (isText)
    return utf8(text);
  if (!value.is(Kind::Range))
    return Value::list(std::move(items), value.kind());
  return Value::list(std::move(items), Kind::Range, "range");
}

void vlmc::rt::jinja::sortBy(Machine &machine, std::vector<Value> &items,
                             std::vector<Value> &keys, bool reverse) {
  // A merge sort of its own: it stays in bounds whatever order the values
  // have, and none with NaN.
  std::vector<size_t> places(items.size()), other(items.size());
  for (size_t i = 0; i < places.size(); ++i)
    places[i] = i;
  auto before = [&](size_t left, size_t right) {
    // Python reverses, sorts and reverses again.
    return reverse ? machine.compare("<", keys[left], keys[right])
                   : machine.compare("<", keys[right], keys[left]);
  };
  for (size_t width = 1; width < items.size() && !machine.failed();
       width *= 2) {
    for (size_t low = 0; low < items.size(); low += 2 * width) {
      size_t middle = std::min(low + width, items.size());
      size_t high = std::min(low + 2 * width, items.size());
      size_t left = low, right = middle;
      for (size_t at = low; at < high; ++at) {
        bool takeRight = left == middle ||
                         (right < high && before(places[left], places[right]));
        other[at] = places[takeRight ? right++ : left++];
      }
    }
    places.swap(other);
  }
  std::vector<Value> sortedItems, sortedKeys;
  for (size_t place : places) {
    sortedItems.push_back(items[place]);
    sortedKeys.push_back(keys[place]);
  }
  items = std::move(sortedItems);
  keys = std::move(sortedKeys);
}
