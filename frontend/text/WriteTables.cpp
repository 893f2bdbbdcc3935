//===- WriteTables.cpp - A description laid out as tables -----------------===//
#include "frontend/text/WriteTables.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

using namespace vlmc::text;

namespace {

/// Lays sections behind a header, each aligned.
class Writer {
public:
  Writer() : blob(aligned(sizeof(vlm_text_header))) {}

  vlm_text_string string(const std::string &text) {
    auto [at, isNew] = known.try_emplace(
        text, vlm_text_string{static_cast<uint32_t>(strings.size()),
                              static_cast<uint32_t>(text.size())});
    if (isNew)
      strings += text;
    return at->second;
  }

  template <typename T> vlm_text_section section(const std::vector<T> &items) {
    return bytes(items.data(), items.size(), sizeof(T));
  }
  vlm_text_section stringSection() {
    return bytes(strings.data(), strings.size(), 1);
  }

  std::vector<uint8_t> finish(vlm_text_header header) {
    header.bytes = blob.size();
    std::memcpy(blob.data(), &header, sizeof(header));
    return std::move(blob);
  }

private:
  static size_t aligned(size_t bytes) {
    return (bytes + VLM_TEXT_ALIGNMENT - 1) / VLM_TEXT_ALIGNMENT *
           VLM_TEXT_ALIGNMENT;
  }
  vlm_text_section bytes(const void *data, size_t count, size_t each) {
    vlm_text_section section = {blob.size(), count};
    blob.resize(aligned(blob.size() + count * each));
    if (count)
      std::memcpy(blob.data() + section.offset, data, count * each);
    return section;
  }

  std::vector<uint8_t> blob;
  std::string strings;
  std::unordered_map<std::string, vlm_text_string> known;
};

} // namespace

static uint32_t idCount(const TokenizerDescription &tokenizer) {
  uint32_t largest = 0;
  for (const auto &[token, id] : tokenizer.model.vocabulary)
    largest = std::max(largest, id);
  if (!tokenizer.added.empty())
    largest = std::max(largest, tokenizer.added.rbegin()->first);
  for (const PostPiece &piece : tokenizer.post)
    largest = std::max(largest, piece.id);
  return largest + 1;
}

/// Tokens by id, so that the layout does not depend on the map's order.
static std::vector<const std::string *>
tokensById(const TokenizerDescription &tokenizer) {
  std::vector<const std::string *> tokens(idCount(tokenizer));
  for (const auto &[token, id] : tokenizer.model.vocabulary)
    tokens[id] = &token;
  return tokens;
}

static std::vector<uint32_t>
hashTokens(const std::vector<const std::string *> &tokens) {
  std::vector<uint32_t> slots(std::bit_ceil(tokens.size() * 2));
  for (uint32_t id = 0; id < tokens.size(); ++id)
    if (tokens[id]) {
      uint64_t at = vlm_text_hash_bytes(tokens[id]->data(), tokens[id]->size());
      while (slots[at & (slots.size() - 1)])
        ++at;
      slots[at & (slots.size() - 1)] = id + 1;
    }
  return slots;
}

static std::vector<vlm_text_merge> hashMerges(const BpeDescription &bpe) {
  if (bpe.merges.empty())
    return {};
  std::vector<vlm_text_merge> slots(std::bit_ceil(bpe.merges.size() * 2),
                                    {0, 0, 0, VLM_TEXT_NO_TOKEN});
  auto id = [&](const std::string &token) {
    return bpe.vocabulary.find(token)->second;
  };
  for (uint32_t rank = 0; rank < bpe.merges.size(); ++rank) {
    const auto &[left, right] = bpe.merges[rank];
    vlm_text_merge merge = {id(left), id(right), rank,
                            id(left + right.substr(bpe.wordPrefix.size()))};
    uint64_t at = vlm_text_hash_pair(merge.left, merge.right);
    auto slot = [&]() -> vlm_text_merge & {
      return slots[at & (slots.size() - 1)];
    };
    while (slot().new_id != VLM_TEXT_NO_TOKEN &&
           (slot().left != merge.left || slot().right != merge.right))
      ++at;
    slot() = merge; // of two equal pairs the last counts
  }
  return slots;
}

static std::vector<vlm_text_stage> layStages(const std::vector<Stage> &stages,
                                             Writer &writer) {
  std::vector<vlm_text_stage> out;
  for (const Stage &stage : stages)
    out.push_back({stage.kind, stage.flags, stage.number, 0,
                   writer.string(stage.pattern), writer.string(stage.content)});
  return out;
}

