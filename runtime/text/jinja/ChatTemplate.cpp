//===- ChatTemplate.cpp - Chat templates, rendered ------------------------===//
#include "runtime/text/jinja/ChatTemplate.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Machine.h"
#include "runtime/text/jinja/Syntax.h"

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

ChatTemplate::ChatTemplate() = default;
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) noexcept = default;

static std::string where(unsigned line) {
  return "chat template, line " + std::to_string(line) + ": ";
}

vlm_status_t *ChatTemplate::parse(std::string_view source) {
  return guarded("reading a chat template", [&]() -> vlm_status_t * {
    SyntaxFault fault;
    root = parseTemplate(text::repairUtf8(source), fault);
    if (root)
      return nullptr;
    return makeStatus(VLM_INVALID_ARGUMENT, where(fault.line) + fault.message);
  });
}

static vlm_status_t *statusOf(const Failure &failure) {
  return makeStatus(failure.code, where(failure.line) + failure.message);
}

vlm_status_t *ChatTemplate::renderVariables(const Value &variables,
                                            std::string &out,
                                            const RenderLimits &limits) const {
  if (!root)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "chat template: expected a template that was parsed");
  return guarded("rendering a chat template", [&]() -> vlm_status_t * {
    Machine machine(limits);
    for (const auto &[name, value] : variables.entries().items)
      machine.define(str(name), value);
    std::string text = machine.run(*root);
    if (machine.failed())
      return statusOf(machine.why());
    out = std::move(text);
    return nullptr;
  });
}

/// The messages as transformers hands them to templates: entries that are null
/// are left out, and reasoning goes by each of its names.
static Value prepared(const Value &messages) {
  static constexpr std::string_view reasoning[] = {"reasoning_content",
                                                   "thinking", "reasoning"};
  std::vector<Value> out;
  for (const Value &message : messages.items()) {
    Value copy = Value::dict(), thought;
    for (const auto &[name, value] : message.entries().items)
      if (!value.isNone())
        copy.set(name, value);
    for (std::string_view name : reasoning)
      if (const Value *found = copy.named(name); found && thought.isUndefined())
        thought = *found;
    if (!thought.isUndefined()) {
      Value whole = Value::dict();
      whole.set("thinking", thought);
      for (const auto &[name, value] : copy.entries().items)
        whole.set(name, value);
      whole.set("reasoning_content", thought);
      copy = whole;
    }
    out.push_back(std::move(copy));
  }
  return Value::list(std::move(out));
}

static vlm_status_t *invalid(std::string message) {
  return makeStatus(VLM_INVALID_ARGUMENT, message);
}

/// A list of objects under `name`, which may be left out.
static vlm_status_t *checkObjects(const Value &request, const char *name,
                                  bool required) {
  const Value *list = request.named(name);
  if (!list || (list->isNone() && !required))
    return required ? invalid(std::string("request: expected '") + name +
                              "', a list of objects, found none")
                    : nullptr;
  if (!list->is(Kind::List))
    return invalid(std::string("request: expected '") + name +
                   "' to be a list of objects, found " + typeName(*list));
  for (size_t i = 0; i < list->items().size(); ++i)
    if (!list->items()[i].isDict())
      return invalid(std::string("request: expected ") + name + "[" +
                     std::to_string(i) + "] to be an object, found " +
                     typeName(list->items()[i]));
  return nullptr;
}

vlm_status_t *ChatTemplate::render(const Value &request,
                                   const SpecialTokens &tokens,
                                   std::string &out,
                                   const RenderLimits &limits) const {
  return guarded("rendering a chat template", [&]() -> vlm_status_t * {
    if (!request.isDict())
      return invalid("request: expected an object with 'messages', found " +
                     typeName(request));
    if (vlm_status_t *bad = checkObjects(request, "messages", true))
      return bad;
    for (const char *name : {"tools", "documents"})
      if (vlm_status_t *bad = checkObjects(request, name, false))
        return bad;
    Value variables = Value::dict();
    for (const auto &[role, token] : tokens)
      variables.set(role, token);
    variables.set("tools", Value::none());
    variables.set("documents", Value::none());
    variables.set("add_generation_prompt", Value::boolean(false));
    for (const auto &[name, value] : request.entries().items)
      variables.set(name, value);
    variables.set("messages", prepared(*request.named("messages")));
    return renderVariables(variables, out, limits);
  });
}
