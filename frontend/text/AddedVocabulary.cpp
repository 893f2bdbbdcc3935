//===- AddedVocabulary.cpp - The ids that added tokens get ----------------===//
#include "frontend/text/AddedVocabulary.h"

#include <algorithm>

using namespace vlmc::text;

std::optional<uint32_t>
vlmc::text::findToken(const TokenizerDescription &tokenizer,
                      const std::string &content) {
  for (const auto &[id, token] : tokenizer.added)
    if (token.content == content)
      return id;
  auto at = tokenizer.model.vocabulary.find(content);
  if (at == tokenizer.model.vocabulary.end())
    return std::nullopt;
  return at->second;
}

void vlmc::text::addTokens(TokenizerDescription &tokenizer,
                           const std::vector<AddedToken> &tokens) {
  std::unordered_map<std::string, uint32_t> known;
  for (const auto &[id, token] : tokenizer.added)
    known[token.content] = id;
  // The next id counts the model's tokens, holes or not.
  auto size = static_cast<uint32_t>(tokenizer.model.vocabulary.size());
  uint32_t next = tokenizer.added.empty()
                      ? size
                      : std::max(size, tokenizer.added.rbegin()->first + 1);
  for (const AddedToken &token : tokens) {
    if (token.content.empty())
      continue;
    uint32_t id;
    if (auto added = known.find(token.content); added != known.end())
      id = added->second;
    else if (auto own = tokenizer.model.vocabulary.find(token.content);
             own != tokenizer.model.vocabulary.end())
      id = own->second;
    else
      id = next++;
    known[token.content] = id;
    tokenizer.added[id] = token;
    tokenizer.decodesNormalized[id] |= token.isNormalized();
  }
}
