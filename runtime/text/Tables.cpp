//===- Tables.cpp - Tokenizer tables in place -----------------------------===//
#include "runtime/text/Tables.h"

#include "runtime/core/StatusInternal.h"

#include <bit>
#include <cstring>

using namespace vlmc::rt;
using namespace vlmc::rt::text;

static_assert(std::endian::native == std::endian::little,
              "tables are used in place, and they are little-endian");

static vlm_status_t *corrupt(const std::string &what) {
  return makeStatus(VLM_CORRUPT,
                    "tokenizer tables: " + what + "; compile the model again");
}

vlm_status_t *Tables::open(const void *address, size_t bytes) {
  if (!address || reinterpret_cast<uintptr_t>(address) % 8 != 0)
    return makeStatus(
        VLM_INVALID_ARGUMENT,
        "tokenizer tables: expected an address that is a multiple of 8");
  if (bytes < sizeof(vlm_text_header))
    return corrupt("expected at least " +
                   std::to_string(sizeof(vlm_text_header)) + " bytes, found " +
                   std::to_string(bytes));
  head = static_cast<const vlm_text_header *>(address);
  if (std::memcmp(head->magic, VLM_TEXT_MAGIC, sizeof(head->magic)) != 0)
    return corrupt("expected '" VLM_TEXT_MAGIC "' at their beginning");
  if (head->version != VLM_TEXT_VERSION ||
      head->header_bytes != sizeof(vlm_text_header))
    return makeStatus(
        VLM_INCOMPATIBLE,
        "tokenizer tables: expected version " +
            std::to_string(VLM_TEXT_VERSION) + ", found " +
            std::to_string(head->version) +
            "; compile the model again with this version of vlmc");
  if (head->bytes != bytes)
    return corrupt("expected " + std::to_string(head->bytes) +
                   " bytes as they say, found " + std::to_string(bytes));
  for (auto check : {&Tables::checkSections})
    if (const char *problem = (this->*check)())
      return corrupt(problem);
  for (auto check : {&Tables::checkTokens, &Tables::checkStages})
    if (const char *problem = (this->*check)())
      return corrupt(problem);
  return nullptr;
}

template <typename T>
bool Tables::section(vlm_text_section where, std::span<const T> &out) const {
  if (where.offset % 8 || where.offset > head->bytes ||
      where.count > (head->bytes - where.offset) / sizeof(T))
    return false;
  out = {reinterpret_cast<const T *>(reinterpret_cast<const char *>(head) +
                                     where.offset),
         where.count};
  return true;
}

const char *Tables::checkSections() {
  bool good =
      section(head->strings, strings) && section(head->tokens, tokens) &&
      section(head->token_slots, tokenSlots) && section(head->merges, merges) &&
      section(head->added, added) && section(head->normalizers, normalizers) &&
      section(head->pre_tokenizers, preTokenizers) &&
      section(head->decoders, decoders) && section(head->post, post) &&
      section(head->scores, scores) &&
      section(head->charsmap_trie, charsmapTrie) &&
      section(head->charsmap_text, charsmapText) &&
      section(head->fixed, fixed) && section(head->roles, roles) &&
      section(head->templates, templates);
  if (!good)
    return "a section lies outside of them";
  if (!std::has_single_bit(tokenSlots.size()) ||
      (!merges.empty() && !std::has_single_bit(merges.size())))
    return "expected a power of two of hash slots";
  bool isUnigram = head->model == VLM_TEXT_MODEL_UNIGRAM ||
                   head->model == VLM_TEXT_MODEL_SENTENCEPIECE;
  if (isUnigram && scores.size() != tokens.size())
    return "expected a score for each id";
  if (!charsmapText.empty() && charsmapText.back() != 0)
    return "expected a zero at the end of the characters' map";
  // Ids are int32_t at the border.
  return tokens.size() > INT32_MAX ? "too many ids" : nullptr;
}

bool Tables::inStrings(vlm_text_string text) const {
  return text.offset <= strings.size() &&
         text.bytes <= strings.size() - text.offset;
}

const char *Tables::checkTokens() const {
  const char *badId = "an id lies outside of the vocabulary";
  for (vlm_text_string token : tokens)
    if (token.bytes != VLM_TEXT_NO_TOKEN && !inStrings(token))
      return "a token's text lies outside of them";
  for (uint32_t slot : tokenSlots)
    if (slot && (slot > tokens.size() || !hasToken(slot - 1)))
      return badId;
  for (const vlm_text_merge &merge : merges)
    if (merge.new_id != VLM_TEXT_NO_TOKEN && merge.new_id >= tokens.size())
      return badId;
  for (const vlm_text_added &token : added)
    if (token.id >= tokens.size())
      return badId;
    else if (!inStrings(token.content) || !token.content.bytes)
      return "an added token's text is empty or lies outside of them";
  for (const vlm_text_piece &piece : post)
    if (piece.kind > VLM_TEXT_PIECE_TOKEN_ONCE ||
        (piece.kind != VLM_TEXT_PIECE_TEXT && piece.id >= tokens.size()))
      return badId;
  for (uint32_t id : fixed)
    if (id >= tokens.size() || !hasToken(id))
      return badId;
  auto optional = [&](int32_t id) {
    return id >= -1 && (id < 0 || static_cast<size_t>(id) < tokens.size());
  };
  return optional(head->unk_id) && optional(head->pad_id) ? nullptr : badId;
}

const char *Tables::checkStages() const {
  for (vlm_text_string text :
       {head->word_prefix, head->word_suffix, head->chat_template,
        head->picture_token, head->picture_frame, head->prompt_begin,
        head->part_end, head->picture_line, head->picture_end, head->prompt_end,
        head->placeholder, head->video_token, head->crops_begin,
        head->crops_middle, head->crops_join, head->frame_name})
    if (!inStrings(text))
      return "a text lies outside of them";
  for (const vlm_text_role &role : roles)
    if (!inStrings(role.name) || !inStrings(role.content))
      return "the name of a role lies outside of them";
  for (const vlm_text_role &each : templates)
    if (!inStrings(each.name) || !inStrings(each.content))
      return "a chat template lies outside of them";
  for (auto stages : {normalizers, preTokenizers, decoders})
    for (const vlm_text_stage &stage : stages)
      if (!inStrings(stage.pattern) || !inStrings(stage.content))
        return "a pattern lies outside of them";
  if (head->padding_side > VLM_TEXT_LEFT ||
      head->truncation_side > VLM_TEXT_LEFT)
    return "unknown side";
  return nullptr;
}

int32_t Tables::find(std::string_view token, uint64_t hash) const {
  uint64_t mask = tokenSlots.size() - 1, at = hash;
  for (size_t probes = 0; probes < tokenSlots.size(); ++probes, ++at) {
    uint32_t slot = tokenSlots[at & mask];
    if (!slot)
      return -1;
    if (this->token(slot - 1) == token)
      return slot - 1;
  }
  return -1;
}

const vlm_text_merge *Tables::merge(uint32_t left, uint32_t right) const {
  uint64_t mask = merges.size() - 1, at = vlm_text_hash_pair(left, right);
  for (size_t probes = 0; probes < merges.size(); ++probes, ++at) {
    const vlm_text_merge &slot = merges[at & mask];
    if (slot.new_id == VLM_TEXT_NO_TOKEN)
      return nullptr;
    if (slot.left == left && slot.right == right)
      return &slot;
  }
  return nullptr;
}
