//===- LayerInternal.h - What the core does for layers above ----*- C++ -*-===//
//
// libvlm_tasks keeps features of pictures for all sessions of a model; the
// model owns them and ends them. Pictures are told apart by their digests. Not
// installed.
//
//   auto *store = static_cast<Store *>(vlm_model_layer(model, make, destroy));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_LAYERINTERNAL_H
#define VLMC_RUNTIME_CORE_LAYERINTERNAL_H

#include "runtime/vlm.h"

extern "C" {
/// The one object that the layer keeps for the model. The first call makes it:
/// `make` gets picture_cache_bytes of the load options and may throw; it is
/// destroyed with the model. Thread-safe.
VLM_API void *vlm_model_layer(const vlm_model_t *model, void *(*make)(int64_t),
                              void (*destroy)(void *));
/// The SHA-256 digest, 32 bytes.
VLM_API void vlm_sha256(const void *data, size_t bytes, uint8_t *digest);
}

#endif // VLMC_RUNTIME_CORE_LAYERINTERNAL_H
