//===- Decoder.cpp - From tokens to text ----------------------------------===//
#include "runtime/text/Decoder.h"

#include "runtime/text/ByteChars.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

using namespace vlmc::rt::text;

/// The bytes that a token's characters stand for; a token with another
/// character is taken as it is.
static void appendBytes(std::string &out, std::string_view token) {
  size_t before = out.size();
  for (size_t at = 0; at < token.size();) {
    int byte = charByte(nextChar(token, at));
    if (byte < 0) {
      out.resize(before);
      out.append(token);
      return;
    }
    out.push_back(static_cast<char>(byte));
  }
}

namespace {
/// What the steps hand on.
struct Decoding {
  std::vector<DecodedToken> tokens;
  /// Whether others may come behind them, and whether the last one is only the
  /// beginning of one then. Steps leave out what may still become another text.
  bool isBegun = false, isLastBegun = false;
  bool skipsSpecial = false; ///< no special token is among them or comes

  /// Leaves out a token of which only the beginning is known.
  void dropLastBegun() {
    if (isLastBegun)
      tokens.pop_back();
    isLastBegun = false;
  }
  /// One token of all; what comes behind them will be in it.
  void become(std::string text) {
    tokens = {{std::move(text), false}};
    isLastBegun = isBegun;
  }
  /// Changes the text of each; with `true` that of a beginning.
  template <typename Change> void each(const Change &change) {
    for (DecodedToken &token : tokens)
      change(token.text, isLastBegun && &token == &tokens.back());
  }
};
} // namespace

static std::string decodeByteLevel(Decoding &decoding) {
  decoding.dropLastBegun(); // it is taken as bytes or not as a whole
  std::string bytes;
  for (const DecodedToken &token : decoding.tokens)
    appendBytes(bytes, token.text);
  return repairUtf8(bytes, decoding.isBegun);
}

static std::string join(const std::vector<DecodedToken> &tokens,
                        std::string_view between) {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i)
    out.append(i ? between : "").append(tokens[i].text);
  return out;
}

/// The byte that a token <0xNN> stands for, or -1.
static int fallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return -1;
  int value = 0;
  for (char c : token.substr(3, 2)) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                       : -1;
    if (digit < 0)
      return -1;
    value = 16 * value + digit;
  }
  return value;
}

