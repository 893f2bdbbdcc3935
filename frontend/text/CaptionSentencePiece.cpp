//===- CaptionSentencePiece.cpp - Captions cut by SentencePiece -----------===//
#include "frontend/text/CaptionSentencePiece.h"

#include "frontend/text/AddedVocabulary.h"

using namespace vlmc::text;

static constexpr const char *kBlank = "\xE2\x96\x81"; // U+2581
static constexpr const char *kEnd = "</s>";
static constexpr const char *kUnknown = "<unk>";
static constexpr uint32_t kMaxTokens = 64;

void vlmc::text::startCaptionSentencePiece(TokenizerDescription &tokenizer,
                                           SpecialTokens &special,
                                           const Fields *config) {
  special.setDefault("eos_token", kEnd);
  special.setDefault("pad_token", kEnd);
  special.setDefault("unk_token", kUnknown);
  bool lower = !config || config->boolean("do_lower_case", true);
  bool legacy = !config || config->boolean("legacy", true);
  // The blank before the first word survives, since it is none to Python.
  tokenizer.normalizers = {
      {VLM_TEXT_NORMALIZE_REPLACE, 0, 0, kBlank, " "},
      {VLM_TEXT_NORMALIZE_PREPEND, VLM_TEXT_FLAG_AT_BEGIN, 0, "", kBlank},
      {VLM_TEXT_NORMALIZE_CAPTION, lower ? VLM_TEXT_FLAG_LOWERCASE : 0u, 0, "",
       ""}};
  tokenizer.decoders = {{VLM_TEXT_DECODE_SENTENCEPIECE, 0, 0, "", ""}};
  tokenizer.model.flags |= VLM_TEXT_MODEL_BEGINS_BLANK;
  tokenizer.model.wordPrefix = special.content("unk_token").value_or("");
  if (!legacy)
    tokenizer.model.flags &= ~uint32_t{VLM_TEXT_MODEL_ADD_PREFIX};
  tokenizer.maxTokens = kMaxTokens;
  if (config && config->boolean("clean_up_tokenization_spaces", false))
    tokenizer.decoders.push_back({VLM_TEXT_DECODE_CLEAN_UP, 0, 0, "", ""});
}

void vlmc::text::finishCaptionSentencePiece(TokenizerDescription &tokenizer,
                                            const SpecialTokens &special) {
  // Added tokens are cut out of the text as it is given.
  for (auto &[id, token] : tokenizer.added) {
    token.normalized = false;
    tokenizer.decodesNormalized[id] = false;
  }
  tokenizer.post = {{VLM_TEXT_PIECE_TEXT, 0}};
  auto content = special.content("eos_token");
  if (auto id = content ? findToken(tokenizer, *content) : std::nullopt)
    tokenizer.post.push_back({VLM_TEXT_PIECE_TOKEN_ONCE, *id});
}
