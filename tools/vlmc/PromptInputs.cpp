//===- PromptInputs.cpp - From words and pictures to tensors --------------===//
#include "tools/vlmc/PromptInputs.h"

#include "runtime/abi/vlm_abi.h"
#include "runtime/text/PromptInternal.h"
#include "tools/vlmc/Pieces.h"
#include "tools/vlmc/SeenPictures.h"
#include "tools/vlmc/Tiles.h"

#include <algorithm>
#include <span>

namespace vlmc::tool {

std::optional<Fault> openTokenizer(const vlm_model_t *model,
                                   Tokenizer &tokenizer) {
  vlm_tokenizer_t *opened = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_of_model(model, &opened)))
    return fault;
  tokenizer.reset(opened);
  return std::nullopt;
}

std::string pictureToken(const vlm_tokenizer_t *tokenizer) {
  size_t bytes = 0;
  const char *token = vlm_tokenizer_picture_token(tokenizer, &bytes);
  return token ? std::string(token, bytes) : std::string();
}

std::string videoToken(const vlm_tokenizer_t *tokenizer) {
  size_t bytes = 0;
  const char *token = vlm_tokenizer_video_token(tokenizer, &bytes);
  return token ? std::string(token, bytes) : std::string();
}

std::optional<Fault> decodeIds(const vlm_tokenizer_t *tokenizer,
                               const int64_t *ids, size_t count,
                               std::string &text) {
  std::vector<int32_t> known;
  auto limit = int64_t(vlm_tokenizer_id_count(tokenizer));
  for (size_t i = 0; i < count; ++i)
    if (ids[i] >= 0 && ids[i] < limit)
      known.push_back(int32_t(ids[i]));
  char *decoded = nullptr;
  size_t bytes = 0;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_decode(tokenizer, known.data(), known.size(),
                                     /*skip_special=*/1, &decoded, &bytes)))
    return fault;
  text.assign(decoded, bytes);
  vlm_string_destroy(decoded);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Placeholders
//===----------------------------------------------------------------------===//

static size_t countOf(const std::string &text, const std::string &word) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(word, at)) != text.npos;
       at += word.size())
    ++count;
  return count;
}

static size_t countOf(const std::vector<std::string> &texts,
                      const std::string &word) {
  size_t count = 0;
  for (const std::string &text : texts)
    count += countOf(text, word);
  return count;
}

