//===- BpeModel.cpp - Byte-pair encoding ----------------------------------===//
//
// A word begins as its characters; then, again and again, of all neighbours
// that have a merge those of the lowest rank, and among equals the leftmost,
// become one token. A heap of candidates over a linked list does this in
// O(n log n). As in `tokenizers`, a candidate is dropped when its pair no
// longer merges to the same token.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/ByteChars.h"
#include "runtime/text/Model.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/WordCache.h"

#include <algorithm>
#include <cstdio>

using namespace vlmc::rt::text;

namespace {

struct Symbol {
  int32_t id;
  int32_t previous;
  int32_t next;
  bool removed;
};

struct Candidate {
  uint32_t rank;
  int32_t position;
  uint32_t newId;

  bool
  operator<(const Candidate &other) const { // for a heap with the least on top
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

class BpeModel : public Model {
public:
  explicit BpeModel(const Tables &tables);
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

private:
  int32_t idOfChar(std::string_view piece, bool first, bool last) const;
  bool addBytes(std::string_view piece, bool first, bool last,
                std::vector<int32_t> &ids) const;
  void characters(std::string_view word, std::vector<int32_t> &ids) const;
  void merge(std::vector<int32_t> &ids) const;

  const Tables &tables;
  uint32_t flags;
  int32_t unk;
  std::string_view prefix, suffix;
  /// Ids of single characters of at most two bytes that begin low, the common
  /// case, by [first][last][character].
  int32_t known[2][2][kByteCharLimit];
  mutable WordCache cache;
};

} // namespace

static std::string affixed(std::string_view prefix, std::string_view piece,
                           std::string_view suffix, bool first, bool last) {
  std::string out(first ? "" : prefix);
  out.append(piece);
  return last ? out.append(suffix) : out;
}

BpeModel::BpeModel(const Tables &tables)
    : tables(tables), flags(tables.header().model_flags),
      unk(tables.header().unk_id),
      prefix(tables.string(tables.header().word_prefix)),
      suffix(tables.string(tables.header().word_suffix)) {
  for (int first = 0; first < 2; ++first)
    for (int last = 0; last < 2; ++last)
      for (char32_t c = 0; c < kByteCharLimit; ++c) {
        std::string piece;
        appendUtf8(piece, c);
        known[first][last][c] =
            tables.find(affixed(prefix, piece, suffix, first, last));
      }
}

int32_t BpeModel::idOfChar(std::string_view piece, bool first,
                           bool last) const {
  size_t at = 0;
  char32_t c = nextChar(piece, at);
  if (c < kByteCharLimit)
    return known[first][last][c];
  return tables.find(affixed(prefix, piece, suffix, first, last));
}

/// Writes a character as tokens <0xNN> of its bytes; false if one is missing.
bool BpeModel::addBytes(std::string_view piece, bool first, bool last,
                        std::vector<int32_t> &ids) const {
  std::vector<int32_t> bytes;
  for (char byte : affixed(prefix, piece, suffix, first, last)) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<uint8_t>(byte));
    bytes.push_back(tables.find(name));
    if (bytes.back() < 0)
      return false;
  }
  ids.insert(ids.end(), bytes.begin(), bytes.end());
  return true;
}

void BpeModel::characters(std::string_view word,
                          std::vector<int32_t> &ids) const {
  bool waiting = false; // an unknown token that further ones may join
  for (size_t at = 0; at < word.size();) {
    size_t bytes = charBytes(word[at]);
    std::string_view piece = word.substr(at, bytes);
    bool first = at == 0, last = at + bytes == word.size();
    at += bytes;
    int32_t id = idOfChar(piece, first, last);
    if (id >= 0) {
      if (waiting)
        ids.push_back(unk);
      waiting = false;
      ids.push_back(id);
      continue;
    }
    // Bytes do not end a waiting unknown token: it then comes behind them.
    if ((flags & VLM_TEXT_MODEL_BYTE_FALLBACK) &&
        addBytes(piece, first, last, ids))
      continue;
    if (unk < 0)
      continue;
    if (waiting && !(flags & VLM_TEXT_MODEL_FUSE_UNK))
      ids.push_back(unk);
    waiting = true;
  }
  if (waiting)
    ids.push_back(unk);
}

void BpeModel::merge(std::vector<int32_t> &ids) const {
  int32_t count = ids.size();
  std::vector<Symbol> symbols(count);
  std::vector<Candidate> heap;
  for (int32_t i = 0; i < count; ++i)
    symbols[i] = {ids[i], i - 1, i + 1 < count ? i + 1 : -1, false};
  auto offer = [&](int32_t left, int32_t right) {
    if (const vlm_text_merge *found =
            tables.merge(symbols[left].id, symbols[right].id)) {
      heap.push_back({found->rank, left, found->new_id});
      return true;
    }
    return false;
  };
  for (int32_t i = 0; i + 1 < count; ++i)
    offer(i, i + 1);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Candidate top = heap.back();
    heap.pop_back();
    Symbol &left = symbols[top.position];
    if (left.removed || left.next < 0)
      continue;
    Symbol &right = symbols[left.next];
    const vlm_text_merge *found = tables.merge(left.id, right.id);
    if (!found || found->new_id != top.newId)
      continue;
    left.id = top.newId;
    left.next = right.next;
    right.removed = true;
    if (left.next >= 0)
      symbols[left.next].previous = top.position;
    if (left.previous >= 0 && offer(left.previous, top.position))
      std::push_heap(heap.begin(), heap.end());
    if (left.next >= 0 && offer(top.position, left.next))
      std::push_heap(heap.begin(), heap.end());
  }
  ids.clear();
  for (const Symbol &symbol : symbols)
    if (!symbol.removed)
      ids.push_back(symbol.id);
}

void BpeModel::encode(std::string_view word, std::vector<int32_t> &ids) const {
  if (flags & VLM_TEXT_MODEL_IGNORE_MERGES)
    if (int32_t id = tables.find(word); id >= 0)
      return ids.push_back(id);
  if (cache.find(word, ids))
    return;
  std::vector<int32_t> own;
  own.reserve(word.size());
  characters(word, own);
  merge(own);
  ids.insert(ids.end(), own.begin(), own.end());
  cache.insert(word, own);
}

std::unique_ptr<Model> vlmc::rt::text::makeBpeModel(const Tables &tables) {
  return std::make_unique<BpeModel>(tables);
}

std::string vlmc::rt::text::makeModel(const Tables &tables,
                                      std::unique_ptr<Model> &out) {
  switch (tables.header().model) {
  case VLM_TEXT_MODEL_BPE:
    out = makeBpeModel(tables);
    return "";
  case VLM_TEXT_MODEL_UNIGRAM:
    out = makeUnigramModel(tables);
    return "";
  case VLM_TEXT_MODEL_SENTENCEPIECE:
    out = makeSentencePieceModel(tables);
    return "";
  case VLM_TEXT_MODEL_WORD_PIECE:
    out = makeWordPieceModel(tables);
    return tables.header().unk_id < 0 ? "expected an unknown token" : "";
  default:
    return "unknown model " + std::to_string(tables.header().model);
  }
}
