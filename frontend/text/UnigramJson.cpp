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

void vlmc::text::readUnigram(const Fields &root,
                             TokenizerDescription &tokenizer) {
  Fields model = root.inside("model");
  tokenizer.modelKind = VLM_TEXT_MODEL_UNIGRAM;
  tokenizer.model.flags =
      VLM_TEXT_MODEL_FUSE_UNK |
      (model.boolean("byte_fallback", false) ? VLM_TEXT_MODEL_BYTE_FALLBACK
                                             : 0U);
  const Json &vocabulary = model.array("vocab");
  double least = std::numeric_limits<double>::infinity();
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const Json &entry = vocabulary[id];
    bool good = entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                entry[1].is_number() && id < maxIds;
    if (!good)
      return model.fail("vocab[" + std::to_string(id) + "]",
                        "expected [token, score], found " + describe(entry));
    auto token = entry[0].get<std::string>();
    double score = entry[1].get<double>();
    least = std::min(least, score);
    // Of two equal tokens the last one counts, as in `tokenizers`.
    tokenizer.model.vocabulary[token] = id;
    // The empty token is in no text.
    tokenizer.unigram.scores.push_back(
        token.empty() ? std::numeric_limits<double>::quiet_NaN() : score);
  }
  if (vocabulary.empty())
    return model.fail("vocab", "expected at least one token, found none");
  tokenizer.unigram.unknownScore = least - unknownPenalty;
  if (!model.find("unk_id"))
    return model.failUnsupported(
        "unk_id", "expected the id of the unknown token, found none");
  uint32_t unknown = model.id("unk_id");
  if (unknown >= vocabulary.size())
    return model.fail("unk_id", "expected an id of the vocabulary, found " +
                                    std::to_string(unknown));
  tokenizer.model.unkToken = vocabulary[unknown][0].get<std::string>();
}