static std::string plural(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

/// That each picture has its placeholder.
static std::optional<Fault> checkPlaceholders(const PromptRequest &request,
                                              const std::string &token,
                                              int placement, size_t videos) {
  const size_t pictures = request.images.size() + videos;
  // Without placeholders all are the only prompt's, or each is of a prompt.
  if (placement == 2 && countOf(request.prompts, token) == 0 &&
      request.prompts.size() == 1)
    return std::nullopt;
  const bool areFirst =
      placement == 1 ||
      (placement == 2 && countOf(request.prompts, token) == 0);
  if (areFirst && (!pictures || pictures == request.prompts.size()))
    return std::nullopt;
  if (areFirst)
    return Fault("expected one picture for each prompt, found " +
                 plural(pictures, "picture") + " and " +
                 plural(request.prompts.size(), "prompt"));
  if (token.empty())
    return pictures == 0
               ? std::nullopt
               : std::optional(Fault(
                     "expected a request without pictures, found " +
                     plural(pictures, "picture") +
                     ": the checkpoint has no processor_config.json and no "
                     "token that stands for a picture"));
  size_t found = 0;
  for (const std::string &prompt : request.prompts)
    found += countOf(prompt, token);
  if (found == pictures)
    return std::nullopt;
  return Fault("expected a placeholder '" + token +
               "' in the prompt for each picture, found " +
               plural(found, "placeholder") + " and " +
               plural(pictures, "picture") + "; " +
               (found < pictures
                    ? "write '" + token + "' where the picture belongs"
                    : std::string("give the pictures that are missing")));
}

//===----------------------------------------------------------------------===//
// Ids
//===----------------------------------------------------------------------===//

/// `media` are what stands at the prompt's placeholders.
static Outcome<std::vector<int64_t>> encode(const vlm_tokenizer_t *tokenizer,
                                            const std::string &text,
                                            std::span<const rt::Medium> media,
                                            bool special) {
  vlm_ids_t ids{};
  if (std::optional<Fault> fault = check(vlm_tokenizer_encode_media(
          tokenizer, text.data(), text.size(), media, special ? 1 : 0, &ids)))
    return *fault;
  std::vector<int64_t> result(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  return result;
}

/// The id that fills shorter rows up.
static int64_t padId(const vlm_model_t *model,
                     const vlm_tokenizer_t *tokenizer) {
  if (int32_t own = vlm_tokenizer_pad_id(tokenizer); own >= 0)
    return own;
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  return facts && facts->pad_token >= 0 ? facts->pad_token : 0;
}

/// Rows of one length, and the mask of what is no padding. `prefix` is that of
/// the tensors' names.
static void pad(const std::vector<std::vector<int64_t>> &rows, int64_t padding,
                bool left, const std::string &prefix, TensorMap &out) {
  size_t longest = 0;
  for (const std::vector<int64_t> &row : rows)
    longest = std::max(longest, row.size());
  std::vector<int64_t> ids(rows.size() * longest, padding);
  std::vector<int64_t> mask(ids.size(), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    size_t begin = i * longest + (left ? longest - rows[i].size() : 0);
    std::ranges::copy(rows[i], ids.begin() + ptrdiff_t(begin));
    std::fill_n(mask.begin() + ptrdiff_t(begin), rows[i].size(), 1);
  }
  std::vector<int64_t> shape{int64_t(rows.size()), int64_t(longest)};
  out[prefix + "input_ids"] = HostTensor::of(VLM_I64, shape, ids.data());
  out[prefix + "attention_mask"] = HostTensor::of(VLM_I64, shape, mask.data());
}

/// The prompts once more, for what reads words beside a picture.
static std::optional<Fault> addPictureWords(const vlm_model_t *model,
                                            const PromptRequest &request,
                                            bool padsLeft, TensorMap &out) {
  vlm_tokenizer_t *opened = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_of_picture_words(model, &opened)))
    return fault;
  Tokenizer words(opened, vlm_tokenizer_destroy);
  std::vector<std::vector<int64_t>> rows;
  for (const std::string &prompt : request.prompts) {
    Outcome<std::vector<int64_t>> ids =
        encode(words.get(), prompt, {}, request.addsSpecial);
    if (!ids)
      return ids.takeFault();
    rows.push_back(std::move(*ids));
  }
  // On the side of the model's own tokenizer, as its processor has it.
  pad(rows, std::max(0, vlm_tokenizer_pad_id(words.get())), padsLeft,
      "qformer_", out);
  return std::nullopt;
}

/// Puts the tokens of a picture in front of each row, padded ones as well.
static void putPicturesInFront(int64_t token, int64_t count, TensorMap &out) {
  for (auto [name, value] : {std::pair("input_ids", token),
                             std::pair("attention_mask", int64_t(1))}) {
    const HostTensor rows = out[name];
    const int64_t width = rows.shape[1];
    HostTensor &wide = out[name] =
        HostTensor::zeros(VLM_I64, {rows.shape[0], count + width});
    for (int64_t row = 0; row < rows.shape[0]; ++row) {
      int64_t *to = wide.data<int64_t>() + row * (count + width);
      std::fill_n(to, count, value);
      std::copy_n(rows.data<int64_t>() + row * width, width, to + count);
    }
  }
}

/// Preprocesses the pictures and counts the tokens of each.
static std::optional<Fault>
addPictures(const vlm_model_t *model, const vlm_tokenizer_t *tokenizer,
            const std::vector<std::string> &images,
            const std::vector<rt::View> &views, TensorMap &out,
            std::vector<std::vector<int64_t>> &counts) {
  if (readsPieces(model))
    return addPieces(model, tokenizer, images, out, counts);
  if (readsPatches(model)) {
    Outcome<TensorMap> patches = preprocessPatches(model, images, counts);
    if (!patches)
      return patches.takeFault();
    out.merge(*patches);
    return std::nullopt;
  }
  if (fitsPictures(model)) {
    Outcome<TensorMap> tiles = preprocessFitted(model, images);
    if (!tiles)
      return tiles.takeFault();
    out.merge(*tiles);
    counts.assign(images.size(),
                  {vlm_tokenizer_picture_tokens(tokenizer, 1, 1)});
    return std::nullopt;
  }
  if (!cutsPictures(model) && !pansPictures(model)) {
    Outcome<HostTensor> pixels = preprocessPictures(model, images);
    if (!pixels)
      return pixels.takeFault();
    int64_t count = vlm_tokenizer_picture_tokens(tokenizer, pixels->shape[2],
                                                 pixels->shape[3]);
    // Where the checkpoint's processor does not say it, the model does.
    if (Outcome<int64_t> rows =
            countRows(model, pixels->shape[2], pixels->shape[3]);
        rows && count == 0)
      count = *rows;
    counts.assign(images.size(), {count});
    out["pixel_values"] = std::move(*pixels);
    return std::nullopt;
  }
  Outcome<TensorMap> tiles = preprocessTiles(model, images, views);
  if (!tiles)
    return tiles.takeFault();
  out.merge(*tiles);
  const auto *sizes = out["image_sizes"].data<int64_t>();
  for (size_t i = 0; i < images.size(); ++i) {
    Outcome<int64_t> count =
        countRows(model, sizes[2 * i], sizes[2 * i + 1], views[i]);
    if (!count)
      return count.takeFault();
    counts.push_back({*count});
  }
  // All features are read then, whatever the sizes.
  if (stretchesPictures(model) || !cutsPictures(model))
    out.erase("image_sizes");
  return std::nullopt;
}