static std::vector<vlm_text_added>
layAdded(const TokenizerDescription &tokenizer, Writer &writer) {
  std::vector<vlm_text_added> out;
  for (const auto &[id, token] : tokenizer.added) {
    uint32_t flags = (token.singleWord ? VLM_TEXT_ADDED_SINGLE_WORD : 0) |
                     (token.lstrip ? VLM_TEXT_ADDED_LSTRIP : 0) |
                     (token.rstrip ? VLM_TEXT_ADDED_RSTRIP : 0) |
                     (token.isNormalized() ? VLM_TEXT_ADDED_NORMALIZED : 0) |
                     (token.special ? VLM_TEXT_ADDED_SPECIAL : 0);
    if (tokenizer.decodesNormalized.at(id))
      flags |= VLM_TEXT_ADDED_DECODES_NORMALIZED;
    out.push_back({id, flags, writer.string(token.content)});
  }
  return out;
}

static vlm_text_header scalars(const TokenizerDescription &tokenizer) {
  vlm_text_header header = {};
  std::memcpy(header.magic, VLM_TEXT_MAGIC, sizeof(VLM_TEXT_MAGIC));
  header.version = VLM_TEXT_VERSION;
  header.header_bytes = sizeof(header);
  header.model = tokenizer.modelKind;
  header.model_flags = tokenizer.model.flags;
  header.unk_id = -1;
  if (tokenizer.model.unkToken)
    if (auto at = tokenizer.model.vocabulary.find(*tokenizer.model.unkToken);
        at != tokenizer.model.vocabulary.end())
      header.unk_id = static_cast<int32_t>(at->second);
  header.pad_id = tokenizer.padId;
  header.max_word_chars = tokenizer.maxWordChars;
  header.max_tokens = tokenizer.maxTokens;
  header.padding_side = tokenizer.paddingSide;
  header.truncation_side = tokenizer.truncationSide;
  return header;
}

std::vector<uint8_t>
vlmc::text::writeTables(const TokenizerDescription &tokenizer) {
  Writer writer;
  vlm_text_header header = scalars(tokenizer);
  std::vector<const std::string *> tokens = tokensById(tokenizer);
  std::vector<vlm_text_string> texts;
  for (const std::string *token : tokens)
    texts.push_back(token ? writer.string(*token)
                          : vlm_text_string{0, VLM_TEXT_NO_TOKEN});
  std::vector<vlm_text_piece> post;
  for (const PostPiece &piece : tokenizer.post)
    post.push_back({piece.kind, piece.id});
  header.word_prefix = writer.string(tokenizer.model.wordPrefix);
  header.word_suffix = writer.string(tokenizer.model.wordSuffix);
  header.tokens = writer.section(texts);
  header.token_slots = writer.section(hashTokens(tokens));
  header.merges = writer.section(hashMerges(tokenizer.model));
  header.added = writer.section(layAdded(tokenizer, writer));
  header.normalizers = writer.section(layStages(tokenizer.normalizers, writer));
  header.pre_tokenizers =
      writer.section(layStages(tokenizer.preTokenizers, writer));
  header.decoders = writer.section(layStages(tokenizer.decoders, writer));
  header.post = writer.section(post);
  const UnigramDescription &unigram = tokenizer.unigram;
  std::vector<double> scores;
  if (tokenizer.modelKind == VLM_TEXT_MODEL_UNIGRAM ||
      tokenizer.modelKind == VLM_TEXT_MODEL_SENTENCEPIECE) {
    scores = unigram.scores;
    scores.resize(tokens.size(), std::numeric_limits<double>::quiet_NaN());
  }
  header.scores = writer.section(scores);
  header.unknown_score = unigram.unknownScore;
  header.charsmap_trie = writer.section(unigram.charsmapTrie);
  header.charsmap_text = writer.section(unigram.charsmapText);
  header.fixed = writer.section(unigram.fixed);
  const PromptDescription &prompt = tokenizer.prompt;
  std::vector<vlm_text_role> roles;
  for (const auto &[name, content] : prompt.roles)
    roles.push_back({writer.string(name), writer.string(content)});
  header.roles = writer.section(roles);
  header.chat_template = writer.string(prompt.chatTemplate);
  std::vector<vlm_text_role> templates;
  for (const auto &[name, source] : prompt.templates)
    templates.push_back({writer.string(name), writer.string(source)});
  header.templates = writer.section(templates);
  header.picture_token = writer.string(prompt.pictureToken);
  header.picture_patch = prompt.picturePatch;
  header.picture_extra = prompt.pictureExtra;
  header.picture_frame = writer.string(prompt.pictureFrame);
  header.prompt_begin = writer.string(prompt.begin);
  header.part_end = writer.string(prompt.partEnd);
  header.strips_parts = prompt.stripsParts;
  header.pictures_first = prompt.picturesFirst;
  header.picture_line = writer.string(prompt.pictureLine);
  header.picture_end = writer.string(prompt.pictureEnd);
  header.prompt_end = writer.string(prompt.promptEnd);
  header.placeholder = writer.string(prompt.placeholder);
  header.video_token = writer.string(prompt.videoToken);
  header.crops_begin = writer.string(prompt.cropsBegin);
  header.crops_middle = writer.string(prompt.cropsMiddle);
  header.crops_join = writer.string(prompt.cropsJoin);
  header.frame_name = writer.string(prompt.frameName);
  header.strings = writer.stringSection();
  return writer.finish(header);
}
