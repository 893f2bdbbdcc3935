//===- FrameTower.h - Pictures and videos frame by frame --------*- C++ -*-===//
//
// Where a model reads videos as frames: the tower, `encode_frame`, looks at
// each frame, and `encode_image` puts the frames' features together, behind
// places for what it makes of them, with the numbers of their frame and of the
// picture or video in the prompt. A picture is a frame by itself.
//
//   FrameTower frames;
//   if (auto *status = frames.open(model)) return status;
//   if (frames.isThere())
//     status = frames.run(pixels, 4, height, width, number, features);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_FRAMETOWER_H
#define VLMC_RUNTIME_TASKS_FRAMETOWER_H

#include "runtime/core/LargeMemory.h"
#include "runtime/tasks/Requests.h"

#include <vector>

namespace vlmc::rt {

class FrameTower {
public:
  using Floats = std::vector<float, LargeAllocator<float>>;

  /// Errors: VLM_INCOMPATIBLE where the model lacks what belongs to it.
  vlm_status_t *open(const vlm_model_t *model);
  bool isThere() const { return frame.entry != nullptr; }

  /// Features of f32 [frames, 3, height, width], medium `number` of its prompt:
  /// [rows, width]. Errors: more frames or media than the model knows; those of
  /// the runs.
  vlm_status_t *run(const float *pixels, int64_t frames, int64_t height,
                    int64_t width, int64_t number, Floats &features) const;
  /// The most working memory of the runs, and what goes from one to the other.
  vlm_status_t *memory(int64_t frames, int64_t height, int64_t width,
                       size_t &work, size_t &between) const;
  /// Whether features depend on the number.
  bool countsMedia() const { return mostMedia > 0; }

  int64_t featureWidth() const { return width; }
  /// Of the frames, in pixels.
  int64_t readSide() const { return side; }

  int64_t rows = 0; ///< of the features of a picture or video

  /// Errors: VLM_INVALID_ARGUMENT where these are more frames than the model
  /// tells apart, or the number is of a medium beyond those that it does.
  vlm_status_t *check(int64_t frames, int64_t number) const;

private:
  Encoder frame, whole;
  int64_t perFrame = 0, size = 0, width = 0, side = 0;
  int64_t mostFrames = 0, mostMedia = 0; ///< 0: any number
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_FRAMETOWER_H
