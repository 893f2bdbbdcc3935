//===- GpuModel.cpp - A model on a GPU ------------------------------------===//

#include "runtime/cuda/GpuModel.h"

#include "runtime/core/Cache.h"
#include "runtime/core/SafetensorsHeader.h"
#include "runtime/core/Size.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <climits>
#include <cstring>
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

/// Inputs and outputs of at most these bytes go through pinned memory, all at
/// once: it costs a copy on the host, which large ones are better without.
static constexpr size_t kMostStagedBytes = size_t(4) << 20;

GpuModel::~GpuModel() {
  upload.finish();
  ContextScope scope(*device);
  const Functions &api = device->api();
  if (stream)
    api.streamDestroy(stream);
  graphs.clear();
  products.reset();
  if (host)
    api.freeHost(host);
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

/// Begins to upload what steps name, in the order in which they do.
vlm_status_t *GpuModel::uploadWeights(const vlm_abi_level &from,
                                      const unsigned char *weights,
                                      size_t bytes) {
  SafetensorsHeader header;
  std::string wrong = readSafetensorsHeader(weights, bytes, header);
  if (!wrong.empty())
    return makeStatus(VLM_CORRUPT, "weights file: " + wrong);
  for (const SafetensorsHeader::Tensor &tensor : header.tensors)
    if (tensor.bytes)
      weightBytes[tensor.offset] = tensor.bytes;
  std::vector<WeightPiece> pieces;
  size_t total = 0;
  for (uint32_t e = 0; e < from.n_entries; ++e)
    for (uint32_t s = 0; s < from.entries[e].n_steps; ++s) {
      const vlm_abi_step &step = from.entries[e].steps[s];
      for (uint32_t i = 0; i < from.kernels[step.kernel].n_buffers; ++i) {
        const vlm_abi_buffer &buffer = step.buffers[i];
        if (buffer.kind != VLM_ABI_WEIGHT ||
            !weightsAt.try_emplace(buffer.offset, total).second)
          continue;
        auto found = weightBytes.find(buffer.offset);
        if (found != weightBytes.end())
          pieces.push_back({total, weights + buffer.offset, found->second});
        if (found == weightBytes.end() || !addAligned(total, found->second))
          return makeStatus(VLM_CORRUPT,
                            "weights file: expected a tensor at byte " +
                                std::to_string(buffer.offset) +
                                ", found none; compile the model again");
      }
    }
  if (vlm_status_t *status = device->check(
          device->api().allocate(&weightsBlock,
                                 std::max<size_t>(total, kAlignment)),
          "making room for " + std::to_string(total) + " bytes of weights"))
    return status;
  for (auto &[offset, at] : weightsAt)
    at += weightsBlock;
  return upload.start(weightsBlock, std::move(pieces));
}

/// Makes the tensor maps of weights, so that a driver that cannot says so now.
vlm_status_t *GpuModel::mapWeights(const vlm_abi_level &from) {
  for (uint32_t e = 0; e < from.n_entries; ++e)
    for (uint32_t s = 0; s < from.entries[e].n_steps; ++s) {
      const vlm_abi_step &step = from.entries[e].steps[s];
      for (uint32_t i = 0; i < step.n_launches; ++i)
        for (uint32_t m = 0; m < step.launches[i].n_maps; ++m) {
          const vlm_abi_map &map = step.launches[i].maps[m];
          const vlm_abi_buffer &buffer = step.buffers[map.buffer];
          int64_t rows = 0;
          const TensorMap *made = nullptr;
          if (buffer.kind != VLM_ABI_WEIGHT ||
              !evaluate(map.rows, nullptr, rows))
            continue;
          if (vlm_status_t *status =
                  maps.find(map, weightsAt.at(buffer.offset), rows, made))
            return status;
        }
    }
  return nullptr;
}

/// Opens a library of products where a step is one.
void GpuModel::openProducts(const vlm_abi_level &from) {
  for (uint32_t e = 0; e < from.n_entries; ++e)
    for (uint32_t s = 0; s < from.entries[e].n_steps; ++s)
      if (from.entries[e].steps[s].product) {
        products = std::make_unique<Products>(
            *device, Products::settingsOf(*device, from.isa));
        return;
      }
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
          model->device->api().streamCreate(&model->stream, besideNull),
          "making a stream"))
    return status;
  if (vlm_status_t *status = model->uploadWeights(level, weights, weightsBytes))
    return status;
  if (vlm_status_t *status = model->mapWeights(level))
    return status;
  model->openProducts(level);
  out = std::move(model);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// How much is asked for first where `bytes` are needed and `old` were there:
