//===- RegexTranslate.cpp - From Unicode patterns to patterns on bytes ----===//
#include "runtime/text/RegexTranslate.h"

#include "runtime/text/CharSet.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <map>

using namespace vlmc::rt::text;

uint8_t SymbolPattern::map(char32_t c) const {
  if (c < 0x80)
    return c;
  auto at =
      std::upper_bound(bounds.begin(), bounds.end(), c) - bounds.begin() - 1;
  return symbols[at * charClassCount() + charClassId(c)];
}

namespace {

/// A part of a pattern: a set of characters, or text that PCRE2 reads as it is.
struct Part {
  std::string verbatim;
  int set = -1; // index into Parser::sets
};

/// Reads a pattern of the supported part of Oniguruma's syntax.
class Parser {
public:
  explicit Parser(std::string_view pattern) : pattern(pattern) {}

  /// Returns "" or the problem.
  std::string parse();

  std::vector<Part> parts;
  std::vector<CharSet> sets;

private:
  bool more() const { return at < pattern.size(); }
  char peek() const { return more() ? pattern[at] : '\0'; }
  bool take(std::string_view word) {
    if (pattern.substr(at, word.size()) != word)
      return false;
    at += word.size();
    return true;
  }
  std::string unsupported(std::string_view what, size_t where) const;
  void verbatim(std::string_view text) {
    parts.push_back({std::string(text), -1});
  }
  void literal(char32_t c);
  std::string emit(CharSet set);
  std::string parseEscape(CharSet &set, bool inBrackets);
  std::string parseProperty(CharSet &set, bool negated, size_t start);
  std::string parseCode(CharSet &set, size_t start);
  std::string parseBrackets();
  std::string parseGroup();
  std::string parseQuantifier();
  std::string parseOne();

  std::string_view pattern;
  size_t at = 0;
  std::vector<bool> folds = {false}; // ignoring case, by group
};

} // namespace

std::string Parser::unsupported(std::string_view what, size_t where) const {
  return std::string(what) + " at byte " + std::to_string(where) +
         " of the pattern '" + std::string(pattern) + "'";
}

void Parser::literal(char32_t c) {
  CharSet set;
  set.ranges.push_back({c, c});
  emit(std::move(set));
}

std::string Parser::emit(CharSet set) {
  if (folds.back())
    set.foldCase();
  parts.push_back({"", static_cast<int>(sets.size())});
  sets.push_back(std::move(set));
  return "";
}

std::string Parser::parseProperty(CharSet &set, bool negated, size_t start) {
  size_t close = pattern.find('}', at);
  if (peek() != '{' || close == std::string_view::npos)
    return unsupported("expected {NAME} after \\p", start);
  std::string_view name = pattern.substr(at + 1, close - at - 1);
  if (name.starts_with('^')) {
    negated = !negated;
    name.remove_prefix(1);
  }
  at = close + 1;
  ClassTest test;
  test.negated = negated;
  for (unsigned i = 0; i < categoryCount(); ++i)
    if (categoryName(i) == name ||
        (name.size() == 1 && categoryName(i)[0] == name[0]))
      test.categories |= 1u << i;
  if (!test.categories)
    return unsupported("unknown property '" + std::string(name) +
                           "' (expected a general category such as L or Nd)",
                       start);
  bool cased = name == "Lu" || name == "Ll" || name == "Lt";
  if (folds.back() && cased)
    return unsupported("case-ignoring property is not supported", start);
  set.tests.push_back(test);
  return "";
}

std::string Parser::parseCode(CharSet &set, size_t start) {
  bool braces = take("{");
  size_t limit = braces ? 8 : pattern[at - 1] == 'u' ? 4 : 2;
  char32_t c = 0;
  size_t digits = 0;
  for (; digits < limit && more(); ++digits, ++at) {
    char d = peek();
    int value = d >= '0' && d <= '9'   ? d - '0'
                : d >= 'a' && d <= 'f' ? d - 'a' + 10
                : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                       : -1;
    if (value < 0)
      break;
    c = c << 4 | value;
  }
  if (!digits || (braces && !take("}")) || c > 0x10FFFF)
    return unsupported("expected hexadecimal digits of a character", start);
  set.ranges.push_back({c, c});
  return "";
}

