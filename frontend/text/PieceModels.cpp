//===- PieceModels.cpp - Tokenizers that are a SentencePiece file ---------===//
#include "frontend/text/PieceModels.h"

#include "frontend/text/AddedVocabulary.h"

using namespace vlmc;
using namespace vlmc::text;

static constexpr const char *kBlank = "\xE2\x96\x81"; // U+2581
static constexpr const char *kEnd = "</s>";
static constexpr const char *kGap = "<extra_id_";

std::vector<std::string> vlmc::text::gapTokens(const Fields *config) {
  uint32_t count = 100;
  if (config && config->find("extra_ids"))
    count = config->id("extra_ids");
  std::vector<std::string> tokens;
  while (count-- > 0)
    tokens.push_back(kGap + std::to_string(count) + ">");
  return tokens;
}

void vlmc::text::startScoredWords(TokenizerDescription &tokenizer,
                                  SpecialTokens &special, const Fields *config,
                                  const std::vector<AddedToken> &added) {
  special.setDefault("eos_token", kEnd);
  special.setDefault("unk_token", "<unk>");
  special.setDefault("pad_token", "<pad>");
  // Those of the file are cut out of texts only where the configuration lists
  // none.
  const bool isListed = !special.extra.empty();
  for (const AddedToken &piece : added)
    if (!isListed)
      special.extra.push_back({piece, /*isString=*/false});
  std::vector<std::string> gaps = gapTokens(config);
  for (size_t i = gaps.size(); !isListed && i-- > 0;)
    special.extra.push_back({{.content = gaps[i]}, /*isString=*/true});
  tokenizer.normalizers.clear();
  if (!tokenizer.unigram.charsmapTrie.empty())
    tokenizer.normalizers = {{VLM_TEXT_NORMALIZE_PRECOMPILED, 0, 0, "", ""}};
  tokenizer.preTokenizers = {{VLM_TEXT_WHITESPACE_SPLIT, 0, 0, "", ""},
                             {VLM_TEXT_METASPACE, VLM_TEXT_FLAG_SPLIT_WORDS,
                              VLM_TEXT_PREPEND_ALWAYS, "", kBlank}};
  tokenizer.decoders = {
      {VLM_TEXT_DECODE_METASPACE, VLM_TEXT_FLAG_DROP_FIRST, 0, "", kBlank}};
}

void vlmc::text::finishScoredWords(TokenizerDescription &tokenizer) {
  tokenizer.post = {{VLM_TEXT_PIECE_TEXT, 0}};
  if (auto id = findToken(tokenizer, kEnd))
    tokenizer.post.push_back({VLM_TEXT_PIECE_TOKEN, *id});
}

void vlmc::text::startScoredBpe(TokenizerDescription &tokenizer,
                                SpecialTokens &special, bool addsPrefix) {
  special.setDefault("unk_token", "<unk>");
  special.setDefault("bos_token", "<s>");
  special.setDefault("eos_token", kEnd);
  special.setDefault("pad_token", kEnd);
  tokenizer.normalizers.clear();
  if (addsPrefix)
    tokenizer.normalizers.push_back(
        {VLM_TEXT_NORMALIZE_PREPEND, 0, 0, "", kBlank});
  tokenizer.normalizers.push_back(
      {VLM_TEXT_NORMALIZE_REPLACE, 0, 0, " ", kBlank});
  tokenizer.preTokenizers.clear();
  tokenizer.decoders = {
      {VLM_TEXT_DECODE_SENTENCEPIECE, 0,
       addsPrefix ? VLM_TEXT_BLANKS_ONE_GOES : VLM_TEXT_BLANKS_STAY, "", ""}};
}
