//===- Tokenizer.cpp - The stages of a tokenizer in a row -----------------===//
#include "runtime/text/Tokenizer.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/text/Decoder.h"
#include "runtime/text/Utf8.h"

#include <set>

using namespace vlmc::rt;
using namespace vlmc::rt::text;

static constexpr std::string_view kBlank = "\xE2\x96\x81"; // U+2581

static vlm_status_t *unusable(const std::string &problem) {
  return makeStatus(VLM_UNSUPPORTED, "tokenizer tables: " + problem);
}

static vlm_status_t *overgrown() {
  return makeStatus(VLM_UNSUPPORTED,
                    "tokenizing: a pattern of this tokenizer needs too many "
                    "steps on this text; shorten the text");
}

vlm_status_t *Tokenizer::create(const void *address, size_t bytes,
                                std::unique_ptr<Tokenizer> &out) {
  std::unique_ptr<Tokenizer> made(new Tokenizer);
  vlm_status_t *bad = made->data.open(address, bytes);
  if (!bad)
    bad = made->makeStages();
  if (!bad)
    bad = made->makeAdded();
  if (!bad)
    out = std::move(made);
  return bad;
}

vlm_status_t *Tokenizer::makeStages() {
  std::string problem;
  for (const vlm_text_stage &stage : data.normalizers)
    if (problem.empty())
      problem = makeNormalizer(data, stage, normalizers.emplace_back());
  for (const vlm_text_stage &stage : data.preTokenizers)
    if (problem.empty())
      problem = makePreTokenizer(data, stage, preTokenizers.emplace_back());
  if (problem.empty())
    problem = makeModel(data, model);
  if (problem.empty())
    problem = checkDecoders(data);
  beginsBlank = header().model_flags & VLM_TEXT_MODEL_BEGINS_BLANK;
  if (beginsBlank)
    blank = data.find(kBlank);
  return problem.empty() ? nullptr : unusable(problem);
}

vlm_status_t *Tokenizer::makeAdded() {
  // Tokenizers over SentencePiece's own library are written in Python.
  if (data.decoders.front().kind == VLM_TEXT_DECODE_SENTENCEPIECE)
    plain.stripAsPython();
  std::set<std::string_view> special;
  for (const vlm_text_added &token : data.added)
    if (token.flags & VLM_TEXT_ADDED_SPECIAL)
      special.insert(data.string(token.content));
  for (const vlm_text_added &token : data.added) {
    std::string content = repairUtf8(data.string(token.content)),
                normal = content;
    if (token.flags &
        (VLM_TEXT_ADDED_NORMALIZED | VLM_TEXT_ADDED_DECODES_NORMALIZED))
      if (bool begins = false; !normalize(normal, begins))
        return overgrown();
    bool inNormal = token.flags & VLM_TEXT_ADDED_NORMALIZED;
    TokenFinder &finder = inNormal ? normalized : plain;
    if (!finder.add(inNormal ? normal : content, token.id, token.flags))
      return unusable(
          "the added token '" + content +
          "' is empty or the same as another one once it is normalised");
    bool decodesNormal = token.flags & (VLM_TEXT_ADDED_NORMALIZED |
                                        VLM_TEXT_ADDED_DECODES_NORMALIZED);
    const std::string &text = decodesNormal ? normal : content;
    added[token.id] = {text, special.contains(text)};
  }
  return nullptr;
}

bool Tokenizer::normalize(std::string &text, bool &begins) const {
  for (const auto &normalizer : normalizers)
    if (!normalizer->apply(text, begins))
      return false;
  return true;
}

