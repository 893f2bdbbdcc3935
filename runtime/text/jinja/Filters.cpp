//===- Filters.cpp - The filters of templates --------------------------===//
#include "runtime/text/jinja/Filters.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

int64_t vlmc::rt::jinja::wholeOr(Machine &machine, const Value *value,
                                 int64_t otherwise) {
  if (!given(value))
    return otherwise;
  if (!value->isInteger())
    machine.typeError("expected a whole number, found " + typeName(*value));
  return value->asInteger();
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

static std::span<const NamedFilter> otherFilters() {
  static const NamedFilter filters[] = {
      {"attr", attributeOf},
      {"d", orDefault},
      {"default", orDefault},
      {"string", textFilter([](const Value &value) {
         return value.isMarkup() ? value : Value(str(value));
       })},
      {"tojson", toJsonText},
  };
  return filters;
}

static Filter findFilter(std::string_view name) {
  for (auto table : {numberFilters, sequenceFilters, textFilters, markupFilters,
                     otherFilters})
    for (const NamedFilter &known : table())
      if (known.name == name)
        return known.filter;
  return nullptr;
}

bool vlmc::rt::jinja::isFilter(std::string_view name) {
  return findFilter(name) != nullptr;
}

Value vlmc::rt::jinja::callFilter(Machine &machine, const std::string &name,
                                  const Value &value, Args &args, bool &known) {
  Filter filter = findFilter(name);
  known = filter != nullptr;
  return known ? filter(machine, value, args) : Value();
}
