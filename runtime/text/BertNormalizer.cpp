//===- BertNormalizer.cpp - What BERT does to a text before splitting -----===//
//
// Control characters out and plain blanks, blanks around ideographs, accents
// off, lower case, each if it is wanted. Source: normalizers/bert.rs of the
// package `tokenizers`, whose classes of characters are in BertTables.inc.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Normalizer.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <span>

namespace {
#include "runtime/text/unicode/BertTables.inc"
} // namespace

using namespace vlmc::rt::text;

static bool within(char32_t c, std::span<const uint32_t[2]> ranges) {
  auto at = std::ranges::lower_bound(
      ranges, static_cast<uint32_t>(c), {},
      [](const uint32_t (&range)[2]) { return range[1]; });
  return at != ranges.end() && c >= (*at)[0];
}

/// The blocks that BERT takes for Chinese.
static bool isIdeograph(char32_t c) {
  static constexpr uint32_t blocks[][2] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
      {0x20000, 0x2A6DF}, {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF},
      {0x2F800, 0x2FA1F}};
  return within(c, blocks);
}

namespace {

struct BertNormalizer : Normalizer {
  explicit BertNormalizer(uint32_t flags) : flags(flags) {}
  bool apply(std::string &text, bool &begins) const override;
  bool has(uint32_t flag) const { return flags & flag; }

  uint32_t flags;
};

} // namespace

/// Writes each character by `write(out, c)`, which says whether it stays.
template <typename Write>
static void rewrite(std::string &text, bool &begins, Write write) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t start = at;
    if (!write(out, nextChar(text, at)) && start == 0)
      begins = false;
  }
  text = std::move(out);
}

static bool writeClean(std::string &out, char32_t c) {
  if (c > ' ' && c < 0x7F)
    return out.push_back(static_cast<char>(c)), true;
  if (within(c, kBertControl))
    return false;
  // Tab and line ends are no control characters here.
  if (c == '\t' || c == '\n' || c == '\r' || hasFlag(c, CharRustSpace))
    out.push_back(' ');
  else
    appendUtf8(out, c);
  return true;
}

bool BertNormalizer::apply(std::string &text, bool &begins) const {
  if (has(VLM_TEXT_FLAG_CLEAN))
    rewrite(text, begins, writeClean);
  if (has(VLM_TEXT_FLAG_IDEOGRAPHS))
    rewrite(text, begins, [](std::string &out, char32_t c) {
      bool apart = isIdeograph(c);
      out.append(apart ? " " : "");
      appendUtf8(out, c);
      out.append(apart ? " " : "");
      return true;
    });
  if (has(VLM_TEXT_FLAG_ACCENTS)) {
    text = normalForm(text, /*compose=*/false);
    rewrite(text, begins, [](std::string &out, char32_t c) {
      if (within(c, kBertMark))
        return false;
      appendUtf8(out, c);
      return true;
    });
  }
  if (has(VLM_TEXT_FLAG_LOWERCASE))
    text = lowerCase(text);
  return true;
}

std::unique_ptr<Normalizer>
vlmc::rt::text::makeBertNormalizer(const vlm_text_stage &stage) {
  return std::make_unique<BertNormalizer>(stage.flags);
}