/// Runs of bytes become text, or one U+FFFD for each where they are none.
static void decodeByteFallback(Decoding &decoding) {
  constexpr size_t byteLength = 6;
  if (decoding.isLastBegun && decoding.tokens.back().text.size() <= byteLength)
    decoding.dropLastBegun(); // it may become a byte
  std::vector<DecodedToken> out;
  std::string bytes;
  auto flush = [&] {
    if (bytes.empty())
      return;
    if (repairUtf8(bytes) == bytes) {
      out.push_back({bytes, false});
    } else {
      for (size_t i = 0; i < bytes.size(); ++i)
        out.push_back({"\xEF\xBF\xBD", false});
    }
    bytes.clear();
  };
  for (DecodedToken &token : decoding.tokens) {
    int byte = fallbackByte(token.text);
    if (byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  if (!decoding.isBegun) // else the run may go on
    flush();
  decoding.tokens = std::move(out);
}

/// Of text that goes on, leaves out an end that may become the pattern.
static void replaceAll(std::string &text, std::string_view pattern,
                       std::string_view content, bool goesOn) {
  std::string out;
  size_t last = 0;
  for (size_t at; (at = text.find(pattern, last)) != std::string::npos;
       last = at + pattern.size())
    out.append(text, last, at - last).append(content);
  std::string_view rest = std::string_view(text).substr(last);
  size_t held = goesOn ? std::min(rest.size(), pattern.size() - 1) : 0;
  while (held > 0 && !rest.ends_with(pattern.substr(0, held)))
    --held;
  rest.remove_suffix(held);
  text = out.append(rest);
}

static void strip(std::string &text) {
  size_t begin = 0, end = text.size();
  for (size_t at = 0; at < end; begin = at)
    if (!isPythonSpace(nextChar(text, at)))
      break;
  while (end > begin) {
    size_t start = previousChar(text, end), at = start;
    if (!isPythonSpace(nextChar(text, at)))
      break;
    end = start;
  }
  text = text.substr(begin, end - begin);
}

/// `shortens`: "do not" becomes "don't" too.
static void cleanUp(std::string &text, bool shortens, bool goesOn) {
  static constexpr std::string_view longForm = " do not";
  static constexpr std::string_view pairs[][2] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {longForm, " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto &pair : pairs)
    if (shortens || pair[0] != longForm)
      replaceAll(text, pair[0], pair[1], goesOn);
}

/// Takes up to `number`'s halves of a character off both ends.
static void stripChar(std::string &text, std::string_view c, uint32_t number) {
  size_t atBegin = number & 0xFFFF, atEnd = number >> 16;
  std::string_view rest = text;
  for (; atBegin && rest.starts_with(c); --atBegin)
    rest.remove_prefix(c.size());
  for (; atEnd && rest.ends_with(c); --atEnd)
    rest.remove_suffix(c.size());
  text = std::string(rest);
}

static void decodeMetaspace(Decoding &decoding, std::string_view blank,
                            bool dropFirst) {
  const std::string *first =
      decoding.tokens.empty() ? nullptr : &decoding.tokens[0].text;
  decoding.each([&](std::string &text, bool goesOn) {
    replaceAll(text, blank, dropFirst && &text == first ? "" : " ", goesOn);
  });
}

/// As `tokenizers` cleans up after word pieces: each by itself.
static void decodeWordPiece(Decoding &decoding, std::string_view prefix,
                            bool cleans) {
  decoding.dropLastBegun();
  std::vector<DecodedToken> &tokens = decoding.tokens;
  for (DecodedToken &token : tokens) {
    if (&token != tokens.data()) {
      if (token.text.starts_with(prefix))
        token.text.erase(0, prefix.size());
      else
        token.text.insert(0, " ");
    }
    if (cleans)
      cleanUp(token.text, /*shortens=*/true, /*goesOn=*/false);
  }
}

static constexpr std::string_view kSpace = "\xE2\x96\x81"; // U+2581

/// Bytes as SentencePiece reads them: U+FFFD for each that is in no character.
static std::string readBytes(std::string_view bytes, bool goesOn) {
  std::string out;
  while (!bytes.empty()) {
    // The first character that is whole, or what is none.
    size_t count = std::min(charBytes(bytes.front()), bytes.size());
    std::string one = repairUtf8(bytes.substr(0, count));
    if (one == bytes.substr(0, count)) {
      out += one;
    } else {
      if (goesOn && repairUtf8(bytes, /*goesOn=*/true).empty())
        break;
      out += "\xEF\xBF\xBD";
      count = 1;
    }
    bytes.remove_prefix(count);
  }
  return out;
}

/// Tokens between special ones, as SentencePieceProcessor::Decode. Of the
/// blanks before the first word all go, or one, or none.
static std::string decodePieces(const std::vector<std::string> &pieces,
                                uint32_t blanks, bool goesOn) {
  std::string out, bytes;
  bool mayDrop = blanks != VLM_TEXT_BLANKS_STAY;
  for (const std::string &piece : pieces) {
    if (int byte = fallbackByte(piece); byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
      continue;
    }
    out += readBytes(bytes, /*goesOn=*/false);
    bytes.clear();
    std::string_view rest = piece;
    if (mayDrop && out.empty() && rest.starts_with(kSpace)) {
      rest.remove_prefix(kSpace.size());
      mayDrop = blanks == VLM_TEXT_BLANKS_GO;
    }
    std::string text(rest);
    replaceAll(text, kSpace, " ", /*goesOn=*/false);
    out += text;
  }
  return out + readBytes(bytes, goesOn);
}

/// As SentencePiece-backed tokenizers of transformers do.
static std::string decodeSentencePiece(Decoding &decoding, uint32_t blanks) {
  decoding.dropLastBegun();
  std::string out;
  std::vector<std::string> waiting;
  bool afterSpecial = false;
  for (const DecodedToken &token : decoding.tokens) {
    if (!token.special) {
      waiting.push_back(token.text);
    } else {
      if (!afterSpecial)
        out += ' ';
      out += decodePieces(waiting, blanks, /*goesOn=*/false) + token.text;
      waiting.clear();
    }
    afterSpecial = token.special;
  }
  const bool isFirst = waiting.size() == decoding.tokens.size();
  // A blank comes before them, if it stays, once a special token is behind.
  const bool isBlankSure =
      decoding.skipsSpecial || (isFirst && blanks == VLM_TEXT_BLANKS_GO);
  if (!decoding.isBegun || isBlankSure)
    out += decodePieces(waiting, blanks, decoding.isBegun);
  // Blanks at the end are certain only once something follows.
  if (blanks == VLM_TEXT_BLANKS_GO)
    strip(out);
  return out;
}

std::string vlmc::rt::text::checkDecoders(const Tables &tables) {
  for (const vlm_text_stage &stage : tables.decoders) {
    if (stage.kind < VLM_TEXT_DECODE_BYTE_LEVEL ||
        stage.kind > VLM_TEXT_DECODE_WORD_PIECE)
      return "unknown decoder " + std::to_string(stage.kind);
    if (stage.kind == VLM_TEXT_DECODE_REPLACE && !stage.pattern.bytes)
      return "expected a pattern that is not empty";
    bool hasContent = stage.kind == VLM_TEXT_DECODE_METASPACE ||
                      stage.kind == VLM_TEXT_DECODE_STRIP_CHAR;
    if (hasContent && !stage.content.bytes)
      return "expected a character to decode";
  }
  return tables.decoders.empty() ? "expected a decoder" : "";
}

static void decodeStage(const Tables &tables, const vlm_text_stage &stage,
                        Decoding &decoding) {
  auto content = tables.string(stage.content);
  switch (stage.kind) {
  case VLM_TEXT_DECODE_BYTE_LEVEL:
    return decoding.become(decodeByteLevel(decoding));
  case VLM_TEXT_DECODE_JOIN_SPACES:
    return decoding.become(join(decoding.tokens, " "));
  case VLM_TEXT_DECODE_REPLACE:
    return decoding.each([&](std::string &text, bool goesOn) {
      replaceAll(text, tables.string(stage.pattern), content, goesOn);
    });
  case VLM_TEXT_DECODE_STRIP:
    return decoding.each([](std::string &text, bool) { strip(text); });
  case VLM_TEXT_DECODE_CLEAN_UP:
    decoding.become(join(decoding.tokens, ""));
    return decoding.each([](std::string &text, bool goesOn) {
      cleanUp(text, /*shortens=*/false, goesOn);
    });
  case VLM_TEXT_DECODE_BYTE_FALLBACK:
    return decodeByteFallback(decoding);
  case VLM_TEXT_DECODE_FUSE:
    return decoding.become(join(decoding.tokens, ""));
  case VLM_TEXT_DECODE_METASPACE:
    return decodeMetaspace(decoding, content,
                           stage.flags & VLM_TEXT_FLAG_DROP_FIRST);
  case VLM_TEXT_DECODE_STRIP_CHAR:
    // As many at the end of a beginning may come to stand at the end of all.
    return decoding.each([&](std::string &text, bool) {
      stripChar(text, content, stage.number);
    });
  case VLM_TEXT_DECODE_SENTENCEPIECE:
    return decoding.become(decodeSentencePiece(decoding, stage.number));
  case VLM_TEXT_DECODE_WORD_PIECE:
    return decodeWordPiece(decoding, content,
                           stage.flags & VLM_TEXT_FLAG_CLEAN);
  }
}

std::string vlmc::rt::text::decodeTokens(const Tables &tables,
                                         std::vector<DecodedToken> tokens,
                                         bool isBegun, bool skipsSpecial) {
  Decoding decoding{std::move(tokens), isBegun, false, skipsSpecial};
  for (const vlm_text_stage &stage : tables.decoders)
    decodeStage(tables, stage, decoding);
  return join(decoding.tokens, "");
}