std::string Parser::parseEscape(CharSet &set, bool inBrackets) {
  size_t start = at - 1;
  if (!more())
    return unsupported("expected a character after the backslash", start);
  auto test = [&](uint8_t flag, bool negated) {
    set.tests.push_back({0, flag, negated});
    return std::string();
  };
  auto one = [&](char32_t c) {
    set.ranges.push_back({c, c});
    return std::string();
  };
  if (static_cast<unsigned char>(peek()) >= 0x80)
    return one(nextChar(pattern, at));
  switch (char c = pattern[at++]) {
  case 's':
  case 'S':
    return test(CharSpace, c == 'S');
  case 'w':
  case 'W':
    return test(CharWord, c == 'W');
  case 'd':
  case 'D':
    return test(CharDigit, c == 'D');
  case 'p':
  case 'P':
    return parseProperty(set, c == 'P', start);
  case 'x':
  case 'u':
    return parseCode(set, start);
  case 'n':
    return one('\n');
  case 'r':
    return one('\r');
  case 't':
    return one('\t');
  case 'f':
    return one('\f');
  case 'v':
    return one('\v');
  case 'a':
    return one('\a');
  case 'e':
    return one('\x1B');
  default:
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9');
    if (letter)
      return unsupported(std::string("escape \\") + c + " is not supported",
                         start);
    return one(c);
  }
}

std::string Parser::parseBrackets() {
  size_t start = at - 1;
  CharSet set;
  set.negated = take("^");
  bool range = false; // the character before a '-' is waiting for its partner
  for (bool first = true;; first = false) {
    if (!more())
      return unsupported("expected ']' for the '['", start);
    size_t here = at;
    if (take("]")) {
      if (first)
        return unsupported("empty or ']'-first brackets are not supported",
                           start);
      break;
    }
    if (peek() == '[' || pattern.substr(at, 2) == "&&")
      return unsupported("sets inside of sets are not supported", here);
    bool dash = peek() == '-' && !first && pattern.substr(at + 1, 1) != "]";
    if (dash && !range && !set.ranges.empty() && pattern[at - 1] != '-') {
      ++at;
      range = true;
      continue;
    }
    size_t testsBefore = set.tests.size();
    if (take("\\")) {
      if (std::string problem = parseEscape(set, true); !problem.empty())
        return problem;
    } else {
      char32_t c = nextChar(pattern, at);
      set.ranges.push_back({c, c});
    }
    if (!range)
      continue;
    range = false;
    if (set.tests.size() != testsBefore || set.ranges.size() < 2 ||
        set.ranges.back().first < set.ranges[set.ranges.size() - 2].first)
      return unsupported("expected a range of characters from low to high",
                         here);
    set.ranges[set.ranges.size() - 2].second = set.ranges.back().first;
    set.ranges.pop_back();
  }
  return emit(std::move(set));
}

std::string Parser::parseGroup() {
  size_t start = at - 1;
  bool fold = folds.back();
  std::string opening = "(?:"; // what a group matched is never asked for
  if (take("?")) {
    opening.clear();
    for (std::string_view kind : {":", "=", "!", "<=", "<!", ">"})
      if (opening.empty() && take(kind))
        opening = "(?" + std::string(kind);
    if (opening.empty() && (take("i:") || take("-i:"))) {
      fold = pattern.substr(at - 3, 3) == "?i:";
      opening = "(?:";
    }
    if (opening.empty())
      return unsupported("this kind of group is not supported", start);
  }
  folds.push_back(fold);
  verbatim(opening);
  return "";
}

std::string Parser::parseQuantifier() {
  size_t start = at;
  char c = peek();
  std::string text;
  if (c == '{') {
    size_t close = pattern.find('}', at);
    std::string_view body = close == std::string_view::npos
                                ? ""
                                : pattern.substr(at + 1, close - at - 1);
    size_t commas = std::count(body.begin(), body.end(), ',');
    bool counts =
        !body.empty() && body != "," && commas <= 1 && body.size() <= 9 &&
        body.find_first_not_of("0123456789,") == std::string_view::npos;
    if (!counts) { // then the brace stands for itself
      ++at;
      literal('{');
      return "";
    }
    at = close + 1;
    text = (body[0] == ',' ? "{0" : "{") + std::string(body) + "}";
    if (peek() == '?' || peek() == '+')
      return unsupported("'{n,m}' followed by '?' or '+' is not supported",
                         start);
  } else {
    ++at;
    text = c;
    if (peek() == '?' || peek() == '+')
      text += pattern[at++];
  }
  verbatim(text);
  return "";
}