namespace {
/// Which pictures and videos are of which prompt.
struct Shares {
  std::vector<int64_t> pictures, videos; ///< of each prompt
};
} // namespace

/// By their placeholders.
static Outcome<Shares> shareOut(const vlm_model_t *model,
                                const vlm_tokenizer_t *tokenizer,
                                const PromptRequest &request) {
  const int placement = vlm_tokenizer_pictures_first(tokenizer);
  const std::string token = pictureToken(tokenizer);
  const std::string video = videoToken(tokenizer);
  Shares shares;
  int64_t all = 0;
  for (const std::string &prompt : request.prompts) {
    size_t own = token.empty() ? 0 : countOf(prompt, token);
    if (placement == 2 && countOf(request.prompts, token) == 0)
      own = request.images.size() / request.prompts.size();
    // Those of all prompts come when these are padded; lines come at once.
    if (placement == 1)
      own = readsPatches(model) && !request.images.empty() ? 1 : 0;
    size_t videos = video.empty() ? 0 : countOf(prompt, video);
    if (video.empty() && !request.videos.empty()) {
      // At placeholders of pictures; those of several prompts cannot be told
      // apart.
      videos = request.prompts.size() == 1 ? request.videos.size() : 0;
      own -= std::min(own, videos);
    }
    shares.pictures.push_back(int64_t(own));
    shares.videos.push_back(int64_t(videos));
    all += int64_t(videos);
  }
  if (all == int64_t(request.videos.size()))
    return shares;
  return Fault("expected a placeholder '" + (video.empty() ? token : video) +
               "' in the prompt for each video, found " +
               plural(size_t(all), "placeholder") + " and " +
               plural(request.videos.size(), "video") + "; " +
               (size_t(all) < request.videos.size()
                    ? "write it where the video belongs"
                    : "give the videos that are missing"));
}

/// How each picture is shown: which are several of a prompt.
static std::vector<rt::View> viewsOf(const Shares &shares,
                                     const PromptRequest &request) {
  std::vector<rt::View> views;
  for (int64_t own : shares.pictures)
    for (int64_t i = 0; i < own; ++i) {
      views.push_back(request.view);
      views.back().isGrouped = own > 1;
    }
  views.resize(request.images.size(), request.view);
  return views;
}

/// Preprocesses the videos and counts the tokens of each. Where frames are
/// pictures, they stand among these in the order of the prompts, `order`.
static std::optional<Fault> addVideos(const vlm_model_t *model,
                                      const PromptRequest &request,
                                      TensorMap &out,
                                      std::vector<int64_t> &counts) {
  Outcome<HostTensor> frames = preprocessVideos(model, request.videos);
  if (!frames)
    return frames.takeFault();
  Outcome<int64_t> count =
      countRows(model, 1, 1, {.frames = request.videos.front().size()});
  if (!count)
    return count.takeFault();
  counts.assign(request.videos.size(), *count);
  out["pixel_values_videos"] = std::move(*frames);
  return std::nullopt;
}

/// What stands at a prompt's placeholders: pictures and videos from their
/// numbers on, as `counts` and `videoCounts` have them. Where lines of pictures
/// are told, these.
static Outcome<std::vector<rt::Medium>>
mediaOf(const vlm_tokenizer_t *tokenizer, const std::string &prompt,
        std::span<const std::vector<int64_t>> counts,
        std::span<const int64_t> videoCounts, int64_t frames) {
  std::vector<size_t> order;
  if (std::optional<Fault> fault = check(
          vlm_tokenizer_order_media(tokenizer, prompt.data(), prompt.size(),
                                    counts.size(), videoCounts.size(), order)))
    return *fault;
  std::vector<rt::Medium> media;
  for (size_t number : order)
    if (number >= counts.size())
      media.push_back({videoCounts[number - counts.size()], frames});
    else
      for (int64_t count : counts[number])
        media.push_back({count, 0});
  return media;
}

