//===- Text.cpp - Strings as Python has them ------------------------------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

namespace {

/// What a character becomes in upper and in title case, where that is another.
struct CaseEntry {
  char32_t from;
  char32_t upper[3];
  char32_t title[3];
};

constexpr CaseEntry caseTable[] = {
#include "runtime/text/jinja/CaseTables.inc"
};

} // namespace

std::u32string vlmc::rt::jinja::characters(std::string_view text) {
  std::u32string out;
  for (size_t at = 0; at < text.size();)
    out += text::nextChar(text, at);
  return out;
}

std::string vlmc::rt::jinja::utf8(std::u32string_view text) {
  std::string out;
  for (char32_t c : text)
    text::appendUtf8(out, c);
  return out;
}

size_t vlmc::rt::jinja::length(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

static const CaseEntry *caseEntry(char32_t c) {
  const CaseEntry *entry = std::lower_bound(
      std::begin(caseTable), std::end(caseTable), c,
      [](const CaseEntry &e, char32_t c) { return e.from < c; });
  return entry != std::end(caseTable) && entry->from == c ? entry : nullptr;
}

static void appendCased(std::string &out, char32_t c, bool title) {
  const CaseEntry *entry = caseEntry(c);
  if (!entry) {
    text::appendUtf8(out, c);
    return;
  }
  for (char32_t other : title ? entry->title : entry->upper)
    if (other)
      text::appendUtf8(out, other);
}

std::string vlmc::rt::jinja::upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();)
    appendCased(out, text::nextChar(text, at), false);
  return out;
}

std::string vlmc::rt::jinja::capitalize(std::string_view text) {
  if (text.empty())
    return "";
  // In lower case as a whole: how a sigma is written hangs on its place.
  std::string lower = text::pythonLower(text);
  size_t first = 0, lowerFirst = 0;
  char32_t c = text::nextChar(text, first);
  std::string one = text::pythonLower(text.substr(0, first));
  lowerFirst = std::min(one.size(), lower.size());
  std::string out;
  appendCased(out, c, true);
  return out + lower.substr(lowerFirst);
}

std::string vlmc::rt::jinja::strip(std::string_view text, const Value *chars,
                                   bool left, bool right) {
  std::u32string set =
      chars && chars->isString() ? characters(chars->text()) : U"";
  auto goes = [&](char32_t c) {
    return chars && chars->isString() ? set.find(c) != set.npos
                                      : text::isPythonSpace(c);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!goes(text::nextChar(text, next)))
      break;
    begin = next;
  }
  while (right && end > begin) {
    size_t before = text::previousChar(text, end), next = before;
    if (!goes(text::nextChar(text, next)))
      break;
    end = before;
  }
  return std::string(text.substr(begin, end - begin));
}

std::string vlmc::rt::jinja::replaceText(Machine &machine,
                                         const std::string &text,
                                         const std::string &from,
                                         const std::string &to, int64_t count) {
  std::string out;
  size_t limit = count < 0 ? SIZE_MAX : size_t(count);
  size_t last = 0, done = 0;
  if (from.empty()) {
    for (size_t at = 0; done < limit; ++done) {
      out += to;
      if (at >= text.size()) {
        last = text.size();
        break;
      }
      text::nextChar(text, at);
      out += text.substr(last, at - last);
      last = at;
      if (out.size() > (size_t(1) << 20) && !machine.room(out.size()))
        return "";
    }
    return out + text.substr(last);
  }
  for (size_t at; done < limit && (at = text.find(from, last)) != text.npos;
       ++done) {
    out.append(text, last, at - last);
    out += to;
    last = at + from.size();
    if (out.size() > (size_t(1) << 20) && !machine.room(out.size()))
      return "";
  }
  out.append(text, last);
  return machine.room(out.size()) ? out : "";
}

std::vector<std::string> vlmc::rt::jinja::splitLines(std::string_view text,
                                                     bool keepEnds) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    char32_t c = text::nextChar(text, at);
    bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) ||
                c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!ends)
      continue;
    if (c == '\r' && at < text.size() && text[at] == '\n')
      ++at;
    out.emplace_back(text.substr(begin, (keepEnds ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size())
    out.emplace_back(text.substr(begin));
  return out;
}

static bool isCased(std::string_view text, bool wantUpper) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    char32_t c = text::nextChar(text, at);
    std::string_view category =
        text::categoryName(text::charClass(text::charClassId(c)).category);
    bool isUpper = category == "Lu", isLower = category == "Ll";
    if (!isUpper && !isLower) {
      std::string_view one = text.substr(begin, at - begin);
      // Numerals and circled letters have case as well.
      isUpper = category != "Lt" && text::pythonLower(one) != one;
      isLower = category != "Lt" && !isUpper && upper(one) != one;
      if (category == "Lt")
        return false;
    }
    if (wantUpper ? isLower : isUpper)
      return false;
    any |= wantUpper ? isUpper : isLower;
  }
  return any;
}

bool vlmc::rt::jinja::isUpper(std::string_view text) {
  return isCased(text, true);
}

bool vlmc::rt::jinja::isLower(std::string_view text) {
  return isCased(text, false);
}
