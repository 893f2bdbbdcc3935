//===- Entry.cpp - Entry points: describe them, run them ------------------===//

#include "runtime/core/Binding.h"
#include "runtime/core/Cache.h"
#include "runtime/core/Executor.h"
#include "runtime/core/Model.h"
#include "runtime/core/Profile.h"
#include "runtime/core/Size.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/cuda/GpuModel.h"

#include <algorithm>
#include <cstring>

namespace vlmc::rt {
namespace {

/// Lays the parts of a run's memory one behind the other. With no memory yet
/// (base NULL) it only counts.
class Layout {
public:
  explicit Layout(std::byte *base) : base(base) {}

  /// The next `bytes` bytes; false if too many to count.
  bool add(int64_t bytes, void *&out) {
    out = reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(base) +
                                   uintptr_t(size));
    return !__builtin_add_overflow(size, bytes, &size) &&
           !__builtin_add_overflow(size, VLM_ABI_ALIGNMENT - 1, &size) &&
           (size = size / VLM_ABI_ALIGNMENT * VLM_ABI_ALIGNMENT, true);
  }
  int64_t bytes() const { return size; }

private:
  std::byte *base;
  int64_t size = 0;
};

/// One request to an entry point, from its tensors to its results.
class Request {
public:
  Request(const vlm_entry_t &entry, Workspace &workspace)
      : binding(entry, workspace), entry(entry), abi(*entry.abi),
        workspace(workspace) {}

  /// Counts the memory for `threads` threads.
  vlm_status_t *count(int threads, int64_t &outBytes) {
    if (!layOut(nullptr, threads, outBytes))
      return binding.tooLarge();
    return nullptr;
  }
  /// `outProfile` may be NULL.
  vlm_status_t *run(std::unique_ptr<vlm_profile_t> *outProfile = nullptr);

  Binding binding;

private:
  /// The kernels read the caller's own memory unless the input was left out,
  /// is narrower than they expect or has tokens that are cut off.
  bool readInPlace(uint32_t input) const {
    const vlm_tensor_t *given = workspace.givenInputs[input];
    return given && given->dtype == abi.inputs[input].dtype &&
           !binding.isTrimmed(abi.inputs[input]);
  }
  bool layOut(std::byte *base, int threads, int64_t &outBytes);
  bool isOnGpu() const { return entry.model->gpu != nullptr; }
  vlm_status_t *runOnGpu();
  void copyInput(uint32_t input);
  void fillInputs();
  void describeOutputs();

  const vlm_entry_t &entry;
  const vlm_abi_entry &abi;
  Workspace &workspace;
  void *perThread = nullptr;
  int64_t perThreadBytes = 0;
};

bool Request::layOut(std::byte *base, int threads, int64_t &outBytes) {
  Layout layout(base);
  const int64_t *symbols = binding.symbols.data();
  int64_t bytes;
  workspace.slots.resize(abi.n_slots);
  workspace.inputs.resize(abi.n_inputs);
  workspace.outputs.resize(abi.n_outputs);
  // A GPU has its own memory for these.
  for (uint32_t i = 0; i < abi.n_slots && !isOnGpu(); ++i)
    if (!evaluate(abi.slots[i], symbols, bytes) ||
        !layout.add(bytes, workspace.slots[i]))
      return false;
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    if (readInPlace(i))
      workspace.inputs[i] = workspace.givenInputs[i]->data;
    else if (!binding.bytes(abi.inputs[i], bytes) ||
             !layout.add(bytes, workspace.inputs[i]))
      return false;
  }
  for (uint32_t i = 0; i < abi.n_outputs; ++i) {
    if (vlm_tensor_t *given = workspace.givenOutputs[i])
      workspace.outputs[i] = given->data;
    else if (!binding.bytes(abi.outputs[i], bytes) ||
             !layout.add(bytes, workspace.outputs[i]))
      return false;
  }
  if (isOnGpu()) {
    outBytes = layout.bytes();
    return true;
  }
  if (!threadBytes(entry, symbols, perThreadBytes) ||
      __builtin_mul_overflow(perThreadBytes, int64_t(threads), &bytes) ||
      !layout.add(bytes, perThread))
    return false;
  outBytes = layout.bytes();
  return true;
}

/// Copies the first `columns` numbers of each row of `stride`.
template <typename To, typename From>
void copyRows(void *to, const void *from, int64_t rows, int64_t columns,
              int64_t stride) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      From value;
      std::memcpy(&value,
                  static_cast<const From *>(from) + row * stride + column,
                  sizeof value);
      static_cast<To *>(to)[row * columns + column] = value;
    }
}

