//===- FuzzTemplate.cpp - Any text as a chat template ---------------------===//
//
// A template comes with a checkpoint: whatever it says ends in a text or a
// status, within bounds of time and memory.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/jinja/ChatTemplate.h"

#include <cstdlib>
#include <string>

using namespace vlmc::rt::jinja;

static const Value &request() {
  static const Value value = [] {
    Value parsed;
    vlm_status_t *status = parseJson(
        R"({"messages": [
              {"role": "system", "content": "be kind"},
              {"role": "user", "content": [{"type": "image"},
                                           {"type": "text", "text": "hi"}]},
              {"role": "assistant", "content": "yes", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "add_generation_prompt": true})",
        parsed);
    if (status)
      std::abort();
    return parsed;
  }();
  return value;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ChatTemplate chat;
  vlm_status_t *status =
      chat.parse({reinterpret_cast<const char *>(data), size});
  if (!status) {
    RenderLimits limits;
    limits.steps = 20000;
    limits.bytes = 1 << 22;
    std::string out;
    status = chat.render(
        request(), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, out, limits);
  }
  vlm_status_destroy(status);
  return 0;
}
