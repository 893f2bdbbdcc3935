//===- Wrap.cpp - Lines of a width, as Python's textwrap makes them -------===//
#include "runtime/text/Unicode.h"
#include "runtime/text/jinja/Filters.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

namespace {

/// Where a line may be broken: the expressions of textwrap.TextWrapper.
class Chunks {
public:
  explicit Chunks(const std::u32string &text) : text(text) {}
  std::vector<std::u32string> split(bool atHyphens) const;

private:
  static bool isBlank(char32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
  /// \w of Python.
  bool isWord(size_t at) const;
  bool isLetter(size_t at) const;
  /// What a dash may stand behind.
  bool isPunctuated(size_t at) const {
    return isWord(at) || (at < text.size() &&
                          std::u32string_view(U"!\"'&.,?").find(text[at]) !=
                              std::u32string::npos);
  }
  /// Two dashes or more that a word follows.
  bool isDash(size_t at) const;
  size_t end(size_t at, bool atHyphens) const;
  bool endsBefore(size_t at) const;
  bool isHyphen(size_t at) const;

  const std::u32string &text;
};

} // namespace

bool Chunks::isWord(size_t at) const {
  if (at >= text.size())
    return false;
  char32_t c = text[at];
  return c == '_' ||
         (text::hasFlag(c, text::CharWord) &&
          text::categoryName(
              text::charClass(text::charClassId(c)).category)[0] != 'M');
}

bool Chunks::isLetter(size_t at) const {
  return isWord(at) && !text::hasFlag(text[at], text::CharDigit);
}

bool Chunks::isDash(size_t at) const {
  size_t last = std::min(text.find_first_not_of(U'-', at), text.size());
  return last - std::min(at, last) >= 2 && isWord(last);
}

/// A hyphen between letters, behind which a word may be broken.
bool Chunks::isHyphen(size_t at) const {
  bool before = (at >= 2 && isLetter(at - 1) && isLetter(at - 2)) ||
                (at >= 3 && isPunctuated(at - 1) && text[at - 2] == '-' &&
                 isLetter(at - 3));
  if (text[at] != '-' || !before || !isLetter(at + 1))
    return false;
  return isLetter(at + 2) ||
         (at + 2 < text.size() && text[at + 2] == '-' && isLetter(at + 3));
}

bool Chunks::endsBefore(size_t at) const {
  return at == text.size() || isBlank(text[at]) ||
         (isPunctuated(at - 1) && isDash(at));
}

size_t Chunks::end(size_t at, bool atHyphens) const {
  size_t last = at;
  if (isBlank(text[at])) {
    while (last < text.size() && isBlank(text[last]))
      ++last;
    return last;
  }
  if (!atHyphens) {
    while (last < text.size() && !isBlank(text[last]))
      ++last;
    return last;
  }
  if (at > 0 && isPunctuated(at - 1) && isDash(at))
    return text.find_first_not_of(U'-', at);
  for (last = at + 1;; ++last) {
    if (last < text.size() && isHyphen(last))
      return last + 1;
    if (endsBefore(last))
      return last;
  }
}

std::vector<std::u32string> Chunks::split(bool atHyphens) const {
  std::vector<std::u32string> out;
  for (size_t at = 0; at < text.size();) {
    size_t last = end(at, atHyphens);
    out.push_back(text.substr(at, last - at));
    at = last;
  }
  return out;
}

static bool isEmpty(const std::u32string &chunk) {
  return std::ranges::all_of(chunk, text::isPythonSpace);
}

/// Takes as much of a word as has room in a line.
static std::u32string breakWord(std::u32string &word, size_t room,
                                bool atHyphens) {
  size_t end = room;
  if (atHyphens && word.size() > room) {
    size_t hyphen = room ? word.rfind(U'-', room - 1) : word.npos;
    if (hyphen != word.npos && hyphen > 0 &&
        word.find_first_not_of(U'-') < hyphen)
      end = hyphen + 1;
  }
  std::u32string out = word.substr(0, end);
  word.erase(0, end);
  return out;
}

std::vector<std::u32string>
vlmc::rt::jinja::wrapLine(const std::u32string &line, size_t width,
                          bool breaksWords, bool breaksHyphens) {
  std::vector<std::u32string> chunks = Chunks(line).split(breaksHyphens);
  std::reverse(chunks.begin(), chunks.end()); // the next one is the last
  std::vector<std::u32string> lines;
  while (!chunks.empty()) {
    std::vector<std::u32string> now;
    size_t used = 0;
    if (!lines.empty() && isEmpty(chunks.back()))
      chunks.pop_back();
    while (!chunks.empty() && used + chunks.back().size() <= width) {
      used += chunks.back().size();
      now.push_back(std::move(chunks.back()));
      chunks.pop_back();
    }
    if (!chunks.empty() && chunks.back().size() > width) {
      if (breaksWords) {
        now.push_back(breakWord(chunks.back(), width - used, breaksHyphens));
      } else if (now.empty()) {
        now.push_back(std::move(chunks.back()));
        chunks.pop_back();
      }
    }
    if (!now.empty() && isEmpty(now.back()))
      now.pop_back();
    if (now.empty())
      continue;
    std::u32string text;
    for (const std::u32string &chunk : now)
      text += chunk;
    lines.push_back(std::move(text));
  }
  return lines;
}