/// Writes an input that the caller gave in a narrower type or with more tokens.
void Request::copyInput(uint32_t input) {
  const vlm_abi_tensor &expected = abi.inputs[input];
  const vlm_tensor_t &given = *workspace.givenInputs[input];
  int64_t columns = 0, rows = 1, stride;
  binding.elements(expected, columns);
  stride = columns;
  if (binding.isTrimmed(expected)) {
    // All that a token has lies together.
    rows = given.dims[0];
    columns = rows ? columns / rows : 0;
    stride = given.dims[1];
    for (uint32_t axis = 2; axis < expected.rank; ++axis)
      stride *= binding.dim(expected, axis);
  }
  auto copy = given.dtype == VLM_I64          ? copyRows<int64_t, int64_t>
              : expected.dtype == VLM_ABI_I64 ? copyRows<int64_t, int32_t>
                                              : copyRows<int32_t, int32_t>;
  if (given.dtype == VLM_U8)
    copy = copyRows<uint8_t, uint8_t>;
  copy(workspace.inputs[input], given.data, rows, columns, stride);
}

/// Writes the inputs that the kernels do not read in place.
void Request::fillInputs() {
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    const vlm_abi_tensor &input = abi.inputs[i];
    const vlm_tensor_t *given = workspace.givenInputs[i];
    if (readInPlace(i))
      continue;
    void *memory = workspace.inputs[i];
    int64_t count = 0;
    binding.elements(input, count);
    if (given)
      copyInput(i);
    else if (input.dtype == VLM_ABI_I64)
      std::fill_n(static_cast<int64_t *>(memory), count, input.fill);
    else if (input.dtype == VLM_ABI_I32)
      std::fill_n(static_cast<int32_t *>(memory), count, int32_t(input.fill));
    else
      std::memset(memory, int(input.fill), size_t(count));
  }
}

void Request::describeOutputs() {
  for (uint32_t i = 0; i < abi.n_outputs; ++i)
    if (vlm_tensor_t *given = workspace.givenOutputs[i])
      binding.describe(abi.outputs[i], *given);
}

/// The same on the model's device, whose memory the host's is copied to.
vlm_status_t *Request::runOnGpu() {
  std::vector<cuda::HostMemory> inputs, outputs;
  int64_t bytes = 0;
  for (uint32_t i = 0; i < abi.n_inputs; ++i) {
    if (abi.inputs[i].dtype == VLM_ABI_CACHE) {
      auto *cache = static_cast<vlm_cache_t *>(workspace.inputs[i]);
      inputs.push_back({nullptr, cache->describedBytes(), cache});
      continue;
    }
    binding.bytes(abi.inputs[i], bytes);
    inputs.push_back({workspace.inputs[i], size_t(bytes), nullptr});
  }
  for (uint32_t i = 0; i < abi.n_outputs; ++i) {
    binding.bytes(abi.outputs[i], bytes);
    outputs.push_back({workspace.outputs[i], size_t(bytes), nullptr});
  }
  if (vlm_status_t *status = entry.model->gpu->run(
          abi, binding.symbols.data(), inputs, outputs))
    return status;
  describeOutputs();
  return nullptr;
}

vlm_status_t *Request::run(std::unique_ptr<vlm_profile_t> *outProfile) {
  if (isOnGpu() && outProfile)
    return makeStatus(VLM_UNSUPPORTED,
                      std::string("entry point '") + abi.name +
                          "': steps on a GPU are not timed; load the model "
                          "with the isa of a CPU");
  PoolLease lease(entry.model->pool);
  int64_t bytes;
  if (vlm_status_t *status = count(lease.threads(), bytes))
    return status;
  if (!workspace.reserve(size_t(bytes)))
    return makeStatus(VLM_OUT_OF_MEMORY,
                      std::string("entry point '") + abi.name +
                          "': not enough memory for " + std::to_string(bytes) +
                          " bytes of working memory; send less at once");
  layOut(workspace.block(), lease.threads(), bytes);
  fillInputs();
  if (isOnGpu())
    return runOnGpu();
  std::unique_ptr<vlm_profile_t> profile;
  if (outProfile)
    profile = std::make_unique<vlm_profile_t>(entry, lease.threads());
  Run run(entry, binding.symbols.data(), workspace,
          static_cast<std::byte *>(perThread), perThreadBytes, lease.threads(),
          profile.get());
  if (!run.run(lease))
    return binding.tooLarge();
  if (profile) {
    profile->merge();
    profile->symbols = binding.symbols;
    *outProfile = std::move(profile);
  }
  describeOutputs();
  return nullptr;
}

void describeStatic(const vlm_abi_tensor &tensor, vlm_tensor_t &out) {
  out = vlm_tensor_t{};
  out.name = tensor.name;
  out.dtype = static_cast<vlm_dtype_t>(tensor.dtype);
  out.rank = int(tensor.rank);
  for (uint32_t i = 0; i < tensor.rank; ++i)
    out.dims[i] = tensor.symbols[i] < 0 ? tensor.dims[i] : -1;
}

