//===- PatchBatch.h - Pictures of any grid, several at once -----*- C++ -*-===//
//
// Pictures as rows of patches, each with lines and columns of its own
// (frontend/blocks/VisionTokens.h), for an entry point that takes a batch of
// them: filled up with rows of zeros to the longest.
//
//   PatchBatch batch(model);
//   for (std::span<const size_t> some : batch.split(images, most))
//     if (auto *status = batch.prepare(images, some)) return status;
//     else vlm_entry_run(entry, batch.tensors().data(), 3, ...);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_PATCHBATCH_H
#define VLMC_RUNTIME_TASKS_PATCHBATCH_H

#include "runtime/core/LargeMemory.h"
#include "runtime/vlm.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vlmc::rt {

/// Whether the model's pictures become rows of patches.
bool readsPatchRows(const vlm_model_t *model);

class PatchBatch {
public:
  explicit PatchBatch(const vlm_model_t *model);

  /// Numbers of pictures that go together, at most `most`, which are of about
  /// as many patches, so that little is filled up. Errors: those of a picture's
  /// size.
  vlm_status_t *split(std::span<const vlm_image_t *const> images, size_t most,
                      std::vector<std::vector<size_t>> &out);
  /// Preprocesses some of the pictures, several at once on the pool.
  vlm_status_t *prepare(std::span<const vlm_image_t *const> images,
                        std::span<const size_t> some);
  /// pixel_values, pixel_attention_mask and spatial_shapes of what is prepared.
  std::array<vlm_tensor_t, 3> tensors();

private:
  struct Grid {
    int64_t lines = 0, columns = 0;
    int64_t patches() const { return lines * columns; }
  };
  vlm_status_t *measure(const vlm_image_t *image, Grid &out) const;

  const vlm_model_t *model;
  int64_t patch;
  std::vector<Grid> grids; ///< of all pictures
  int64_t count = 0, longest = 0;
  std::vector<float, LargeAllocator<float>> pixels;
  std::vector<int64_t> valid, shapes;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_PATCHBATCH_H
