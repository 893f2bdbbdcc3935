//===- GpuModel.h - A model on a GPU --------------------------------------===//
//
// The code and the weights of one level on a device, and the memory of a run.
// Runs go one after the other; threads may ask at once. Weights are still on
// their way when `load` returns: the steps of a run wait for theirs.
//
//   std::unique_ptr<GpuModel> gpu;
//   vlm_status_t *status = GpuModel::load(device, level, weights, bytes, gpu);
//   status = gpu->run(entry, symbols, inputs, outputs);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_GPUMODEL_H
#define VLMC_RUNTIME_CUDA_GPUMODEL_H

#include "runtime/cuda/Graphs.h"
#include "runtime/cuda/Products.h"
#include "runtime/cuda/TensorMaps.h"
#include "runtime/cuda/WeightUpload.h"

#include <map>
#include <mutex>
#include <vector>

namespace vlmc::rt::cuda {

/// Memory of the host that is copied to or from the device; or a cache, whose
/// tables are copied.
struct HostMemory {
  void *data = nullptr;
  size_t bytes = 0;
  const vlm_cache_t *cache = nullptr;
};

class GpuModel {
public:
  ~GpuModel();
  GpuModel(const GpuModel &) = delete;
  GpuModel &operator=(const GpuModel &) = delete;

  /// Loads the level's code and uploads the weights that it reads from the
  /// weights file, which is `weightsBytes` bytes at `weights`.
  static vlm_status_t *load(std::shared_ptr<Device> device,
                            const vlm_abi_level &level,
                            const unsigned char *weights, size_t weightsBytes,
                            std::unique_ptr<GpuModel> &out);

  /// Runs an entry point of the level: inputs and outputs by their numbers.
  vlm_status_t *run(const vlm_abi_entry &entry, const int64_t *symbols,
                    const std::vector<HostMemory> &inputs,
                    const std::vector<HostMemory> &outputs);

  /// Whether all weights are there.
  bool isLoaded() { return upload.isOver(); }
  /// Whether runs become graphs, as they do.
  void setGraphs(bool wanted) { wantsGraphs = wanted; }
  const GraphCounters &counters() const { return graphs.counters(); }
  /// NULL: no step is a product that a library could make.
  const Products *libraryProducts() const { return products.get(); }

private:
  class Run;
  explicit GpuModel(std::shared_ptr<Device> device)
      : device(std::move(device)), maps(*this->device), upload(*this->device),
        graphs(*this->device) {}
  vlm_status_t *loadCode(const vlm_abi_level &level);
  vlm_status_t *findFunctions(const vlm_abi_level &level);
  vlm_status_t *uploadWeights(const vlm_abi_level &level,
                              const unsigned char *weights, size_t bytes);
  vlm_status_t *mapWeights(const vlm_abi_level &level);
  void openProducts(const vlm_abi_level &level);
  vlm_status_t *reserve(size_t bytes);
  bool reserveHost(size_t bytes);

  std::shared_ptr<Device> device;
  const vlm_abi_level *level = nullptr;
  Module *module = nullptr;
  Stream *stream = nullptr;
  std::map<const char *, Function *> functions; ///< by the launches' names
  Pointer weightsBlock = 0;
  std::map<uint64_t, Pointer> weightsAt; ///< by their offsets in the file
  std::map<uint64_t, uint64_t> weightBytes;
  TensorMaps maps;
  std::unique_ptr<Products> products;
  WeightUpload upload;
  Pointer arena = 0;
  size_t arenaBytes = 0;
  std::byte *host = nullptr; ///< pinned: small inputs and outputs
  size_t hostBytes = 0;
  Graphs graphs;
  bool wantsGraphs = true;
  std::mutex mutex;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_GPUMODEL_H
