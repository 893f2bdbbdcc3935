//===- EndOfWordBpe.cpp - Lower-cased words of bytes ----------------------===//
#include "frontend/text/EndOfWordBpe.h"

#include "frontend/text/AddedVocabulary.h"

using namespace vlmc::text;

static constexpr const char *kBegin = "<|startoftext|>";
static constexpr const char *kEnd = "<|endoftext|>";
static constexpr const char *kSuffix = "</w>";
static constexpr const char *kWords =
    "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|["
    "\\p{N}]|[^\\s\\p{L}\\p{N}]+";

void vlmc::text::startEndOfWordBpe(TokenizerDescription &tokenizer,
                                   SpecialTokens &special) {
  special.setDefault("bos_token", kBegin);
  for (const char *role : {"eos_token", "unk_token", "pad_token"})
    special.setDefault(role, kEnd);
  tokenizer.normalizers = {
      {VLM_TEXT_NORMALIZE_NFC, 0, 0, "", ""},
      {VLM_TEXT_NORMALIZE_REPLACE, VLM_TEXT_FLAG_REGEX, 0, "\\s+", " "},
      {VLM_TEXT_NORMALIZE_LOWERCASE, 0, 0, "", ""}};
  tokenizer.preTokenizers = {
      {VLM_TEXT_SPLIT, VLM_TEXT_FLAG_REGEX | VLM_TEXT_FLAG_INVERT,
       VLM_TEXT_BEHAVIOR_REMOVED, kWords, ""},
      {VLM_TEXT_BYTE_LEVEL, VLM_TEXT_FLAG_USE_REGEX, 0, "", ""}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_BYTE_LEVEL, 0, 0, "", ""},
                        {VLM_TEXT_DECODE_REPLACE, 0, 0, kSuffix, " "},
                        {VLM_TEXT_DECODE_STRIP, 0, 0, "", ""}};
  tokenizer.model.wordPrefix = "";
  tokenizer.model.wordSuffix = kSuffix;
  tokenizer.model.flags = 0;
  tokenizer.model.unkToken = special.content("unk_token");
}

void vlmc::text::finishEndOfWordBpe(TokenizerDescription &tokenizer,
                                    const SpecialTokens &special) {
  tokenizer.post.clear();
  auto add = [&](const char *role) {
    auto content = special.content(role);
    auto id = content ? findToken(tokenizer, *content) : std::nullopt;
    if (id)
      tokenizer.post.push_back({VLM_TEXT_PIECE_TOKEN, *id});
  };
  add("bos_token");
  tokenizer.post.push_back({VLM_TEXT_PIECE_TEXT, 0});
  add("eos_token");
}
