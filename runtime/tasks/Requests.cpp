//===- Requests.cpp - What the tasks share --------------------------------===//

#include "runtime/tasks/Requests.h"

#include "runtime/core/StatusInternal.h"

#include <cstring>

namespace vlmc::rt {

vlm_status_t *invalid(const std::string &what) {
  return makeStatus(VLM_INVALID_ARGUMENT, what);
}

/// The table of an entry point at the instruction-set level in use.
static const vlm_abi_entry *tableOf(const vlm_model_t *model,
                                    const char *name) {
  const vlm_abi_model *abi = vlm_model_abi(model);
  for (uint32_t l = 0; l < abi->n_levels; ++l) {
    const vlm_abi_level &level = abi->levels[l];
    if (std::strcmp(level.isa, vlm_model_isa(model)) != 0)
      continue;
    for (uint32_t e = 0; e < level.n_entries; ++e)
      if (std::strcmp(level.entries[e].name, name) == 0)
        return &level.entries[e];
  }
  return nullptr;
}

vlm_status_t *Encoder::find(const vlm_model_t *model, const char *entryName,
                            const char *task) {
  modelName = vlm_model_abi(model)->name;
  abi = tableOf(model, entryName);
  if (!abi)
    return makeStatus(VLM_UNSUPPORTED, "model '" + modelName + "' cannot " +
                                           task + ": it has no entry point '" +
                                           entryName + "'");
  return vlm_model_entry(model, entryName, &entry);
}

bool Encoder::hasInput(const char *name) const {
  for (uint32_t i = 0; i < abi->n_inputs; ++i)
    if (std::strcmp(abi->inputs[i].name, name) == 0)
      return true;
  return false;
}

int64_t Encoder::inputMax(const char *name) const {
  for (uint32_t i = 0; i < abi->n_inputs; ++i)
    if (std::strcmp(abi->inputs[i].name, name) == 0)
      return abi->inputs[i].has_range ? abi->inputs[i].max : 0;
  return 0;
}

vlm_status_t *Encoder::sizeOf(const char *kind, const vlm_abi_tensor *tensors,
                              uint32_t n, const char *name, uint32_t axis,
                              SizeRange &out) const {
  for (uint32_t i = 0; i < n; ++i) {
    const vlm_abi_tensor &tensor = tensors[i];
    if (std::strcmp(tensor.name, name) != 0 || axis >= tensor.rank)
      continue;
    if (int32_t symbol = tensor.symbols[axis]; symbol >= 0)
      out = {abi->symbols[symbol].min, abi->symbols[symbol].max};
    else
      out = {tensor.dims[axis], tensor.dims[axis]};
    return nullptr;
  }
  return makeStatus(VLM_INCOMPATIBLE,
                    "model '" + modelName + "', entry point '" + abi->name +
                        "': expected an " + kind + " '" + name +
                        "' of rank at least " + std::to_string(axis + 1) +
                        ", found none");
}

vlm_status_t *Encoder::inputSize(const char *name, uint32_t axis,
                                 SizeRange &out) const {
  return sizeOf("input", abi->inputs, abi->n_inputs, name, axis, out);
}

vlm_status_t *Encoder::outputSize(const char *name, uint32_t axis,
                                  SizeRange &out) const {
  return sizeOf("output", abi->outputs, abi->n_outputs, name, axis, out);
}

vlm_tensor_t denseTensor(const char *name, vlm_dtype_t dtype, void *data,
                         int rank, const int64_t *dims) {
  vlm_tensor_t tensor{};
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.rank = rank;
  tensor.data = data;
  tensor.bytes = dtype == VLM_I64 ? 8 : 4;
  for (int i = 0; i < rank; ++i) {
    tensor.dims[i] = dims[i];
    tensor.bytes *= size_t(dims[i]);
  }
  return tensor;
}

vlm_status_t *firstFailure(std::span<vlm_status_t *const> statuses) {
  vlm_status_t *failure = nullptr;
  for (vlm_status_t *status : statuses) {
    if (failure)
      vlm_status_destroy(status);
    else
      failure = status;
  }
  return failure;
}

} // namespace vlmc::rt
