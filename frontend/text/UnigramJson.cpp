//===- UnigramJson.cpp - A unigram model of tokenizer.json ----------------===//
#include "frontend/text/UnigramJson.h"

#include <algorithm>
#include <limits>

using namespace vlmc;
using namespace vlmc::text;

/// What an unknown character scores less than the least likely token.
static constexpr double unknownPenalty = 10;

bool vlmc::text::isUnigram(const Fields &root) {
  if (!root.json.is_object() || !root.json.contains("model"))
    return false;
  const Json &model = root.json["model"];
  return model.is_object() && model.contains("type") &&
         model["type"] == "Unigram";
}

void vlmc::text::takeUnigram(
    const std::vector<std::pair<std::string, double>> &tokens, uint32_t unknown,
    TokenizerDescription &tokenizer) {
  tokenizer.modelKind = VLM_TEXT_MODEL_UNIGRAM;
  tokenizer.model.flags |= VLM_TEXT_MODEL_FUSE_UNK;
  double least = std::numeric_limits<double>::infinity();
  for (const auto &[token, score] : tokens) {
    least = std::min(least, score);
    // Of two equal tokens the last one counts, as in `tokenizers`.
    tokenizer.model.vocabulary[token] =
        static_cast<uint32_t>(tokenizer.unigram.scores.size());
    // The empty token is in no text.
    tokenizer.unigram.scores.push_back(
        token.empty() ? std::numeric_limits<double>::quiet_NaN() : score);
  }
  tokenizer.unigram.unknownScore = least - unknownPenalty;
  tokenizer.model.unkToken = tokens[unknown].first;
}

void vlmc::text::readUnigram(const Fields &root,
                             TokenizerDescription &tokenizer) {
  Fields model = root.inside("model");
  tokenizer.model.flags =
      model.boolean("byte_fallback", false) ? VLM_TEXT_MODEL_BYTE_FALLBACK : 0U;
  const Json &vocabulary = model.array("vocab");
  std::vector<std::pair<std::string, double>> tokens;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const Json &entry = vocabulary[id];
    bool good = entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                entry[1].is_number() && id < maxIds;
    if (!good)
      return model.fail("vocab[" + std::to_string(id) + "]",
                        "expected [token, score], found " + describe(entry));
    tokens.emplace_back(entry[0].get<std::string>(), entry[1].get<double>());
  }
  if (vocabulary.empty())
    return model.fail("vocab", "expected at least one token, found none");
  if (!model.find("unk_id"))
    return model.failUnsupported(
        "unk_id", "expected the id of the unknown token, found none");
  uint32_t unknown = model.id("unk_id");
  if (unknown >= vocabulary.size())
    return model.fail("unk_id", "expected an id of the vocabulary, found " +
                                    std::to_string(unknown));
  takeUnigram(tokens, unknown, tokenizer);
}
