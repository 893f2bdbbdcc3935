//===- PatchBatch.cpp - Pictures of any grid, several at once -------------===//
#include "runtime/tasks/PatchBatch.h"

#include "runtime/abi/vlm_abi.h"
#include "runtime/core/PoolInternal.h"
#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <numeric>

namespace vlmc::rt {

bool readsPatchRows(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->do_crop == VLM_ABI_CROP_PATCH_ROWS;
}

PatchBatch::PatchBatch(const vlm_model_t *model)
    : model(model), patch(vlm_model_abi(model)->image->crop_height) {}

vlm_status_t *PatchBatch::measure(const vlm_image_t *image, Grid &out) const {
  int64_t height, width;
  vlm_status_t *status = vlm_model_preprocess_size(
      model, vlm_image_height(image), vlm_image_width(image), &height, &width);
  if (!status)
    out = {height / patch, width / patch};
  return status;
}

vlm_status_t *PatchBatch::split(std::span<const vlm_image_t *const> images,
                                size_t most,
                                std::vector<std::vector<size_t>> &out) {
  grids.resize(images.size());
  for (size_t i = 0; i < images.size(); ++i)
    if (vlm_status_t *status = measure(images[i], grids[i]))
      return status;
  std::vector<size_t> order(images.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {},
                           [&](size_t i) { return grids[i].patches(); });
  int64_t sum = 0;
  for (size_t i : order) {
    // Each picture is as long as all before it or longer; an eighth may be
    // filled up.
    int64_t patches = grids[i].patches();
    auto together = out.empty() ? 0 : int64_t(out.back().size());
    bool fits =
        together > 0 && out.back().size() < most &&
        8 * ((together + 1) * patches - (sum + patches)) <= sum + patches;
    if (!fits) {
      out.emplace_back();
      sum = 0;
    }
    out.back().push_back(i);
    sum += patches;
  }
  return nullptr;
}

vlm_status_t *PatchBatch::prepare(std::span<const vlm_image_t *const> images,
                                  std::span<const size_t> some) {
  count = int64_t(some.size());
  longest = 0;
  for (size_t i : some)
    longest = std::max(longest, grids[i].patches());
  const int64_t values = 3 * patch * patch;
  pixels.assign(size_t(count * longest * values), 0);
  valid.assign(size_t(count * longest), 0);
  shapes.clear();
  for (size_t i = 0; i < some.size(); ++i) {
    const Grid &grid = grids[some[i]];
    std::fill_n(valid.begin() + ptrdiff_t(i) * longest, grid.patches(), 1);
    shapes.insert(shapes.end(), {grid.lines, grid.columns});
  }
  std::vector<vlm_status_t *> statuses(some.size());
  parallelFor(vlm_model_pool(model), count, [&](int64_t i) {
    statuses[size_t(i)] = vlm_model_preprocess(
        model, images[some[size_t(i)]], pixels.data() + i * longest * values);
  });
  return firstFailure(statuses);
}

std::array<vlm_tensor_t, 3> PatchBatch::tensors() {
  int64_t pixelDims[] = {count, longest, 3 * patch * patch};
  int64_t maskDims[] = {count, longest}, shapeDims[] = {count, 2};
  return {
      denseTensor("pixel_values", VLM_F32, pixels.data(), 3, pixelDims),
      denseTensor("pixel_attention_mask", VLM_I64, valid.data(), 2, maskDims),
      denseTensor("spatial_shapes", VLM_I64, shapes.data(), 2, shapeDims)};
}

} // namespace vlmc::rt
