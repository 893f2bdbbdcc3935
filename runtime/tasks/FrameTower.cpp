//===- FrameTower.cpp - Pictures and videos frame by frame ----------------===//
#include "runtime/tasks/FrameTower.h"

#include <algorithm>

namespace vlmc::rt {

static constexpr const char *kTask = "look at pictures";

vlm_status_t *FrameTower::open(const vlm_model_t *model) {
  frame.entry = nullptr;
  Encoder found;
  // Most models have none.
  if (vlm_status_t *status = found.find(model, "encode_frame", kTask)) {
    vlm_status_destroy(status);
    return nullptr;
  }
  if (vlm_status_t *status = whole.find(model, "encode_image", kTask))
    return status;
  SizeRange range;
  if (vlm_status_t *status = found.outputSize("frame_features", 1, range))
    return status;
  perFrame = range.max;
  if (vlm_status_t *status = found.inputSize("pixel_values", 2, range))
    return status;
  side = range.max;
  if (vlm_status_t *status = found.outputSize("frame_features", 2, range))
    return status;
  size = range.max;
  if (vlm_status_t *status = whole.outputSize("image_features", 1, range))
    return status;
  rows = range.max;
  if (vlm_status_t *status = whole.outputSize("image_features", 2, range))
    return status;
  width = range.max;
  mostFrames = whole.hasInput("frames") ? whole.inputMax("frames") + 1 : 0;
  mostMedia = whole.hasInput("media") ? whole.inputMax("media") + 1 : 0;
  frame = found;
  return nullptr;
}

vlm_status_t *FrameTower::check(int64_t frames, int64_t number) const {
  if (mostFrames ? frames > mostFrames : frames > 1)
    return invalid("video: expected up to " +
                   std::to_string(std::max<int64_t>(1, mostFrames)) +
                   " frames, as many as the model tells apart, found " +
                   std::to_string(frames) + "; give fewer frames");
  if (mostMedia && number >= mostMedia)
    return invalid("prompt: expected up to " + std::to_string(mostMedia) +
                   " pictures and videos, as many as the model tells apart, "
                   "found one more; give fewer");
  return nullptr;
}

/// The inputs of `encode_image`.
namespace {
struct Places {
  Places(const Encoder &whole, int64_t rows, int64_t frames, int64_t perFrame,
         int64_t number, float *features, int64_t size)
      : numbers(size_t(rows + frames * perFrame)),
        media(numbers.size(), int32_t(number)) {
    for (int64_t i = 0; i < frames * perFrame; ++i)
      numbers[size_t(rows + i)] = int32_t(i / perFrame);
    int64_t dims[] = {1, int64_t(numbers.size()), size};
    tensors.push_back(
        denseTensor("frame_features", VLM_F32, features, 3, dims));
    if (whole.hasInput("frames"))
      tensors.push_back(
          denseTensor("frames", VLM_I32, numbers.data(), 2, dims));
    if (whole.hasInput("media"))
      tensors.push_back(denseTensor("media", VLM_I32, media.data(), 2, dims));
  }
  Places(const Places &) = delete;

  std::vector<int32_t> numbers, media;
  std::vector<vlm_tensor_t> tensors;
};
} // namespace

vlm_status_t *FrameTower::run(const float *pixels, int64_t frames,
                              int64_t height, int64_t planeWidth,
                              int64_t number, Floats &features) const {
  if (vlm_status_t *status = check(frames, number))
    return status;
  // In front stand places for what is made of them.
  Floats seen(size_t((rows + frames * perFrame) * size));
  int64_t planes[] = {frames, 3, height, planeWidth};
  int64_t dims[] = {frames, perFrame, size};
  vlm_tensor_t in = denseTensor("pixel_values", VLM_F32,
                                const_cast<float *>(pixels), 4, planes);
  vlm_tensor_t out = denseTensor("frame_features", VLM_F32,
                                 seen.data() + rows * size, 3, dims);
  if (vlm_status_t *status = vlm_entry_run(frame.entry, &in, 1, &out, 1))
    return status;
  Places places(whole, rows, frames, perFrame, number, seen.data(), size);
  features.resize(size_t(rows * width));
  int64_t made[] = {1, rows, width};
  out = denseTensor("image_features", VLM_F32, features.data(), 3, made);
  return vlm_entry_run(whole.entry, places.tensors.data(),
                       places.tensors.size(), &out, 1);
}

vlm_status_t *FrameTower::memory(int64_t frames, int64_t height,
                                 int64_t planeWidth, size_t &work,
                                 size_t &between) const {
  int64_t planes[] = {frames, 3, height, planeWidth};
  vlm_tensor_t in = denseTensor("pixel_values", VLM_F32, nullptr, 4, planes);
  if (vlm_status_t *status =
          vlm_entry_memory(frame.entry, &in, 1, /*threads=*/0, &work))
    return status;
  Places places(whole, rows, frames, perFrame, 0, nullptr, size);
  size_t second = 0;
  between = 0;
  for (const vlm_tensor_t &tensor : places.tensors)
    between += tensor.bytes;
  vlm_status_t *status =
      vlm_entry_memory(whole.entry, places.tensors.data(),
                       places.tensors.size(), /*threads=*/0, &second);
  work = std::max(work, second);
  return status;
}

} // namespace vlmc::rt
