//===- Prompt.cpp - Words and pictures as tokens --------------------------===//
#include "runtime/tasks/Prompt.h"

#include "runtime/core/PoolInternal.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/image/ImageInternal.h"
#include "runtime/tasks/PictureRows.h"
#include "runtime/tasks/PictureStore.h"
#include "runtime/tasks/PromptEncoder.h"
#include "runtime/tasks/Requests.h"
#include "runtime/text/PromptInternal.h"

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
  seesPictures = facts && facts->picture_flags & VLM_ABI_SEES_PICTURES;
  seesPrompt = decoder.hasInput("last_seen") && !seesPictures;
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
  Encoder looking;
  if (vlm_status_t *status =
          looking.find(model, "encode_image", "look at pictures"))
    vlm_status_destroy(status); // it reads words alone
  else if (vlm_status_t *fault = grid.open(looking.entry))
    return fault;
  if (vlm_status_t *status = frames.open(model))
    return status;
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
  if (vlm_status_t *status = vlm_model_view_tiles(model, height, width,
                                                  picture.view, &picture.tiles))
    return status;
  picture.given = height * width;
  for (int64_t tile = 0; grid.isThere() && tile < picture.tiles; ++tile) {
    auto &[pieceHeight, pieceWidth] = picture.pieces.emplace_back();
    vlm_image_piece_size(vlm_model_abi(model)->image, height, width, tile,
                         &pieceHeight, &pieceWidth);
    if (std::string fault = grid.fault(pieceHeight, pieceWidth); !fault.empty())
      return invalid(fault);
  }
  if (tower.isThere()) {
    const vlm_abi_image *processing = vlm_model_abi(model)->image;
    picture.arrangement = vlm_image_arrangement(processing, height, width);
    picture.rows = {1, tower.rows(), {}};
    picture.shown = picture.tiles * tower.tokens;
    return nullptr;
  }
  if (frames.isThere()) {
    picture.rows.rows.resize(size_t(frames.rows));
    std::iota(picture.rows.rows.begin(), picture.rows.rows.end(), 0);
    return nullptr;
  }
  return vlm_model_view_rows(model, height, width, picture.view, picture.rows);
}

/// Several pictures at once; those whose features are known need no pixels.
vlm_status_t *
PromptReader::preprocess(std::span<const vlm_image_t *const> images,
                         Prompt &out) const {
  PictureStore &store = PictureStore::of(model);
  std::vector<vlm_status_t *> statuses(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    Picture &picture = out.pictures[i];
    if (!facts->attended && picture.rows.size() != picture.tokens)
      return invalid("picture: expected " +
                     std::to_string(picture.rows.size()) +
                     " tokens, as many as the tower has features, found " +
                     std::to_string(picture.tokens) +
                     "; the checkpoint's processor and its model differ");
    std::copy_n(vlm_image_digest(images[i]), picture.key.size(),
                picture.key.begin());
    if (!picture.words.empty())
      mixIn(picture.words, picture.key);
    if (picture.view.isGrouped)
      mixIn({-2}, picture.key);
    if (frames.isThere())
      if (vlm_status_t *status = frames.check(picture.tiles, picture.number))
        return status;
    if (frames.countsMedia())
      mixIn({-3, picture.number}, picture.key);
    picture.features = store.find(picture.key);
    if (!picture.features)
      picture.pixels.resize(
          size_t(picture.tiles * 3 * picture.height * picture.width));
  }
  parallelFor(vlm_model_pool(model), int64_t(images.size()), [&](int64_t i) {
    if (Picture &picture = out.pictures[size_t(i)]; !picture.features)
      statuses[size_t(i)] = vlm_model_view_preprocess(
          model, images[size_t(i)], picture.view, picture.pixels.data());
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
  if (vlm_tokenizer_pictures_are_cut(tokenizer.get())) {
    lines.insert(lines.end(), {count, columns});
    return status;
  }
  lines.insert(lines.end(), size_t(count), columns);
  return status;
}

/// Whether a picture becomes several, of its quarters or of squares.
static bool becomesPieces(const vlm_abi_image *processing) {
  return processing && (processing->do_crop == VLM_ABI_CROP_QUARTERS ||
                        processing->do_crop == VLM_ABI_CROP_LINES ||
                        processing->do_crop == VLM_ABI_CROP_SQUARE);
}

/// Tells each picture how it is shown, and how many tokens it has.
vlm_status_t *
PromptReader::measureAll(std::span<const vlm_image_t *const> images,
                         Prompt &out, std::vector<int64_t> &sizes,
                         std::vector<int64_t> &lines) const {
  const auto pictures = std::ranges::count_if(images, [](const auto *image) {
    return image && !vlm_image_frame_count(image);
  });
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i])
      return invalid("images: expected an address, found NULL");
    Picture &picture = out.pictures[i];
    picture.view.frames = vlm_image_frame_count(images[i]);
    picture.view.isGrouped = !picture.view.frames && pictures > 1 &&
                             facts->picture_flags & VLM_ABI_GROUPS_WHOLE;
    picture.token = picture.view.frames && facts->video_token >= 0
                        ? facts->video_token
                        : facts->image_token;
    if (vlm_status_t *status = measure(*images[i], picture))
      return status;
    if (vlm_status_t *status = addLines(*images[i], lines))
      return status;
    const vlm_abi_image *processing = vlm_model_abi(model)->image;
    const bool isCounted = facts->n_grid || !lines.empty() ||
                           (picture.view.frames && !facts->attended) ||
                           (processing && processing->pan_crops);
    sizes[i] = isCounted ? picture.rows.size()
                         : vlm_tokenizer_picture_tokens(
                               tokenizer.get(), picture.height, picture.width);
    // Each piece has what the processor says.
    if (becomesPieces(processing))
      sizes[i] =
          picture.tiles * vlm_tokenizer_picture_tokens(tokenizer.get(), 0, 0);
    // Where the checkpoint's processor does not say it, the model does.
    if (sizes[i] == 0)
      sizes[i] = picture.rows.size();
  }
  return nullptr;
}

