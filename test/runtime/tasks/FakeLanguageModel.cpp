#include "test/runtime/tasks/FakeLanguageModel.h"

#include "runtime/core/Sha256.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

namespace fake {
namespace {

using Args = vlm_kernel_args;
template <typename T> T *buffer(const Args *args, int i) {
  return static_cast<T *>(args->buffers[i]);
}

uint32_t mix(uint32_t hash, uint32_t value) {
  hash ^= value + 0x9e3779b9U + (hash << 6) + (hash >> 2);
  return hash * 0x85ebca6bU;
}

// The inputs in their order; the buffers of both kernels begin with them.
enum { Ids, Features, FeatureRow, Sequence, Position, Cache, Rows, Logits };

uint32_t *placeOf(const Args *args, int64_t sequence, int64_t position) {
  const auto &layer = *buffer<const vlm_abi_cache_layer>(args, Cache);
  auto *page = static_cast<char *>(
      layer.pages[sequence * layer.max_pages + position / VLM_ABI_PAGE_TOKENS]);
  return reinterpret_cast<uint32_t *>(page + layer.offset) +
         position % VLM_ABI_PAGE_TOKENS;
}

int64_t tokens(const int64_t *dims) { return dims[0]; }
int64_t wanted(const int64_t *dims) { return dims[1]; }

void append(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    uint32_t value = mix(1, uint32_t(buffer<const int64_t>(args, Ids)[i]));
    if (int32_t row = buffer<const int32_t>(args, FeatureRow)[i]; row >= 0)
      value = mix(value, uint32_t(buffer<const float>(args, Features)[row]));
    *placeOf(args, buffer<const int32_t>(args, Sequence)[i],
             buffer<const int32_t>(args, Position)[i]) = value;
  }
}

void look(const Args *args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    int32_t token = buffer<const int32_t>(args, Rows)[row];
    int32_t sequence = buffer<const int32_t>(args, Sequence)[token];
    int32_t last = buffer<const int32_t>(args, Position)[token];
    uint32_t hash = 7;
    for (int32_t i = 0; i <= last; ++i)
      hash = mix(hash, *placeOf(args, sequence, i));
    for (uint32_t word = 0; word < kWords; ++word)
      buffer<float>(args, Logits)[row * kWords + word] =
          float(mix(hash, word) >> 8) / float(1 << 21);
  }
}

/// A picture's value and the number of the pixel.
void see(const Args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    int64_t pixels = args->dims[1];
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      buffer<float>(args, 1)[i * pixels + pixel] =
          buffer<const float>(args, 0)[3 * i * pixels] * 64 + float(pixel);
  }
}
int64_t pictures(const int64_t *dims) { return dims[0]; }

const vlm_abi_phase kAppend[] = {{append, tokens}}, kLook[] = {{look, wanted}},
                    kSee[] = {{see, pictures}};
const vlm_abi_kernel kKernels[] = {{"append", "rows", 8, 2, 1, 0, kAppend},
                                   {"look", "rows", 8, 2, 1, 0, kLook},
                                   {"see", "rows", 2, 2, 1, 0, kSee}};

constexpr int64_t kMost = 1 << 20;
const vlm_abi_symbol kDecodeSymbols[] = {
    {"N", 1, 1, kMost}, {"R", 1, 1, kMost}, {"M", 1, 1, kMost}};
const vlm_abi_symbol kSeeSymbols[] = {{"B", 1, 1, kMost}, {"W", 1, 1, kMost}};
const vlm_abi_term kFirst[] = {{1, {1}, 0}}, kSecond[] = {{1, {0, 1}, 0}};
const vlm_abi_size kDims[] = {{kFirst, 1}, {kSecond, 1}};

vlm_abi_tensor tensor(const char *name, uint32_t dtype, uint32_t rank,
                      std::initializer_list<int64_t> dims,
                      std::initializer_list<int32_t> symbols) {
  vlm_abi_tensor made{};
  made.name = name;
  made.dtype = dtype;
  made.rank = rank;
  std::ranges::fill(made.symbols, -1);
  std::ranges::copy(dims, made.dims);
  std::ranges::copy(symbols, made.symbols);
  return made;
}

vlm_abi_tensor ids() {
  vlm_abi_tensor made = tensor("input_ids", VLM_ABI_I64, 2, {1, 0}, {-1, 0});
  made.has_range = 1;
  made.max = kWords - 1;
  return made;
}

vlm_abi_tensor column(const char *name, int32_t symbol) {
  return tensor(name, VLM_ABI_I32, 2, {1, 0}, {-1, symbol});
}

const vlm_abi_tensor kDecodeInputs[] = {
    ids(),
    tensor("features", VLM_ABI_F32, 2, {0, 1}, {2, -1}),
    column("feature_row", 0),
    column("sequence", 0),
    column("position", 0),
    tensor("cache", VLM_ABI_CACHE, 4, {1, 2, 1, 4}, {-1, -1, -1, -1}),
    column("rows", 1)};
