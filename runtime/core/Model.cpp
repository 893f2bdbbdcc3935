//===- Model.cpp - A loaded model: its tables and what it tells -----------===//

#include "runtime/core/Model.h"

#include "runtime/core/Binding.h"
#include "runtime/core/Cpu.h"
#include "runtime/core/Executor.h"
#include "runtime/core/LayerInternal.h"
#include "runtime/core/Sha256.h"
#include "runtime/core/StatusInternal.h"
#include "runtime/cuda/GpuModel.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>

using namespace vlmc::rt;

vlm_model_t::vlm_model_t() = default;

vlm_model_t::~vlm_model_t() {
  gpu.reset(); // its code and names are the library's
  if (library)
    dlclose(library);
}

namespace vlmc::rt {
namespace {

/// Checks that an entry's tables hang together, so that running it can trust
/// them. Returns "" or what is wrong.
class EntryCheck {
public:
  EntryCheck(const vlm_abi_model &model, const vlm_abi_level &level,
             vlm_entry_t &entry)
      : model(model), level(level), abi(*entry.abi), entry(entry) {}

  std::string check() {
    if (abi.n_symbols > VLM_ABI_MAX_SYMBOLS)
      return "too many symbols";
    for (uint32_t i = 0; i < abi.n_inputs; ++i)
      if (!checkTensor(abi.inputs[i]))
        return std::string("input '") + abi.inputs[i].name + "'";
    for (uint32_t i = 0; i < abi.n_outputs; ++i)
      if (!checkTensor(abi.outputs[i]) || !isKnown(abi.outputs[i]))
        return std::string("output '") + abi.outputs[i].name + "'";
    uint64_t phases = 0;
    for (uint32_t i = 0; i < abi.n_steps; ++i) {
      if (!checkStep(abi.steps[i]))
        return "step " + std::to_string(i) + " ('" + abi.steps[i].label + "')";
      phases += level.kernels[abi.steps[i].kernel].n_phases;
    }
    if (phases > kMaxPhases)
      return "too many phases";
    entry.phases = uint32_t(phases);
    return "";
  }

private:
  bool checkTensor(const vlm_abi_tensor &tensor) const {
    bool isCache = tensor.dtype == VLM_ABI_CACHE && tensor.rank == 4;
    if (tensor.rank > VLM_ABI_MAX_RANK ||
        (!isCache && !elementBytes(tensor.dtype)))
      return false;
    if (tensor.below > abi.n_symbols || (tensor.below && !tensor.has_range))
      return false;
    bool isInteger = tensor.dtype == VLM_ABI_I64 ||
                     tensor.dtype == VLM_ABI_I32 || tensor.dtype == VLM_ABI_U8;
    if ((tensor.optional || tensor.has_range) && !isInteger)
      return false;
    for (uint32_t i = 0; i < tensor.rank; ++i)
      if (tensor.symbols[i] >= int32_t(abi.n_symbols))
        return false;
    return true;
  }
  /// Whether the inputs tell all of an output's sizes.
  bool isKnown(const vlm_abi_tensor &output) const {
    for (uint32_t axis = 0; axis < output.rank; ++axis) {
      int32_t symbol = output.symbols[axis];
      bool found = symbol < 0;
      for (uint32_t i = 0; i < abi.n_inputs && !found; ++i)
        for (uint32_t j = 0; j < abi.inputs[i].rank; ++j)
          found |= abi.inputs[i].symbols[j] == symbol;
      if (!found)
        return false;
    }
    return true;
  }
  bool checkStep(const vlm_abi_step &step) {
    if (step.kernel >= level.n_kernels)
      return false;
    const vlm_abi_kernel &kernel = level.kernels[step.kernel];
    entry.maxBuffers = std::max(entry.maxBuffers, kernel.n_buffers);
    entry.maxDims = std::max(entry.maxDims, kernel.n_dims);
    for (uint32_t i = 0; i < kernel.n_buffers; ++i)
      if (!checkBuffer(step.buffers[i]))
        return false;
    return true;
  }
  bool checkBuffer(const vlm_abi_buffer &buffer) const {
    switch (buffer.kind) {
    case VLM_ABI_INPUT:
      return buffer.index < abi.n_inputs;
    case VLM_ABI_OUTPUT:
      return buffer.index < abi.n_outputs;
    case VLM_ABI_SLOT:
      return buffer.index < abi.n_slots;
    case VLM_ABI_WEIGHT:
      return buffer.offset <= model.weights_bytes;
    case VLM_ABI_CACHE_LAYER:
      return buffer.index < abi.n_inputs &&
             abi.inputs[buffer.index].dtype == VLM_ABI_CACHE &&
             buffer.offset < uint64_t(abi.inputs[buffer.index].dims[0]);
    default:
      return false;
    }
  }