/// Where frames are pictures: all of them in one tensor, in the order of the
/// prompts' placeholders.
static std::optional<Fault>
mixFrames(const vlm_model_t *model, const vlm_tokenizer_t *tokenizer,
          const PromptRequest &request, const Shares &shares,
          const std::vector<std::vector<int64_t>> &counts, TensorMap &out) {
  const HostTensor frames = std::move(out["pixel_values_videos"]);
  out.erase("pixel_values_videos");
  const int64_t perVideo = frames.shape[1];
  const size_t tileBytes =
      sizeof(float) *
      size_t(frames.shape[2] * frames.shape[3] * frames.shape[4]);
  Outcome<int64_t> perTile = countRows(model, 1, 1, {.frames = 1});
  if (!perTile)
    return perTile.takeFault();
  HostTensor all = frames;
  all.bytes.clear();
  const auto pictures = out.find("pixel_values");
  size_t tile = 0, picture = 0, video = 0;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const std::string &prompt = request.prompts[i];
    std::vector<size_t> order;
    const auto own = size_t(shares.pictures[i]);
    if (std::optional<Fault> fault = check(
            vlm_tokenizer_order_media(tokenizer, prompt.data(), prompt.size(),
                                      own, size_t(shares.videos[i]), order)))
      return fault;
    for (size_t number : order) {
      const bool isVideo = number >= own;
      const auto tiles =
          size_t(isVideo ? perVideo : counts[picture++].front() / *perTile);
      const HostTensor &from = isVideo ? frames : pictures->second;
      size_t &next = isVideo ? video : tile;
      const uint8_t *begin = from.bytes.data() + next * tileBytes;
      all.bytes.insert(all.bytes.end(), begin, begin + tiles * tileBytes);
      next += tiles;
    }
  }
  all.shape = {int64_t(all.bytes.size() / tileBytes), frames.shape[2],
               frames.shape[3], frames.shape[4]};
  out["pixel_values"] = std::move(all);
  return std::nullopt;
}

/// The pictures and videos of a request whose order is known, one behind the
/// other.
static std::vector<uint8_t> inOrder(const std::vector<bool> &areVideos,
                                    const HostTensor &pictures,
                                    const HostTensor &frames) {
  const size_t video = frames.bytes.size() / size_t(frames.shape[0]);
  const size_t picture = video / size_t(frames.shape[1]);
  const uint8_t *nextPicture = pictures.bytes.data();
  const uint8_t *nextVideo = frames.bytes.data();
  std::vector<uint8_t> all;
  for (bool isVideo : areVideos) {
    const uint8_t *&next = isVideo ? nextVideo : nextPicture;
    const size_t bytes = isVideo ? video : picture;
    all.insert(all.end(), next, next + bytes);
    next += bytes;
  }
  return all;
}

/// Frames as models take them whose layers attend to pictures, in the order of
/// the placeholders or behind pictures, and how many each of both has.
static std::optional<Fault> addSeenFrames(const PromptRequest &request,
                                          TensorMap &out) {
  const HostTensor frames = std::move(out["pixel_values_videos"]);
  out.erase("pixel_values_videos");
  std::vector<int64_t> counts(request.images.size(), 0);
  counts.resize(request.images.size() + request.videos.size(), frames.shape[1]);
  HostTensor &all = out["pixel_values"];
  const bool isOrdered = request.areVideos.size() == counts.size();
  for (size_t i = 0; isOrdered && i < counts.size(); ++i)
    counts[i] = request.areVideos[i] ? frames.shape[1] : 0;
  out["frame_counts"] =
      HostTensor::of(VLM_I64, {int64_t(counts.size())}, counts.data());
  if (all.shape.empty())
    all.shape = {0, frames.shape[2], frames.shape[3], frames.shape[4]};
  all.shape[0] += frames.shape[0] * frames.shape[1];
  if (isOrdered)
    all.bytes = inOrder(request.areVideos, all, frames);
  else
    all.bytes.insert(all.bytes.end(), frames.bytes.begin(), frames.bytes.end());
  return std::nullopt;
}

