#include "test/runtime/tasks/FakeDualEncoder.h"

#include "runtime/core/Sha256.h"

#include <algorithm>

namespace fake {

using Args = vlm_kernel_args;
template <typename T> static T *buffer(const Args *args, int i) {
  return static_cast<T *>(args->buffers[i]);
}
static int64_t rows(const int64_t *dims) { return dims[0]; }

static void encodeImages(const Args *args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    float *out = buffer<float>(args, 1) + 3 * row;
    std::fill_n(out, 3, 0.0f);
    for (int i = 0; i < 12; ++i)
      out[0] += buffer<const float>(args, 0)[12 * row + i];
    out[1] = 1;
  }
}

static void encodeTexts(const Args *args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    float *out = buffer<float>(args, 2) + 3 * row;
    std::fill_n(out, 3, 0.0f);
    for (int64_t i = row * args->dims[1]; i < (row + 1) * args->dims[1]; ++i) {
      int64_t id = buffer<const int64_t>(args, 0)[i],
              attended = buffer<const int64_t>(args, 1)[i];
      out[attended ? 0 : 2] += float(id);
      out[1] += float(attended);
    }
    // Padding before the text shows, too.
    const int64_t *mask = buffer<const int64_t>(args, 1) + row * args->dims[1];
    if (!mask[0] && mask[args->dims[1] - 1])
      out[2] += 0.5F;
  }
}

static void compareAll(const Args *args, int64_t begin, int64_t end) {
  int64_t texts = args->dims[1];
  for (int64_t image = begin; image < end; ++image)
    for (int64_t text = 0; text < texts; ++text) {
      float sum = 0;
      for (int k = 0; k < 3; ++k)
        sum += buffer<const float>(args, 0)[3 * image + k] *
               buffer<const float>(args, 1)[3 * text + k];
      buffer<float>(args, 2)[image * texts + text] = sum / 64;
    }
}

static const vlm_abi_phase kImages[] = {{encodeImages, rows}},
                           kTexts[] = {{encodeTexts, rows}},
                           kCompare[] = {{compareAll, rows}};
static const vlm_abi_kernel kKernels[] = {
    {"encode_images", "rows", 2, 1, 1, 0, kImages},
    {"encode_texts", "rows", 3, 2, 1, 0, kTexts},
    {"compare", "rows", 3, 2, 1, 0, kCompare}};

static const vlm_abi_symbol kBatchTokens[] = {{"batch", 1, 1, 40},
                                              {"tokens", 1, 4, 6}},
                            kImagesTexts[] = {{"images", 1, 1, 4},
                                              {"texts", 1, 8, 16}};
static const vlm_abi_term kFirst[] = {{1, {1}, 0}},
                          kSecond[] = {{1, {0, 1}, 0}};
static const vlm_abi_size kDims[] = {{kFirst, 1}, {kSecond, 1}};
static const vlm_abi_buffer kImageBuffers[] = {{VLM_ABI_INPUT, 0, 0},
                                               {VLM_ABI_OUTPUT, 0, 0}},
                            kTwoBuffers[] = {{VLM_ABI_INPUT, 0, 0},
                                             {VLM_ABI_INPUT, 1, 0},
                                             {VLM_ABI_OUTPUT, 0, 0}};
static const vlm_abi_step kImageSteps[] = {{"image", kImageBuffers, kDims, 0,
                                            0}},
                          kTextSteps[] = {{"text", kTwoBuffers, kDims, 1, 0}},
                          kCompareSteps[] = {
                              {"compare", kTwoBuffers, kDims, 2, 0}};

static vlm_abi_tensor floats(const char *name, int32_t symbol, int64_t size) {
  return {name, VLM_ABI_F32, 2, {0, size}, {symbol, size ? -1 : 1},
          0,    0,           0, 0,         0};
}
static vlm_abi_tensor longs(const char *name, uint32_t optional) {
  return {name, VLM_ABI_I64, 2, {}, {0, 1}, optional, 0, 0, 0, 1};
}

static const vlm_abi_tensor kImageInputs[] = {{"pixel_values",
                                               VLM_ABI_F32,
                                               4,
                                               {0, 3, 2, 2},
                                               {0, -1, -1, -1},
                                               0,
                                               0,
                                               0,
                                               0,
                                               0}},
                            kImageOutputs[] = {floats("image_embeds", 0, 3)},
                            kTextInputs[] = {longs("input_ids", 0),
                                             longs("attention_mask", 1)},
                            kTextOutputs[] = {floats("text_embeds", 0, 3)},
                            kCompareInputs[] = {floats("image_embeds", 0, 3),
                                                floats("text_embeds", 1, 3)},
                            kCompareOutputs[] = {
                                floats("logits_per_image", 0, 0)};

static const vlm_abi_entry kEntries[] = {{"encode_image",
                                          kBatchTokens,
                                          kImageInputs,
                                          kImageOutputs,
                                          nullptr,
                                          kImageSteps,
                                          {nullptr, 0},
                                          1,
                                          1,
                                          1,
                                          0,
                                          1,
                                          0},
                                         {"encode_text",
                                          kBatchTokens,
                                          kTextInputs,
                                          kTextOutputs,
                                          nullptr,
                                          kTextSteps,
                                          {nullptr, 0},
                                          2,
                                          2,
                                          1,
                                          0,
                                          1,
                                          0},
                                         {"similarity",
                                          kImagesTexts,
                                          kCompareInputs,
                                          kCompareOutputs,
                                          nullptr,
                                          kCompareSteps,
                                          {nullptr, 0},
                                          2,
                                          2,
                                          1,
                                          0,
                                          1,
                                          0}};

std::string emptyWeights() { return std::string("\x02\0\0\0\0\0\0\0{}", 10); }

#if defined(__aarch64__)
static const char *const kIsa = "aarch64";
#else
static const char *const kIsa = "x86-64-v3";
#endif

vlm_abi_model dualEncoder(uint32_t entries, uint32_t head) {
  static const vlm_abi_level levels[] = {{kIsa, kKernels, kEntries, 3, 0},
                                         {kIsa, kKernels, kEntries, 3, 1},
                                         {kIsa, kKernels, kEntries, 3, 2},
                                         {kIsa, kKernels, kEntries, 3, 3}};
  vlm_abi_model model{};
  model.abi_version = VLM_ABI_VERSION;
  model.struct_bytes = sizeof model;
  model.name = "duo";
  model.family = "fake";
  model.levels = &levels[entries];
  model.n_levels = 1;
  model.weights_bytes = model.weights_header_bytes = emptyWeights().size();
  vlmc::rt::Digest digest =
      vlmc::rt::sha256(emptyWeights().data(), emptyWeights().size());
  std::copy(digest.begin(), digest.end(), model.weights_header_sha256);
  model.head = head;
  model.text_max_tokens = 5;
  model.pad_token_id = 100;
  return model;
}

} // namespace fake
