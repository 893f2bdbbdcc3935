//===- Normalizer.cpp - What is done to a text before it is split ---------===//
#include "runtime/text/Normalizer.h"

#include "runtime/text/Charsmap.h"
#include "runtime/text/Regex.h"
#include "runtime/text/Stages.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

using namespace vlmc::rt::text;

namespace {

struct NormalForm : Normalizer {
  NormalForm(bool compose, bool compatibility)
      : compose(compose), compatibility(compatibility) {}
  bool apply(std::string &text, bool &) const override {
    text = normalForm(compatibility ? compatible(text) : text, compose);
    return true;
  }
  bool compose;
  bool compatibility;
};

struct Lowercase : Normalizer {
  bool apply(std::string &text, bool &) const override {
    text = lowerCase(text);
    return true;
  }
};

struct Prepend : Normalizer {
  bool apply(std::string &text, bool &begins) const override {
    if (onlyAtBegin ? begins : !text.empty())
      text.insert(0, content);
    return true;
  }
  std::string content;
  bool onlyAtBegin = false;
};

struct Strip : Normalizer {
  bool apply(std::string &text, bool &begins) const override {
    size_t begin = 0, end = text.size();
    for (size_t at = 0; left && at < end; begin = at)
      if (!hasFlag(nextChar(text, at), CharRustSpace))
        break;
    while (right && end > begin) {
      size_t start = previousChar(text, end), at = start;
      if (!hasFlag(nextChar(text, at), CharRustSpace))
        break;
      end = start;
    }
    begins = begins && begin == 0;
    text = text.substr(begin, end - begin);
    return true;
  }
  bool left = false, right = false;
};

/// Leaves control characters out and makes blanks of unusual ones: the rules
/// "nmt" of SentencePiece as `tokenizers` has them.
struct Nmt : Normalizer {
  bool apply(std::string &text, bool &begins) const override {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t start = at;
      char32_t c = nextChar(text, at);
      if (isDropped(c)) {
        begins = begins && start != 0;
        continue;
      }
      if (isBlank(c))
        out += ' ';
      else
        out.append(text, start, at - start);
    }
    text = std::move(out);
    return true;
  }
  static bool isDropped(char32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) ||
           c == 0x7F || c == 0x8F || c == 0x9F;
  }
  static bool isBlank(char32_t c) {
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
           c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  }
};

/// Texts as captions of pictures are trained on: no punctuation, single blanks,
/// perhaps lower case. Python's classes of characters.
struct Caption : Normalizer {
  bool apply(std::string &text, bool &) const override {
    if (lower)
      text = pythonLower(text);
    std::string out;
    bool waiting = false; // a blank, if something follows
    for (size_t at = 0; at < text.size();) {
      size_t start = at;
      char32_t c = nextChar(text, at);
      if (isPythonSpace(c)) {
        waiting = true;
      } else if (!isPunctuation(c)) {
        out.append(waiting && !out.empty() ? " " : "")
            .append(text, start, at - start);
        waiting = false;
      }
    }
    text = std::move(out);
    return true;
  }
  static bool isPunctuation(char32_t c) {
    return (c > ' ' && c < '0') || (c > '9' && c < 'A') ||
           (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
  }
  bool lower = false;
};

/// Replaces by a charsmap as `tokenizers` does: a short grapheme as a whole by
/// what the map has for its shortest beginning, what follows being lost; else
/// each of its characters.
struct Precompiled : Normalizer {
  explicit Precompiled(const Tables &tables) : map(tables) {}
  bool apply(std::string &text, bool &) const override {
    constexpr size_t longest = 5;
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
      std::string_view grapheme = rest.substr(0, graphemeBytes(rest));
      rest.remove_prefix(grapheme.size());
      if (grapheme.size() <= longest && replace(grapheme, out))
        continue;
      for (size_t at = 0; at < grapheme.size();) {
        size_t start = at;
        nextChar(grapheme, at);
        std::string_view one = grapheme.substr(start, at - start);
        if (!replace(one, out))
          out.append(one);
      }
    }
    text = std::move(out);
    return true;
  }
  bool replace(std::string_view part, std::string &out) const {
    // Zeros end a look-up.
    auto found = map.shortest(part.substr(0, part.find('\0')));
    if (found)
      out.append(found->content);
    return found.has_value();
  }
  Charsmap map;
};

struct Replace : Normalizer {
  bool apply(std::string &text, bool &begins) const override {
    std::vector<Span> found;
    if (!pattern->findAll(text, found))
      return false;
    if (found.empty())
      return true;
    if (found.front().begin == 0 && content.empty())
      begins = false;
    std::string out;
    size_t last = 0;
    for (Span span : found) {
      out.append(text, last, span.begin - last).append(content);
      last = span.end;
    }
    text = out.append(text, last);
    return true;
  }
  std::unique_ptr<Regex> pattern;
  std::string content;
};

} // namespace

std::string vlmc::rt::text::makeNormalizer(const Tables &tables,
                                           const vlm_text_stage &stage,
                                           std::unique_ptr<Normalizer> &out) {
  switch (stage.kind) {
  case VLM_TEXT_NORMALIZE_NFC:
  case VLM_TEXT_NORMALIZE_NFD:
    out = std::make_unique<NormalForm>(stage.kind == VLM_TEXT_NORMALIZE_NFC,
                                       /*compatibility=*/false);
    return "";
  case VLM_TEXT_NORMALIZE_NFKC:
  case VLM_TEXT_NORMALIZE_NFKD:
    out = std::make_unique<NormalForm>(stage.kind == VLM_TEXT_NORMALIZE_NFKC,
                                       /*compatibility=*/true);
    return "";
  case VLM_TEXT_NORMALIZE_LOWERCASE:
    out = std::make_unique<Lowercase>();
    return "";
  case VLM_TEXT_NORMALIZE_REPLACE: {
    auto replace = std::make_unique<Replace>();
    replace->content = tables.string(stage.content);
    std::string problem = makePattern(tables, stage, replace->pattern);
    out = std::move(replace);
    return problem;
  }
  case VLM_TEXT_NORMALIZE_PREPEND: {
    auto prepend = std::make_unique<Prepend>();
    prepend->content = tables.string(stage.content);
    prepend->onlyAtBegin = stage.flags & VLM_TEXT_FLAG_AT_BEGIN;
    out = std::move(prepend);
    return "";
  }
  case VLM_TEXT_NORMALIZE_STRIP: {
    auto strip = std::make_unique<Strip>();
    strip->left = stage.flags & VLM_TEXT_FLAG_LEFT;
    strip->right = stage.flags & VLM_TEXT_FLAG_RIGHT;
    out = std::move(strip);
    return "";
  }
  case VLM_TEXT_NORMALIZE_NMT:
    out = std::make_unique<Nmt>();
    return "";
  case VLM_TEXT_NORMALIZE_PRECOMPILED:
    out = std::make_unique<Precompiled>(tables);
    return "";
  case VLM_TEXT_NORMALIZE_CAPTION: {
    auto caption = std::make_unique<Caption>();
    caption->lower = stage.flags & VLM_TEXT_FLAG_LOWERCASE;
    out = std::move(caption);
    return "";
  }
  case VLM_TEXT_NORMALIZE_BERT:
    out = makeBertNormalizer(stage);
    return "";
  default:
    return "unknown normalizer " + std::to_string(stage.kind);
  }
}
