//===- Filters.h - What the files of filters share --------------*- C++ -*-===//
//
// Filters stand by what they take: numbers, sequences, texts, markup; each file
// has a table of its own. A filter gets the value and the arguments behind it,
// which bind() names.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_FILTERS_H
#define VLMC_RUNTIME_TEXT_JINJA_FILTERS_H

#include "runtime/text/jinja/Machine.h"

#include <span>

namespace vlmc::rt::jinja {

using Filter = Value (*)(Machine &, const Value &, Args &);

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

std::span<const NamedFilter> numberFilters();
std::span<const NamedFilter> sequenceFilters();
std::span<const NamedFilter> textFilters();
std::span<const NamedFilter> markupFilters();

/// Whether there is an argument, and another than none.
inline bool given(const Value *value) { return value && !value->isNone(); }
/// A whole number that may be left out.
int64_t wholeOr(Machine &machine, const Value *value, int64_t otherwise);
/// Reads a number as Python's float() does.
bool readReal(std::string_view text, double &out);
/// The filter `length`.
Value count(Machine &machine, const Value &value, Args &args);
/// With names for the characters that mean something in HTML.
std::string escapedText(std::string_view text);
/// pprint.pformat() of Python, 80 characters wide.
std::string prettyText(Machine &machine, const Value &value);
/// textwrap.wrap() of Python for one line, which keeps white space.
std::vector<std::u32string> wrapLine(const std::u32string &line, size_t width,
                                     bool breaksWords, bool breaksHyphens);
/// html.unescape() of Python.
std::string unescapedText(std::string_view text);

/// A filter of no arguments that makes text of text.
template <typename Text> Filter textFilter(const Text &) {
  return [](Machine &machine, const Value &value, Args &args) -> Value {
    return bind(machine, "filter", args, {}, 0).good ? Value(Text()(value))
                                                     : Value();
  };
}

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_FILTERS_H