/// what grows a little with each run, as chats do, moves seldom.
static size_t grownBytes(size_t old, size_t bytes) {
  return std::max(bytes, old + old / 2);
}

/// Makes the arena at least `bytes` long.
vlm_status_t *GpuModel::reserve(size_t bytes) {
  if (bytes <= arenaBytes)
    return nullptr;
  const Functions &api = device->api();
  graphs.clear(); // they work on the old one
  if (arena)
    api.free(arena);
  arena = 0;
  size_t grown = grownBytes(arenaBytes, bytes);
  arenaBytes = 0;
  if (grown > bytes && api.allocate(&arena, grown) == success) {
    arenaBytes = grown;
    return nullptr;
  }
  arena = 0;
  if (vlm_status_t *status =
          device->check(api.allocate(&arena, bytes),
                        "making room for " + std::to_string(bytes) +
                            " bytes of working memory (send less at once)"))
    return status;
  arenaBytes = bytes;
  return nullptr;
}

/// Makes the pinned memory at least `bytes` long; false where there is none.
bool GpuModel::reserveHost(size_t bytes) {
  if (bytes <= hostBytes)
    return true;
  const Functions &api = device->api();
  if (host) {
    graphs.clear(); // they work on the old one
    api.freeHost(host);
  }
  size_t grown = grownBytes(hostBytes, bytes);
  void *made = nullptr;
  bool isMade = api.allocateHost(&made, grown) == success;
  if (!isMade && grown > bytes) {
    grown = bytes;
    isMade = api.allocateHost(&made, bytes) == success;
  }
  host = isMade ? static_cast<std::byte *>(made) : nullptr;
  hostBytes = isMade ? grown : 0;
  return isMade;
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
    inputsEnd = total;
    for (const HostMemory &output : hostOutputs)
      fits = fits && place(outputs, output.bytes);
    outputsEnd = total;
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

  /// Brings the inputs on their way: to pinned memory, or one by one.
  vlm_status_t *begin(const std::vector<HostMemory> &hostInputs) {
    isStaged = outputsEnd <= kMostStagedBytes && model.reserveHost(outputsEnd);
    for (size_t i = 0; i < hostInputs.size(); ++i) {
      if (!hostInputs[i].bytes)
        continue;
      const void *from = dataOf(hostInputs[i], inputs[i]);
      if (isStaged)
        std::memcpy(model.host + (inputs[i] - model.arena), from,
                    hostInputs[i].bytes);
      else if (vlm_status_t *status = model.device->check(
                   api.uploadAsync(inputs[i], from, hostInputs[i].bytes,
                                   model.stream),
                   std::string("copying input '") + entry.inputs[i].name + "'"))
        return status;
    }
    return nullptr;
  }

  /// All that the device does, as a graph where it is known.
  vlm_status_t *work() {
    std::vector<uint64_t> key = {
        uint64_t(reinterpret_cast<uintptr_t>(&entry)),
        uint64_t(reinterpret_cast<uintptr_t>(model.host)), isStaged};
    for (uint32_t i = 0; i < entry.n_symbols; ++i)
      key.push_back(uint64_t(symbols[i]));
    for (const std::vector<Pointer> *list : {&inputs, &outputs, &slots})
      key.insert(key.end(), list->begin(), list->end());
    areWeightsThere = model.upload.isOver();
    bool mayRecord = model.wantsGraphs && areWeightsThere;
    return model.graphs.run(key, model.stream, mayRecord,
                            [this] { return launchAll(); });
  }

  vlm_status_t *finish(const std::vector<HostMemory> &hostOutputs) {
    for (size_t i = 0; i < hostOutputs.size() && !isStaged; ++i)
      if (hostOutputs[i].bytes)
        if (vlm_status_t *status = model.device->check(
                api.downloadAsync(hostOutputs[i].data, outputs[i],
                                  hostOutputs[i].bytes, model.stream),
                std::string("copying output '") + entry.outputs[i].name + "'"))
          return status;
    if (vlm_status_t *status = model.device->check(
            api.streamWait(model.stream),
            std::string("running entry point '") + entry.name + "'"))
      return status;
    for (size_t i = 0; i < hostOutputs.size() && isStaged; ++i)
      if (hostOutputs[i].bytes)
        std::memcpy(hostOutputs[i].data,
                    model.host + (outputs[i] - model.arena),
                    hostOutputs[i].bytes);
    return nullptr;
  }

private:
  vlm_status_t *launchAll();
  vlm_status_t *step(const vlm_abi_step &step);
  bool placeProduct(const vlm_abi_step &step, ProductShape &shape,
                    ProductPlaces &places) const;
  vlm_status_t *launchEach(const vlm_abi_step &step,
                           std::vector<int64_t> &values);
  vlm_status_t *awaitWeights(const vlm_abi_step &step);
  vlm_status_t *launch(const vlm_abi_step &step, const vlm_abi_launch &launch,
                       const unsigned (&grid)[3],
                       std::vector<void *> &arguments);
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
  bool gridOf(const vlm_abi_launch &launch, unsigned (&grid)[3],
              bool &isLeftOut) const;
  vlm_status_t *findMaps(const vlm_abi_step &step, const vlm_abi_launch &launch,
                         std::vector<void *> &arguments);

  GpuModel &model;
  const Functions &api;
  const vlm_abi_entry &entry;
  const int64_t *symbols;
  std::vector<Pointer> inputs, outputs, slots;
  size_t inputsEnd = 0, outputsEnd = 0; ///< in the arena
  bool areWeightsThere = false;
  bool isStaged = false;                       ///< through pinned memory
  std::list<std::vector<std::byte>> described; ///< tables of caches
};

