//===- PoolInternal.h - How the runtime's libraries share threads ---------===//
//
// What libvlm_image, libvlm_text and libvlm_tasks use to spread work over a
// model's pool. Not installed. A call inside another one, or while another
// request has the pool, runs on the calling thread alone: never deadlocks,
// same results.
//
//   vlmc::rt::parallelFor(vlm_model_pool(model), rows, [&](int64_t row) {
//     ...must not throw...
//   });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_POOLINTERNAL_H
#define VLMC_RUNTIME_CORE_POOLINTERNAL_H

#include "runtime/vlm.h"

#include <cstdint>
#include <type_traits>

extern "C" {
/// Calls body(context, i) once for each i in [0, count), in any order on any of
/// the pool's threads, and returns when all are done.
VLM_API void vlm_pool_for(vlm_pool_t *pool, int64_t count,
                          void (*body)(void *context, int64_t index),
                          void *context);
}

namespace vlmc::rt {

/// vlm_pool_for with a callable; it must not throw.
template <typename Body>
void parallelFor(vlm_pool_t *pool, int64_t count, Body &&body) {
  vlm_pool_for(
      pool, count,
      [](void *context, int64_t index) {
        (*static_cast<std::remove_reference_t<Body> *>(context))(index);
      },
      const_cast<void *>(static_cast<const void *>(&body)));
}

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_POOLINTERNAL_H
