//===- ChatTemplate.h - Chat templates, rendered as transformers does -----===//
//
// Renders the Jinja chat template of a checkpoint: the language of Jinja2 3.1
// in its immutable sandbox, with what transformers 5 adds to it (`tojson`,
// `raise_exception`, `strftime_now`, `{% generation %}`, `break`, `continue`;
// blocks are trimmed). Templates come with checkpoints and are not trusted:
// work, memory and nesting are limited. A parsed template may be rendered by
// many threads at once.
//
//   ChatTemplate chat;
//   if (vlm_status_t *bad = chat.parse(text))
//     return bad;
//   Value request; // {"messages": [...], "add_generation_prompt": true}
//   if (vlm_status_t *bad = parseJson(json, request))
//     return bad;
//   std::string prompt;
//   return chat.render(request, {{"bos_token", "<s>"}}, prompt);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_CHATTEMPLATE_H
#define VLMC_RUNTIME_TEXT_JINJA_CHATTEMPLATE_H

#include "runtime/text/jinja/Value.h"
#include "runtime/vlm.h"

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vlmc::rt::jinja {

struct Node;

/// Bounds of one rendering; a template beyond them ends in
/// VLM_INVALID_ARGUMENT.
struct RenderLimits {
  int64_t steps = 20'000'000;       // expressions, statements, pieces of text
  int64_t bytes = int64_t(1) << 28; // values alive at a time, and the output
  std::optional<std::tm> now;       // what strftime_now tells; else the clock
};

using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

class ChatTemplate {
public:
  ChatTemplate();
  ~ChatTemplate();
  ChatTemplate(ChatTemplate &&) noexcept;
  ChatTemplate &operator=(ChatTemplate &&) noexcept;

  /// Errors: VLM_INVALID_ARGUMENT with the line of what is wrong.
  vlm_status_t *parse(std::string_view source);

  /// Renders with the members of the object `variables` as variables.
  /// Errors: VLM_INVALID_ARGUMENT with line and reason; what the template
  /// itself says by raise_exception; what goes beyond `limits`.
  vlm_status_t *renderVariables(const Value &variables, std::string &out,
                                const RenderLimits &limits = {}) const;

  /// The same as transformers' apply_chat_template: `request` is an object with
  /// `messages` (a list of objects, each with `role` and `content`) and, as far
  /// as they are wanted, `tools`, `documents`, `add_generation_prompt` and what
  /// else the template asks for. Special tokens are variables by their role;
  /// the request's members go before them.
  vlm_status_t *render(const Value &request, const SpecialTokens &tokens,
                       std::string &out, const RenderLimits &limits = {}) const;

private:
  std::unique_ptr<Node> root;
};

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_CHATTEMPLATE_H
