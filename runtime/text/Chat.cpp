//===- Chat.cpp - Conversations as the chat template writes them ----------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/text/Tables.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/TokenizerHandle.h"
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

/// The names of the checkpoint's templates, as messages tell them.
static std::string namesOf(const vlm_tokenizer_t *tokenizer) {
  const text::Tables &tables = tokenizer->tokenizer->tables();
  std::string names;
  if (vlm_tokenizer_chat_template(tokenizer, nullptr))
    names = "default";
  for (const vlm_text_role &each : tables.templates)
    names +=
        (names.empty() ? "" : ", ") + std::string(tables.string(each.name));
  return names;
}

/// The template that a request names or gives itself, else the checkpoint's.
static vlm_status_t *chooseTemplate(const vlm_tokenizer_t *tokenizer,
                                    const jinja::Value &request,
                                    std::string &source) {
  const jinja::Value *given =
      request.isDict() ? request.named("chat_template") : nullptr;
  if (given && given->isNone())
    given = nullptr;
  if (given && !given->isString())
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "chat_template: expected the name of a template or a "
                      "template, found no text");
  size_t length = 0;
  const char *known = given ? vlm_tokenizer_named_chat_template(
                                  tokenizer, given->text().c_str(), &length)
                            : vlm_tokenizer_chat_template(tokenizer, &length);
  if (known) {
    source.assign(known, length);
    return nullptr;
  }
  std::string names = namesOf(tokenizer);
  if (given && given->text().find('{') == std::string::npos)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "chat_template: expected a template or the name of one "
                      "of the checkpoint's (" +
                          (names.empty() ? "it has none" : names) +
                          "), found '" + given->text().substr(0, 60) + "'");
  if (given) {
    source = given->text();
    return nullptr;
  }
  if (names.empty())
    return makeStatus(
        VLM_UNSUPPORTED,
        "conversation: expected a checkpoint with a chat template "
        "(chat_template.jinja), found none; give the prompt itself");
  return makeStatus(VLM_UNSUPPORTED,
                    "conversation: expected a chat template of the name "
                    "default, found only " +
                        names + "; name one of them");
}

/// The request without what is for its reader alone.
static jinja::Value variablesOf(const jinja::Value &request) {
  if (!request.isDict() || !request.named("chat_template"))
    return request;
  jinja::Value variables = jinja::Value::dict();
  for (const auto &[key, value] : request.entries().items)
    if (!key.isString() || key.text() != "chat_template")
      variables.set(key, value);
  return variables;
}

vlm_status_t *vlm_tokenizer_render_chat(const vlm_tokenizer_t *tokenizer,
                                        const char *request, size_t bytes,
                                        char **out_text, size_t *out_bytes,
                                        int *out_special) {
  if (!tokenizer || !request || !out_text)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "conversation: expected an address, found NULL");
  return guarded("writing a conversation", [&]() -> vlm_status_t * {
    jinja::Value given;
    if (vlm_status_t *status = jinja::parseJson({request, bytes}, given))
      return status;
    std::string source;
    if (vlm_status_t *status = chooseTemplate(tokenizer, given, source))
      return status;
    jinja::ChatTemplate chat;
    if (vlm_status_t *status = chat.parse(source))
      return status;
    jinja::SpecialTokens tokens = rolesOf(tokenizer);
    std::string text;
    if (vlm_status_t *status = chat.render(variablesOf(given), tokens, text))
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
