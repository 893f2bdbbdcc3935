//===- TextApi.cpp - The C interface of words -----------------------------===//
#include "runtime/abi/vlm_abi.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/text/TokenizerHandle.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace vlmc::rt;
using namespace vlmc::rt::text;

static vlm_status_t *missing(const char *name) {
  return makeStatus(VLM_INVALID_ARGUMENT,
                    std::string(name) + ": expected an address, found NULL");
}

/// Memory for a result; it is freed by the destroy function of its type.
static void *take(size_t bytes) {
  void *memory = std::malloc(bytes ? bytes : 1);
  return memory ? memory : throw std::bad_alloc();
}

vlm_status_t *vlm_tokenizer_create(const void *tables, size_t bytes,
                                   vlm_tokenizer_t **out_tokenizer) {
  if (!out_tokenizer)
    return missing("out_tokenizer");
  return guarded("opening a tokenizer", [&]() -> vlm_status_t * {
    auto made = std::make_unique<vlm_tokenizer_t>();
    if (vlm_status_t *bad = Tokenizer::create(tables, bytes, made->tokenizer))
      return bad;
    *out_tokenizer = made.release();
    return nullptr;
  });
}

/// Opens tables that lie in the weights file.
static vlm_status_t *openTables(const vlm_model_t *model,
                                const vlm_abi_range &range,
                                vlm_tokenizer_t **out) {
  size_t bytes = 0;
  auto *weights = static_cast<const char *>(vlm_model_weights(model, &bytes));
  if (range.offset > bytes || range.bytes > bytes - range.offset)
    return makeStatus(
        VLM_CORRUPT,
        std::string("model '") + vlm_model_abi(model)->name +
            "': the tokenizer tables lie outside of the weights file");
  return vlm_tokenizer_create(weights + range.offset, range.bytes, out);
}

vlm_status_t *vlm_tokenizer_of_model(const vlm_model_t *model,
                                     vlm_tokenizer_t **out_tokenizer) {
  if (!model)
    return missing("model");
  const vlm_abi_model *abi = vlm_model_abi(model);
  if (!abi->tokenizer.bytes)
    return makeStatus(
        VLM_UNSUPPORTED,
        std::string("model '") + abi->name +
            "' takes no text: it was compiled without a tokenizer; compile it "
            "from a folder with tokenizer.json");
  return openTables(model, abi->tokenizer, out_tokenizer);
}

vlm_status_t *
vlm_tokenizer_of_picture_words(const vlm_model_t *model,
                               vlm_tokenizer_t **out_tokenizer) {
  if (!model)
    return missing("model");
  const vlm_abi_model *abi = vlm_model_abi(model);
  if (!abi->picture_words.bytes)
    return makeStatus(
        VLM_UNSUPPORTED,
        std::string("model '") + abi->name +
            "' takes no words beside a picture, or was compiled without their "
            "tokenizer; compile it from a folder with qformer_tokenizer");
  return openTables(model, abi->picture_words, out_tokenizer);
}

void vlm_tokenizer_destroy(vlm_tokenizer_t *tokenizer) { delete tokenizer; }

vlm_status_t *vlm_tokenizer_encode(const vlm_tokenizer_t *tokenizer,
                                   const char *text, size_t bytes, int special,
                                   size_t max_tokens, vlm_ids_t *out_ids) {
  if (!tokenizer)
    return missing("tokenizer");
  if (!text && bytes)
    return missing("text");
  if (!out_ids)
    return missing("out_ids");
  return guarded("tokenizing", [&]() -> vlm_status_t * {
    std::vector<int32_t> ids;
    bool truncated = false;
    if (vlm_status_t *bad = tokenizer->tokenizer->encode(
            {text, bytes}, special != 0, max_tokens, ids, truncated))
      return bad;
    auto *memory = static_cast<int32_t *>(take(ids.size() * sizeof(int32_t)));
    if (!ids.empty())
      std::memcpy(memory, ids.data(), ids.size() * sizeof(int32_t));
    *out_ids = {memory, ids.size(), truncated ? 1 : 0};
    return nullptr;
  });
}

void vlm_ids_destroy(vlm_ids_t *ids) {
  if (!ids)
    return;
  std::free(ids->ids);
  *ids = {nullptr, 0, 0};
}

static vlm_status_t *decode(const vlm_tokenizer_t *tokenizer,
                            const int32_t *ids, size_t count, int skip_special,
                            bool isBegun, char **out_text, size_t *out_bytes) {
  if (!tokenizer)
    return missing("tokenizer");
  if (!ids && count)
    return missing("ids");
  if (!out_text)
    return missing("out_text");
  return guarded("decoding ids", [&]() -> vlm_status_t * {
    std::string text;
    if (vlm_status_t *bad = tokenizer->tokenizer->decode(
            ids, count, skip_special != 0, isBegun, text))
      return bad;
    auto *memory = static_cast<char *>(take(text.size() + 1));
    std::memcpy(memory, text.c_str(), text.size() + 1);
    *out_text = memory;
    if (out_bytes)
      *out_bytes = text.size();
    return nullptr;
  });
}

