//===- Embed.cpp - Embeddings of pictures and texts -----------------------===//

#include "runtime/core/PoolInternal.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/PatchBatch.h"
#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

using namespace vlmc::rt;

namespace {

constexpr const char *kImageTask = "embed pictures";
constexpr const char *kTextTask = "embed texts";

/// The pictures of one call, as the model wants them.
class PictureBatch {
public:
  PictureBatch(const vlm_model_t *model, const vlm_image_t *const *images)
      : model(model), images(images) {}

  /// Preprocesses pictures [first, first + n), several at once on the pool.
  vlm_status_t *prepare(size_t first, size_t n);
  vlm_tensor_t tensor(size_t n) {
    int64_t dims[] = {int64_t(n), 3, height, width};
    return denseTensor("pixel_values", VLM_F32, pixels.data(), 4, dims);
  }

private:
  vlm_status_t *measure(size_t first, size_t n);

  const vlm_model_t *model;
  const vlm_image_t *const *images;
  int64_t height = 0, width = 0;
  std::vector<float> pixels;
};

vlm_status_t *PictureBatch::measure(size_t first, size_t n) {
  for (size_t i = first; i < first + n; ++i) {
    int64_t h = vlm_image_height(images[i]), w = vlm_image_width(images[i]);
    int64_t tiles = 0;
    if (vlm_status_t *status = vlm_model_tile_count(model, h, w, &tiles))
      return status;
    if (tiles != 1)
      return invalid("the model cuts picture " + std::to_string(i) + " into " +
                     std::to_string(tiles) +
                     " tiles, which have no embedding of their own; take a "
                     "model that embeds");
    if (vlm_status_t *status = vlm_model_preprocess_size(model, h, w, &h, &w))
      return status;
    if (i > 0 && (h != height || w != width))
      return invalid("picture " + std::to_string(i) + " is " +
                     std::to_string(h) + " x " + std::to_string(w) +
                     " pixels after preprocessing, the ones before " +
                     std::to_string(height) + " x " + std::to_string(width) +
                     "; embed pictures of different sizes one by one");
    height = h;
    width = w;
  }
  return nullptr;
}

vlm_status_t *PictureBatch::prepare(size_t first, size_t n) {
  if (vlm_status_t *status = measure(first, n))
    return status;
  size_t size = size_t(3 * height * width);
  pixels.resize(n * size);
  std::vector<vlm_status_t *> statuses(n);
  parallelFor(vlm_model_pool(model), int64_t(n), [&](int64_t i) {
    statuses[i] = vlm_model_preprocess(model, images[first + size_t(i)],
                                       pixels.data() + size_t(i) * size);
  });
  return firstFailure(statuses);
}

/// Token ids of one text, freed with it.
struct Tokens {
  Tokens() = default;
  Tokens(Tokens &&other) noexcept : ids(other.ids) { other.ids = {}; }
  ~Tokens() { vlm_ids_destroy(&ids); }
  vlm_ids_t ids{};
};

/// The texts of one call, as the model wants them.
class TextBatch {
public:
  vlm_status_t *open(const vlm_model_t *model, const Encoder &encoder);
  /// Tokenises texts [first, first + n) and pads them.
  vlm_status_t *prepare(const char *const *texts, size_t first, size_t n);
  std::vector<vlm_tensor_t> tensors(const Encoder &encoder, size_t n);