const vlm_abi_tensor kDecodeOutputs[] = {
    tensor("logits", VLM_ABI_F32, 3, {1, 0, kWords}, {-1, 1, -1})};
const vlm_abi_tensor kSeeInputs[] = {
    tensor("pixel_values", VLM_ABI_F32, 4, {0, 3, 1, 0}, {0, -1, -1, 1})};
const vlm_abi_tensor kSeeOutputs[] = {
    tensor("image_features", VLM_ABI_F32, 3, {0, 0, 1}, {0, 1, -1})};

const vlm_abi_buffer kDecodeBuffers[] = {
    {VLM_ABI_INPUT, Ids, 0},        {VLM_ABI_INPUT, Features, 0},
    {VLM_ABI_INPUT, FeatureRow, 0}, {VLM_ABI_INPUT, Sequence, 0},
    {VLM_ABI_INPUT, Position, 0},   {VLM_ABI_CACHE_LAYER, Cache, 0},
    {VLM_ABI_INPUT, Rows, 0},       {VLM_ABI_OUTPUT, 0, 0}};
const vlm_abi_buffer kSeeBuffers[] = {{VLM_ABI_INPUT, 0, 0},
                                      {VLM_ABI_OUTPUT, 0, 0}};

vlm_abi_step step(const char *label, const vlm_abi_buffer *buffers,
                  uint32_t kernel, uint16_t operands) {
  vlm_abi_step made{};
  made.label = label;
  made.buffers = buffers;
  made.dims = kDims;
  made.kernel = kernel;
  made.n_operands = operands;
  made.n_results = 1;
  return made;
}
const vlm_abi_step kDecodeSteps[] = {step("append", kDecodeBuffers, 0, 7),
                                     step("look", kDecodeBuffers, 1, 7)};
const vlm_abi_step kSeeSteps[] = {step("see", kSeeBuffers, 2, 1)};

vlm_abi_entry entry(const char *name, const vlm_abi_symbol *symbols,
                    uint32_t symbolCount, const vlm_abi_tensor *inputs,
                    uint32_t inputCount, const vlm_abi_tensor *outputs,
                    const vlm_abi_step *steps, uint32_t stepCount) {
  vlm_abi_entry made{};
  made.name = name;
  made.symbols = symbols;
  made.n_symbols = symbolCount;
  made.inputs = inputs;
  made.n_inputs = inputCount;
  made.outputs = outputs;
  made.n_outputs = 1;
  made.steps = steps;
  made.n_steps = stepCount;
  return made;
}
const vlm_abi_entry kEntries[] = {
    entry("decode", kDecodeSymbols, 3, kDecodeInputs, 7, kDecodeOutputs,
          kDecodeSteps, 2),
    entry("encode_image", kSeeSymbols, 2, kSeeInputs, 1, kSeeOutputs, kSeeSteps,
          1)};

#if defined(__aarch64__)
constexpr const char *kIsa = "aarch64";
#else
constexpr const char *kIsa = "x86-64-v3";
#endif

} // namespace

std::string noWeights() { return std::string("\x02\0\0\0\0\0\0\0{}", 10); }

vlm_abi_model languageModel() {
  static const vlm_abi_level levels[] = {{kIsa, kKernels, kEntries, 3, 2}};
  static const vlm_abi_generation generation = [] {
    vlm_abi_generation made{};
    made.end_tokens[0] = kEndToken;
    made.n_end_tokens = 1;
    made.pad_token = -1;
    made.image_token = '@';
    return made;
  }();
  vlm_abi_model model{};
  model.abi_version = VLM_ABI_VERSION;
  model.struct_bytes = sizeof model;
  model.name = "talk";
  model.family = "fake";
  model.levels = levels;
  model.n_levels = 1;
  model.weights_bytes = model.weights_header_bytes = noWeights().size();
  vlmc::rt::Digest digest =
      vlmc::rt::sha256(noWeights().data(), noWeights().size());
  std::copy(digest.begin(), digest.end(), model.weights_header_sha256);
  model.text_max_tokens = kMaxTokens;
  model.generation = &generation;
  return model;
}

} // namespace fake

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

struct vlm_image_t {
  int64_t tokens;
  uint8_t digest[32];
};

fake::Picture fake::makePicture(int64_t tokens, uint8_t value) {
  auto *image = new vlm_image_t{tokens, {value, uint8_t(tokens)}};
  return {image, [](vlm_image_t *made) { delete made; }};
}