  const vlm_abi_model &model;
  const vlm_abi_level &level;
  const vlm_abi_entry &abi;
  vlm_entry_t &entry;
};

} // namespace

/// The version and the size come first: nothing else may be read before they
/// are known to be right.
static vlm_status_t *checkVersion(const vlm_abi_model &abi,
                                  const std::string &where) {
  if (abi.abi_version != VLM_ABI_VERSION)
    return makeStatus(VLM_INCOMPATIBLE,
                      where + "expected binary interface version " +
                          std::to_string(VLM_ABI_VERSION) + ", found " +
                          std::to_string(abi.abi_version) +
                          "; compile the model with the vlmc of this runtime");
  if (abi.struct_bytes != sizeof(vlm_abi_model))
    return makeStatus(VLM_INCOMPATIBLE,
                      where + "expected a model table of " +
                          std::to_string(sizeof(vlm_abi_model)) +
                          " bytes, found " + std::to_string(abi.struct_bytes) +
                          "; compile the model with the vlmc of this runtime");
  return nullptr;
}

/// Takes the best level of a GPU that is here, or that one; `whyNot` tells why
/// none was taken and is "" where the model has none.
static void chooseGpu(vlm_model_t &model, const vlm_abi_model &abi,
                      const vlm_load_options_t *options, std::string &whyNot) {
  const char *wanted = options ? options->isa : nullptr;
  for (uint32_t i = 0; i < abi.n_levels; ++i) {
    const vlm_abi_level &level = abi.levels[i];
    if (!level.device || (wanted && std::strcmp(wanted, level.isa) != 0))
      continue;
    if (!model.device)
      model.device =
          cuda::Device::open(options ? options->cuda_driver : nullptr, whyNot);
    if (!model.device)
      return;
    whyNot = model.device->whyNot(level);
    if (whyNot.empty()) {
      model.level = &level;
      model.deviceText = model.device->name();
      return;
    }
  }
  model.device.reset();
}

/// The CPU's level that is asked for, or the first, and so the best, that runs
/// here.
static vlm_status_t *chooseCpu(vlm_model_t &model, const vlm_abi_model &abi,
                               const char *wanted, const std::string &where) {
  std::string found, tried;
  for (uint32_t i = 0; i < abi.n_levels && !model.level; ++i) {
    std::string isa = abi.levels[i].isa;
    found.append(i ? ", " : "").append(isa);
    if (abi.levels[i].device || (wanted && isa != wanted))
      continue;
    tried.append(tried.empty() ? "" : ", ").append(isa);
    if (supportsIsa(isa))
      model.level = &abi.levels[i];
  }
  if (model.level)
    return nullptr;
  if (tried.empty())
    return makeStatus(VLM_NOT_FOUND,
                      where + "expected code for '" +
                          (wanted ? wanted : "CPU") +
                          "', as the load options ask, found " + found +
                          "; ask for one of them, or compile with that "
                          "--target");
  return makeStatus(VLM_INCOMPATIBLE,
                    where + "compiled for " + tried +
                        ", which this machine's CPU or operating system does "
                        "not support; compile with a --target that it does");
}

/// A GPU's level, or else a CPU's.
static vlm_status_t *chooseLevel(vlm_model_t &model, const vlm_abi_model &abi,
                                 const vlm_load_options_t *options,
                                 const std::string &where) {
  const char *wanted = options ? options->isa : nullptr;
  std::string whyNot;
  chooseGpu(model, abi, options, whyNot);
  if (model.level)
    return nullptr;
  if (wanted && !whyNot.empty())
    return makeStatus(VLM_INCOMPATIBLE,
                      where + "cannot run the code for '" + wanted +
                          "', as the load options ask: " + whyNot);
  model.deviceText = whyNot.empty() ? "CPU" : "CPU, since " + whyNot;
  return chooseCpu(model, abi, wanted, where);
}

/// Fills the entries with those of the level.
static vlm_status_t *adoptEntries(vlm_model_t &model, const vlm_abi_model &abi,
                                  const std::string &where) {
  model.entries.assign(model.level->n_entries, {});
  for (uint32_t i = 0; i < model.level->n_entries; ++i) {
    vlm_entry_t &entry = model.entries[i];
    entry = {&model, &model.level->entries[i], model.level, 0, 0, 0};
    std::string wrong = EntryCheck(abi, *model.level, entry).check();
    if (!wrong.empty())
      return makeStatus(VLM_INCOMPATIBLE,
                        std::string(where)
                            .append("entry point '")
                            .append(entry.abi->name)
                            .append("' has invalid tables at ")
                            .append(wrong)
                            .append("; compile the model again"));
  }
  return nullptr;
}

vlm_status_t *adoptTables(vlm_model_t &model, const vlm_abi_model *abi,
                          const vlm_load_options_t *options,
                          const std::string &where) {
  if (vlm_status_t *status = checkVersion(*abi, where))
    return status;
  if (vlm_status_t *status = chooseLevel(model, *abi, options, where))
    return status;
  model.abi = abi;
  return adoptEntries(model, *abi, where);
}

/// Takes the CPU where the GPU has failed with that status, which is told if
/// there is no code for the CPU either.
static vlm_status_t *fallBack(vlm_model_t &model, const std::string &where,
                              vlm_status_t *failed) {
  std::string why = vlm_status_message(failed);
  model.device.reset();
  model.level = nullptr;
  if (vlm_status_t *status = chooseCpu(model, *model.abi, nullptr, where)) {
    vlm_status_destroy(status);
    return failed;
  }
  vlm_status_destroy(failed);
  model.deviceText = "CPU, since " + why;
  return adoptEntries(model, *model.abi, where);
}

vlm_status_t *openWeights(vlm_model_t &model, const std::string &path,
                          const vlm_load_options_t *options,
                          const std::string &where) {
  if (vlm_status_t *status = model.weights.open(path, *model.abi))
    return status;
  if (!model.device)
    return nullptr;
  vlm_status_t *status =
      cuda::GpuModel::load(model.device, *model.level, model.weights.data(),
                           model.weights.bytes(), model.gpu);
  // What is wrong with the file is as wrong for a CPU.
  if (!status || (options && options->isa) ||
      vlm_status_code(status) == VLM_CORRUPT)
    return status;
  return fallBack(model, where, status);
}

} // namespace vlmc::rt