  size_t truncated = 0;

private:
  std::unique_ptr<vlm_tokenizer_t, decltype(&vlm_tokenizer_destroy)> tokenizer{
      nullptr, vlm_tokenizer_destroy};
  SizeRange length;
  size_t maxTokens = 0;
  bool padToMax = false, unmasked = false;
  int64_t padId = 0, longest = 0, padded = 0;
  std::vector<int64_t> ids, mask;
};

vlm_status_t *TextBatch::open(const vlm_model_t *model,
                              const Encoder &encoder) {
  if (vlm_status_t *status = encoder.inputSize("input_ids", 1, length))
    return status;
  vlm_tokenizer_t *opened = nullptr;
  if (vlm_status_t *status = vlm_tokenizer_of_model(model, &opened))
    return status;
  tokenizer.reset(opened);
  maxTokens = vlm_model_abi(model)->text_max_tokens;
  if (!maxTokens || maxTokens > size_t(length.max))
    maxTokens = size_t(length.max);
  padToMax = vlm_model_abi(model)->text_flags & VLM_ABI_TEXT_PAD_TO_MAX;
  unmasked = vlm_model_abi(model)->text_flags & VLM_ABI_TEXT_UNMASKED;
  padded = std::min<int64_t>(vlm_model_abi(model)->text_padded_tokens,
                             int64_t(maxTokens));
  padId = vlm_tokenizer_pad_id(opened);
  if (padId < 0 || vlm_model_abi(model)->text_flags & VLM_ABI_TEXT_OWN_PAD)
    padId = vlm_model_abi(model)->pad_token_id;
  return nullptr;
}

vlm_status_t *TextBatch::prepare(const char *const *texts, size_t first,
                                 size_t n) {
  std::vector<Tokens> tokens(n);
  longest = padToMax ? int64_t(maxTokens)
                     : std::max({length.min, int64_t(1), padded});
  for (size_t i = 0; i < n; ++i) {
    const char *text = texts[first + i];
    if (vlm_status_t *status =
            vlm_tokenizer_encode(tokenizer.get(), text, std::strlen(text), 1,
                                 maxTokens, &tokens[i].ids))
      return status;
    truncated += tokens[i].ids.truncated != 0;
    longest = std::max(longest, int64_t(tokens[i].ids.count));
  }
  ids.assign(n * size_t(longest), padId);
  mask.assign(n * size_t(longest), unmasked);
  for (size_t i = 0; i < n; ++i) {
    const vlm_ids_t &own = tokens[i].ids;
    size_t begin = i * size_t(longest);
    if (vlm_tokenizer_pads_left(tokenizer.get()))
      begin += size_t(longest) - own.count;
    std::copy_n(own.ids, own.count, ids.begin() + ptrdiff_t(begin));
    std::fill_n(mask.begin() + ptrdiff_t(begin), own.count, 1);
  }
  return nullptr;
}

std::vector<vlm_tensor_t> TextBatch::tensors(const Encoder &encoder, size_t n) {
  int64_t dims[] = {int64_t(n), longest};
  std::vector<vlm_tensor_t> result{
      denseTensor("input_ids", VLM_I64, ids.data(), 2, dims)};
  if (encoder.hasInput("attention_mask"))
    result.push_back(
        denseTensor("attention_mask", VLM_I64, mask.data(), 2, dims));
  return result;
}

vlm_status_t *missing(const char *function, const char *argument) {
  return invalid(std::string(function) + ": '" + argument +
                 "' must not be NULL");
}

/// Refuses an empty list and NULL among its `count` elements.
template <typename T>
vlm_status_t *checkList(const char *function, const char *name,
                        const T *const *list, size_t count,
                        const void *embeddings) {
  if (!list)
    return missing(function, name);
  if (!embeddings)
    return missing(function, "embeddings");
  if (count == 0)
    return invalid(std::string(function) + ": '" + name +
                   "' must hold at least one element, found 0");
  for (size_t i = 0; i < count; ++i)
    if (!list[i])
      return invalid(std::string(function) + ": element " + std::to_string(i) +
                     " of '" + name + "' must not be NULL");
  return nullptr;
}

/// How many elements go at once, and how wide an embedding is.
struct Pieces {
  size_t batch = 1;
  int64_t width = 0;

  vlm_status_t *measure(const Encoder &encoder, const char *input,
                        const char *output) {
    SizeRange rows, columns;
    if (vlm_status_t *status = encoder.inputSize(input, 0, rows))
      return status;
    if (vlm_status_t *status = encoder.outputSize(output, 1, columns))
      return status;
    batch = size_t(std::max<int64_t>(1, std::min(rows.max, kMaxBatch)));
    width = columns.max;
    return nullptr;
  }
};

/// Embeds pictures whose rows of patches are of several numbers; the rows of
/// embeddings stand in the order of the pictures.
vlm_status_t *embedPatchRows(const vlm_model_t *model, const Encoder &encoder,
                             const Pieces &pieces,
                             std::span<const vlm_image_t *const> images,
                             float *embeddings) {
  PatchBatch batch(model);
  std::vector<std::vector<size_t>> groups;
  if (vlm_status_t *status = batch.split(images, pieces.batch, groups))
    return status;
  std::vector<float> rows;
  for (const std::vector<size_t> &group : groups) {
    if (vlm_status_t *status = batch.prepare(images, group))
      return status;
    rows.resize(group.size() * size_t(pieces.width));
    std::array<vlm_tensor_t, 3> inputs = batch.tensors();
    int64_t dims[] = {int64_t(group.size()), pieces.width};
    vlm_tensor_t output =
        denseTensor("image_embeds", VLM_F32, rows.data(), 2, dims);
    if (vlm_status_t *status = vlm_entry_run(encoder.entry, inputs.data(),
                                             inputs.size(), &output, 1))
      return status;
    for (size_t i = 0; i < group.size(); ++i)
      std::copy_n(rows.data() + i * size_t(pieces.width), pieces.width,
                  embeddings + group[i] * size_t(pieces.width));
  }
  return nullptr;
}

} // namespace

