//===- TiledTower.h - Towers that take all tiles of a picture at once -----===//
//
// What the entry point `encode_image` takes of a picture where its tiles are
// one sequence (frontend/blocks/TiledTower.cpp), and in which order the
// features of tiles come out.
//
//   TiledTower tower;
//   if (auto *status = tower.open(entry)) return status;
//   if (tower.isThere()) ... TiledInputs in = tower.inputs(3, 2, pixels, side);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_TILEDTOWER_H
#define VLMC_RUNTIME_TASKS_TILEDTOWER_H

#include "runtime/core/LargeMemory.h"
#include "runtime/vlm.h"

#include <vector>

namespace vlmc::rt {

/// The tensors of one picture; they point into the vectors beside them.
struct TiledInputs {
  std::vector<float, LargeAllocator<float>> pixels;
  std::vector<int64_t> tileRow, placeRow, valid;
  std::vector<vlm_tensor_t> tensors;
};

class TiledTower {
public:
  /// Errors: those of asking for the entry point's inputs.
  vlm_status_t *open(const vlm_entry_t *entry);
  /// Whether the entry point is of this kind.
  bool isThere() const { return tiles > 0; }

  /// The tiles [count, 3, side, side] of a picture in arrangement number
  /// `arrangement`, from 1 on; the other tiles are zeros, as all are where
  /// there are no pixels.
  TiledInputs inputs(int64_t arrangement, int64_t count, const float *pixels,
                     int64_t side) const;
  /// The rows of the entry's result, tile by tile, each with its class token in
  /// front.
  std::vector<int32_t> rows() const;
  /// Pixels of a tile that are read, in rows and columns.
  int64_t readSide() const { return side; }

  int64_t tiles = 0;
  int64_t tokens = 0; ///< of a tile: features

private:
  int64_t fill = 0; ///< further tokens of a tile
  int64_t side = 0; ///< of a tile, in pixels that are read
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_TILEDTOWER_H