int64_t vlm_image_height(const vlm_image_t *) { return 1; }
int64_t vlm_image_width(const vlm_image_t *image) { return image->tokens; }
extern "C" const uint8_t *vlm_image_digest(const vlm_image_t *image) {
  return image->digest;
}
vlm_status_t *vlm_model_preprocess_size(const vlm_model_t *, int64_t height,
                                        int64_t width, int64_t *outHeight,
                                        int64_t *outWidth) {
  *outHeight = height;
  *outWidth = width;
  return nullptr;
}
vlm_status_t *vlm_model_tile_count(const vlm_model_t *, int64_t, int64_t,
                                   int64_t *tiles) {
  *tiles = 1;
  return nullptr;
}
vlm_status_t *vlm_model_preprocess(const vlm_model_t *,
                                   const vlm_image_t *image, float *pixels) {
  if (image->digest[0] == 13)
    return vlmc::rt::makeStatus(VLM_CORRUPT, "a bad picture");
  std::fill_n(pixels, 3 * image->tokens, float(image->digest[0]));
  return nullptr;
}
extern "C" int64_t vlm_image_arrangement(const vlm_abi_image *, int64_t,
                                         int64_t) {
  return 0;
}
extern "C" vlm_status_t *vlm_model_picture_lines(const vlm_model_t *, int64_t,
                                                 int64_t, int64_t *lines,
                                                 int64_t *columns) {
  *lines = *columns = 0;
  return nullptr;
}
static vlm_ids_t makeIds(size_t count) {
  return {static_cast<int32_t *>(std::calloc(count + 1, sizeof(int32_t))),
          count, 0};
}
vlm_status_t *vlm_model_picture_rows(const vlm_model_t *, int64_t,
                                     int64_t width, vlm_ids_t *out) {
  *out = makeIds(size_t(width));
  for (size_t i = 0; i < out->count; ++i)
    out->ids[i] = int32_t(i);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

struct vlm_tokenizer_t {};

vlm_status_t *vlm_tokenizer_of_model(const vlm_model_t *,
                                     vlm_tokenizer_t **out) {
  *out = new vlm_tokenizer_t;
  return nullptr;
}
vlm_status_t *vlm_tokenizer_of_picture_words(const vlm_model_t *,
                                             vlm_tokenizer_t **) {
  return vlmc::rt::makeStatus(VLM_INTERNAL, "no words beside pictures here");
}
void vlm_tokenizer_destroy(vlm_tokenizer_t *tokenizer) { delete tokenizer; }
void vlm_ids_destroy(vlm_ids_t *ids) { std::free(ids->ids); }
void vlm_string_destroy(char *text) { std::free(text); }
int32_t vlm_tokenizer_pad_id(const vlm_tokenizer_t *) { return -1; }
int vlm_tokenizer_pads_left(const vlm_tokenizer_t *) { return 0; }
size_t vlm_tokenizer_id_count(const vlm_tokenizer_t *) { return 128; }
int64_t vlm_tokenizer_picture_tokens(const vlm_tokenizer_t *, int64_t,
                                     int64_t width) {
  return width;
}
vlm_status_t *vlm_tokenizer_encode(const vlm_tokenizer_t *, const char *,
                                   size_t, int, size_t, vlm_ids_t *) {
  return vlmc::rt::makeStatus(VLM_INTERNAL, "only prompts are encoded here");
}
vlm_status_t *vlm_tokenizer_encode_prompt(const vlm_tokenizer_t *,
                                          const char *text, size_t bytes,
                                          const int64_t *pictureTokens,
                                          size_t pictures, int,
                                          vlm_ids_t *out) {
  size_t found = size_t(std::count(text, text + bytes, '@'));
  if (found != pictures)
    return vlmc::rt::makeStatus(VLM_INVALID_ARGUMENT, "pictures do not match");
  size_t count = bytes - found;
  for (size_t i = 0; i < pictures; ++i)
    count += size_t(pictureTokens[i]);
  *out = makeIds(count);
  int32_t *next = out->ids;
  for (size_t i = 0; i < bytes; ++i)
    next = std::fill_n(next, text[i] == '@' ? *pictureTokens++ : 1,
                       static_cast<unsigned char>(text[i]));
  return nullptr;
}
vlm_status_t *vlm_tokenizer_decode(const vlm_tokenizer_t *, const int32_t *ids,
                                   size_t count, int, char **outText,
                                   size_t *outBytes) {
  auto *text = static_cast<char *>(std::malloc(count + 1));
  for (size_t i = 0; i < count; ++i)
    text[i] = char(' ' + ids[i] % 94);
  text[count] = 0;
  *outText = text;
  *outBytes = count;
  return nullptr;
}
vlm_status_t *vlm_tokenizer_decode_begun(const vlm_tokenizer_t *tokenizer,
                                         const int32_t *ids, size_t count,
                                         int special, char **outText,
                                         size_t *outBytes) {
  return vlm_tokenizer_decode(tokenizer, ids, count, special, outText,
                              outBytes);
}