/// `order` tells which pictures stand at the placeholders.
vlm_status_t *PromptReader::encode(std::string_view text, const Prompt &prompt,
                                   const std::vector<int64_t> &sizes,
                                   const std::vector<int64_t> &lines,
                                   bool special, std::vector<size_t> &order,
                                   std::vector<int64_t> &out) const {
  std::vector<size_t> pictures, videos, numbers;
  for (size_t i = 0; i < prompt.pictures.size(); ++i)
    (prompt.pictures[i].view.frames ? videos : pictures).push_back(i);
  size_t bytes = 0;
  if (!vlm_tokenizer_video_token(tokenizer.get(), &bytes)) {
    // Of one kind in the prompt.
    pictures.resize(prompt.pictures.size());
    std::iota(pictures.begin(), pictures.end(), size_t(0));
    videos.clear();
  }
  if (vlm_status_t *status =
          vlm_tokenizer_order_media(tokenizer.get(), text.data(), text.size(),
                                    pictures.size(), videos.size(), numbers))
    return status;
  std::vector<Medium> media;
  for (size_t number : numbers) {
    size_t i = number < pictures.size() ? pictures[number]
                                        : videos[number - pictures.size()];
    order.push_back(i);
    // What is attended to has one token, of however many frames.
    media.push_back(
        {sizes[i],
         facts->attended ? 0 : int64_t(prompt.pictures[i].view.frames)});
  }
  if (!lines.empty()) {
    media.clear();
    for (int64_t line : lines)
      media.push_back({line, 0});
  }
  vlm_ids_t ids{};
  if (vlm_status_t *status =
          vlm_tokenizer_encode_media(tokenizer.get(), text.data(), text.size(),
                                     media, special ? 1 : 0, &ids))
    return status;
  out.assign(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  return nullptr;
}

vlm_status_t *PromptReader::read(std::string_view text,
                                 std::span<const vlm_image_t *const> images,
                                 bool special, Prompt &out) const {
  std::vector<int64_t> sizes(images.size()), lines;
  std::vector<size_t> order;
  out.pictures.resize(images.size());
  if (vlm_status_t *status = measureAll(images, out, sizes, lines))
    return status;
  if (vlm_status_t *status = readWords(text, out))
    return status;
  if (vlm_status_t *status =
          encode(text, out, sizes, lines, special, order, out.ids))
    return status;
  out.mutual = seesPrompt ? out.size() : 0;
  if (vlm_status_t *status = place(sizes, order, out))
    return status;
  for (Picture &picture : out.pictures)
    picture.number = countBefore(out.pictures, picture.begin);
  for (const Picture &picture : out.pictures)
    if (seesPictures)
      out.mutual = std::max(out.mutual, picture.end);
  if (encodes) {
    out.encoded = std::move(out.ids);
    out.ids = {facts->start_token};
  }
  return nullptr;
}

/// Tells each picture where its tokens stand; `order` is that of the pictures.
vlm_status_t *PromptReader::place(const std::vector<int64_t> &sizes,
                                  const std::vector<size_t> &order,
                                  Prompt &out) const {
  std::vector<int64_t> tokens{facts->image_token};
  if (facts->video_token >= 0 && facts->video_token != facts->image_token)
    tokens.push_back(facts->video_token);
  for (int64_t token : tokens) {
    int64_t found = std::count(out.ids.begin(), out.ids.end(), token);
    int64_t wanted = 0, count = 0;
    for (size_t i : order)
      if (out.pictures[i].token == token) {
        wanted += sizes[i];
        ++count;
      }
    const std::string kind =
        token == facts->image_token ? "pictures" : "videos";
    if (token >= 0 && found != wanted)
      return invalid("prompt: expected " + std::to_string(wanted) +
                     " tokens of " + kind + " (id " + std::to_string(token) +
                     ") for " + std::to_string(count) + " " + kind +
                     ", found " + std::to_string(found) +
                     "; the checkpoint's processor and its tokenizer differ");
    int64_t left = 0;
    auto next = order.begin();
    Picture *picture = nullptr;
    for (size_t i = 0; i < out.ids.size(); ++i) {
      if (out.ids[i] != token)
        continue;
      for (; left == 0 && next != order.end(); ++next)
        if (out.pictures[*next].token == token) {
          picture = &out.pictures[*next];
          picture->begin = int64_t(i);
          picture->tokens = left = sizes[*next];
        }
      if (!picture)
        continue;
      --left;
      picture->end = int64_t(i) + 1;
    }
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