//===----------------------------------------------------------------------===//
// The C API
//===----------------------------------------------------------------------===//

void vlm_model_destroy(vlm_model_t *model) { delete model; }

const vlm_abi_model *vlm_model_abi(const vlm_model_t *model) {
  return model->abi;
}

const void *vlm_model_weights(const vlm_model_t *model, size_t *out_bytes) {
  if (out_bytes)
    *out_bytes = model->weights.bytes();
  return model->weights.data();
}

vlm_pool_t *vlm_model_pool(const vlm_model_t *model) { return model->pool; }

vlm_image_backend_t vlm_model_image_backend(const vlm_model_t *model) {
  return model->imageBackend;
}

const char *vlm_model_isa(const vlm_model_t *model) {
  return model->level->isa;
}

const char *vlm_model_device(const vlm_model_t *model) {
  return model->deviceText.c_str();
}

vlm_status_t *vlm_model_verify(const vlm_model_t *model) {
  return guarded("verifying the weights",
                 [&] { return model->weights.verify(model->pool); });
}

void *vlm_model_layer(const vlm_model_t *model, void *(*make)(int64_t),
                      void (*destroy)(void *)) {
  return model->layer->get(make, destroy, model->pictureCacheBytes);
}

void vlm_sha256(const void *data, size_t bytes, uint8_t *digest) {
  Digest made = sha256(data, bytes);
  std::ranges::copy(made, digest);
}

size_t vlm_model_entry_count(const vlm_model_t *model) {
  return model->entries.size();
}

const vlm_entry_t *vlm_model_entry_at(const vlm_model_t *model, size_t index) {
  return index < model->entries.size() ? &model->entries[index] : nullptr;
}

vlm_status_t *vlm_model_entry(const vlm_model_t *model, const char *name,
                              const vlm_entry_t **out_entry) {
  return guarded("looking up an entry point", [&]() -> vlm_status_t * {
    std::string names;
    for (const vlm_entry_t &entry : model->entries) {
      if (name && std::strcmp(entry.abi->name, name) == 0) {
        *out_entry = &entry;
        return nullptr;
      }
      names.append(names.empty() ? "'" : ", '").append(entry.abi->name) += '\'';
    }
    return makeStatus(VLM_NOT_FOUND, std::string("model '") + model->abi->name +
                                         "': no entry point '" +
                                         (name ? name : "") + "'; there are " +
                                         names);
  });
}
