//===- PromptInputs.cpp - From words and pictures to tensors --------------===//
#include "tools/vlmc/PromptInputs.h"

#include "runtime/abi/vlm_abi.h"
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
                                              int placement) {
  const size_t pictures = request.images.size();
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
    return request.images.empty()
               ? std::nullopt
               : std::optional(Fault(
                     "expected a request without pictures, found " +
                     plural(request.images.size(), "picture") +
                     ": the checkpoint has no processor_config.json and no "
                     "token that stands for a picture"));
  size_t found = 0;
  for (const std::string &prompt : request.prompts)
    found += countOf(prompt, token);
  if (found == request.images.size())
    return std::nullopt;
  return Fault("expected a placeholder '" + token +
               "' in the prompt for each picture, found " +
               plural(found, "placeholder") + " and " +
               plural(request.images.size(), "picture") + "; " +
               (found < request.images.size()
                    ? "write '" + token + "' where the picture belongs"
                    : std::string("give the pictures that are missing")));
}

//===----------------------------------------------------------------------===//
// Ids
//===----------------------------------------------------------------------===//

/// `counts` are the tokens of the prompt's pictures.
static Outcome<std::vector<int64_t>> encode(const vlm_tokenizer_t *tokenizer,
                                            const std::string &text,
                                            std::span<const int64_t> counts,
                                            bool special) {
  vlm_ids_t ids{};
  if (std::optional<Fault> fault = check(vlm_tokenizer_encode_prompt(
          tokenizer, text.data(), text.size(), counts.data(), counts.size(),
          special ? 1 : 0, &ids)))
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
            const std::vector<std::string> &images, TensorMap &out,
            std::vector<std::vector<int64_t>> &counts) {
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
  if (!cutsPictures(model)) {
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
  Outcome<TensorMap> tiles = preprocessTiles(model, images);
  if (!tiles)
    return tiles.takeFault();
  out.merge(*tiles);
  const auto *sizes = out["image_sizes"].data<int64_t>();
  for (size_t i = 0; i < images.size(); ++i) {
    Outcome<int64_t> count = countRows(model, sizes[2 * i], sizes[2 * i + 1]);
    if (!count)
      return count.takeFault();
    counts.push_back({*count});
  }
  if (stretchesPictures(model)) // all features are read, whatever the sizes
    out.erase("image_sizes");
  return std::nullopt;
}

Outcome<TensorMap> makePromptInputs(const vlm_model_t *model,
                                    const vlm_tokenizer_t *tokenizer,
                                    const PromptRequest &request) {
  TensorMap out;
  std::string token = pictureToken(tokenizer);
  if (std::optional<Fault> fault = checkPlaceholders(
          request, token, vlm_tokenizer_pictures_first(tokenizer)))
    return *fault;
  std::vector<std::vector<int64_t>> counts; // of each picture, or its lines
  if (!request.images.empty())
    if (std::optional<Fault> fault =
            addPictures(model, tokenizer, request.images, out, counts))
      return *fault;
  std::vector<std::vector<int64_t>> rows;
  std::vector<int64_t> pictures; // of each prompt
  std::string prompts;
  size_t picture = 0;
  for (const std::string &prompt : request.prompts) {
    prompts.append(rows.empty() ? 0 : 1, '\0').append(prompt);
    size_t own = token.empty() ? 0 : countOf(prompt, token);
    if (vlm_tokenizer_pictures_first(tokenizer) == 2 &&
        countOf(request.prompts, token) == 0)
      own = request.images.size() / request.prompts.size();
    // Those of all prompts come when these are padded; lines come at once.
    if (vlm_tokenizer_pictures_first(tokenizer) == 1)
      own = readsPatches(model) && !counts.empty() ? 1 : 0;
    std::vector<int64_t> lines;
    for (const std::vector<int64_t> &each :
         std::span(counts).subspan(picture, own))
      lines.insert(lines.end(), each.begin(), each.end());
    Outcome<std::vector<int64_t>> ids =
        encode(tokenizer, prompt, lines, request.addsSpecial);
    if (!ids)
      return ids.takeFault();
    rows.push_back(std::move(*ids));
    pictures.push_back(int64_t(own));
    picture += own;
  }
  const bool padsLeft =
      request.padsLeft.value_or(vlm_tokenizer_pads_left(tokenizer) != 0);
  pad(rows, padId(model, tokenizer), padsLeft, "", out);
  const vlm_abi_generation *facts = vlm_model_abi(model)->generation;
  if (vlm_tokenizer_pictures_first(tokenizer) == 1 && !counts.empty() &&
      facts && !readsPatches(model))
    putPicturesInFront(facts->image_token, counts.front().front(), out);
  if (!request.images.empty() && vlm_model_abi(model)->picture_words.bytes)
    if (std::optional<Fault> fault =
            addPictureWords(model, request, padsLeft, out))
      return *fault;
  out["prompt"] =
      HostTensor::of(VLM_U8, {int64_t(prompts.size())}, prompts.data());
  if (facts && facts->attended)
    addSeenPictures(*facts, pictures, out);
  return out;
}

} // namespace vlmc::tool