vlm_status_t *describeAt(const char *kind, const vlm_abi_tensor *tensors,
                         uint32_t n, size_t index, const char *entry,
                         vlm_tensor_t *out) {
  return guarded("describing a tensor", [&]() -> vlm_status_t * {
    if (index >= n)
      return makeStatus(VLM_INVALID_ARGUMENT,
                        std::string("entry point '") + entry + "': " + kind +
                            " index must be below " + std::to_string(n) +
                            ", found " + std::to_string(index));
    describeStatic(tensors[index], *out);
    return nullptr;
  });
}

} // namespace
} // namespace vlmc::rt

using namespace vlmc::rt;

const char *vlm_entry_name(const vlm_entry_t *entry) {
  return entry->abi->name;
}

size_t vlm_entry_input_count(const vlm_entry_t *entry) {
  return entry->abi->n_inputs;
}

size_t vlm_entry_output_count(const vlm_entry_t *entry) {
  return entry->abi->n_outputs;
}

vlm_status_t *vlm_entry_input(const vlm_entry_t *entry, size_t index,
                              vlm_tensor_t *out_tensor) {
  const vlm_abi_entry &abi = *entry->abi;
  return describeAt("input", abi.inputs, abi.n_inputs, index, abi.name,
                    out_tensor);
}

vlm_status_t *vlm_entry_output(const vlm_entry_t *entry, size_t index,
                               vlm_tensor_t *out_tensor) {
  const vlm_abi_entry &abi = *entry->abi;
  return describeAt("output", abi.outputs, abi.n_outputs, index, abi.name,
                    out_tensor);
}

vlm_status_t *vlm_entry_output_shapes(const vlm_entry_t *entry,
                                      const vlm_tensor_t *inputs,
                                      size_t inputCount,
                                      vlm_tensor_t *outputs) {
  return guarded("output shapes", [&]() -> vlm_status_t * {
    Workspace workspace;
    Binding binding(*entry, workspace);
    if (vlm_status_t *status =
            binding.bindInputs(inputs, inputCount, Data::Ignored))
      return status;
    int64_t bytes;
    for (uint32_t i = 0; i < entry->abi->n_outputs; ++i)
      if (!binding.bytes(entry->abi->outputs[i], bytes))
        return binding.tooLarge();
    for (uint32_t i = 0; i < entry->abi->n_outputs; ++i) {
      binding.describe(entry->abi->outputs[i], outputs[i]);
      binding.bytes(entry->abi->outputs[i], bytes);
      outputs[i].bytes = size_t(bytes);
    }
    return nullptr;
  });
}

vlm_status_t *vlm_entry_memory(const vlm_entry_t *entry,
                               const vlm_tensor_t *inputs, size_t inputCount,
                               int threads, size_t *out_bytes) {
  return guarded("working memory", [&]() -> vlm_status_t * {
    Workspace workspace;
    Request request(*entry, workspace);
    if (threads < 0 || threads > 1024)
      return request.binding.fail("expected 0 to 1024 threads, found " +
                                  std::to_string(threads));
    if (vlm_status_t *status =
            request.binding.bindInputs(inputs, inputCount, Data::Ignored))
      return status;
    vlm_tensor_t byCaller{}; // stands for memory that the caller gives
    workspace.givenOutputs.assign(entry->abi->n_outputs, &byCaller);
    int64_t bytes;
    if (vlm_status_t *status = request.count(
            threads ? threads : vlm_pool_threads(entry->model->pool), bytes))
      return status;
    *out_bytes = Workspace::rounded(size_t(bytes));
    return nullptr;
  });
}

/// Runs an entry point; `outProfile` may be NULL.
static vlm_status_t *runEntry(const vlm_entry_t *entry,
                              const vlm_tensor_t *inputs, size_t inputCount,
                              vlm_tensor_t *outputs, size_t outputCount,
                              vlm_profile_t **outProfile) {
  return guarded("running an entry point", [&]() -> vlm_status_t * {
    WorkspaceLease workspace(entry->model->workspaces);
    Request request(*entry, *workspace);
    if (vlm_status_t *status =
            request.binding.bindInputs(inputs, inputCount, Data::Needed))
      return status;
    if (vlm_status_t *status =
            request.binding.bindOutputs(outputs, outputCount))
      return status;
    request.binding.trimTokens();
    if (!outProfile)
      return request.run();
    std::unique_ptr<vlm_profile_t> profile;
    if (vlm_status_t *status = request.run(&profile))
      return status;
    *outProfile = profile.release();
    return nullptr;
  });
}

vlm_status_t *vlm_entry_run(const vlm_entry_t *entry,
                            const vlm_tensor_t *inputs, size_t inputCount,
                            vlm_tensor_t *outputs, size_t outputCount) {
  return runEntry(entry, inputs, inputCount, outputs, outputCount, nullptr);
}

vlm_status_t *vlm_entry_profile(const vlm_entry_t *entry,
                                const vlm_tensor_t *inputs, size_t inputCount,
                                vlm_tensor_t *outputs, size_t outputCount,
                                vlm_profile_t **outProfile) {
  return runEntry(entry, inputs, inputCount, outputs, outputCount, outProfile);
}
