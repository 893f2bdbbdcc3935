//===- DecoderBpe.cpp - Byte pairs as language models have them -----------===//
#include "frontend/text/DecoderBpe.h"

using namespace vlmc::text;

static constexpr const char *kBlank = "\xE2\x96\x81"; // U+2581
static constexpr const char *kEnd = "<|endoftext|>";
static constexpr const char *kWords =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

void vlmc::text::startMetaspaceBpe(TokenizerDescription &tokenizer,
                                   SpecialTokens &special,
                                   const Fields *config) {
  special.setDefault("unk_token", "<unk>");
  special.setDefault("bos_token", "<s>");
  special.setDefault("eos_token", "</s>");
  bool prefix = config ? config->boolean("add_prefix_space", true) : true;
  bool legacy = config ? config->boolean("legacy", false) : false;
  uint32_t scheme = !prefix  ? VLM_TEXT_PREPEND_NEVER
                    : legacy ? VLM_TEXT_PREPEND_ALWAYS
                             : VLM_TEXT_PREPEND_FIRST;
  tokenizer.normalizers.clear();
  tokenizer.preTokenizers = {{VLM_TEXT_METASPACE, 0, scheme, "", kBlank}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_REPLACE, 0, 0, kBlank, " "},
                        {VLM_TEXT_DECODE_BYTE_FALLBACK, 0, 0, "", ""},
                        {VLM_TEXT_DECODE_FUSE, 0, 0, "", ""}};
  if (prefix)
    tokenizer.decoders.push_back({VLM_TEXT_DECODE_STRIP_CHAR, 0, 1, "", " "});
  tokenizer.model.wordPrefix = tokenizer.model.wordSuffix = "";
  tokenizer.model.flags =
      VLM_TEXT_MODEL_FUSE_UNK | VLM_TEXT_MODEL_BYTE_FALLBACK;
  tokenizer.model.unkToken.reset();
}

void vlmc::text::startByteBpe(TokenizerDescription &tokenizer,
                              SpecialTokens &special, const Fields *config) {
  for (const char *role : {"unk_token", "bos_token", "eos_token"})
    special.setDefault(role, kEnd);
  bool prefix = config ? config->boolean("add_prefix_space", false) : false;
  tokenizer.normalizers.clear();
  tokenizer.preTokenizers = {
      {VLM_TEXT_BYTE_LEVEL,
       VLM_TEXT_FLAG_USE_REGEX | (prefix ? VLM_TEXT_FLAG_ADD_PREFIX_SPACE : 0U),
       0, "", ""}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_BYTE_LEVEL, 0, 0, "", ""}};
  tokenizer.model.wordPrefix = tokenizer.model.wordSuffix = "";
  tokenizer.model.flags = 0;
  tokenizer.model.unkToken.reset();
}

void vlmc::text::startComposedByteBpe(TokenizerDescription &tokenizer,
                                      SpecialTokens &special,
                                      const Fields *config) {
  startByteBpe(tokenizer, special, config);
  special.setDefault("pad_token", "<|padding|>");
  tokenizer.normalizers = {{VLM_TEXT_NORMALIZE_NFC, 0, 0, "", ""}};
}

void vlmc::text::startWordBpe(TokenizerDescription &tokenizer,
                              SpecialTokens &special, const Fields *config) {
  for (const char *role : {"unk_token", "eos_token", "pad_token"})
    special.setDefault(role, kEnd);
  bool prefix = config ? config->boolean("add_prefix_space", false) : false;
  tokenizer.normalizers = {{VLM_TEXT_NORMALIZE_NFC, 0, 0, "", ""}};
  tokenizer.preTokenizers = {{VLM_TEXT_SPLIT, VLM_TEXT_FLAG_REGEX,
                              VLM_TEXT_BEHAVIOR_ISOLATED, kWords, ""},
                             {VLM_TEXT_BYTE_LEVEL,
                              prefix ? VLM_TEXT_FLAG_ADD_PREFIX_SPACE : 0U, 0,
                              "", ""}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_BYTE_LEVEL, 0, 0, "", ""}};
  tokenizer.model.wordPrefix = tokenizer.model.wordSuffix = "";
  tokenizer.model.flags = 0;
  tokenizer.model.unkToken.reset();
}
