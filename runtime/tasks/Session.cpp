//===- Session.cpp - Conversations with a model ---------------------------===//
//
// A session holds one sequence of tokens: what has run through the model lies
// in its cache, and the logits behind the last token wait for the next choice.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/Session.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/Requests.h"
#include "runtime/tasks/Sampler.h"
#include "runtime/tasks/TextStream.h"

#include <algorithm>
#include <cstring>
#include <numeric>

using namespace vlmc::rt;

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

/// Inputs of the decoder that are tensors have names; the cache is the one that
/// is none.
vlm_status_t *vlm_session_t::findInputs() {
  for (size_t i = 0; i < vlm_entry_input_count(decoder.entry); ++i) {
    vlm_tensor_t input;
    if (vlm_status_t *status = vlm_entry_input(decoder.entry, i, &input))
      return status;
    if (input.dtype == VLM_CACHE)
      cacheInput = input;
    if (std::strcmp(input.name, "features") == 0)
      featureWidth = input.dims[1];
  }
  return nullptr;
}

vlm_status_t *vlm_session_t::open(const vlm_model_t *opened,
                                  const vlm_session_options_t &options) {
  model = opened;
  facts = vlm_model_abi(model)->generation;
  if (vlm_status_t *status = decoder.find(model, "decode", "generate text"))
    return status;
  if (!facts)
    return makeStatus(VLM_UNSUPPORTED, std::string("model '") +
                                           vlm_model_abi(model)->name +
                                           "' cannot generate text");
  vlm_tokenizer_t *words = nullptr;
  if (vlm_status_t *status = vlm_tokenizer_of_model(model, &words))
    return status;
  tokenizer.reset(words);
  if (vlm_status_t *status = findInputs())
    return status;
  int64_t most = vlm_model_abi(model)->text_max_tokens;
  if (options.max_tokens < 0 || (most && options.max_tokens > most))
    return invalid("max_tokens: expected 0 to " + std::to_string(most) +
                   ", as many as the model takes, found " +
                   std::to_string(options.max_tokens));
  if (options.prefill_tokens < 0)
    return invalid("prefill_tokens: expected 0 or more, found " +
                   std::to_string(options.prefill_tokens));
  maxTokens = options.max_tokens ? options.max_tokens : most;
  SizeRange atOnce;
  if (vlm_status_t *status = decoder.inputSize("input_ids", 1, atOnce))
    return status;
  constexpr int64_t usual = 512;
  chunk = std::clamp<int64_t>(
      options.prefill_tokens ? options.prefill_tokens : usual, 1, atOnce.max);
  vlm_cache_t *made = nullptr;
  if (vlm_status_t *status = vlm_cache_create(model, 1, maxTokens, &made))
    return status;
  cache.reset(made);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Prompts
//===----------------------------------------------------------------------===//

/// How many tiles a picture has, and which of their features are read.
vlm_status_t *vlm_session_t::cut(const vlm_image_t &image,
                                 Picture &picture) const {
  int64_t height = vlm_image_height(&image), width = vlm_image_width(&image);
  if (vlm_status_t *status =
          vlm_model_tile_count(model, height, width, &picture.tiles))
    return status;
  vlm_ids_t rows{};
  if (vlm_status_t *status =
          vlm_model_picture_rows(model, height, width, &rows))
    return status;
  picture.rows.assign(rows.ids, rows.ids + rows.count);
  vlm_ids_destroy(&rows);
  return nullptr;
}

/// Preprocesses the pictures and finds the ids; changes nothing.
vlm_status_t *vlm_session_t::read(std::string_view text,
                                  const vlm_image_t *const *images,
                                  size_t count, bool special, bool needsPixels,
                                  Prompt &out) const {
  std::vector<int64_t> sizes(count);
  out.pictures.resize(count);
  for (size_t i = 0; i < count; ++i) {
    int64_t height = 0, width = 0;
    if (!images || !images[i])
      return invalid("images: expected an address, found NULL");
    if (vlm_status_t *status = vlm_model_preprocess_size(
            model, vlm_image_height(images[i]), vlm_image_width(images[i]),
            &height, &width))
      return status;
    Picture &picture = out.pictures[i];
    picture.height = height;
    picture.width = width;
    if (vlm_status_t *status = cut(*images[i], picture))
      return status;
    sizes[i] = facts->n_grid ? int64_t(picture.rows.size())
                             : vlm_tokenizer_picture_tokens(tokenizer.get(),
                                                            height, width);
    if (!needsPixels)
      continue;
    picture.pixels.resize(size_t(picture.tiles * 3 * height * width));
    if (vlm_status_t *status =
            vlm_model_preprocess(model, images[i], picture.pixels.data()))
      return status;
  }
  vlm_ids_t ids{};
  if (vlm_status_t *status = vlm_tokenizer_encode_prompt(
          tokenizer.get(), text.data(), text.size(), sizes.data(), count,
          special ? 1 : 0, &ids))
    return status;
  out.ids.assign(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  return place(sizes, out);
}

/// Tells each picture where its tokens stand.
vlm_status_t *vlm_session_t::place(const std::vector<int64_t> &sizes,
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

/// How many tokens from the first on are the same in both, pictures included.
int64_t vlm_session_t::common(const Prompt &next) const {
  auto differs =
      std::mismatch(held.ids.begin(), held.ids.begin() + ptrdiff_t(computed),
                    next.ids.begin(), next.ids.end());
  int64_t same = differs.first - held.ids.begin();
  for (size_t i = 0; i < next.pictures.size(); ++i)
    if (i >= held.pictures.size() ||
        held.pictures[i].pixels != next.pictures[i].pixels)
      same = std::min(same, next.pictures[i].begin);
  // The logits behind the last token are wanted.
  return std::min(same, int64_t(next.ids.size()) - 1);
}

/// Runs the tower on the pictures whose tokens are still to be computed.
vlm_status_t *vlm_session_t::encode(const Prompt &prompt, int64_t from,
                                    Features &out) const {
  out.rowOf.assign(prompt.ids.size(), -1);
  for (const Picture &picture : prompt.pictures) {
    if (picture.end <= from)
      continue;
    Encoder tower;
    if (vlm_status_t *status =
            tower.find(model, "encode_image", "look at pictures"))
      return status;
    SizeRange tokens;
    if (vlm_status_t *status = tower.outputSize("image_features", 1, tokens))
      return status;
    if (int64_t(picture.rows.size()) != picture.tokens)
      return invalid("picture: expected " +
                     std::to_string(picture.rows.size()) +
                     " tokens, as many as the tower has features, found " +
                     std::to_string(picture.tokens) +
                     "; the checkpoint's processor and its model differ");
    int64_t pixels[] = {picture.tiles, 3, picture.height, picture.width};
    int64_t features[] = {picture.tiles, tokens.max, featureWidth};
    size_t first = out.rows.size();
    out.rows.resize(first + size_t(picture.tiles * tokens.max * featureWidth));
    vlm_tensor_t in =
        denseTensor("pixel_values", VLM_F32,
                    const_cast<float *>(picture.pixels.data()), 4, pixels);
    vlm_tensor_t result = denseTensor("image_features", VLM_F32,
                                      out.rows.data() + first, 3, features);
    if (vlm_status_t *status = vlm_entry_run(tower.entry, &in, 1, &result, 1))
      return status;
    auto begin = int32_t(first / size_t(featureWidth));
    size_t next = 0;
    for (int64_t i = picture.begin; i < picture.end; ++i)
      if (prompt.ids[size_t(i)] == facts->image_token)
        out.rowOf[size_t(i)] = begin + picture.rows[next++];
  }
  if (out.rows.empty() && featureWidth > 0)
    out.rows.resize(size_t(featureWidth)); // which nobody reads
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Runs `count` tokens from `ids`, at positions from `computed` on, and keeps
/// the logits behind the last of them.
vlm_status_t *vlm_session_t::run(const int64_t *ids, const int32_t *featureRows,
                                 int64_t count, Features &features) {
  if (vlm_status_t *status = vlm_cache_resize(cache.get(), 0, computed + count))
    return status;
  std::vector<int32_t> sequence(size_t(count), 0), position(size_t(count), 0);
  std::iota(position.begin(), position.end(), int32_t(computed));
  auto last = int32_t(count - 1);
  int64_t tokens[] = {1, count}, one[] = {1, 1};
  std::vector<vlm_tensor_t> in = {
      denseTensor("input_ids", VLM_I64, const_cast<int64_t *>(ids), 2, tokens),
      denseTensor("sequence", VLM_I32, sequence.data(), 2, tokens),
      denseTensor("position", VLM_I32, position.data(), 2, tokens),
      denseTensor("rows", VLM_I32, &last, 2, one)};
  if (featureWidth > 0) {
    int64_t dims[] = {int64_t(features.rows.size()) / featureWidth,
                      featureWidth};
    in.push_back(
        denseTensor("features", VLM_F32, features.rows.data(), 2, dims));
    in.push_back(denseTensor("feature_row", VLM_I32,
                             const_cast<int32_t *>(featureRows), 2, tokens));
  }
  cacheInput.data = cache.get();
  in.push_back(cacheInput);
  if (logits.empty()) {
    SizeRange vocabulary;
    if (vlm_status_t *status = decoder.outputSize("logits", 2, vocabulary))
      return status;
    logits.resize(size_t(vocabulary.max));
  }
  int64_t dims[] = {1, 1, int64_t(logits.size())};
  vlm_tensor_t out = denseTensor("logits", VLM_F32, logits.data(), 3, dims);
  if (vlm_status_t *status =
          vlm_entry_run(decoder.entry, in.data(), in.size(), &out, 1))
    return status;
  computed += count;
  return nullptr;
}

vlm_status_t *vlm_session_t::prompt(std::string_view text,
                                    const vlm_image_t *const *images,
                                    size_t count, bool special) {
  Prompt next;
  if (vlm_status_t *status =
          read(text, images, count, special, /*needsPixels=*/true, next))
    return status;
  auto size = int64_t(next.ids.size());
  if (!size)
    return invalid("prompt: expected at least one token, found none");
  if (size >= maxTokens)
    return invalid("prompt: has " + std::to_string(size) +
                   " tokens, expected fewer than " + std::to_string(maxTokens) +
                   ", the most that the session holds, so that an answer has "
                   "room; shorten it");
  int64_t from = common(next);
  Features features;
  if (vlm_status_t *status = encode(next, from, features))
    return status;
  held = std::move(next);
  computed = from;
  isReady = false;
  while (computed < size) {
    int64_t begin = computed;
    if (vlm_status_t *status =
            run(held.ids.data() + begin, features.rowOf.data() + begin,
                std::min(chunk, size - begin), features))
      return status;
  }
  isReady = true;
  return vlm_cache_resize(cache.get(), 0, size);
}

bool vlm_session_t::isEnd(int64_t id) const {
  const int64_t *end = facts->end_tokens + facts->n_end_tokens;
  return std::find(facts->end_tokens, end, id) != end;
}

/// Computes what has been chosen but has not run yet.
vlm_status_t *vlm_session_t::catchUp() {
  Features none;
  if (featureWidth > 0)
    none.rows.resize(size_t(featureWidth));
  std::vector<int32_t> rows(held.ids.size(), -1);
  while (computed < int64_t(held.ids.size())) {
    int64_t begin = computed;
    if (vlm_status_t *status =
            run(held.ids.data() + begin, rows.data(),
                std::min(chunk, int64_t(held.ids.size()) - begin), none))
      return status;
  }
  return nullptr;
}

/// The text of ids, those that the tokenizer does not know left out.
static vlm_status_t *decodeText(const vlm_tokenizer_t *tokenizer,
                                const std::vector<int32_t> &ids,
                                std::string &text) {
  std::vector<int32_t> known;
  auto limit = int64_t(vlm_tokenizer_id_count(tokenizer));
  std::ranges::copy_if(ids, std::back_inserter(known),
                       [&](int32_t id) { return id < limit; });
  char *decoded = nullptr;
  size_t bytes = 0;
  if (vlm_status_t *status =
          vlm_tokenizer_decode(tokenizer, known.data(), known.size(),
                               /*skip_special=*/1, &decoded, &bytes))
    return status;
  text.assign(decoded, bytes);
  vlm_string_destroy(decoded);
  return nullptr;
}

vlm_status_t *
vlm_session_t::generate(const vlm_generate_options_t &options,
                        const std::function<bool(const std::string &)> &tell,
                        vlm_end_t &end, int64_t &count) {
  Sampler sampler(options);
  sampler.hold(held.ids);
  TextStream stream(
      [&](const std::vector<int32_t> &ids, std::string &text) {
        return decodeText(tokenizer.get(), ids, text);
      },
      std::vector<std::string>(options.stops,
                               options.stops + options.stop_count));
  constexpr int64_t usual = 20;
  int64_t most = options.max_new_tokens  ? options.max_new_tokens
                 : facts->max_new_tokens ? facts->max_new_tokens
                                         : usual;
  std::string piece;
  for (count = 0, end = VLM_END_LENGTH; count < most;) {
    if (int64_t(held.ids.size()) >= maxTokens) {
      end = VLM_END_CONTEXT;
      break;
    }
    if (vlm_status_t *status = catchUp())
      return status;
    std::vector<float> scores = logits;
    int64_t id = sampler.choose(scores);
    held.ids.push_back(id);
    ++count;
    if (isEnd(id)) {
      end = VLM_END_TOKEN;
      break;
    }
    if (vlm_status_t *status = stream.add(
            int32_t(id), vlm_tokenizer_is_byte(tokenizer.get(), int32_t(id)),
            piece))
      return status;
    bool isWanted = piece.empty() || tell(piece);
    if (!isWanted || stream.stopped()) {
      end = isWanted ? VLM_END_STOP : VLM_END_CANCELLED;
      break;
    }
  }
  if (end == VLM_END_CANCELLED)
    return nullptr;
  if (vlm_status_t *status = stream.finish(piece))
    return status;
  if (!piece.empty())
    tell(piece);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// The interface
//===----------------------------------------------------------------------===//

static vlm_status_t *missing(const char *name) {
  return invalid(std::string(name) + ": expected an address, found NULL");
}

vlm_status_t *vlm_session_create(const vlm_model_t *model,
                                 const vlm_session_options_t *options,
                                 vlm_session_t **out_session) {
  if (!model || !out_session)
    return missing(model ? "out_session" : "model");
  return guarded("opening a session", [&]() -> vlm_status_t * {
    vlm_session_options_t used{};
    if (options)
      std::memcpy(&used, options,
                  std::min(options->struct_bytes, sizeof(used)));
    auto made = std::make_unique<vlm_session_t>();
    if (vlm_status_t *status = made->open(model, used))
      return status;
    *out_session = made.release();
    return nullptr;
  });
}

void vlm_session_destroy(vlm_session_t *session) { delete session; }

vlm_status_t *vlm_session_prompt(vlm_session_t *session, const char *text,
                                 size_t bytes, const vlm_image_t *const *images,
                                 size_t image_count, int special) {
  if (!session || (!text && bytes))
    return missing(session ? "text" : "session");
  return guarded("running a prompt", [&]() -> vlm_status_t * {
    return session->prompt({text, bytes}, images, image_count, special != 0);
  });
}

vlm_status_t *vlm_session_count(vlm_session_t *session, const char *text,
                                size_t bytes, const vlm_image_t *const *images,
                                size_t image_count, int special,
                                int64_t *out_tokens) {
  if (!session || (!text && bytes) || !out_tokens)
    return missing(!session ? "session" : out_tokens ? "text" : "out_tokens");
  return guarded("counting tokens", [&]() -> vlm_status_t * {
    return session->count({text, bytes}, images, image_count, special != 0,
                          *out_tokens);
  });
}

vlm_status_t *vlm_session_t::count(std::string_view text,
                                   const vlm_image_t *const *images,
                                   size_t pictures, bool special,
                                   int64_t &tokens) const {
  Prompt prompt;
  if (vlm_status_t *status =
          read(text, images, pictures, special, /*needsPixels=*/false, prompt))
    return status;
  tokens = int64_t(prompt.ids.size());
  return nullptr;
}

int64_t vlm_session_tokens(const vlm_session_t *session) {
  return int64_t(session->held.ids.size());
}

int64_t vlm_session_max_tokens(const vlm_session_t *session) {
  return session->maxTokens;
}

size_t vlm_session_memory(const vlm_session_t *session) {
  return vlm_cache_pages(session->cache.get()) *
         vlm_cache_page_bytes(session->cache.get());
}

vlm_status_t *vlm_session_generate(vlm_session_t *session,
                                   const vlm_generate_options_t *options,
                                   vlm_text_callback_t callback, void *user,
                                   vlm_end_t *out_end, int64_t *out_tokens) {
  if (!session)
    return missing("session");
  return guarded("generating text", [&]() -> vlm_status_t * {
    vlm_generate_options_t used{};
    if (options)
      std::memcpy(&used, options,
                  std::min(options->struct_bytes, sizeof(used)));
    if (vlm_status_t *status = checkSampling(used))
      return status;
    if (!session->isReady)
      return invalid("session: expected a prompt, found none; call "
                     "vlm_session_prompt first");
    vlm_end_t end = VLM_END_LENGTH;
    int64_t count = 0;
    vlm_status_t *status = session->generate(
        used,
        [&](const std::string &piece) {
          return !callback || callback(user, piece.data(), piece.size()) == 0;
        },
        end, count);
    if (out_end)
      *out_end = end;
    if (out_tokens)
      *out_tokens = count;
    return status;
  });
}