/// Cuts out the added tokens and normalises what is between them.
bool Tokenizer::split(const std::string &text, Pieces &pieces) const {
  bool done = true;
  if (text.empty() && beginsBlank)
    pieces.add(kBlank, /*begins=*/true);
  plain.cut(text, [&](std::string_view part, int32_t id) {
    if (id >= 0)
      return pieces.pieces.push_back(
          {pieces.text.size(), pieces.text.size(), id});
    std::string normal(part);
    bool begins = part.data() == text.data();
    done = done && normalize(normal, begins);
    normalized.cut(normal, [&](std::string_view inner, int32_t innerId) {
      if (innerId >= 0)
        pieces.pieces.push_back(
            {pieces.text.size(), pieces.text.size(), innerId});
      else
        pieces.add(inner, begins && inner.data() == normal.data());
    });
  });
  for (const auto &preTokenizer : preTokenizers)
    done = done && preTokenizer->apply(pieces);
  return done;
}

void Tokenizer::encodePieces(const Pieces &pieces,
                             std::vector<int32_t> &ids) const {
  for (const Piece &piece : pieces.pieces) {
    bool isFirst = &piece == pieces.pieces.data();
    if (piece.id >= 0) {
      bool special = added.at(piece.id).special;
      if (beginsBlank && isFirst && !special && blank >= 0)
        ids.push_back(blank);
      // Only a blank stands before it, which counts for nothing there.
      if (beginsBlank && special && &piece == pieces.pieces.data() + 1 &&
          ids.size() == 1 && ids[0] == blank)
        ids.clear();
      ids.push_back(piece.id);
    } else if (piece.begin != piece.end) {
      model->encode(pieces.view(piece), ids);
    }
  }
}

size_t Tokenizer::specialCount() const {
  size_t count = 0;
  for (const vlm_text_piece &piece : data.post)
    count += piece.kind != VLM_TEXT_PIECE_TEXT;
  return count;
}

vlm_status_t *Tokenizer::encode(std::string_view bytes, bool special,
                                size_t maxTokens, std::vector<int32_t> &ids,
                                bool &truncated) const {
  size_t specials = special ? specialCount() : 0;
  if (maxTokens && maxTokens < specials)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "max_tokens: expected 0 or at least " +
                          std::to_string(specials) +
                          ", the special tokens of a text, found " +
                          std::to_string(maxTokens));
  Pieces pieces;
  if (!split(repairUtf8(bytes), pieces))
    return overgrown();
  std::vector<int32_t> own;
  encodePieces(pieces, own);
  size_t room = maxTokens ? maxTokens - specials : SIZE_MAX;
  truncated = own.size() > room;
  if (truncated && header().truncation_side == VLM_TEXT_LEFT)
    own.erase(own.begin(), own.end() - room);
  else if (truncated)
    own.resize(room);
  if (!special || data.post.empty()) {
    ids = std::move(own);
    return nullptr;
  }
  ids.clear();
  ids.reserve(own.size() + specials);
  for (const vlm_text_piece &piece : data.post)
    if (piece.kind == VLM_TEXT_PIECE_TEXT)
      ids.insert(ids.end(), own.begin(), own.end());
    else if (piece.kind == VLM_TEXT_PIECE_TOKEN || ids.empty() ||
             ids.back() != static_cast<int32_t>(piece.id))
      ids.push_back(piece.id);
  return nullptr;
}

vlm_status_t *Tokenizer::decode(const int32_t *ids, size_t count,
                                bool skipSpecial, bool isBegun,
                                std::string &text) const {
  std::vector<DecodedToken> tokens;
  for (size_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= data.idCount())
      return makeStatus(VLM_INVALID_ARGUMENT,
                        "ids[" + std::to_string(i) + "]: expected 0 to " +
                            std::to_string(data.idCount() - 1) + ", found " +
                            std::to_string(ids[i]));
    uint32_t id = ids[i];
    if (auto at = added.find(id); at != added.end()) {
      if (!skipSpecial || !at->second.special)
        tokens.push_back({at->second.text, at->second.special});
    } else if (data.hasToken(id)) {
      tokens.push_back({std::string(data.token(id)), false});
    }
  }
  text = decodeTokens(data, std::move(tokens), isBegun, skipSpecial);
  return nullptr;
}
