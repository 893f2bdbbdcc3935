//===- PreTokenizer.cpp - Splitting a text into words ---------------------===//
#include "runtime/text/PreTokenizer.h"

#include "runtime/text/ByteChars.h"
#include "runtime/text/Stages.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

using namespace vlmc::rt::text;

namespace {

/// A stretch of a text: a match of the pattern or what lies between two.
struct Part {
  Span span;
  bool match;
};

/// Splits at the matches of a pattern.
struct Split : PreTokenizer {
  bool apply(Pieces &pieces) const override;
  void behave(std::vector<Part> &parts) const;

  std::unique_ptr<Regex> pattern;
  uint32_t behavior = VLM_TEXT_BEHAVIOR_REMOVED;
  bool invert = false;
};

/// Writes blanks as another character, one before words as well.
struct Metaspace : PreTokenizer {
  bool apply(Pieces &pieces) const override;

  Split words; // at that character, which begins a word
  std::string blank;
  uint32_t scheme = VLM_TEXT_PREPEND_ALWAYS;
  bool splits = true;
};

/// Splits at white space, which goes.
struct WhitespaceSplit : PreTokenizer {
  bool apply(Pieces &pieces) const override;
};

/// Turns bytes into the characters that stand for them.
struct ByteLevel : PreTokenizer {
  bool apply(Pieces &pieces) const override;

  Split words;
  bool addPrefixSpace = false;
  bool splits = false;
};

} // namespace

static std::vector<Part> partsOf(std::string_view text,
                                 const std::vector<Span> &found, bool invert) {
  std::vector<Part> parts;
  size_t last = 0;
  for (Span span : found) {
    if (last != span.begin)
      parts.push_back({{last, span.begin}, invert});
    parts.push_back({span, !invert});
    last = span.end;
  }
  if (last != text.size())
    parts.push_back({{last, text.size()}, invert});
  return parts;
}

/// Joins neighbours as the behaviour says; what `joins` holds for goes with
/// the part before it.
template <typename Joins>
static void join(std::vector<Part> &parts, Joins joins) {
  std::vector<Part> out;
  bool previous = false;
  for (const Part &part : parts) {
    if (!out.empty() && joins(part.match, previous)) {
      out.back().span.begin = std::min(out.back().span.begin, part.span.begin);
      out.back().span.end = std::max(out.back().span.end, part.span.end);
    } else {
      out.push_back(part);
    }
    previous = part.match;
  }
  parts = std::move(out);
}

void Split::behave(std::vector<Part> &parts) const {
  auto afterOther = [](bool match, bool previous) {
    return match && !previous;
  };
  switch (behavior) {
  case VLM_TEXT_BEHAVIOR_REMOVED:
    std::erase_if(parts, [](const Part &part) { return part.match; });
    return;
  case VLM_TEXT_BEHAVIOR_MERGED_WITH_PREVIOUS:
    return join(parts, afterOther);
  case VLM_TEXT_BEHAVIOR_MERGED_WITH_NEXT:
    std::reverse(parts.begin(), parts.end());
    join(parts, afterOther);
    std::reverse(parts.begin(), parts.end());
    return;
  case VLM_TEXT_BEHAVIOR_CONTIGUOUS:
    return join(parts,
                [](bool match, bool previous) { return match == previous; });
  default:
    return;
  }
}

bool Split::apply(Pieces &pieces) const {
  std::vector<Piece> out;
  std::vector<Span> found;
  for (const Piece &piece : pieces.pieces) {
    if (piece.id >= 0) {
      out.push_back(piece);
      continue;
    }
    std::string_view text = pieces.view(piece);
    if (!pattern->findAll(text, found))
      return false;
    std::vector<Part> parts = partsOf(text, found, invert);
    behave(parts);
    for (const Part &part : parts)
      if (part.span.begin != part.span.end)
        out.push_back({piece.begin + part.span.begin,
                       piece.begin + part.span.end, -1,
                       piece.begins && part.span.begin == 0});
  }
  pieces.pieces = std::move(out);
  return true;
}

/// Writes the pieces into a new text, each changed by `write(out, view)`.
template <typename Write> static void rewrite(Pieces &pieces, Write write) {
  Pieces out;
  out.text.reserve(pieces.text.size() * 2);
  out.pieces.reserve(pieces.pieces.size());
  for (const Piece &piece : pieces.pieces) {
    size_t begin = out.text.size();
    if (piece.id < 0)
      write(out.text, pieces.view(piece), piece.begins);
    out.pieces.push_back({begin, out.text.size(), piece.id, piece.begins});
  }
  pieces = std::move(out);
}

