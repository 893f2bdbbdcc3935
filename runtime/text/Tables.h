//===- Tables.h - Tokenizer tables in place -------------------------------===//
//
// A checked view of the tables that frontend/text wrote. After open() every
// offset, string, slot and id in them is known to be in bounds.
//
//   Tables tables;
//   if (vlm_status_t *bad = tables.open(address, bytes)) return bad;
//   int32_t id = tables.find("hello</w>"); // -1: no such token
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_TABLES_H
#define VLMC_RUNTIME_TEXT_TABLES_H

#include "runtime/abi/vlm_text_abi.h"
#include "runtime/vlm.h"

#include <span>
#include <string_view>

namespace vlmc::rt::text {

/// vlm_text_hash_bytes of a text that grows.
class TextHash {
public:
  void add(char byte) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  }
  uint64_t value() const { return hash ^ (hash >> 29); }

private:
  uint64_t hash = 0xcbf29ce484222325u;
};

class Tables {
public:
  /// Errors: VLM_CORRUPT, VLM_INCOMPATIBLE.
  vlm_status_t *open(const void *address, size_t bytes);

  const vlm_text_header &header() const { return *head; }
  std::string_view string(vlm_text_string text) const {
    return {strings.data() + text.offset, text.bytes};
  }
  /// One above the largest id of the model or of an added token.
  size_t idCount() const { return tokens.size(); }
  bool hasToken(uint32_t id) const {
    return tokens[id].bytes != VLM_TEXT_NO_TOKEN;
  }
  std::string_view token(uint32_t id) const { return string(tokens[id]); }
  /// The id of one of the model's tokens, or -1.
  int32_t find(std::string_view token) const {
    return find(token, vlm_text_hash_bytes(token.data(), token.size()));
  }
  /// The same for a token whose hash is known.
  int32_t find(std::string_view token, uint64_t hash) const;
  /// What two tokens merge to, or null.
  const vlm_text_merge *merge(uint32_t left, uint32_t right) const;

  std::span<const vlm_text_added> added;
  std::span<const vlm_text_stage> normalizers;
  std::span<const vlm_text_stage> preTokenizers;
  std::span<const vlm_text_stage> decoders;
  std::span<const vlm_text_piece> post;
  std::span<const double> scores;
  std::span<const uint32_t> charsmapTrie;
  std::span<const char> charsmapText;
  std::span<const uint32_t> fixed;
  std::span<const vlm_text_role> roles;
  std::span<const vlm_text_role> templates;

private:
  const char *checkSections();
  const char *checkTokens() const;
  const char *checkStages() const;
  template <typename T>
  bool section(vlm_text_section where, std::span<const T> &out) const;
  bool inStrings(vlm_text_string text) const;

  const vlm_text_header *head = nullptr;
  std::span<const char> strings;
  std::span<const vlm_text_string> tokens;
  std::span<const uint32_t> tokenSlots;
  std::span<const vlm_text_merge> merges;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_TABLES_H
