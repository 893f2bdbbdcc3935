//===- Tokenizer.h - The stages of a tokenizer in a row -------------------===//
//
// What vlm_tokenizer_t holds: added tokens, normalisers, pre-tokenisers, model,
// special tokens and decoders over tables that are used in place. Encoding and
// decoding are const and thread-safe.
//
//   std::unique_ptr<Tokenizer> tokenizer;
//   if (vlm_status_t *bad = Tokenizer::create(address, bytes, tokenizer)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_TOKENIZER_H
#define VLMC_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/text/AddedTokens.h"
#include "runtime/text/Model.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Tables.h"

#include <map>

namespace vlmc::rt::text {

class Tokenizer {
public:
  /// Borrows the tables. Errors: VLM_CORRUPT, VLM_INCOMPATIBLE, VLM_UNSUPPORTED
  /// (a pattern that is not supported).
  static vlm_status_t *create(const void *tables, size_t bytes,
                              std::unique_ptr<Tokenizer> &out);

  /// The ids of any bytes, with special tokens if `special`, of at most
  /// `maxTokens` (0: no limit); says whether they were cut.
  vlm_status_t *encode(std::string_view bytes, bool special, size_t maxTokens,
                       std::vector<int32_t> &ids, bool &truncated) const;

  /// The text of ids; of ids behind which others may come (`isBegun`) as much
  /// as is certain.
  vlm_status_t *decode(const int32_t *ids, size_t count, bool skipSpecial,
                       bool isBegun, std::string &text) const;

  const vlm_text_header &header() const { return data.header(); }
  const Tables &tables() const { return data; }

private:
  /// What an added token decodes to.
  struct Added {
    std::string text;
    bool special;
  };

  vlm_status_t *makeStages();
  vlm_status_t *makeAdded();
  bool normalize(std::string &text, bool &begins) const;
  bool split(const std::string &text, Pieces &pieces) const;
  void encodePieces(const Pieces &pieces, std::vector<int32_t> &ids) const;
  size_t specialCount() const;

  Tables data;
  std::vector<std::unique_ptr<Normalizer>> normalizers;
  std::vector<std::unique_ptr<PreTokenizer>> preTokenizers;
  std::unique_ptr<Model> model;
  TokenFinder plain, normalized;
  std::map<uint32_t, Added> added;
  /// VLM_TEXT_MODEL_BEGINS_BLANK, and the blank's token.
  bool beginsBlank = false;
  int32_t blank = -1;
};

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_TOKENIZER_H
