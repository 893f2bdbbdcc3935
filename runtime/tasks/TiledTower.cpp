//===- TiledTower.cpp - Towers that take all tiles of a picture at once ---===//
#include "runtime/tasks/TiledTower.h"

#include <algorithm>
#include <string_view>

namespace vlmc::rt {

vlm_status_t *TiledTower::open(const vlm_entry_t *entry) {
  tiles = 0;
  int64_t height = 0, places = 0, all = 0;
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input;
    if (vlm_status_t *status = vlm_entry_input(entry, i, &input))
      return status;
    std::string_view name = input.name;
    if (name == "pixel_values" && input.rank == 4) {
      height = input.dims[2];
      side = std::max<int64_t>(1, input.dims[3]);
    }
    if (name == "place_row")
      places = input.dims[1];
    if (name == "tile_row")
      all = input.dims[1];
  }
  if (!all)
    return nullptr;
  tiles = std::max<int64_t>(1, height / side);
  tokens = places / tiles;
  fill = all / tiles - tokens;
  return nullptr;
}

TiledInputs TiledTower::inputs(int64_t arrangement, int64_t count,
                               const float *pixels, int64_t given) const {
  TiledInputs in;
  // Planes of all tiles, one below the other.
  in.pixels.resize(size_t(3 * tiles * side * side), 0);
  for (int64_t tile = 0; pixels && tile < std::min(count, tiles); ++tile)
    for (int64_t channel = 0; channel < 3; ++channel)
      for (int64_t y = 0; y < side; ++y)
        std::copy_n(pixels + ((tile * 3 + channel) * given + y) * given, side,
                    in.pixels.data() +
                        ((channel * tiles + tile) * side + y) * side);
  auto add = [&](int64_t tile, bool isFeature) {
    in.tileRow.push_back(arrangement * tiles + tile);
    in.valid.push_back(isFeature && tile < count);
    if (isFeature)
      in.placeRow.push_back(arrangement * tiles * tokens +
                            int64_t(in.placeRow.size()));
  };
  for (int64_t i = 0; i < tiles * fill; ++i)
    add(i / fill, false);
  for (int64_t tile = 0; tile < tiles; ++tile)
    add(tile, true);
  for (int64_t i = 0; i < tiles * (tokens - 1); ++i)
    add(i / (tokens - 1), true);
  auto tensor = [](const char *name, vlm_dtype_t dtype, auto &values,
                   std::initializer_list<int64_t> dims) {
    vlm_tensor_t made{};
    made.name = name;
    made.dtype = dtype;
    made.rank = int32_t(dims.size());
    std::ranges::copy(dims, made.dims);
    made.data = values.data();
    made.bytes = values.size() * sizeof(values[0]);
    return made;
  };
  int64_t all = tiles * (tokens + fill);
  in.tensors = {
      tensor("pixel_values", VLM_F32, in.pixels, {1, 3, tiles * side, side}),
      tensor("tile_row", VLM_I64, in.tileRow, {1, all}),
      tensor("place_row", VLM_I64, in.placeRow, {1, tiles * tokens}),
      tensor("token_valid", VLM_I64, in.valid, {1, all})};
  return in;
}

std::vector<int32_t> TiledTower::rows() const {
  std::vector<int32_t> rows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    rows.push_back(int32_t(tile));
    for (int64_t i = 0; i < tokens - 1; ++i)
      rows.push_back(int32_t(tiles + tile * (tokens - 1) + i));
  }
  return rows;
}

} // namespace vlmc::rt
