//===- TensorMaps.cpp - How a GPU's copies of tiles know their matrices ---===//

#include "runtime/cuda/TensorMaps.h"

#include "runtime/core/StatusInternal.h"

namespace vlmc::rt::cuda {

/// CUtensorMapDataType
static constexpr unsigned kFloat16 = 6, kBfloat16 = 9;
/// CU_TENSOR_MAP_SWIZZLE_128B
static constexpr int kSwizzle128 = 3;
/// CU_TENSOR_MAP_L2_PROMOTION_L2_128B
static constexpr int kPromote128 = 2;

static constexpr size_t kMany = 1 << 14;

void TensorMaps::trim() {
  if (known.size() > kMany)
    known.clear();
}

vlm_status_t *TensorMaps::encode(const vlm_abi_map &map, Pointer address,
                                 int64_t rows, TensorMap &out) const {
  if (!device.api().encodeTiled)
    return makeStatus(VLM_UNSUPPORTED,
                      "GPU '" + device.name() +
                          "': the driver has no cuTensorMapEncodeTiled, which "
                          "the model's code needs; install one of CUDA 12 or "
                          "later, or compile for sm_90");
  const uint64_t dims[] = {map.columns, uint64_t(rows)};
  const uint64_t strides[] = {map.stride * 2};
  const unsigned box[] = {map.box_columns, map.box_rows}, steps[] = {1, 1};
  return device.check(
      device.api().encodeTiled(&out,
                               map.dtype == VLM_ABI_BF16 ? kBfloat16 : kFloat16,
                               2, address + map.offset * 2, dims, strides, box,
                               steps, 0, kSwizzle128, kPromote128, 0),
      "making the tensor map of " + std::to_string(rows) + " rows of " +
          std::to_string(map.columns));
}

vlm_status_t *TensorMaps::find(const vlm_abi_map &map, Pointer address,
                               int64_t rows, const TensorMap *&out) {
  auto [it, isNew] = known.try_emplace({&map, address, rows});
  if (isNew)
    if (vlm_status_t *status = encode(map, address, rows, it->second)) {
      known.erase(it);
      return status;
    }
  out = &it->second;
  return nullptr;
}

} // namespace vlmc::rt::cuda
