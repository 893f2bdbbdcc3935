//===- Classify.cpp - Zero-shot classification ----------------------------===//

#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace vlmc::rt;

/// Logits of one picture against each text, in pieces that the model takes.
static vlm_status_t *compare(const Encoder &similarity,
                             std::vector<float> &image,
                             std::vector<float> &texts, size_t count,
                             std::vector<float> &logits) {
  SizeRange rows;
  if (vlm_status_t *status = similarity.inputSize("text_embeds", 0, rows))
    return status;
  int64_t width = int64_t(image.size());
  size_t piece = size_t(std::max<int64_t>(rows.max, 1));
  for (size_t first = 0; first < count; first += piece) {
    int64_t n = int64_t(std::min(piece, count - first));
    int64_t imageDims[] = {1, width}, textDims[] = {n, width};
    int64_t logitDims[] = {1, n};
    vlm_tensor_t inputs[] = {
        denseTensor("image_embeds", VLM_F32, image.data(), 2, imageDims),
        denseTensor("text_embeds", VLM_F32,
                    texts.data() + first * size_t(width), 2, textDims)};
    vlm_tensor_t output = denseTensor("logits_per_image", VLM_F32,
                                      logits.data() + first, 2, logitDims);
    if (vlm_status_t *status =
            vlm_entry_run(similarity.entry, inputs, 2, &output, 1))
      return status;
  }
  return nullptr;
}

/// A handful of numbers, so double precision costs nothing.
static void toProbabilities(uint32_t head, const std::vector<float> &logits,
                            float *probabilities) {
  if (head == VLM_ABI_HEAD_SIGMOID) {
    for (size_t i = 0; i < logits.size(); ++i)
      probabilities[i] = float(1 / (1 + std::exp(-double(logits[i]))));
    return;
  }
  double largest = *std::max_element(logits.begin(), logits.end()), sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - largest);
  for (size_t i = 0; i < logits.size(); ++i)
    probabilities[i] = float(std::exp(logits[i] - largest) / sum);
}

vlm_status_t *vlm_classify(const vlm_model_t *model, const vlm_image_t *image,
                           const char *const *labels, size_t count,
                           float *logits, float *probabilities) {
  return guarded("classifying a picture", [&]() -> vlm_status_t * {
    if (!model || !image || !labels || !probabilities)
      return invalid(std::string("vlm_classify: '") +
                     (!model    ? "model"
                      : !image  ? "image"
                      : !labels ? "labels"
                                : "probabilities") +
                     "' must not be NULL");
    if (count == 0)
      return invalid("vlm_classify: 'labels' must hold at least one element, "
                     "found 0");
    Encoder similarity;
    if (vlm_status_t *status =
            similarity.find(model, "similarity", "classify pictures"))
      return status;
    int64_t width;
    if (vlm_status_t *status = vlm_embedding_width(model, &width))
      return status;
    std::vector<float> imageEmbeds(width), textEmbeds(count * size_t(width));
    std::vector<float> found(count);
    if (vlm_status_t *status =
            vlm_embed_images(model, &image, 1, imageEmbeds.data()))
      return status;
    if (vlm_status_t *status =
            vlm_embed_texts(model, labels, count, textEmbeds.data(), nullptr))
      return status;
    if (vlm_status_t *status =
            compare(similarity, imageEmbeds, textEmbeds, count, found))
      return status;
    toProbabilities(vlm_model_abi(model)->head, found, probabilities);
    if (logits)
      std::copy(found.begin(), found.end(), logits);
    return nullptr;
  });
}
