//===- WordPieceModel.cpp - The longest pieces of a word, from the left ---===//
//
// A word is the longest token that it begins with, then the longest that the
// rest begins with, the prefix put before it, and so on. One without a token at
// some place is unknown as a whole. Source: models/wordpiece/mod.rs of the
// package `tokenizers`.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Model.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/WordCache.h"

#include <algorithm>

using namespace vlmc::rt::text;

namespace {

class WordPieceModel : public Model {
public:
  explicit WordPieceModel(const Tables &tables);
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

private:
  bool pieces(std::string_view word, std::vector<int32_t> &ids) const;
  int32_t longest(std::string_view rest, bool first, size_t &bytes) const;

  const Tables &tables;
  int32_t unk;
  std::string_view prefix;
  size_t maxChars;
  size_t longestToken = 0; // bytes
  mutable WordCache cache;
};

} // namespace

WordPieceModel::WordPieceModel(const Tables &tables)
    : tables(tables), unk(tables.header().unk_id),
      prefix(tables.string(tables.header().word_prefix)),
      maxChars(tables.header().max_word_chars) {
  for (size_t id = 0; id < tables.idCount(); ++id)
    if (tables.hasToken(id))
      longestToken = std::max(longestToken, tables.token(id).size());
}

/// The longest token that `rest` begins with, or -1.
int32_t WordPieceModel::longest(std::string_view rest, bool first,
                                size_t &bytes) const {
  std::string text(first ? "" : prefix);
  size_t before = text.size();
  TextHash hash;
  for (char byte : text)
    hash.add(byte);
  int32_t best = -1;
  for (size_t at = 0; at < rest.size() && text.size() < longestToken;) {
    size_t end = std::min(at + charBytes(rest[at]), rest.size());
    for (; at < end; ++at) {
      hash.add(rest[at]);
      text.push_back(rest[at]);
    }
    if (int32_t id = tables.find(text, hash.value()); id >= 0) {
      best = id;
      bytes = text.size() - before;
    }
  }
  return best;
}

/// False if the word has no pieces.
bool WordPieceModel::pieces(std::string_view word,
                            std::vector<int32_t> &ids) const {
  auto chars = static_cast<size_t>(std::ranges::count_if(
      word, [](char byte) { return (byte & 0xC0) != 0x80; }));
  if (chars > maxChars)
    return false;
  for (size_t at = 0; at < word.size();) {
    size_t bytes = 0;
    int32_t id = longest(word.substr(at), at == 0, bytes);
    if (id < 0)
      return false;
    ids.push_back(id);
    at += bytes;
  }
  return true;
}

void WordPieceModel::encode(std::string_view word,
                            std::vector<int32_t> &ids) const {
  if (cache.find(word, ids))
    return;
  std::vector<int32_t> own;
  if (!pieces(word, own))
    own = {unk};
  ids.insert(ids.end(), own.begin(), own.end());
  cache.insert(word, own);
}

std::unique_ptr<Model>
vlmc::rt::text::makeWordPieceModel(const Tables &tables) {
  return std::make_unique<WordPieceModel>(tables);
}
