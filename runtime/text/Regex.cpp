//===- Regex.cpp - Finding the matches of a pattern -----------------------===//
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/Regex.h"

#include "runtime/text/Utf8.h"

#include <pcre2.h>

using namespace vlmc::rt::text;

// Steps and KiB that the matching of one place of a text may take: far more
// than any pattern in use needs, and done in a fraction of a second.
static constexpr uint32_t kMatchLimit = 1'000'000;
static constexpr uint32_t kHeapLimit = 64 * 1024;

std::string Regex::create(std::string_view pattern,
                          std::unique_ptr<Regex> &out) {
  std::unique_ptr<Regex> made(new Regex);
  if (std::string problem = translateRegex(pattern, made->symbols);
      !problem.empty())
    return problem;
  const std::string &text = made->symbols.pattern;
  int error;
  PCRE2_SIZE where;
  made->code = pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(text.data()),
                               text.size(), PCRE2_NEVER_UTF | PCRE2_NEVER_UCP,
                               &error, &where, nullptr);
  if (!made->code) {
    unsigned char message[256] = "";
    pcre2_get_error_message_8(error, message, sizeof(message));
    return "the pattern '" + std::string(pattern) +
           "' is not a regular expression: " +
           reinterpret_cast<char *>(message);
  }
  // Without a JIT for this machine, matching is interpreted.
  (void)pcre2_jit_compile_8(made->code, PCRE2_JIT_COMPLETE);
  made->limits = pcre2_match_context_create_8(nullptr);
  if (!made->limits)
    return "not enough memory for the pattern '" + std::string(pattern) + "'";
  pcre2_set_match_limit_8(made->limits, kMatchLimit);
  pcre2_set_heap_limit_8(made->limits, kHeapLimit);
  out = std::move(made);
  return "";
}

std::unique_ptr<Regex> Regex::literal(std::string_view text) {
  std::unique_ptr<Regex> made(new Regex);
  made->word = text;
  return made;
}

Regex::~Regex() {
  pcre2_match_context_free_8(limits);
  pcre2_code_free_8(code);
}

/// Matches in a text of symbols. Like Oniguruma's iterator, an empty match just
/// behind the last match does not count.
bool Regex::findSymbols(std::string_view text, std::vector<Span> &out) const {
  std::unique_ptr<pcre2_match_data_8, void (*)(pcre2_match_data_8 *)> data(
      pcre2_match_data_create_8(1, nullptr), pcre2_match_data_free_8);
  if (!data)
    return false;
  auto match = [&](size_t from, uint32_t options) {
    return pcre2_match_8(code, reinterpret_cast<PCRE2_SPTR8>(text.data()),
                         text.size(), from, options, data.get(), limits);
  };
  size_t from = 0, last = SIZE_MAX;
  while (from <= text.size()) {
    int count = match(from, 0);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT)
      count = match(from, PCRE2_NO_JIT);
    if (count == PCRE2_ERROR_NOMATCH)
      break;
    if (count < 0)
      return false;
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer_8(data.get());
    size_t begin = bounds[0], end = bounds[1];
    if (begin == end && end == last) {
      ++from;
      continue;
    }
    out.push_back({begin, end});
    from = last = end;
  }
  return true;
}

bool Regex::findAll(std::string_view text, std::vector<Span> &out) const {
  out.clear();
  if (!code) {
    for (size_t at = 0; (at = text.find(word, at)) != std::string_view::npos;
         at += word.size())
      out.push_back({at, at + word.size()});
    return true;
  }
  size_t ascii = 0;
  while (ascii < text.size() && static_cast<unsigned char>(text[ascii]) < 0x80)
    ++ascii;
  if (ascii == text.size())
    return findSymbols(text, out);
  std::string mapped;
  std::vector<size_t> starts; // of each symbol in the text
  mapped.reserve(text.size());
  starts.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    starts.push_back(at);
    mapped.push_back(static_cast<char>(symbols.map(nextChar(text, at))));
  }
  starts.push_back(text.size());
  if (!findSymbols(mapped, out))
    return false;
  for (Span &span : out)
    span = {starts[span.begin], starts[span.end]};
  return true;
}