vlm_status_t *vlm_embedding_width(const vlm_model_t *model,
                                  int64_t *out_width) {
  return guarded("embedding width", [&]() -> vlm_status_t * {
    if (!model || !out_width)
      return missing("vlm_embedding_width", model ? "out_width" : "model");
    Encoder encoder;
    Pieces pieces;
    vlm_status_t *status = encoder.find(model, "encode_image", kImageTask);
    if (!status) {
      status = pieces.measure(encoder, "pixel_values", "image_embeds");
    } else {
      // A model of words alone has embeddings as well.
      vlm_status_destroy(status);
      status = encoder.find(model, "encode_text", "embed pictures or texts");
      if (!status)
        status = pieces.measure(encoder, "input_ids", "text_embeds");
    }
    if (!status)
      *out_width = pieces.width;
    return status;
  });
}

vlm_status_t *vlm_embed_images(const vlm_model_t *model,
                               const vlm_image_t *const *images, size_t count,
                               float *embeddings) {
  return guarded("embedding pictures", [&]() -> vlm_status_t * {
    if (!model)
      return missing("vlm_embed_images", "model");
    if (vlm_status_t *status =
            checkList("vlm_embed_images", "images", images, count, embeddings))
      return status;
    Encoder encoder;
    Pieces pieces;
    if (vlm_status_t *status = encoder.find(model, "encode_image", kImageTask))
      return status;
    if (vlm_status_t *status =
            pieces.measure(encoder, "pixel_values", "image_embeds"))
      return status;
    if (readsPatchRows(model))
      return embedPatchRows(model, encoder, pieces, {images, count},
                            embeddings);
    PictureBatch pictures(model, images);
    for (size_t first = 0; first < count; first += pieces.batch) {
      size_t n = std::min(pieces.batch, count - first);
      if (vlm_status_t *status = pictures.prepare(first, n))
        return status;
      vlm_tensor_t input = pictures.tensor(n);
      int64_t dims[] = {int64_t(n), pieces.width};
      vlm_tensor_t output =
          denseTensor("image_embeds", VLM_F32,
                      embeddings + first * size_t(pieces.width), 2, dims);
      if (vlm_status_t *status =
              vlm_entry_run(encoder.entry, &input, 1, &output, 1))
        return status;
    }
    return nullptr;
  });
}

vlm_status_t *vlm_embed_texts(const vlm_model_t *model,
                              const char *const *texts, size_t count,
                              float *embeddings, size_t *out_truncated) {
  return guarded("embedding texts", [&]() -> vlm_status_t * {
    if (!model)
      return missing("vlm_embed_texts", "model");
    if (vlm_status_t *status =
            checkList("vlm_embed_texts", "texts", texts, count, embeddings))
      return status;
    Encoder encoder;
    Pieces pieces;
    TextBatch batch;
    if (vlm_status_t *status = encoder.find(model, "encode_text", kTextTask))
      return status;
    if (vlm_status_t *status =
            pieces.measure(encoder, "input_ids", "text_embeds"))
      return status;
    if (vlm_status_t *status = batch.open(model, encoder))
      return status;
    for (size_t first = 0; first < count; first += pieces.batch) {
      size_t n = std::min(pieces.batch, count - first);
      if (vlm_status_t *status = batch.prepare(texts, first, n))
        return status;
      std::vector<vlm_tensor_t> inputs = batch.tensors(encoder, n);
      int64_t dims[] = {int64_t(n), pieces.width};
      vlm_tensor_t output =
          denseTensor("text_embeds", VLM_F32,
                      embeddings + first * size_t(pieces.width), 2, dims);
      if (vlm_status_t *status = vlm_entry_run(encoder.entry, inputs.data(),
                                               inputs.size(), &output, 1))
        return status;
    }
    if (out_truncated)
      *out_truncated = batch.truncated;
    return nullptr;
  });
}