/// 1 for each token of a picture.
static void addTokenTypes(const vlm_abi_generation &facts, TensorMap &out) {
  HostTensor types = out["input_ids"];
  auto *values = types.data<int64_t>();
  std::span all(values, types.bytes.size() / sizeof(int64_t));
  for (int64_t &id : all)
    id = id == facts.image_token;
  out["token_type_ids"] = std::move(types);
}

Outcome<TensorMap> makePromptInputs(const vlm_model_t *model,
                                    const vlm_tokenizer_t *tokenizer,
                                    const PromptRequest &request) {
  TensorMap out;
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  std::string token = pictureToken(tokenizer);
  const bool isMixed = videoToken(tokenizer).empty();
  int64_t ignored = 0;
  if (!request.videos.empty()) // whether the model reads any
    if (std::optional<Fault> fault =
            check(vlm_model_view_tiles(model, 1, 1, {.frames = 1}, &ignored)))
      return *fault;
  if (std::optional<Fault> fault = checkPlaceholders(
          request, token, vlm_tokenizer_pictures_first(tokenizer),
          isMixed ? request.videos.size() : 0))
    return *fault;
  Outcome<Shares> shares = shareOut(model, tokenizer, request);
  if (!shares)
    return shares.takeFault();
  std::vector<std::vector<int64_t>> counts; // of each picture, or its lines
  if (!request.images.empty())
    if (std::optional<Fault> fault =
            addPictures(model, tokenizer, request.images,
                        viewsOf(*shares, request), out, counts))
      return *fault;
  if (groupsPictures(model) && !request.images.empty()) {
    std::vector<int64_t> own = shares->pictures;
    std::erase(own, 0);
    out["batch_num_images"] =
        HostTensor::of(VLM_I64, {int64_t(own.size())}, own.data());
  }
  std::vector<int64_t> videoCounts;
  int64_t frames = 0;
  if (!request.videos.empty()) {
    if (std::optional<Fault> fault =
            addVideos(model, request, out, videoCounts))
      return *fault;
    frames = int64_t(request.videos.front().size());
    if (facts->attended) { // to one token, of however many frames
      videoCounts.assign(videoCounts.size(), 1);
      frames = 0;
    }
    std::optional<Fault> fault;
    if (facts->picture_flags & VLM_ABI_NAMES_FRAMES)
      fault = mixFrames(model, tokenizer, request, *shares, counts, out);
    else if (facts->attended)
      fault = addSeenFrames(request, out);
    if (fault)
      return *fault;
  }
  std::vector<std::vector<int64_t>> rows;
  std::vector<int64_t> pictures; // of each prompt
  std::string prompts;
  size_t picture = 0, video = 0;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const std::string &prompt = request.prompts[i];
    prompts.append(rows.empty() ? 0 : 1, '\0').append(prompt);
    const auto own = size_t(shares->pictures[i]);
    const auto videos = size_t(shares->videos[i]);
    Outcome<std::vector<rt::Medium>> media =
        mediaOf(tokenizer, prompt, std::span(counts).subspan(picture, own),
                std::span(videoCounts).subspan(video, videos), frames);
    if (!media)
      return media.takeFault();
    Outcome<std::vector<int64_t>> ids =
        encode(tokenizer, prompt, *media, request.addsSpecial);
    if (!ids)
      return ids.takeFault();
    rows.push_back(std::move(*ids));
    pictures.push_back(int64_t(own + (isMixed ? videos : 0)));
    picture += own;
    video += videos;
  }
  const bool padsLeft =
      request.padsLeft.value_or(vlm_tokenizer_pads_left(tokenizer) != 0);
  pad(rows, padId(model, tokenizer), padsLeft, "", out);
  if (vlm_tokenizer_pictures_first(tokenizer) == 1 && !counts.empty() &&
      facts && !readsPatches(model))
    putPicturesInFront(facts->image_token, counts.front().front(), out);
  if (!request.images.empty() && vlm_model_abi(model)->picture_words.bytes)
    if (std::optional<Fault> fault =
            addPictureWords(model, request, padsLeft, out))
      return *fault;
  out["prompt"] =
      HostTensor::of(VLM_U8, {int64_t(prompts.size())}, prompts.data());
  if (facts && facts->picture_flags & VLM_ABI_SEES_PICTURES)
    addTokenTypes(*facts, out);
  if (facts && facts->attended)
    addSeenPictures(*facts, pictures, out);
  arrangePieces(pictures, out);
  return out;
}

} // namespace vlmc::tool
