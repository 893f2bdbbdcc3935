//===- Prompt.cpp - Prompts with placeholders for pictures ----------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/vlm.h"

#include <string>

using namespace vlmc::rt;

static std::string plural(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

static vlm_status_t *mismatch(std::string_view token, size_t found,
                              size_t pictures) {
  std::string name(token);
  std::string remedy = found < pictures
                           ? "write '" + name + "' where the picture belongs"
                           : "give the pictures that are missing";
  return makeStatus(VLM_INVALID_ARGUMENT,
                    "expected a placeholder '" + name +
                        "' in the prompt for each picture, found " +
                        plural(found, "placeholder") + " and " +
                        plural(pictures, "picture") + "; " + remedy);
}

vlm_status_t *vlm_tokenizer_encode_prompt(const vlm_tokenizer_t *tokenizer,
                                          const char *text, size_t bytes,
                                          const int64_t *picture_tokens,
                                          size_t picture_count, int special,
                                          vlm_ids_t *out_ids) {
  if (!tokenizer || (!text && bytes) || (!picture_tokens && picture_count) ||
      !out_ids)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "prompt: expected an address, found NULL");
  size_t length = 0;
  const char *name = vlm_tokenizer_picture_token(tokenizer, &length);
  if (!name && !picture_count)
    return vlm_tokenizer_encode(tokenizer, text, bytes, special, 0, out_ids);
  if (!name)
    return makeStatus(
        VLM_INVALID_ARGUMENT,
        "expected a prompt without pictures, found " +
            plural(picture_count, "picture") +
            ": the checkpoint names no token that stands for a picture");
  return guarded("tokenizing", [&]() -> vlm_status_t * {
    std::string_view prompt(text, bytes), token(name, length);
    std::string expanded;
    size_t last = 0, found = 0;
    for (size_t at; (at = prompt.find(token, last)) != prompt.npos;
         last = at + token.size(), ++found) {
      expanded.append(prompt.substr(last, at - last));
      for (int64_t i = 0; found < picture_count && i < picture_tokens[found];
           ++i)
        expanded.append(token);
    }
    if (found != picture_count)
      return mismatch(token, found, picture_count);
    expanded.append(prompt.substr(last));
    return vlm_tokenizer_encode(tokenizer, expanded.data(), expanded.size(),
                                special, 0, out_ids);
  });
}
