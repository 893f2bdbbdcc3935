//===- UnigramModel.cpp - The likeliest tokens ----------------------------===//
//
// Each token has a score, and of all ways to cut a word into tokens the one
// with the largest sum is taken (Viterbi's algorithm). A character that no
// token covers alone is an unknown one, at a score below all others. Ties go to
// the way found first, sums are in the type of the original: double for
// `tokenizers`, float for SentencePiece. Source: arXiv:1804.10959.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Charsmap.h"
#include "runtime/text/Model.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/WordCache.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace vlmc::rt::text;

namespace {

/// A token of the best way: bytes [begin, end) of the word.
struct Part {
  int32_t id;
  size_t begin;
  size_t end;
};

/// The best way to each position of a word.
template <class Score> class Lattice {
public:
  Lattice(const Tables &tables, size_t longest)
      : tables(tables), longest(longest) {}
  std::vector<Part> best(std::string_view word);

private:
  struct Node {
    int32_t id = -1;
    Score score = 0;
    ptrdiff_t begin = -1;
  };
  void offer(size_t begin, size_t end, int32_t id, Score score);
  void rebase(size_t from);

  const Tables &tables;
  size_t longest;
  std::vector<Node> nodes;
  size_t frontier = 0;
};

class UnigramModel : public Model {
public:
  explicit UnigramModel(const Tables &tables);
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

protected:
  template <class Score>
  void encodeAs(std::string_view word, std::vector<int32_t> &ids) const;

  const Tables &tables;

private:
  void addUnknown(std::string_view text, std::vector<int32_t> &ids) const;

  uint32_t flags;
  int32_t unk;
  size_t longest = 0;
  mutable WordCache cache;
};

/// The whole of SentencePiece: its own normaliser, then the tokens.
class SentencePieceModel : public UnigramModel {
public:
  explicit SentencePieceModel(const Tables &tables);
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

private:
  std::string normalize(std::string_view text) const;
  Charsmap::Found next(std::string_view text) const;
  std::vector<int32_t> encodeWhole(const std::string &text) const;

  Charsmap map;
  bool addPrefix, collapse, behind;
  std::string_view prefix;
  size_t prefixTokens = 0;
};

} // namespace

static constexpr std::string_view kSpace = "\xE2\x96\x81"; // U+2581

//===----------------------------------------------------------------------===//
// The best way
//===----------------------------------------------------------------------===//

template <class Score>
void Lattice<Score>::offer(size_t begin, size_t end, int32_t id, Score score) {
  frontier = std::max(frontier, end);
  Node &node = nodes[end];
  Score sum = score + nodes[begin].score;
  if (node.begin < 0 || sum > node.score)
    node = {id, sum, static_cast<ptrdiff_t>(begin)};
}

/// SentencePiece keeps its sums of floats small by taking off what all have.
template <class Score> void Lattice<Score>::rebase(size_t from) {
  constexpr Score limit = 100000;
  Score offset = nodes[from].score;
  if (offset >= -limit && offset <= limit)
    return;
  for (size_t i = from; i <= frontier; ++i)
    if (i == from || nodes[i].begin >= 0)
      nodes[i].score -= offset;
  nodes[from].score = 0;
}

template <class Score>
std::vector<Part> Lattice<Score>::best(std::string_view word) {
  nodes.assign(word.size() + 1, {});
  auto unknown = static_cast<Score>(tables.header().unknown_score);
  for (size_t begin = 0; begin < word.size();) {
    if constexpr (sizeof(Score) == sizeof(float))
      rebase(begin);
    // A damaged map may end inside a character.
    size_t one = std::min(charBytes(word[begin]), word.size() - begin);
    size_t most = std::min(word.size(), begin + longest);
    bool single = false;
    TextHash hash;
    for (size_t end = begin; end < most;) {
      hash.add(word[end++]);
      if (end < word.size() && (word[end] & 0xC0) == 0x80)
        continue;
      int32_t id = tables.find(word.substr(begin, end - begin), hash.value());
      if (id < 0 || std::isnan(tables.scores[id]))
        continue;
      offer(begin, end, id, static_cast<Score>(tables.scores[id]));
      single |= end - begin == one;
    }
    if (!single)
      offer(begin, begin + one, tables.header().unk_id, unknown);
    begin += one;
  }
  std::vector<Part> parts;
  for (auto end = static_cast<ptrdiff_t>(word.size()); end > 0;
       end = nodes[end].begin)
    parts.push_back({nodes[end].id, static_cast<size_t>(nodes[end].begin),
                     static_cast<size_t>(end)});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

//===----------------------------------------------------------------------===//
// Unigram
//===----------------------------------------------------------------------===//

UnigramModel::UnigramModel(const Tables &tables)
    : tables(tables), flags(tables.header().model_flags),
      unk(tables.header().unk_id) {
  for (uint32_t id = 0; id < tables.idCount(); ++id)
    if (tables.hasToken(id) && !std::isnan(tables.scores[id]))
      longest = std::max(longest, tables.token(id).size());
}

/// An unknown stretch: its bytes, where there are tokens for them. A token that
/// the best way cannot take may have that very text; SentencePiece looks for
/// bytes before it does.
void UnigramModel::addUnknown(std::string_view text,
                              std::vector<int32_t> &ids) const {
  bool bytesFirst = tables.header().model == VLM_TEXT_MODEL_SENTENCEPIECE;
  if (int32_t id = tables.find(text); id >= 0 && !bytesFirst)
    return ids.push_back(id);
  size_t before = ids.size();
  if (flags & VLM_TEXT_MODEL_BYTE_FALLBACK)
    for (char byte : text) {
      char name[8];
      std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<uint8_t>(byte));
      int32_t id = tables.find(name);
      if (id < 0) {
        ids.resize(before);
        break;
      }
      ids.push_back(id);
    }
  if (ids.size() != before)
    return;
  if (int32_t id = tables.find(text); id >= 0 || unk >= 0)
    ids.push_back(id >= 0 ? id : unk);
}

