//===- TensorMaps.h - How a GPU's copies of tiles know their matrices -----===//
//
// Kernels of sm_90a take 128 bytes that the driver makes of a matrix's address
// and sizes. Those of weights are made when a model is loaded, others when a
// launch first has that address and number of rows.
//
//   const TensorMap *map = nullptr;
//   vlm_status_t *status = maps.find(launch.maps[0], address, rows, map);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_TENSORMAPS_H
#define VLMC_RUNTIME_CUDA_TENSORMAPS_H

#include "runtime/cuda/Driver.h"

#include <map>
#include <tuple>

namespace vlmc::rt::cuda {

/// CUtensorMap
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

class TensorMaps {
public:
  explicit TensorMaps(const Device &device) : device(device) {}

  /// The map for a matrix of `rows` rows, 1 or more, in the buffer at
  /// `address`; it stays until `trim`.
  vlm_status_t *find(const vlm_abi_map &map, Pointer address, int64_t rows,
                     const TensorMap *&out);

  /// Forgets all where they have become many.
  void trim();

private:
  vlm_status_t *encode(const vlm_abi_map &map, Pointer address, int64_t rows,
                       TensorMap &out) const;

  const Device &device;
  std::map<std::tuple<const vlm_abi_map *, Pointer, int64_t>, TensorMap> known;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_TENSORMAPS_H
