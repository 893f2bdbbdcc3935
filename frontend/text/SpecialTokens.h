//===- SpecialTokens.h - What the configuration says of special tokens ----===//
//
// Collects special and added tokens from tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and tokenizer.json in the order
// and with the precedence of transformers 5.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_SPECIALTOKENS_H
#define VLMC_FRONTEND_TEXT_SPECIALTOKENS_H

#include "frontend/text/Description.h"
#include "frontend/text/Fields.h"

namespace vlmc::text {

/// A token of the configuration: a mere string, or one that says how it is
/// looked for.
struct SpecialToken {
  AddedToken token;
  bool isString = false;
};

struct SpecialTokens {
  /// By role, "bos_token" and so on; an empty optional is an explicit null.
  std::map<std::string, std::optional<SpecialToken>> roles;
  std::vector<SpecialToken> extra;
  std::vector<std::pair<std::string, SpecialToken>> named; // further roles
  std::map<uint32_t, AddedToken> decoder;                  // added tokens by id

  /// The token of a role, if it has one.
  std::optional<std::string> content(const std::string &role) const;
  /// Sets a role that the configuration does not mention.
  void setDefault(const std::string &role, const std::string &content);

  /// All of them in the order in which transformers adds them to a tokenizer
  /// that has the tokens `present`.
  std::vector<AddedToken>
  inOrder(const std::map<uint32_t, AddedToken> &present) const;
};

/// The files, null where there is none; faults go to the fields' fault.
struct SpecialTokenFiles {
  const Fields *config = nullptr;
  const Fields *map = nullptr;
  const Fields *added = nullptr;
  const Fields *tokenizer = nullptr;
};

SpecialTokens readSpecialTokens(const SpecialTokenFiles &files);

/// The section `added_tokens` of tokenizer.json, as (id, token).
std::vector<std::pair<uint32_t, AddedToken>>
readAddedTokens(const Fields &root);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_SPECIALTOKENS_H