/// False where a direction has more blocks than there can be.
bool GpuModel::Run::gridOf(const vlm_abi_launch &launch, unsigned (&grid)[3],
                           bool &isLeftOut) const {
  constexpr int64_t most[] = {INT_MAX, 65535, 65535};
  isLeftOut = false;
  for (int i = 0; i < 3; ++i) {
    int64_t size = 0;
    if (!evaluate(launch.grid[i], symbols, size))
      return false;
    isLeftOut |= size == 0;
    if (i == 0)
      isLeftOut |=
          size < launch.min_rows || (launch.max_rows && size > launch.max_rows);
    int64_t blocks = size / launch.units[i] + (size % launch.units[i] != 0);
    if (blocks > most[i] && !isLeftOut)
      return false;
    grid[i] = unsigned(blocks);
  }
  return true;
}

/// The tensor maps of a launch, its first arguments.
vlm_status_t *GpuModel::Run::findMaps(const vlm_abi_step &step,
                                      const vlm_abi_launch &launch,
                                      std::vector<void *> &arguments) {
  for (uint32_t i = 0; i < launch.n_maps; ++i) {
    const vlm_abi_map &map = launch.maps[i];
    int64_t rows = 0;
    if (!evaluate(map.rows, symbols, rows))
      return tooLarge();
    const TensorMap *made = nullptr;
    if (vlm_status_t *status = model.maps.find(
            map, addressOf(step.buffers[map.buffer]), rows, made))
      return status;
    arguments.push_back(const_cast<TensorMap *>(made));
  }
  return nullptr;
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
  if (vlm_status_t *status = awaitWeights(step))
    return status;
  auto own = [&] { return launchEach(step, values); };
  ProductShape shape;
  ProductPlaces places;
  if (!step.product || !model.products->isOpen() ||
      !placeProduct(step, shape, places))
    return own();
  // Times that are taken beside an upload tell little.
  areWeightsThere = areWeightsThere || model.upload.isOver();
  return model.products->run(shape, places, model.stream,
                             areWeightsThere && !model.graphs.isRecording(),
                             own);
}

/// What a step is as a product of this run; false: it is none of any rows.
bool GpuModel::Run::placeProduct(const vlm_abi_step &step, ProductShape &shape,
                                 ProductPlaces &places) const {
  const vlm_abi_product &product = *step.product;
  if (!evaluate(product.rows, symbols, shape.rows) || shape.rows <= 0)
    return false;
  shape.columns = product.columns;
  shape.depth = product.depth;
  shape.leftStride = int64_t(product.left_stride);
  shape.dtype = product.dtype;
  shape.resultDtype = product.result_dtype;
  shape.activation = product.activation;
  shape.hasBias = product.bias >= 0;
  shape.hasResidual = product.residual >= 0;
  auto placeOf = [&](int32_t buffer) {
    return buffer < 0 ? 0 : addressOf(step.buffers[buffer]);
  };
  places.left = placeOf(product.left) + product.left_offset * 2;
  places.right = placeOf(product.right);
  places.bias = placeOf(product.bias);
  places.residual = placeOf(product.residual);
  places.result = placeOf(product.result);
  return true;
}

