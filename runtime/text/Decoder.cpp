//===- Decoder.cpp - From tokens to text ----------------------------------===//
#include "runtime/text/Decoder.h"

#include "runtime/text/ByteChars.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

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

static std::string
decodeByteLevel(const std::vector<std::string_view> &tokens) {
  std::string bytes;
  for (std::string_view token : tokens)
    appendBytes(bytes, token);
  return repairUtf8(bytes);
}

static std::string joinSpaces(const std::vector<std::string_view> &tokens) {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i)
    out.append(i ? " " : "").append(tokens[i]);
  return out;
}

static void replaceAll(std::string &text, std::string_view pattern,
                       std::string_view content) {
  std::string out;
  size_t last = 0;
  for (size_t at; (at = text.find(pattern, last)) != std::string::npos;
       last = at + pattern.size())
    out.append(text, last, at - last).append(content);
  text = out.append(text, last);
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

static void cleanUp(std::string &text) {
  static constexpr std::string_view pairs[][2] = {
      {" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
      {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
      {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto &pair : pairs)
    replaceAll(text, pair[0], pair[1]);
}

std::string vlmc::rt::text::checkDecoders(const Tables &tables) {
  for (const vlm_text_stage &stage : tables.decoders) {
    bool first = &stage == tables.decoders.data();
    bool joins = stage.kind == VLM_TEXT_DECODE_BYTE_LEVEL ||
                 stage.kind == VLM_TEXT_DECODE_JOIN_SPACES;
    if (stage.kind < VLM_TEXT_DECODE_BYTE_LEVEL ||
        stage.kind > VLM_TEXT_DECODE_CLEAN_UP || joins != first)
      return "unknown decoder " + std::to_string(stage.kind);
    if (stage.kind == VLM_TEXT_DECODE_REPLACE && !stage.pattern.bytes)
      return "expected a pattern that is not empty";
  }
  return tables.decoders.empty() ? "expected a decoder" : "";
}

std::string
vlmc::rt::text::decodeTokens(const Tables &tables,
                             const std::vector<std::string_view> &tokens) {
  std::string text;
  for (const vlm_text_stage &stage : tables.decoders)
    switch (stage.kind) {
    case VLM_TEXT_DECODE_BYTE_LEVEL:
      text = decodeByteLevel(tokens);
      break;
    case VLM_TEXT_DECODE_JOIN_SPACES:
      text = joinSpaces(tokens);
      break;
    case VLM_TEXT_DECODE_REPLACE:
      replaceAll(text, tables.string(stage.pattern),
                 tables.string(stage.content));
      break;
    case VLM_TEXT_DECODE_STRIP:
      strip(text);
      break;
    case VLM_TEXT_DECODE_CLEAN_UP:
      cleanUp(text);
      break;
    }
  return text;
}
