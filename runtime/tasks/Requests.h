//===- Requests.h - What the tasks share ----------------------------------===//
//
// Looks up the entry points that a task is made of, and calls them in pieces
// that the compiled model takes.
//
//   Encoder encoder;
//   if (auto *status = encoder.find(model, "encode_image", "embed pictures"))
//     return status;
//   SizeRange rows; encoder.inputSize("pixel_values", 0, rows)
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_REQUESTS_H
#define VLMC_RUNTIME_TASKS_REQUESTS_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vlmc::rt {

/// Pictures or texts that go through the model at once, at most: more would
/// need more memory and gain no speed.
inline constexpr int64_t kMaxBatch = 32;

/// A size that an entry point takes: constant where min equals max.
struct SizeRange {
  int64_t min = 0, max = 0;
};

/// An entry point and what its table says of its tensors.
class Encoder {
public:
  /// `task` says in messages what the entry point is for.
  vlm_status_t *find(const vlm_model_t *model, const char *entryName,
                     const char *task);
  bool hasInput(const char *name) const;
  /// The largest value that an input of integers takes; 0: there is none.
  int64_t inputMax(const char *name) const;
  /// Size `axis` of an input. Errors: VLM_INCOMPATIBLE if there is none.
  vlm_status_t *inputSize(const char *name, uint32_t axis,
                          SizeRange &out) const;
  /// Size `axis` of an output.
  vlm_status_t *outputSize(const char *name, uint32_t axis,
                           SizeRange &out) const;

  const vlm_entry_t *entry = nullptr;

private:
  vlm_status_t *sizeOf(const char *kind, const vlm_abi_tensor *tensors,
                       uint32_t n, const char *name, uint32_t axis,
                       SizeRange &out) const;

  const vlm_abi_entry *abi = nullptr;
  std::string modelName;
};

/// A dense tensor of `rank` sizes over memory of the caller.
vlm_tensor_t denseTensor(const char *name, vlm_dtype_t dtype, void *data,
                         int rank, const int64_t *dims);

vlm_status_t *invalid(const std::string &what);

/// What is told of work done side by side: the first failure in the order of
/// the work, whichever thread met it, or null. The others are destroyed.
vlm_status_t *firstFailure(std::span<vlm_status_t *const> statuses);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_REQUESTS_H