/// Puts a step's launches on the stream; `values` are the functions' arguments
/// behind the maps.
vlm_status_t *GpuModel::Run::launchEach(const vlm_abi_step &step,
                                        std::vector<int64_t> &values) {
  for (uint32_t i = 0; i < step.n_launches; ++i) {
    const vlm_abi_launch &each = step.launches[i];
    unsigned grid[3];
    bool isLeftOut = false;
    if (!gridOf(each, grid, isLeftOut))
      return tooLarge();
    if (isLeftOut)
      continue;
    std::vector<void *> arguments;
    if (vlm_status_t *status = findMaps(step, each, arguments))
      return status;
    for (int64_t &value : values)
      arguments.push_back(&value);
    if (vlm_status_t *status = launch(step, each, grid, arguments))
      return status;
  }
  return nullptr;
}

/// Lets the stream wait until the weights that the step reads are there.
vlm_status_t *GpuModel::Run::awaitWeights(const vlm_abi_step &step) {
  size_t end = 0;
  for (uint32_t i = 0; i < model.level->kernels[step.kernel].n_buffers; ++i) {
    const vlm_abi_buffer &buffer = step.buffers[i];
    if (buffer.kind == VLM_ABI_WEIGHT)
      end = std::max<size_t>(end, model.weightsAt.at(buffer.offset) -
                                      model.weightsBlock +
                                      model.weightBytes.at(buffer.offset));
  }
  return model.upload.awaitOn(model.stream, end);
}

vlm_status_t *GpuModel::Run::launch(const vlm_abi_step &step,
                                    const vlm_abi_launch &launch,
                                    const unsigned (&grid)[3],
                                    std::vector<void *> &arguments) {
  Function *function = model.functions.at(launch.function);
  Result result;
  // What is read before the launch before ends must be there: all weights.
  if (launch.flags & VLM_ABI_LAUNCH_EARLY && model.device->startsEarly() &&
      areWeightsThere) {
    LaunchAttribute early = {launchesEarly, 0, {1}};
    LaunchConfig config = {grid[0],
                           grid[1],
                           grid[2],
                           launch.threads,
                           1,
                           1,
                           launch.shared_bytes,
                           model.stream,
                           &early,
                           1};
    result = api.launchEx(&config, function, arguments.data(), nullptr);
  } else {
    result = api.launch(function, grid[0], grid[1], grid[2], launch.threads, 1,
                        1, launch.shared_bytes, model.stream, arguments.data(),
                        nullptr);
  }
  return model.device->check(result, std::string("launching '") +
                                         launch.function + "' for '" +
                                         step.label + "'");
}

/// The launches, and the copies from and to pinned memory around them.
vlm_status_t *GpuModel::Run::launchAll() {
  vlm_status_t *status = nullptr;
  if (isStaged && inputsEnd)
    status = model.device->check(
        api.uploadAsync(model.arena, model.host, inputsEnd, model.stream),
        "copying inputs");
  for (uint32_t s = 0; s < entry.n_steps && !status; ++s)
    status = step(entry.steps[s]);
  if (!status && isStaged && outputsEnd > inputsEnd)
    status = model.device->check(
        api.downloadAsync(model.host + inputsEnd, model.arena + inputsEnd,
                          outputsEnd - inputsEnd, model.stream),
        "copying outputs");
  return status;
}

vlm_status_t *GpuModel::run(const vlm_abi_entry &entry, const int64_t *symbols,
                            const std::vector<HostMemory> &inputs,
                            const std::vector<HostMemory> &outputs) {
  std::lock_guard<std::mutex> lock(mutex);
  ContextScope scope(*device);
  maps.trim();
  Run run(*this, entry, symbols);
  if (vlm_status_t *status = run.layOut(inputs, outputs))
    return status;
  vlm_status_t *status = run.begin(inputs);
  if (!status)
    status = run.work();
  if (!status)
    status = run.finish(outputs);
  if (!status)
    return nullptr;
  // What was launched may still read the caller's memory.
  device->api().streamWait(stream);
  return status;
}

} // namespace vlmc::rt::cuda
