//===- GridTower.cpp - Towers that take pictures of any grid --------------===//
#include "runtime/tasks/GridTower.h"

#include "runtime/image/ImageInternal.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace vlmc::rt {

vlm_status_t *GridTower::open(const vlm_entry_t *entry) {
  patch = features = 0;
  hasPlaces = false;
  bool hasShapes = false;
  int64_t values = 0;
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input;
    if (vlm_status_t *status = vlm_entry_input(entry, i, &input))
      return status;
    std::string_view name = input.name;
    if (name == "pixel_values" && input.rank == 3)
      values = input.dims[2];
    hasShapes = hasShapes || name == "spatial_shapes";
    hasPlaces = hasPlaces || name == "context_row";
  }
  if (!hasShapes || !values)
    return nullptr;
  patch = int64_t(std::lround(std::sqrt(double(values) / 3)));
  for (size_t i = 0; i < vlm_entry_output_count(entry); ++i) {
    vlm_tensor_t output;
    if (vlm_status_t *status = vlm_entry_output(entry, i, &output))
      return status;
    if (std::string_view(output.name) == "image_features")
      features = std::max<int64_t>(0, output.dims[1]);
  }
  return nullptr;
}

std::string GridTower::fault(int64_t height, int64_t width) const {
  if (height >= patch && width >= patch)
    return "";
  return "picture: expected at least " + std::to_string(patch) + " x " +
         std::to_string(patch) +
         " pixels after preprocessing, one patch, found " +
         std::to_string(height) + " x " + std::to_string(width) +
         "; give a larger picture or a less elongated one";
}

static vlm_tensor_t tensorOf(const char *name, vlm_dtype_t dtype, auto &values,
                             std::initializer_list<int64_t> dims) {
  vlm_tensor_t made{};
  made.name = name;
  made.dtype = dtype;
  made.rank = int32_t(dims.size());
  std::ranges::copy(dims, made.dims);
  made.data = values.data();
  made.bytes = values.size() * sizeof(values[0]);
  return made;
}

GridInputs GridTower::inputs(const float *planes, int64_t planeHeight,
                             int64_t planeWidth, int64_t height,
                             int64_t width) const {
  GridInputs in;
  const int64_t lines = height / patch, columns = width / patch;
  const int64_t values = 3 * patch * patch;
  in.patches = lines * columns;
  in.rows = features ? features : in.patches;
  in.pixels.resize(size_t(in.patches * values));
  if (planes)
    vlm_image_cut_patches(planes, planeHeight, planeWidth, patch, lines,
                          columns, in.pixels.data());
  in.valid.assign(size_t(in.patches), 1);
  in.shape = {lines, columns};
  in.tensors = {
      tensorOf("pixel_values", VLM_F32, in.pixels, {1, in.patches, values}),
      tensorOf("pixel_attention_mask", VLM_I64, in.valid, {1, in.patches}),
      tensorOf("spatial_shapes", VLM_I64, in.shape, {1, 2})};
  if (!hasPlaces)
    return in;
  const int64_t places = features + in.patches;
  // The latents' own places are in front.
  for (int64_t i = 0; i < places; ++i)
    in.contextRow.push_back(int32_t(std::max<int64_t>(0, i - features)));
  in.contextValid.assign(size_t(places), 1);
  in.tensors.push_back(
      tensorOf("context_row", VLM_I32, in.contextRow, {1, places}));
  in.tensors.push_back(
      tensorOf("context_valid", VLM_I64, in.contextValid, {1, places}));
  return in;
}

} // namespace vlmc::rt
