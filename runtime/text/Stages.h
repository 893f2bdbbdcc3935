//===- Stages.h - What the stages of a tokenizer share --------------------===//
#ifndef VLMC_RUNTIME_TEXT_STAGES_H
#define VLMC_RUNTIME_TEXT_STAGES_H

#include "runtime/text/Regex.h"
#include "runtime/text/Tables.h"

namespace vlmc::rt::text {

/// Compiles a stage's pattern: a regular expression or a plain string. Returns
/// "" or the problem.
inline std::string makePattern(const Tables &tables,
                               const vlm_text_stage &stage,
                               std::unique_ptr<Regex> &out) {
  std::string_view pattern = tables.string(stage.pattern);
  if (stage.flags & VLM_TEXT_FLAG_REGEX)
    return Regex::create(pattern, out);
  if (pattern.empty())
    return "expected a pattern that is not empty";
  out = Regex::literal(pattern);
  return "";
}

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_STAGES_H
