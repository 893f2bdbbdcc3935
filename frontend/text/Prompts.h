//===- Prompts.h - What a processor does to prompts -------------*- C++ -*-===//
//
// Reads the chat template of a checkpoint, the names of its special tokens and
// how many tokens stand for a picture, as the processors of transformers 5 do:
// processor_config.json, chat_template.json, chat_template.jinja.
//
//   PromptDescription prompt = readPrompts(
//       {folder, config, model}, special, warnings, fault);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_PROMPTS_H
#define VLMC_FRONTEND_TEXT_PROMPTS_H

#include "frontend/text/Fields.h"
#include "frontend/text/SpecialTokens.h"

namespace vlmc::text {

/// The folder, and of its files those that have been read, null where there is
/// none.
struct PromptFiles {
  std::string folder;
  const Fields *config = nullptr; ///< tokenizer_config.json
  const Fields *model = nullptr;  ///< config.json
};

/// Whether a config.json is of a language model that only names the tower that
/// sees for it. The tokenizers of such checkpoints lack a placeholder for
/// pictures: it is `placeholderText`, and its id the first behind the model's
/// vocabulary.
bool namesPictureTower(const Fields *model);
inline constexpr const char *placeholderText = "<image>";

PromptDescription readPrompts(const PromptFiles &files,
                              const SpecialTokens &special,
                              std::vector<std::string> &warnings,
                              std::string &fault);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_PROMPTS_H