bool ByteLevel::apply(Pieces &pieces) const {
  if (addPrefixSpace)
    rewrite(pieces, [](std::string &out, std::string_view text, bool) {
      if (!text.starts_with(' '))
        out.push_back(' ');
      out.append(text);
    });
  if (splits && !words.apply(pieces))
    return false;
  rewrite(pieces, [](std::string &out, std::string_view text, bool) {
    for (char byte : text)
      appendUtf8(out, byteChar(byte));
  });
  return true;
}

bool Metaspace::apply(Pieces &pieces) const {
  rewrite(pieces, [&](std::string &out, std::string_view text, bool begins) {
    bool wanted = scheme == VLM_TEXT_PREPEND_ALWAYS ||
                  (scheme == VLM_TEXT_PREPEND_FIRST && begins);
    if (wanted && !text.starts_with(' ') && !text.starts_with(blank))
      out += blank;
    for (char c : text)
      c == ' ' ? out.append(blank) : out.append(1, c);
  });
  return !splits || words.apply(pieces);
}

bool WhitespaceSplit::apply(Pieces &pieces) const {
  std::vector<Piece> out;
  for (const Piece &piece : pieces.pieces) {
    if (piece.id >= 0) {
      out.push_back(piece);
      continue;
    }
    size_t begin = piece.begin;
    auto close = [&](size_t end) {
      if (begin != end)
        out.push_back({begin, end, -1, piece.begins && begin == piece.begin});
    };
    for (size_t at = piece.begin; at < piece.end;) {
      size_t start = at;
      if (!hasFlag(nextChar(pieces.text, at), CharRustSpace))
        continue;
      close(start);
      begin = at;
    }
    close(piece.end);
  }
  pieces.pieces = std::move(out);
  return true;
}

static std::string makeMetaspace(const Tables &tables,
                                 const vlm_text_stage &stage,
                                 std::unique_ptr<PreTokenizer> &out) {
  auto metaspace = std::make_unique<Metaspace>();
  metaspace->blank = tables.string(stage.content);
  metaspace->scheme = stage.number;
  metaspace->splits = stage.flags & VLM_TEXT_FLAG_SPLIT_WORDS;
  if (metaspace->blank.empty() || stage.number > VLM_TEXT_PREPEND_ALWAYS)
    return "expected a character for blanks and a known way to prepend it";
  metaspace->words.behavior = VLM_TEXT_BEHAVIOR_MERGED_WITH_NEXT;
  metaspace->words.pattern = Regex::literal(metaspace->blank);
  out = std::move(metaspace);
  return "";
}

std::string
vlmc::rt::text::makePreTokenizer(const Tables &tables,
                                 const vlm_text_stage &stage,
                                 std::unique_ptr<PreTokenizer> &out) {
  if (stage.kind == VLM_TEXT_SPLIT) {
    if (stage.number > VLM_TEXT_BEHAVIOR_CONTIGUOUS)
      return "unknown behavior " + std::to_string(stage.number);
    auto split = std::make_unique<Split>();
    split->behavior = stage.number;
    split->invert = stage.flags & VLM_TEXT_FLAG_INVERT;
    std::string problem = makePattern(tables, stage, split->pattern);
    out = std::move(split);
    return problem;
  }
  if (stage.kind == VLM_TEXT_METASPACE)
    return makeMetaspace(tables, stage, out);
  if (stage.kind == VLM_TEXT_WHITESPACE_SPLIT) {
    out = std::make_unique<WhitespaceSplit>();
    return "";
  }
  if (stage.kind != VLM_TEXT_BYTE_LEVEL)
    return "unknown pre-tokenizer " + std::to_string(stage.kind);
  auto bytes = std::make_unique<ByteLevel>();
  bytes->addPrefixSpace = stage.flags & VLM_TEXT_FLAG_ADD_PREFIX_SPACE;
  bytes->splits = stage.flags & VLM_TEXT_FLAG_USE_REGEX;
  bytes->words.behavior = VLM_TEXT_BEHAVIOR_ISOLATED;
  // The words of GPT-2, fixed for this kind.
  std::string problem =
      Regex::create("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
                    "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
                    bytes->words.pattern);
  out = std::move(bytes);
  return problem;
}
