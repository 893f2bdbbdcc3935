//===- Pretty.cpp - Values over several lines, as Python's pprint ---------===//
//
// What does not fit into a line of 80 characters gets a line for each element,
// and long strings are cut behind white space. Entries of dicts are sorted.
// Source: pprint.PrettyPrinter of Python 3.11.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

static constexpr int64_t kWidth = 80;

namespace {

class Printer {
public:
  explicit Printer(Machine &machine) : machine(machine) {}
  void print(const Value &value, int64_t indent, int64_t allowance,
             unsigned level);
  std::string out;

private:
  using Entries = std::vector<std::pair<Value, Value>>;

  Entries sortedEntries(const Value &dict) const;
  bool before(const Value &left, const Value &right) const;
  std::string flat(const Value &value) const;
  void printDict(const Value &value, int64_t indent, int64_t allowance,
                 unsigned level);
  void printItems(const Value &value, int64_t indent, int64_t allowance,
                  unsigned level);
  void printText(const std::string &text, int64_t indent, int64_t allowance,
                 unsigned level);
  void line(int64_t indent) { out += '\n' + std::string(size_t(indent), ' '); }

  Machine &machine;
};

} // namespace

static int64_t width(std::string_view text) { return int64_t(length(text)); }

/// By type where keys have no order.
bool Printer::before(const Value &left, const Value &right) const {
  bool ordered = (left.isString() && right.isString()) ||
                 (left.isNumber() && right.isNumber());
  return ordered ? machine.compare("<", left, right)
                 : typeName(left) < typeName(right);
}

Printer::Entries Printer::sortedEntries(const Value &dict) const {
  Entries sorted;
  for (const auto &entry : dict.entries().items) {
    // Whatever the order is worth, NaN among the keys: no sort that trusts it.
    auto at = std::upper_bound(sorted.begin(), sorted.end(), entry,
                               [&](const auto &left, const auto &right) {
                                 return before(left.first, right.first);
                               });
    if (!machine.step())
      break;
    sorted.insert(at, entry);
  }
  return sorted;
}

/// All in one line.
std::string Printer::flat(const Value &value) const {
  if (value.isDict()) {
    std::string text;
    for (const auto &[key, entry] : sortedEntries(value))
      text += (text.empty() ? "" : ", ") + flat(key) + ": " + flat(entry);
    return "{" + text + "}";
  }
  bool list = value.is(Kind::List);
  if (!list && !value.is(Kind::Tuple))
    return repr(value);
  std::string text;
  for (const Value &item : value.items())
    text += (text.empty() ? "" : ", ") + flat(item);
  if (list)
    return "[" + text + "]";
  return "(" + text + (value.items().size() == 1 ? ",)" : ")");
}

void Printer::printDict(const Value &value, int64_t indent, int64_t allowance,
                        unsigned level) {
  out += '{';
  Entries entries = sortedEntries(value);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i)
      line(indent + 1);
    std::string key = flat(entries[i].first);
    out += key + ": ";
    bool last = i + 1 == entries.size();
    print(entries[i].second, indent + 1 + width(key) + 2,
          last ? allowance + 1 : 1, level);
    out += last ? "" : ",";
  }
  out += '}';
}

void Printer::printItems(const Value &value, int64_t indent, int64_t allowance,
                         unsigned level) {
  bool list = value.is(Kind::List);
  const std::vector<Value> &items = value.items();
  std::string_view end = list ? "]" : items.size() == 1 ? ",)" : ")";
  out += list ? '[' : '(';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i)
      line(indent + 1);
    bool last = i + 1 == items.size();
    print(items[i], indent + 1, last ? allowance + int64_t(end.size()) : 1,
          level);
    out += last ? "" : ",";
  }
  out += end;
}

/// Words with the white space behind them.
static std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  bool blank = true;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    bool now = text::isPythonSpace(text::nextChar(text, at));
    if (out.empty() || (blank && !now))
      out.emplace_back();
    out.back() += text.substr(begin, at - begin);
    blank = now;
  }
  return out;
}

void Printer::printText(const std::string &text, int64_t indent,
                        int64_t allowance, unsigned level) {
  if (level == 1) {
    ++indent;
    ++allowance;
  }
  std::vector<std::string> chunks, lines = splitLines(text, true);
  int64_t room = kWidth - indent;
  for (size_t i = 0; i < lines.size(); ++i) {
    bool lastLine = i + 1 == lines.size();
    std::string whole = reprText(lines[i]);
    if (width(whole) <= room - (lastLine ? allowance : 0)) {
      chunks.push_back(whole);
      continue;
    }
    std::string now;
    std::vector<std::string> parts = words(lines[i]);
    for (size_t j = 0; j < parts.size() && machine.step(); ++j) {
      bool last = lastLine && j + 1 == parts.size();
      if (width(reprText(now + parts[j])) <= room - (last ? allowance : 0)) {
        now += parts[j];
        continue;
      }
      if (!now.empty())
        chunks.push_back(reprText(now));
      now = parts[j];
    }
    if (!now.empty())
      chunks.push_back(reprText(now));
  }
  if (chunks.size() == 1) {
    out += reprText(lines.back());
    return;
  }
  out += level == 1 ? "(" : "";
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (i)
      line(indent);
    out += chunks[i];
  }
  out += level == 1 ? ")" : "";
}

/// `allowance`: characters that follow in the last line.
void Printer::print(const Value &value, int64_t indent, int64_t allowance,
                    unsigned level) {
  std::string whole = flat(value);
  if (!machine.step() || !machine.room(out.size() + whole.size()))
    return;
  if (width(whole) <= kWidth - indent - allowance)
    out += whole;
  else if (value.isDict())
    printDict(value, indent, allowance, level + 1);
  else if (value.is(Kind::List) || value.is(Kind::Tuple))
    printItems(value, indent, allowance, level + 1);
  else if (value.isString() && !value.isMarkup() && !value.text().empty())
    printText(value.text(), indent, allowance, level + 1);
  else
    out += whole;
}

std::string vlmc::rt::jinja::prettyText(Machine &machine, const Value &value) {
  Printer printer(machine);
  printer.print(value, 0, 0, 0);
  return printer.out;
}
