//===- Model.h - A loaded model and its entry points ----------------------===//
//
// The structs behind vlm_model_t and vlm_entry_t. A model is immutable once it
// is loaded, but for its cache of working memory.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_MODEL_H
#define VLMC_RUNTIME_CORE_MODEL_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/core/WeightsFile.h"
#include "runtime/core/Workspace.h"
#include "runtime/vlm.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vlmc::rt::cuda {
class Device;
class GpuModel;
} // namespace vlmc::rt::cuda

namespace vlmc::rt {

/// What a layer above keeps for a model, made at its first use.
class ModelLayer {
public:
  ModelLayer() = default;
  ~ModelLayer() {
    if (kept)
      destroy(kept);
  }
  ModelLayer(const ModelLayer &) = delete;
  ModelLayer &operator=(const ModelLayer &) = delete;

  void *get(void *(*make)(int64_t), void (*destroyer)(void *), int64_t limit) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!kept) {
      kept = make(limit);
      destroy = destroyer;
    }
    return kept;
  }

private:
  std::mutex mutex;
  void *kept = nullptr;
  void (*destroy)(void *) = nullptr;
};

} // namespace vlmc::rt

struct vlm_entry_t {
  vlm_model_t *model;
  const vlm_abi_entry *abi;
  const vlm_abi_level *level;
  uint32_t maxBuffers; ///< of one step
  uint32_t maxDims;    ///< of one step
  uint32_t phases;     ///< of all steps together
};

struct vlm_model_t {
  vlm_model_t();
  ~vlm_model_t();

  /// The library's handle; NULL for a linked model.
  void *library = nullptr;
  const vlm_abi_model *abi = nullptr;
  const vlm_abi_level *level = nullptr;
  vlmc::rt::WeightsFile weights;
  std::shared_ptr<vlmc::rt::cuda::Device> device; ///< NULL: the level is a CPU's
  std::unique_ptr<vlmc::rt::cuda::GpuModel> gpu;  ///< there where `device` is
  std::string deviceText; ///< as vlm_model_device() tells it
  std::shared_ptr<vlm_pool_t> sharedPool; ///< NULL if the caller gave one
  vlm_pool_t *pool = nullptr;
  vlm_image_backend_t imageBackend = VLM_IMAGE_BACKEND_DEFAULT;
  std::vector<vlm_entry_t> entries;
  vlmc::rt::WorkspaceCache workspaces;
  int64_t pictureCacheBytes = 0; ///< as the load options say
  std::unique_ptr<vlmc::rt::ModelLayer> layer =
      std::make_unique<vlmc::rt::ModelLayer>();
};

namespace vlmc::rt {

/// Chooses the level, checks the tables and fills `model`'s entries; `where`
/// opens the messages, `options` may be NULL.
vlm_status_t *adoptTables(vlm_model_t &model, const vlm_abi_model *abi,
                          const vlm_load_options_t *options,
                          const std::string &where);

/// Opens the weights, and uploads them where the level is a GPU's. If a GPU that
/// was not asked for fails, the model runs on the CPU, and tells why.
vlm_status_t *openWeights(vlm_model_t &model, const std::string &path,
                          const vlm_load_options_t *options,
                          const std::string &where);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_MODEL_H
