//===-- ModuleEntries.cpp - modules, functions, launches ------------------===//
#include "test/emulator/Emulator.h"
#include "test/emulator/driver/Streams.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace vlmc::emulator;
using namespace vlmc::emulator::driver;

namespace {
struct LoadedModule;
struct LoadedFunction {
  LoadedModule *module;
  std::string name;
  size_t maxShared = 48 << 10; ///< unless more is asked for
};
struct LoadedModule {
  std::unique_ptr<vlmc::emulator::Module> module;
  std::map<std::string, LoadedFunction> functions;
};
} // namespace

static std::set<void *> &modules() {
  static auto &all = *new std::set<void *>();
  return all;
}

static std::set<void *> &functions() {
  static auto &all = *new std::set<void *>();
  return all;
}

//===-- Modules -----------------------------------------------------------===//

static Result load(void **out, std::string_view ir) {
  Options options;
  options.check = atoi(environment("VLMC_EMULATOR_CHECK", "0")) != 0;
  options.seed = strtoull(environment("VLMC_EMULATOR_SEED", "0"), nullptr, 10);
  options.hostThreads = static_cast<unsigned>(
      std::max(1, atoi(environment("VLMC_EMULATOR_THREADS", "1"))));
  options.maxSharedBytes = State::get().maxSharedBytes();
  std::string error;
  auto loaded = vlmc::emulator::Module::load(ir, options, error);
  if (!loaded)
    return State::get().fail(InvalidImage, error);
  auto *module = new LoadedModule{std::move(loaded), {}};
  modules().insert(module);
  *out = module;
  return Success;
}

/// The bytes of an image of LLVM IR, by its own header or as text.
static Result imageBytes(const void *image, std::string_view &ir) {
  uint32_t words[5];
  const auto *text = static_cast<const char *>(image);
  if (!memcmp(image,
              "\x7f"
              "ELF",
              4) ||
      !memcmp(image, "\x50\xed\x55\xba", 4) || strstr(text, ".version"))
    return NoBinaryForGpu; // cubin, fatbin, PTX
  memcpy(words, image, 4);
  if (words[0] == 0x0b17c0de) { // a wrapper says where bitcode ends
    memcpy(words, image, sizeof words);
    ir = {text, words[2] + words[3]};
    return Success;
  }
  if (words[0] == 0xdec04342) // bitcode does not
    return InvalidImage;
  ir = text;
  return Success;
}

VLMC_ENTRY cuModuleLoadData(void **out, const void *image) {
  return call("cuModuleLoadData", Needs::Context, [&] {
    std::string_view ir;
    Result result = imageBytes(image, ir);
    return result == Success ? load(out, ir) : result;
  });
}

/// What takes the place of cuModuleLoadData for bitcode, whose end nothing in
/// it tells.
VLMC_ENTRY vlmc_emulated_load(void **out, const void *bitcode, size_t bytes) {
  return call("cuModuleLoadData", Needs::Context, [&] {
    return load(out, {static_cast<const char *>(bitcode), bytes});
  });
}

VLMC_ENTRY cuModuleUnload(void *handle) {
  return call("cuModuleUnload", Needs::Context, [&] {
    if (!modules().count(handle))
      return InvalidHandle;
    Streams::get().finishAll();
    auto *module = static_cast<LoadedModule *>(handle);
    for (auto &[name, function] : module->functions)
      functions().erase(&function);
    modules().erase(handle);
    delete module;
    return Success;
  });
}

VLMC_ENTRY cuModuleGetFunction(void **out, void *handle, const char *name) {
  return call("cuModuleGetFunction", Needs::Context, [&] {
    if (!modules().count(handle))
      return InvalidHandle;
    auto *module = static_cast<LoadedModule *>(handle);
    if (!module->module->hasKernel(name))
      return NotFound;
    auto [place, isNew] =
        module->functions.try_emplace(name, LoadedFunction{module, name});
    functions().insert(&place->second);
    *out = &place->second;
    return Success;
  });
}

VLMC_ENTRY cuModuleGetGlobal_v2(DevicePointer *out, size_t *bytes, void *handle,
                                const char *name) {
  return call("cuModuleGetGlobal", Needs::Context, [&] {
    if (!modules().count(handle))
      return InvalidHandle;
    size_t size = 0;
    void *memory =
        static_cast<LoadedModule *>(handle)->module->global(name, size);
    if (!memory)
      return NotFound;
    if (out)
      *out = reinterpret_cast<DevicePointer>(memory);
    if (bytes)
      *bytes = size;
    return Success;
  });
}

//===-- Libraries: modules by other names ---------------------------------===//

VLMC_ENTRY cuLibraryLoadData(void **out, const void *image, void ** /*options*/,
                             void ** /*values*/, unsigned /*count*/,
                             void ** /*libraryOptions*/, void ** /*values2*/,
                             unsigned /*count2*/) {
  return cuModuleLoadData(out, image);
}
VLMC_ENTRY cuLibraryUnload(void *library) { return cuModuleUnload(library); }
VLMC_ENTRY cuLibraryGetKernel(void **out, void *library, const char *name) {
  return cuModuleGetFunction(out, library, name);
}
VLMC_ENTRY cuKernelGetFunction(void **out, void *kernel) {
  *out = kernel;
  return functions().count(kernel) ? Success : InvalidHandle;
}

