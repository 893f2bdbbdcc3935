//===- PictureParts.cpp - Placeholders of pictures in parts ---------------===//
#include "runtime/text/PictureParts.h"

#include "runtime/text/Utf8.h"

#include <algorithm>

namespace vlmc::rt::text {

size_t countPlaceholders(const PictureWords &words, std::string_view prompt) {
  size_t count = 0;
  for (size_t at = 0; (at = prompt.find(words.token, at)) != prompt.npos;
       at += words.token.size())
    ++count;
  return count;
}

/// The prompt with what `write` appends in the place of placeholder i.
static std::string replacePlaceholders(const PictureWords &words,
                                       std::string_view prompt,
                                       const auto &write) {
  std::string text;
  size_t last = 0, number = 0;
  for (size_t at; (at = prompt.find(words.token, last)) != prompt.npos;) {
    text.append(prompt.substr(last, at - last));
    write(number++, text);
    last = at + words.token.size();
  }
  return text.append(prompt.substr(last));
}

static void appendTokens(const PictureWords &words, int64_t count,
                         std::string &text) {
  for (int64_t i = 0; i < count; ++i)
    text.append(words.token);
}

/// Python's whitespace of regular expressions.
static bool isBlank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::string writeParts(const PictureWords &words, std::string_view prompt,
                       std::span<const int64_t> counts) {
  std::string all =
      replacePlaceholders(words, prompt, [&](size_t number, std::string &text) {
        int64_t count = number < counts.size() ? counts[number] : 0;
        const int64_t part = words.tokens ? words.tokens : count;
        for (; count > 0; count -= part) {
          text.append(words.frame);
          appendTokens(words, std::min(part, count), text);
          text.append(words.frame);
        }
      });
  if (words.frame.empty())
    return all;
  std::string text;
  std::string_view rest = all;
  for (size_t at; (at = rest.find(words.frame)) != rest.npos;) {
    text.append(rest.substr(0, at + words.frame.size()));
    rest.remove_prefix(at + words.frame.size());
    if (rest.starts_with(words.frame))
      rest.remove_prefix(words.frame.size());
    size_t behind = 0;
    if (!rest.empty() && !rest.starts_with('<') &&
        !isBlank(nextChar(rest, behind)))
      text.push_back(' ');
  }
  return text.append(rest);
}

std::string writeTiles(const PictureWords &words, std::string_view prompt,
                       std::span<const int64_t> lines) {
  return replacePlaceholders(
      words, prompt, [&](size_t number, std::string &text) {
        const bool isGiven = 2 * number + 1 < lines.size();
        const int64_t count = isGiven ? lines[2 * number] : 0;
        const int64_t columns = isGiven ? lines[2 * number + 1] : 0;
        for (int64_t line = 1; line <= count; ++line) {
          for (int64_t column = 1; column <= columns; ++column) {
            text.append(words.frame)
                .append("<row_" + std::to_string(line) + "_col_")
                .append(std::to_string(column) + ">");
            appendTokens(words, words.tokens, text);
          }
          text.push_back('\n');
        }
        if (count)
          text.push_back('\n');
        text.append(words.frame).append(words.whole);
        appendTokens(words, words.tokens, text);
        text.append(words.frame);
      });
}

} // namespace vlmc::rt::text
