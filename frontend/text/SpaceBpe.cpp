//===- SpaceBpe.cpp - Byte pairs over text with visible blanks ------------===//
#include "frontend/text/SpaceBpe.h"

using namespace vlmc::text;

static constexpr const char *kBlank = "\xE2\x96\x81"; // U+2581

void vlmc::text::startSpaceBpe(TokenizerDescription &tokenizer,
                               SpecialTokens &special, bool lower) {
  for (const char *role : {"bos", "eos", "unk", "pad", "mask"})
    special.setDefault(std::string(role) + "_token",
                       "<" + std::string(role) + ">");
  tokenizer.normalizers.clear();
  if (lower)
    tokenizer.normalizers.push_back(
        {VLM_TEXT_NORMALIZE_LOWERCASE, 0, 0, "", ""});
  tokenizer.normalizers.push_back(
      {VLM_TEXT_NORMALIZE_REPLACE, 0, 0, " ", kBlank});
  tokenizer.preTokenizers = {
      {VLM_TEXT_SPLIT, 0, VLM_TEXT_BEHAVIOR_MERGED_WITH_PREVIOUS, " ", ""}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_REPLACE, 0, 0, kBlank, " "},
                        {VLM_TEXT_DECODE_BYTE_FALLBACK, 0, 0, "", ""},
                        {VLM_TEXT_DECODE_FUSE, 0, 0, "", ""}};
  tokenizer.model.wordPrefix = tokenizer.model.wordSuffix = "";
  tokenizer.model.flags =
      VLM_TEXT_MODEL_FUSE_UNK | VLM_TEXT_MODEL_BYTE_FALLBACK;
  tokenizer.model.unkToken = special.content("unk_token");
}