//===-- Functions ---------------------------------------------------------===//

/// CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
static constexpr int dynamicShared = 8;

VLMC_ENTRY cuFuncSetAttribute(void *handle, int attribute, int value) {
  return call("cuFuncSetAttribute", Needs::Context, [&] {
    if (!functions().count(handle))
      return InvalidHandle;
    if (attribute != dynamicShared)
      return Success;
    auto bytes = static_cast<size_t>(value);
    if (value < 0 || bytes > State::get().maxSharedBytes())
      return InvalidValue;
    static_cast<LoadedFunction *>(handle)->maxShared = bytes;
    return Success;
  });
}

VLMC_ENTRY cuFuncGetAttribute(int *value, int attribute, void *handle) {
  return call("cuFuncGetAttribute", Needs::Context, [&] {
    if (!functions().count(handle))
      return InvalidHandle;
    auto shared = static_cast<LoadedFunction *>(handle)->maxShared;
    *value = attribute == dynamicShared ? static_cast<int>(shared)
             : attribute == 0           ? 1024
                                        : 0;
    return Success;
  });
}

//===-- Launches ----------------------------------------------------------===//

/// The arguments of a launch, copied when it is asked for.
static std::vector<std::vector<char>> copyArguments(LoadedFunction &function,
                                                    void **arguments) {
  std::vector<std::vector<char>> copies;
  size_t i = 0;
  for (size_t bytes : function.module->module->argumentBytes(function.name)) {
    const auto *value = static_cast<const char *>(arguments[i++]);
    copies.emplace_back(value, value + bytes);
  }
  return copies;
}

static Result faultResult(FaultKind kind) {
  switch (kind) {
  case FaultKind::Address:
    return IllegalAddress;
  case FaultKind::Alignment:
    return MisalignedAddress;
  default:
    return LaunchFailed;
  }
}

static Result execute(void *handle, const Launch &launch,
                      std::vector<std::vector<char>> &arguments) {
  State &state = State::get();
  if (!functions().count(handle))
    return state.fail(LaunchFailed, "a launch of a function whose module was "
                                    "unloaded before it was done");
  auto &function = *static_cast<LoadedFunction *>(handle);
  if (Result wished = state.injected("launch"); wished != Success)
    return state.fail(wished, "a failure by wish of @" + function.name);
  // Constants that kernels read by their address.
  std::vector<void *> pointers;
  for (auto &argument : arguments) {
    Buffers::add(argument.data(), argument.size());
    pointers.push_back(argument.data());
  }
  std::string error;
  FaultKind kind = FaultKind::None;
  bool isRight = function.module->module->launch(function.name, launch,
                                                 pointers.data(), error, &kind);
  for (auto &argument : arguments)
    Buffers::remove(argument.data());
  return isRight ? Success : state.fail(faultResult(kind), error);
}

static Result launch(const char *name, void *handle, const LaunchConfig &config,
                     void **arguments) {
  return call(name, Needs::Context, [&] {
    if (!functions().count(handle))
      return InvalidHandle;
    auto *function = static_cast<LoadedFunction *>(handle);
    Launch launch{{config.gridX, config.gridY, config.gridZ},
                  {config.blockX, config.blockY, config.blockZ},
                  config.sharedBytes};
    bool takesArguments =
        !function->module->module->argumentBytes(function->name).empty();
    if (!launch.grid.count() || !launch.block.count() ||
        launch.block.count() > 1024 || config.gridY > 65535 ||
        config.gridZ > 65535 || (takesArguments && !arguments) ||
        launch.sharedBytes > function->maxShared)
      return State::get().fail(InvalidValue,
                               "launch of @" + function->name +
                                   ": sizes, or more shared memory than the " +
                                   std::to_string(function->maxShared) +
                                   " bytes that cuFuncSetAttribute allowed");
    auto copies = copyArguments(*function, arguments);
    return Streams::get().submit(config.stream, [=]() mutable {
      return execute(function, launch, copies);
    });
  });
}

VLMC_ENTRY cuLaunchKernel(void *function, unsigned gridX, unsigned gridY,
                          unsigned gridZ, unsigned blockX, unsigned blockY,
                          unsigned blockZ, unsigned sharedBytes, void *stream,
                          void **arguments, void ** /*extra*/) {
  return launch("cuLaunchKernel", function,
                {gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes,
                 stream, nullptr, 0},
                arguments);
}

VLMC_ENTRY cuLaunchKernelEx(const LaunchConfig *config, void *function,
                            void **arguments, void ** /*extra*/) {
  return launch("cuLaunchKernelEx", function, *config, arguments);
}

VLMC_ENTRY cuLaunchHostFunc(void *stream, void (*function)(void *),
                            void *data) {
  return call("cuLaunchHostFunc", Needs::Context, [&] {
    return Streams::get().submit(stream, [=] {
      function(data);
      return Success;
    });
  });
}
