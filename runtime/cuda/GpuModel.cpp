//===- GpuModel.cpp - A model on a GPU ------------------------------------===//

#include "runtime/cuda/GpuModel.h"

#include "runtime/core/Cache.h"
#include "runtime/core/SafetensorsHeader.h"
#include "runtime/core/Size.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <climits>
#include <list>

namespace vlmc::rt::cuda {

/// What the driver aligns memory to, and buffers within it.
static constexpr size_t kAlignment = 256;

/// False if too large to count.
static bool addAligned(size_t &total, size_t bytes) {
  return !__builtin_add_overflow(total, bytes, &total) &&
         !__builtin_add_overflow(total, kAlignment - 1, &total) &&
         (total = total / kAlignment * kAlignment, true);
}

GpuModel::~GpuModel() {
  ContextScope scope(*device);
  const Functions &api = device->api();
  if (stream)
    api.streamDestroy(stream);
  for (Pointer block : {arena, weightsBlock})
    if (block)
      api.free(block);
  if (module)
    api.moduleUnload(module);
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

/// The first code that the device takes.
vlm_status_t *GpuModel::loadCode(const vlm_abi_level &from) {
  const Functions &api = device->api();
  std::string what = std::string("loading the code for ") + from.isa;
  Result result = success;
  for (uint32_t i = 0; i < from.device->n_codes; ++i) {
    const vlm_abi_code &code = from.device->codes[i];
    bool isBitcode = code.kind == VLM_ABI_CODE_BITCODE;
    if (isBitcode != device->isEmulated())
      continue;
    result = isBitcode ? api.emulatedLoad(&module, code.data, code.bytes)
                       : api.moduleLoad(&module, code.data);
    if (result == success)
      return nullptr;
    // A cubin is for one generation of chips; the text behind it is for all.
    module = nullptr;
  }
  return device->check(result, what);
}

vlm_status_t *GpuModel::findFunctions(const vlm_abi_level &from) {
  const Functions &api = device->api();
  for (uint32_t e = 0; e < from.n_entries; ++e)
    for (uint32_t s = 0; s < from.entries[e].n_steps; ++s) {
      const vlm_abi_step &step = from.entries[e].steps[s];
      for (uint32_t i = 0; i < step.n_launches; ++i) {
        const vlm_abi_launch &launch = step.launches[i];
        auto [it, isNew] = functions.try_emplace(launch.function, nullptr);
        if (!isNew)
          continue;
        std::string what =
            std::string("looking up the function ") + launch.function;
        if (vlm_status_t *status = device->check(
                api.moduleFunction(&it->second, module, launch.function), what))
          return status;
        if (launch.shared_bytes <= uint32_t(sharedBytesUnasked))
          continue;
        what = "asking for " + std::to_string(launch.shared_bytes) +
               " bytes of shared memory for " + launch.function;
        if (vlm_status_t *status =
                device->check(api.functionSet(it->second, dynamicSharedBytes,
                                              int(launch.shared_bytes)),
                              what))
          return status;
      }
    }
  return nullptr;
}

/// Uploads what steps name, in the order in which they do.
vlm_status_t *GpuModel::uploadWeights(const vlm_abi_level &from,
                                      const unsigned char *weights,
                                      size_t bytes) {
  SafetensorsHeader header;
  std::string wrong = readSafetensorsHeader(weights, bytes, header);
  if (!wrong.empty())
    return makeStatus(VLM_CORRUPT, "weights file: " + wrong);
  std::map<uint64_t, uint64_t> lengths;
  for (const SafetensorsHeader::Tensor &tensor : header.tensors)
    if (tensor.bytes)
      lengths[tensor.offset] = tensor.bytes;
  std::vector<uint64_t> order;
  size_t total = 0;
  for (uint32_t e = 0; e < from.n_entries; ++e)
    for (uint32_t s = 0; s < from.entries[e].n_steps; ++s) {
      const vlm_abi_step &step = from.entries[e].steps[s];
      for (uint32_t i = 0; i < from.kernels[step.kernel].n_buffers; ++i) {
        const vlm_abi_buffer &buffer = step.buffers[i];
        if (buffer.kind != VLM_ABI_WEIGHT ||
            !weightsAt.try_emplace(buffer.offset, total).second)
          continue;
        auto found = lengths.find(buffer.offset);
        if (found == lengths.end() || !addAligned(total, found->second))
          return makeStatus(VLM_CORRUPT,
                            "weights file: expected a tensor at byte " +
                                std::to_string(buffer.offset) +
                                ", found none; compile the model again");
        order.push_back(buffer.offset);
      }
    }
  const Functions &api = device->api();
  if (vlm_status_t *status = device->check(
          api.allocate(&weightsBlock, std::max<size_t>(total, kAlignment)),
          "making room for " + std::to_string(total) + " bytes of weights"))
    return status;
  for (uint64_t offset : order) {
    Pointer &at = weightsAt[offset];
    at += weightsBlock;
    if (vlm_status_t *status =
            device->check(api.upload(at, weights + offset, lengths[offset]),
                          "uploading weights"))
      return status;
  }
  return nullptr;
}

vlm_status_t *GpuModel::load(std::shared_ptr<Device> device,
                             const vlm_abi_level &level,
                             const unsigned char *weights, size_t weightsBytes,
                             std::unique_ptr<GpuModel> &out) {
  std::unique_ptr<GpuModel> model(new GpuModel(std::move(device)));
  model->level = &level;
  ContextScope scope(*model->device);
  if (vlm_status_t *status = model->loadCode(level))
    return status;
  if (vlm_status_t *status = model->findFunctions(level))
    return status;
  if (vlm_status_t *status = model->device->check(
          model->device->api().streamCreate(&model->stream, 0),
          "making a stream"))
    return status;
  if (vlm_status_t *status = model->uploadWeights(level, weights, weightsBytes))
    return status;
  out = std::move(model);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Makes the arena at least `bytes` long.
vlm_status_t *GpuModel::reserve(size_t bytes) {
  if (bytes <= arenaBytes)
    return nullptr;
  const Functions &api = device->api();
  if (arena)
    api.free(arena);
  arena = 0;
  arenaBytes = 0;
  if (vlm_status_t *status =
          device->check(api.allocate(&arena, bytes),
                        "making room for " + std::to_string(bytes) +
                            " bytes of working memory (send less at once)"))
    return status;
  arenaBytes = bytes;
  return nullptr;
}

/// One run, from the inputs on the host to the outputs there.
class GpuModel::Run {
public:
  Run(GpuModel &model, const vlm_abi_entry &entry, const int64_t *symbols)
      : model(model), api(model.device->api()), entry(entry), symbols(symbols) {
  }

  vlm_status_t *layOut(const std::vector<HostMemory> &hostInputs,
                       const std::vector<HostMemory> &hostOutputs) {
    size_t total = 0;
    auto place = [&](std::vector<Pointer> &list, size_t bytes) {
      list.push_back(total);
      return addAligned(total, bytes);
    };
    bool fits = true;
    for (const HostMemory &input : hostInputs)
      fits = fits && place(inputs, input.bytes);
    for (const HostMemory &output : hostOutputs)
      fits = fits && place(outputs, output.bytes);
    for (uint32_t i = 0; i < entry.n_slots; ++i) {
      int64_t bytes = 0;
      fits = fits && evaluate(entry.slots[i], symbols, bytes) &&
             place(slots, size_t(bytes));
    }
    if (!fits)
      return tooLarge();
    if (vlm_status_t *status = model.reserve(total))
      return status;
    for (std::vector<Pointer> *list : {&inputs, &outputs, &slots})
      for (Pointer &pointer : *list)
        pointer += model.arena;
    return nullptr;
  }

  vlm_status_t *copy(const std::vector<HostMemory> &hostInputs) {
    for (size_t i = 0; i < hostInputs.size(); ++i)
      if (hostInputs[i].bytes)
        if (vlm_status_t *status = model.device->check(
                api.uploadAsync(inputs[i], dataOf(hostInputs[i], inputs[i]),
                                hostInputs[i].bytes, model.stream),
                std::string("copying input '") + entry.inputs[i].name + "'"))
          return status;
    return nullptr;
  }

  vlm_status_t *step(const vlm_abi_step &step);

  vlm_status_t *finish(const std::vector<HostMemory> &hostOutputs) {
    for (size_t i = 0; i < hostOutputs.size(); ++i)
      if (hostOutputs[i].bytes)
        if (vlm_status_t *status = model.device->check(
                api.downloadAsync(hostOutputs[i].data, outputs[i],
                                  hostOutputs[i].bytes, model.stream),
                std::string("copying output '") + entry.outputs[i].name + "'"))
          return status;
    return model.device->check(api.streamWait(model.stream),
                               std::string("running entry point '") +
                                   entry.name + "'");
  }

private:
  /// What is copied to `address`; it lives as long as the run.
  const void *dataOf(const HostMemory &input, Pointer address) {
    if (!input.cache)
      return input.data;
    described.emplace_back(input.bytes);
    input.cache->describe(address, described.back().data());
    return described.back().data();
  }
  Pointer addressOf(const vlm_abi_buffer &buffer) const {
    switch (buffer.kind) {
    case VLM_ABI_INPUT:
      return inputs[buffer.index];
    case VLM_ABI_OUTPUT:
      return outputs[buffer.index];
    case VLM_ABI_SLOT:
      return slots[buffer.index];
    case VLM_ABI_CACHE_LAYER:
      return inputs[buffer.index] + buffer.offset * sizeof(vlm_abi_cache_layer);
    default:
      return model.weightsAt.at(buffer.offset);
    }
  }
  vlm_status_t *tooLarge() const {
    return makeStatus(VLM_INVALID_ARGUMENT,
                      std::string("entry point '") + entry.name +
                          "': the sizes of this request are beyond what a GPU "
                          "can be told; send less at once");
  }
  bool gridOf(const vlm_abi_launch &launch, unsigned (&grid)[3]) const;

  GpuModel &model;
  const Functions &api;
  const vlm_abi_entry &entry;
  const int64_t *symbols;
  std::vector<Pointer> inputs, outputs, slots;
  std::list<std::vector<std::byte>> described; ///< tables of caches
};

/// False where a direction has more blocks than there can be.
bool GpuModel::Run::gridOf(const vlm_abi_launch &launch,
                           unsigned (&grid)[3]) const {
  constexpr int64_t most[] = {INT_MAX, 65535, 65535};
  for (int i = 0; i < 3; ++i) {
    int64_t size = 0;
    if (!evaluate(launch.grid[i], symbols, size))
      return false;
    int64_t blocks = size / launch.units[i] + (size % launch.units[i] != 0);
    if (blocks > most[i])
      return false;
    grid[i] = unsigned(blocks);
  }
  return true;
}

vlm_status_t *GpuModel::Run::step(const vlm_abi_step &step) {
  const vlm_abi_kernel &kernel = model.level->kernels[step.kernel];
  std::vector<int64_t> values; // pointers, then dims
  for (uint32_t i = 0; i < kernel.n_buffers; ++i)
    values.push_back(int64_t(addressOf(step.buffers[i])));
  for (uint32_t i = 0; i < kernel.n_dims; ++i) {
    int64_t dim = 0;
    if (!evaluate(step.dims[i], symbols, dim))
      return tooLarge();
    values.push_back(dim);
  }
  std::vector<void *> arguments;
  for (int64_t &value : values)
    arguments.push_back(&value);
  for (uint32_t i = 0; i < step.n_launches; ++i) {
    const vlm_abi_launch &launch = step.launches[i];
    unsigned grid[3];
    if (!gridOf(launch, grid))
      return tooLarge();
    if (!grid[0] || !grid[1] || !grid[2])
      continue;
    Result result =
        api.launch(model.functions.at(launch.function), grid[0], grid[1],
                   grid[2], launch.threads, 1, 1, launch.shared_bytes,
                   model.stream, arguments.data(), nullptr);
    if (vlm_status_t *status = model.device->check(
            result, std::string("launching '") + launch.function + "' for '" +
                        step.label + "'"))
      return status;
  }
  return nullptr;
}

vlm_status_t *GpuModel::run(const vlm_abi_entry &entry, const int64_t *symbols,
                            const std::vector<HostMemory> &inputs,
                            const std::vector<HostMemory> &outputs) {
  std::lock_guard<std::mutex> lock(mutex);
  ContextScope scope(*device);
  Run run(*this, entry, symbols);
  if (vlm_status_t *status = run.layOut(inputs, outputs))
    return status;
  vlm_status_t *status = run.copy(inputs);
  for (uint32_t s = 0; s < entry.n_steps && !status; ++s)
    status = run.step(entry.steps[s]);
  if (!status)
    return run.finish(outputs);
  // What was launched may still read the caller's memory.
  device->api().streamWait(stream);
  return status;
}

} // namespace vlmc::rt::cuda