vlm_status_t *vlm_tokenizer_decode(const vlm_tokenizer_t *tokenizer,
                                   const int32_t *ids, size_t count,
                                   int skip_special, char **out_text,
                                   size_t *out_bytes) {
  return decode(tokenizer, ids, count, skip_special, /*isBegun=*/false,
                out_text, out_bytes);
}

vlm_status_t *vlm_tokenizer_decode_begun(const vlm_tokenizer_t *tokenizer,
                                         const int32_t *ids, size_t count,
                                         int skip_special, char **out_text,
                                         size_t *out_bytes) {
  return decode(tokenizer, ids, count, skip_special, /*isBegun=*/true, out_text,
                out_bytes);
}

void vlm_string_destroy(char *text) { std::free(text); }

int32_t vlm_tokenizer_pad_id(const vlm_tokenizer_t *tokenizer) {
  return tokenizer->tokenizer->header().pad_id;
}

int vlm_tokenizer_pads_left(const vlm_tokenizer_t *tokenizer) {
  return tokenizer->tokenizer->header().padding_side == VLM_TEXT_LEFT;
}

size_t vlm_tokenizer_max_tokens(const vlm_tokenizer_t *tokenizer) {
  return tokenizer->tokenizer->header().max_tokens;
}

size_t vlm_tokenizer_id_count(const vlm_tokenizer_t *tokenizer) {
  return tokenizer->tokenizer->tables().idCount();
}

/// A text of the tables as the interface gives it.
static const char *given(const vlm_tokenizer_t *tokenizer, vlm_text_string text,
                         size_t *out_bytes) {
  std::string_view view = tokenizer->tokenizer->tables().string(text);
  if (out_bytes)
    *out_bytes = view.size();
  return view.empty() ? nullptr : view.data();
}

const char *vlm_tokenizer_picture_token(const vlm_tokenizer_t *tokenizer,
                                        size_t *out_bytes) {
  const vlm_text_header &header = tokenizer->tokenizer->header();
  return given(tokenizer,
               header.placeholder.bytes ? header.placeholder
                                        : header.picture_token,
               out_bytes);
}

const char *vlm_tokenizer_video_token(const vlm_tokenizer_t *tokenizer,
                                      size_t *out_bytes) {
  return given(tokenizer, tokenizer->tokenizer->header().video_token,
               out_bytes);
}

int64_t vlm_tokenizer_picture_tokens(const vlm_tokenizer_t *tokenizer,
                                     int64_t height, int64_t width) {
  const vlm_text_header &header = tokenizer->tokenizer->header();
  if (!header.picture_patch)
    return std::max<int64_t>(0, header.picture_extra);
  int64_t patch = header.picture_patch;
  return std::max<int64_t>(0, (height / patch) * (width / patch) +
                                  header.picture_extra);
}

int vlm_tokenizer_pictures_first(const vlm_tokenizer_t *tokenizer) {
  uint32_t first = tokenizer->tokenizer->header().pictures_first;
  return first >= VLM_TEXT_PICTURES_LEADING ? 0 : int(first);
}

int vlm_tokenizer_pictures_are_cut(const vlm_tokenizer_t *tokenizer) {
  return tokenizer->tokenizer->header().pictures_first ==
         VLM_TEXT_PICTURES_TILES;
}

const char *vlm_tokenizer_chat_template(const vlm_tokenizer_t *tokenizer,
                                        size_t *out_bytes) {
  return given(tokenizer, tokenizer->tokenizer->header().chat_template,
               out_bytes);
}

const char *vlm_tokenizer_named_chat_template(const vlm_tokenizer_t *tokenizer,
                                              const char *name,
                                              size_t *out_bytes) {
  const Tables &tables = tokenizer->tokenizer->tables();
  for (const vlm_text_role &each : tables.templates)
    if (tables.string(each.name) == name)
      return given(tokenizer, each.content, out_bytes);
  return std::string_view(name) == "default"
             ? vlm_tokenizer_chat_template(tokenizer, out_bytes)
             : nullptr;
}

int vlm_tokenizer_role(const vlm_tokenizer_t *tokenizer, size_t number,
                       const char **out_role, size_t *out_role_bytes,
                       const char **out_token, size_t *out_token_bytes) {
  const Tables &tables = tokenizer->tokenizer->tables();
  if (number >= tables.roles.size())
    return 0;
  *out_role = given(tokenizer, tables.roles[number].name, out_role_bytes);
  *out_token = given(tokenizer, tables.roles[number].content, out_token_bytes);
  return 1;
}