std::string Parser::parseOne() {
  size_t here = at;
  switch (peek()) {
  case '\\': {
    ++at;
    CharSet set;
    std::string problem = parseEscape(set, false);
    return problem.empty() ? emit(std::move(set)) : problem;
  }
  case '[':
    ++at;
    return parseBrackets();
  case '(':
    ++at;
    return parseGroup();
  case ')':
    ++at;
    if (folds.size() == 1)
      return unsupported("')' without '('", here);
    folds.pop_back();
    verbatim(")");
    return "";
  case '*':
  case '+':
  case '?':
  case '{':
    return parseQuantifier();
  case '|':
    ++at;
    verbatim("|");
    return "";
  case '.': {
    ++at;
    CharSet set;
    set.ranges.push_back({'\n', '\n'});
    set.negated = true;
    return emit(std::move(set));
  }
  case '^':
  case '$':
    return unsupported("anchors are not supported", here);
  default:
    literal(nextChar(pattern, at));
    return "";
  }
}

std::string Parser::parse() {
  while (more())
    if (std::string problem = parseOne(); !problem.empty())
      return problem;
  return folds.size() == 1 ? "" : unsupported("expected ')'", pattern.size());
}

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

/// Cuts the code points where a set of the pattern begins or ends.
static std::vector<char32_t> cut(const std::vector<CharSet> &sets) {
  std::vector<char32_t> bounds = {0};
  for (const CharSet &set : sets)
    for (auto [low, high] : set.ranges) {
      if (low >= 0x80)
        bounds.push_back(low);
      if (high >= 0x7F)
        bounds.push_back(high + 1);
    }
  std::sort(bounds.begin(), bounds.end());
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  return bounds;
}

/// Gives each kind of character above ASCII its symbol, and adds the symbol to
/// the members of the sets that hold it. False if there are too many kinds.
static bool assignSymbols(const std::vector<CharSet> &sets, SymbolPattern &out,
                          std::vector<std::string> &members) {
  std::map<std::vector<bool>, uint8_t> known;
  unsigned classes = charClassCount();
  out.symbols.resize(out.bounds.size() * classes);
  for (size_t b = 0; b < out.bounds.size(); ++b)
    for (unsigned id = 0; id < classes; ++id) {
      // A bound below U+0080 stands for the characters from there on.
      char32_t c = std::max<char32_t>(out.bounds[b], 0x80);
      std::vector<bool> kind;
      for (const CharSet &set : sets)
        kind.push_back(set.holds(c, charClass(id)));
      auto [at, fresh] = known.try_emplace(kind, 0x80 + known.size());
      if (known.size() > 128)
        return false;
      for (size_t i = 0; fresh && i < sets.size(); ++i)
        if (kind[i])
          members[i].push_back(static_cast<char>(at->second));
      out.symbols[b * classes + id] = at->second;
    }
  return true;
}

static std::string bracket(const std::string &members) {
  static const char digits[] = "0123456789abcdef";
  if (members.empty())
    return "(?!)";
  std::string out = "[";
  for (char c : members) {
    auto byte = static_cast<uint8_t>(c);
    out.append({'\\', 'x', digits[byte >> 4], digits[byte & 15]});
  }
  return out + "]";
}

std::string vlmc::rt::text::translateRegex(std::string_view pattern,
                                           SymbolPattern &out) {
  Parser parser(pattern);
  if (std::string problem = parser.parse(); !problem.empty())
    return problem;
  std::vector<std::string> members(parser.sets.size());
  for (size_t i = 0; i < members.size(); ++i)
    for (char32_t c = 0; c < 0x80; ++c)
      if (parser.sets[i].holds(c, charClass(charClassId(c))))
        members[i].push_back(static_cast<char>(c));
  out.bounds = cut(parser.sets);
  if (!assignSymbols(parser.sets, out, members))
    return "the pattern '" + std::string(pattern) +
           "' tells more than 128 kinds of characters above ASCII apart";
  for (const Part &part : parser.parts)
    out.pattern += part.set < 0 ? part.verbatim : bracket(members[part.set]);
  return "";
}
