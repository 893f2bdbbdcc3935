//===- Chat.cpp - Conversations as the chat template writes them ----------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/text/jinja/ChatTemplate.h"

#include <cstdlib>
#include <cstring>

using namespace vlmc::rt;

/// The special tokens that a tokenizer has, by role.
static jinja::SpecialTokens rolesOf(const vlm_tokenizer_t *tokenizer) {
  jinja::SpecialTokens tokens;
  const char *role = nullptr, *token = nullptr;
  size_t roleBytes = 0, tokenBytes = 0;
  for (size_t i = 0;
       vlm_tokenizer_role(tokenizer, i, &role, &roleBytes, &token, &tokenBytes);
       ++i)
    tokens.emplace_back(std::string(role ? role : "", roleBytes),
                        std::string(token ? token : "", tokenBytes));
  return tokens;
}

vlm_status_t *vlm_tokenizer_render_chat(const vlm_tokenizer_t *tokenizer,
                                        const char *request, size_t bytes,
                                        char **out_text, size_t *out_bytes,
                                        int *out_special) {
  if (!tokenizer || !request || !out_text)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "conversation: expected an address, found NULL");
  return guarded("writing a conversation", [&]() -> vlm_status_t * {
    size_t length = 0;
    const char *source = vlm_tokenizer_chat_template(tokenizer, &length);
    if (!source)
      return makeStatus(
          VLM_UNSUPPORTED,
          "conversation: expected a checkpoint with a chat template "
          "(chat_template.jinja), found none; give the prompt itself");
    jinja::ChatTemplate chat;
    jinja::Value variables;
    if (vlm_status_t *status = chat.parse({source, length}))
      return status;
    if (vlm_status_t *status = jinja::parseJson({request, bytes}, variables))
      return status;
    jinja::SpecialTokens tokens = rolesOf(tokenizer);
    std::string text;
    if (vlm_status_t *status = chat.render(variables, tokens, text))
      return status;
    // A prompt with its own begin token gets no second one.
    bool begins = false;
    for (const auto &[role, token] : tokens)
      begins = begins || (role == "bos_token" && text.starts_with(token));
    auto *memory = static_cast<char *>(std::malloc(text.size() + 1));
    if (!memory)
      return outOfMemory("writing a conversation");
    std::memcpy(memory, text.c_str(), text.size() + 1);
    *out_text = memory;
    if (out_bytes)
      *out_bytes = text.size();
    if (out_special)
      *out_special = begins ? 0 : 1;
    return nullptr;
  });
}
