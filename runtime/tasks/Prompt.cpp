//===- Prompt.cpp - Words and pictures as tokens --------------------------===//
#include "runtime/tasks/Prompt.h"

#include "runtime/core/PoolInternal.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/tasks/PictureStore.h"
#include "runtime/tasks/PromptEncoder.h"
#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <numeric>

namespace vlmc::rt {

int64_t Prompt::tiles() const {
  return std::accumulate(
      pictures.begin(), pictures.end(), int64_t(0),
      [](int64_t sum, const Picture &each) { return sum + each.tiles; });
}

int64_t Prompt::pixels() const {
  return std::accumulate(
      pictures.begin(), pictures.end(), int64_t(0),
      [](int64_t sum, const Picture &each) { return sum + each.given; });
}

vlm_status_t *PromptReader::open(const vlm_model_t *opened) {
  model = opened;
  Encoder decoder;
  if (vlm_status_t *status = decoder.find(model, "decode", "generate text"))
    return status;
  facts = vlm_model_abi(model)->generation;
  seesPrompt = decoder.hasInput("last_seen");
  encodes = PromptEncoder::isIn(model);
  if (!facts)
    return makeStatus(VLM_UNSUPPORTED, std::string("model '") +
                                           vlm_model_abi(model)->name +
                                           "' cannot generate text");
  if (facts->attended & VLM_ABI_ATTEND_GROUP) {
    Encoder pictures;
    if (vlm_status_t *status =
            pictures.find(model, "encode_image", "look at pictures"))
      return status;
    if (vlm_status_t *status = tower.open(pictures.entry))
      return status;
  }
  vlm_tokenizer_t *words = nullptr;
  if (vlm_status_t *status = vlm_tokenizer_of_model(model, &words))
    return status;
  tokenizer.reset(words);
  if (!vlm_model_abi(model)->picture_words.bytes)
    return nullptr;
  if (vlm_status_t *status = vlm_tokenizer_of_picture_words(model, &words))
    return status;
  pictureWords.reset(words);
  return nullptr;
}

/// Features depend on what was read beside the picture.
static void mixIn(const std::vector<int64_t> &words, PictureKey &key) {
  uint64_t state = 0x9e3779b97f4a7c15U;
  for (size_t i = 0; i < words.size() + key.size(); ++i) {
    uint64_t next = i < words.size() ? uint64_t(words[i]) + 1 : 0;
    state = (state ^ next) * 0xbf58476d1ce4e5b9U;
    state ^= state >> 29;
    key[i % key.size()] ^= uint8_t(state >> 40);
  }
}

/// The prompt as the tower reads it beside each picture.
vlm_status_t *PromptReader::readWords(std::string_view text,
                                      Prompt &out) const {
  if (!pictureWords || out.pictures.empty())
    return nullptr;
  vlm_ids_t ids{};
  if (vlm_status_t *status =
          vlm_tokenizer_encode(pictureWords.get(), text.data(), text.size(),
                               /*special=*/1, /*max_tokens=*/0, &ids))
    return status;
  for (Picture &picture : out.pictures)
    picture.words.assign(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  return nullptr;
}

/// How many tiles a picture has, and which of their features are read.
vlm_status_t *PromptReader::measure(const vlm_image_t &image,
                                    Picture &picture) const {
  int64_t height = vlm_image_height(&image), width = vlm_image_width(&image);
  if (vlm_status_t *status = vlm_model_preprocess_size(
          model, height, width, &picture.height, &picture.width))
    return status;
  if (vlm_status_t *status =
          vlm_model_tile_count(model, height, width, &picture.tiles))
    return status;
  picture.given = height * width;
  if (tower.isThere()) {
    const vlm_abi_image *processing = vlm_model_abi(model)->image;
    picture.arrangement = vlm_image_arrangement(processing, height, width);
    picture.rows = tower.rows();
    picture.shown = picture.tiles * tower.tokens;
    return nullptr;
  }
  vlm_ids_t rows{};
  if (vlm_status_t *status =
          vlm_model_picture_rows(model, height, width, &rows))
    return status;
  picture.rows.assign(rows.ids, rows.ids + rows.count);
  vlm_ids_destroy(&rows);
  return nullptr;
}

/// Several pictures at once; those whose features are known need no pixels.
vlm_status_t *
PromptReader::preprocess(std::span<const vlm_image_t *const> images,
                         Prompt &out) const {
  PictureStore &store = PictureStore::of(model);
  std::vector<vlm_status_t *> statuses(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    Picture &picture = out.pictures[i];
    if (!facts->attended && int64_t(picture.rows.size()) != picture.tokens)
      return invalid("picture: expected " +
                     std::to_string(picture.rows.size()) +
                     " tokens, as many as the tower has features, found " +
                     std::to_string(picture.tokens) +
                     "; the checkpoint's processor and its model differ");
    std::copy_n(vlm_image_digest(images[i]), picture.key.size(),
                picture.key.begin());
    if (!picture.words.empty())
      mixIn(picture.words, picture.key);
    picture.features = store.find(picture.key);
    if (!picture.features)
      picture.pixels.resize(
          size_t(picture.tiles * 3 * picture.height * picture.width));
  }
  parallelFor(vlm_model_pool(model), int64_t(images.size()), [&](int64_t i) {
    if (Picture &picture = out.pictures[size_t(i)]; !picture.features)
      statuses[size_t(i)] =
          vlm_model_preprocess(model, images[size_t(i)], picture.pixels.data());
  });
  return firstFailure(statuses);
}

/// The tokens of each line of a picture, of models that read such.
vlm_status_t *PromptReader::addLines(const vlm_image_t &image,
                                     std::vector<int64_t> &lines) const {
  int64_t count = 0, columns = 0;
  vlm_status_t *status =
      vlm_model_picture_lines(model, vlm_image_height(&image),
                              vlm_image_width(&image), &count, &columns);
  lines.insert(lines.end(), size_t(count), columns);
  return status;
}

vlm_status_t *PromptReader::read(std::string_view text,
                                 std::span<const vlm_image_t *const> images,
                                 bool special, Prompt &out) const {
  std::vector<int64_t> sizes(images.size()), lines;
  out.pictures.resize(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i])
      return invalid("images: expected an address, found NULL");
    Picture &picture = out.pictures[i];
    if (vlm_status_t *status = measure(*images[i], picture))
      return status;
    if (vlm_status_t *status = addLines(*images[i], lines))
      return status;
    sizes[i] = facts->n_grid || !lines.empty()
                   ? int64_t(picture.rows.size())
                   : vlm_tokenizer_picture_tokens(
                         tokenizer.get(), picture.height, picture.width);
    // Where the checkpoint's processor does not say it, the model does.
    if (sizes[i] == 0)
      sizes[i] = int64_t(picture.rows.size());
  }
  if (vlm_status_t *status = readWords(text, out))
    return status;
  vlm_ids_t ids{};
  if (vlm_status_t *status = vlm_tokenizer_encode_prompt(
          tokenizer.get(), text.data(), text.size(),
          lines.empty() ? sizes.data() : lines.data(),
          lines.empty() ? sizes.size() : lines.size(), special ? 1 : 0, &ids))
    return status;
  out.ids.assign(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  out.mutual = seesPrompt ? out.size() : 0;
  if (vlm_status_t *status = place(sizes, out))
    return status;
  if (encodes) {
    out.encoded = std::move(out.ids);
    out.ids = {facts->start_token};
  }
  return nullptr;
}

/// Tells each picture where its tokens stand.
vlm_status_t *PromptReader::place(const std::vector<int64_t> &sizes,
                                  Prompt &out) const {
  int64_t found =
      std::count(out.ids.begin(), out.ids.end(), facts->image_token);
  int64_t wanted = std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
  if (facts->image_token >= 0 && found != wanted)
    return invalid("prompt: expected " + std::to_string(wanted) +
                   " tokens of pictures (id " +
                   std::to_string(facts->image_token) + ") for " +
                   std::to_string(sizes.size()) + " pictures, found " +
                   std::to_string(found) +
                   "; the checkpoint's processor and its tokenizer differ");
  size_t picture = 0;
  int64_t left = 0;
  for (size_t i = 0; i < out.ids.size(); ++i) {
    if (out.ids[i] != facts->image_token)
      continue;
    while (left == 0 && picture < sizes.size()) {
      out.pictures[picture].begin = int64_t(i);
      out.pictures[picture].tokens = left = sizes[picture];
      ++picture;
    }
    --left;
    out.pictures[picture - 1].end = int64_t(i) + 1;
  }
  return nullptr;
}

vlm_status_t *PromptReader::checkBudget(const vlm_request_t &request,
                                        const Prompt &prompt) {
  struct Limit {
    const char *name, *what;
    int64_t most, found;
  };
  for (const Limit &limit :
       {Limit{"max_tiles", "tiles", request.max_tiles, prompt.tiles()},
        Limit{"max_pixels", "pixels", request.max_pixels, prompt.pixels()}}) {
    if (limit.most < 0)
      return invalid(std::string(limit.name) + ": expected 0 or more, found " +
                     std::to_string(limit.most));
    if (limit.most && limit.found > limit.most)
      return invalid("images: have " + std::to_string(limit.found) + " " +
                     limit.what + ", expected at most " +
                     std::to_string(limit.most) + " (" + limit.name +
                     "); give fewer pictures or smaller ones");
  }
  return nullptr;
}

vlm_status_t *decodeText(const vlm_tokenizer_t *tokenizer,
                         const std::vector<int32_t> &ids, bool isBegun,
                         std::string &text) {
  std::vector<int32_t> known;
  auto limit = int64_t(vlm_tokenizer_id_count(tokenizer));
  std::ranges::copy_if(ids, std::back_inserter(known),
                       [&](int32_t id) { return id < limit; });
  char *decoded = nullptr;
  size_t bytes = 0;
  auto *decode = isBegun ? vlm_tokenizer_decode_begun : vlm_tokenizer_decode;
  if (vlm_status_t *status = decode(tokenizer, known.data(), known.size(),
                                    /*skip_special=*/1, &decoded, &bytes))
    return status;
  text.assign(decoded, bytes);
  vlm_string_destroy(decoded);
  return nullptr;
}

} // namespace vlmc::rt
