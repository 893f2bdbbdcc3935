//===- GridTower.h - Towers that take pictures of any grid ------*- C++ -*-===//
//
// What the entry point `encode_image` takes of a picture where each has lines
// and columns of patches of its own (frontend/blocks/VisionTokens.h): rows of
// patches, and where latents attend to them (frontend/blocks/
// PerceiverResampler.cpp) their places beside the latents. One picture runs at
// a time, without padding.
//
//   GridTower tower;
//   if (auto *status = tower.open(entry)) return status;
//   if (tower.isThere())
//     GridInputs in = tower.inputs(planes, 400, 400, 378, 392);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_GRIDTOWER_H
#define VLMC_RUNTIME_TASKS_GRIDTOWER_H

#include "runtime/core/LargeMemory.h"
#include "runtime/vlm.h"

#include <string>
#include <vector>

namespace vlmc::rt {

/// The tensors of one picture; they point into the vectors beside them.
struct GridInputs {
  std::vector<float, LargeAllocator<float>> pixels;
  std::vector<int64_t> valid, shape, contextValid;
  std::vector<int32_t> contextRow;
  std::vector<vlm_tensor_t> tensors;
  int64_t patches = 0;
  int64_t rows = 0; ///< of features that come out
};

class GridTower {
public:
  /// Errors: those of asking for the entry point's tensors.
  vlm_status_t *open(const vlm_entry_t *entry);
  /// Whether the entry point is of this kind.
  bool isThere() const { return patch > 0; }
  /// Whether a picture has features of a number of its own, else one for each
  /// patch.
  bool hasLatents() const { return features > 0; }

  /// What is wrong with a picture of that size; "": nothing.
  std::string fault(int64_t height, int64_t width) const;
  /// Whole patches of the first `height` x `width` pixels of planes [3, H, W];
  /// zeros where there are no planes.
  GridInputs inputs(const float *planes, int64_t planeHeight,
                    int64_t planeWidth, int64_t height, int64_t width) const;

  int64_t patch = 0; ///< the side of a patch, in pixels

private:
  int64_t features = 0; ///< of a picture; 0: one for each patch
  bool hasPlaces = false;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_GRIDTOWER_H
