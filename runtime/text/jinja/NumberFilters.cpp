//===- NumberFilters.cpp - Filters of numbers --------------------------===//
#include "runtime/text/jinja/Filters.h"

#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

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

bool vlmc::rt::jinja::readReal(std::string_view text, double &out) {
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

/// "1.5 kB", as for people.
static Value fileSize(Machine &machine, const Value &value, Args &args) {
  Bound bound = bind(machine, "filesizeformat", args, {"binary"}, 0);
  if (!bound.good)
    return {};
  if (value.isUndefined())
    return machine.fail("UndefinedError", value.text());
  double bytes = value.isNumber() ? value.asReal() : 0;
  if (value.isString() && !readReal(value.text(), bytes))
    return machine.fail("ValueError",
                        "could not convert string to float: " + repr(value));
  if (!value.isNumber() && !value.isString())
    return machine.typeError("float() argument must be a string or a real "
                             "number, not '" +
                             typeName(value) + "'");
  bool binary = bound[0] && truth(*bound[0]);
  double base = binary ? 1024 : 1000;
  if (bytes == 1)
    return Value("1 Byte");
  char out[400];
  if (bytes < base) {
    std::snprintf(out, sizeof out, "%.0f Bytes", std::trunc(bytes));
    return std::isfinite(bytes)
               ? Value(out == std::string("-0 Bytes") ? "0 Bytes" : out)
               : machine.fail("OverflowError",
                              "cannot convert float infinity to integer");
  }
  double unit = base;
  constexpr std::string_view letters = "kMGTPEZY";
  for (size_t i = 0; i < letters.size(); ++i) {
    unit = std::pow(base, double(i + 2));
    if (!(bytes < unit) && i + 1 < letters.size())
      continue;
    char letter = binary && i == 0 ? 'K' : letters[i];
    std::snprintf(out, sizeof out, "%.1f %c%sB", base * bytes / unit, letter,
                  binary ? "i" : "");
    break;
  }
  return Value(out);
}

std::span<const NamedFilter> vlmc::rt::jinja::numberFilters() {
  static const NamedFilter filters[] = {
      {"abs", absolute},  {"filesizeformat", fileSize}, {"float", toReal},
      {"int", toInteger}, {"round", roundTo},
  };
  return filters;
}