template <class Score>
void UnigramModel::encodeAs(std::string_view word,
                            std::vector<int32_t> &ids) const {
  std::vector<Part> parts = Lattice<Score>(tables, longest).best(word);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].id != unk) {
      ids.push_back(parts[i].id);
      continue;
    }
    // Unknown characters side by side are one unknown token.
    size_t begin = parts[i].begin;
    while (i + 1 < parts.size() && parts[i + 1].id == unk)
      ++i;
    addUnknown(word.substr(begin, parts[i].end - begin), ids);
  }
}

void UnigramModel::encode(std::string_view word,
                          std::vector<int32_t> &ids) const {
  if (cache.find(word, ids))
    return;
  std::vector<int32_t> own;
  encodeAs<double>(word, own);
  ids.insert(ids.end(), own.begin(), own.end());
  cache.insert(word, own);
}

//===----------------------------------------------------------------------===//
// SentencePiece
//===----------------------------------------------------------------------===//

SentencePieceModel::SentencePieceModel(const Tables &tables)
    : UnigramModel(tables), map(tables),
      addPrefix(tables.header().model_flags & VLM_TEXT_MODEL_ADD_PREFIX),
      collapse(tables.header().model_flags & VLM_TEXT_MODEL_COLLAPSE_SPACES),
      behind(tables.header().model_flags & VLM_TEXT_MODEL_SPACES_BEHIND),
      prefix(tables.string(tables.header().word_prefix)) {
  prefixTokens = encodeWhole(std::string(prefix)).size();
}

/// What the text begins with and what becomes of it.
Charsmap::Found SentencePieceModel::next(std::string_view text) const {
  size_t longest = 0;
  for (uint32_t id : tables.fixed)
    if (text.starts_with(tables.token(id)))
      longest = std::max(longest, tables.token(id).size());
  if (longest)
    return {longest, text.substr(0, longest)};
  if (auto found = map.longest(text))
    return *found;
  size_t one = charBytes(text.front());
  return {one, text.substr(0, one)};
}

std::string SentencePieceModel::normalize(std::string_view text) const {
  std::string out;
  while (collapse && !text.empty() && next(text).content == " ")
    text.remove_prefix(next(text).bytes);
  if (text.empty())
    return out;
  if (addPrefix && !behind)
    out += kSpace;
  for (bool afterSpace = collapse; !text.empty();) {
    auto [bytes, content] = next(text);
    while (afterSpace && content.starts_with(' '))
      content.remove_prefix(1);
    for (char c : content)
      c == ' ' ? out.append(kSpace) : out.append(1, c);
    if (!content.empty())
      afterSpace = collapse && content.ends_with(' ');
    text.remove_prefix(bytes);
  }
  while (collapse && out.ends_with(kSpace))
    out.resize(out.size() - kSpace.size());
  if (addPrefix && behind)
    out += kSpace;
  return out;
}

std::vector<int32_t>
SentencePieceModel::encodeWhole(const std::string &text) const {
  std::vector<int32_t> ids;
  encodeAs<float>(normalize(text), ids);
  return ids;
}

/// As transformers does, to keep a blank at the begin: something is put before
/// the word and its tokens are taken off again.
void SentencePieceModel::encode(std::string_view word,
                                std::vector<int32_t> &ids) const {
  std::vector<int32_t> own = encodeWhole(std::string(prefix).append(word));
  size_t skipped = own.size() >= prefixTokens ? prefixTokens : 0;
  ids.insert(ids.end(), own.begin() + static_cast<ptrdiff_t>(skipped),
             own.end());
}

std::unique_ptr<Model> vlmc::rt::text::makeUnigramModel(const Tables &tables) {
  return std::make_unique<UnigramModel>(tables);
}

std::unique_ptr<Model>
vlmc::rt::text::makeSentencePieceModel(const Tables &tables) {
  return std::make_unique<SentencePieceModel>(tables);
}
