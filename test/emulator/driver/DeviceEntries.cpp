//===-- DeviceEntries.cpp - start, device, contexts, errors ---------------===//
#include "test/emulator/driver/Streams.h"
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace vlmc::emulator::driver;

/// Says that this is no driver of a GPU.
extern "C" __attribute__((visibility("default"))) int vlmc_emulated_driver = 1;

/// The last fault's message: what a driver cannot say.
extern "C" __attribute__((visibility("default"))) const char *
vlmc_emulated_error() {
  return State::get().message().c_str();
}

/// For tests: begins anew, with what the environment says now.
extern "C" __attribute__((visibility("default"))) void vlmc_emulated_reset() {
  std::lock_guard<std::recursive_mutex> lock(State::get().mutex);
  Streams::get().finishAll();
  State::get().reset();
  contextStack().clear();
}

//===-- Errors ------------------------------------------------------------===//

namespace {
struct ErrorText {
  Result result;
  const char *name, *text;
};
} // namespace

static const ErrorText *findError(Result result) {
  static const ErrorText errors[] = {
      {Success, "CUDA_SUCCESS", "no error"},
      {InvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
      {OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
      {NotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
      {NoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
      {InvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
      {InvalidImage, "CUDA_ERROR_INVALID_IMAGE",
       "device kernel image is invalid"},
      {InvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
      {NoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
       "no kernel image is available for execution on the device"},
      {EccUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE",
       "uncorrectable ECC error encountered"},
      {InvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
      {NotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
      {NotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
      {IllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS",
       "an illegal memory access was encountered"},
      {LaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
       "too many resources requested for launch"},
      {HostMemoryAlreadyRegistered, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
       "part or all of the requested memory range is already mapped"},
      {HostMemoryNotRegistered, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
       "pointer does not correspond to a registered memory region"},
      {MisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS",
       "misaligned address"},
      {LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
      {NotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
      {CaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
       "operation not permitted when stream is capturing"},
      {CaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
       "operation failed due to a previous error during capture"},
      {CaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
       "capture was not initiated in this stream"},
      {CaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
       "capturing stream has unjoined work"},
      {CaptureImplicit, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
       "operation would make the legacy stream depend on a capturing blocking "
       "stream"},
      {CaptureWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
       "attempt to terminate a thread-local capture sequence from another "
       "thread"},
      {Unknown, "CUDA_ERROR_UNKNOWN", "unknown error"}};
  for (const ErrorText &error : errors)
    if (error.result == result)
      return &error;
  return nullptr;
}

VLMC_ENTRY cuGetErrorName(Result result, const char **text) {
  const ErrorText *error = findError(result);
  *text = error ? error->name : nullptr;
  return error ? Success : InvalidValue;
}

VLMC_ENTRY cuGetErrorString(Result result, const char **text) {
  const ErrorText *error = findError(result);
  *text = error ? error->text : nullptr;
  return error ? Success : InvalidValue;
}

//===-- Start and device --------------------------------------------------===//

VLMC_ENTRY cuInit(unsigned flags) {
  return call("cuInit", Needs::Nothing, [&] {
    State::get().isInitialised = true;
    return flags ? InvalidValue : Success;
  });
}

VLMC_ENTRY cuDriverGetVersion(int *version) {
  *version = 13000;
  return Success;
}

VLMC_ENTRY cuDeviceGetCount(int *count) {
  return call("cuDeviceGetCount", Needs::Init, [&] {
    *count = 1;
    return Success;
  });
}

VLMC_ENTRY cuDeviceGet(int *device, int ordinal) {
  return call("cuDeviceGet", Needs::Init, [&] {
    *device = 0;
    return ordinal == 0 ? Success : InvalidDevice;
  });
}

VLMC_ENTRY cuDeviceGetName(char *name, int bytes, int device) {
  return call("cuDeviceGetName", Needs::Init, [&] {
    if (device || bytes <= 0)
      return InvalidDevice;
    snprintf(name, static_cast<size_t>(bytes), "vlmc emulator sm_%d",
             State::get().chip());
    return Success;
  });
}

VLMC_ENTRY cuDeviceTotalMem_v2(size_t *bytes, int device) {
  return call("cuDeviceTotalMem", Needs::Init, [&] {
    *bytes = State::get().memoryBytes();
    return device ? InvalidDevice : Success;
  });
}

/// CUdevice_attribute by number.
static int deviceAttribute(int attribute) {
  const State &state = State::get();
  auto shared = static_cast<int>(state.maxSharedBytes());
  static const std::map<int, int> constants = {
      {1, 1024},                               // threads of a block
      {2, 1024},       {3, 1024},  {4, 64},    // its sides
      {5, 2147483647}, {6, 65535}, {7, 65535}, // those of a grid
      {8, 49152},                              // shared memory of a block
      {10, 32},                                // threads of a warp
      {12, 65536},                             // registers of a block
      {16, 4},                                 // multiprocessors
      {19, 1},                                 // maps host memory
      {31, 1},                                 // runs kernels beside each other
      {39, 2048},                              // threads of a multiprocessor
      {40, 2},                                 // copy engines
      {41, 1},                                 // one address space
      {78, 1},                                 // priorities of streams
      {83, 1},                                 // managed memory
      {89, 1},                                 // managed memory beside the host
      {115, 1}};                               // pools of memory
  switch (attribute) {
  case 75:
    return state.chip() / 10;
  case 76:
    return state.chip() % 10;
  case 81:
    return shared + 1024;
  case 97:
    return shared;
  default:
    auto found = constants.find(attribute);
    return found == constants.end() ? 0 : found->second;
  }
}

VLMC_ENTRY cuDeviceGetAttribute(int *value, int attribute, int device) {
  return call("cuDeviceGetAttribute", Needs::Init, [&] {
    *value = deviceAttribute(attribute);
    return device ? InvalidDevice : Success;
  });
}

//===-- Contexts ----------------------------------------------------------===//

VLMC_ENTRY cuDevicePrimaryCtxRetain(void **context, int device) {
  return call("cuDevicePrimaryCtxRetain", Needs::Init, [&] {
    if (device)
      return InvalidDevice;
    ++State::get().contextUses;
    *context = primaryContext();
    return Success;
  });
}

/// The last user's release gives all memory back, and a lost device a new
/// life.
VLMC_ENTRY cuDevicePrimaryCtxRelease_v2(int device) {
  return call("cuDevicePrimaryCtxRelease", Needs::Init, [&] {
    State &state = State::get();
    if (device || !state.contextUses)
      return InvalidContext;
    if (--state.contextUses == 0) {
      Streams::get().finishAll();
      state.releaseAll();
      state.lost = Success;
    }
    return Success;
  });
}

VLMC_ENTRY cuCtxSetCurrent(void *context) {
  return call("cuCtxSetCurrent", Needs::Init, [&] {
    auto &stack = contextStack();
    if (!stack.empty())
      stack.pop_back();
    if (context && context != primaryContext())
      return InvalidContext;
    if (context)
      stack.push_back(context);
    return Success;
  });
}

VLMC_ENTRY cuCtxGetCurrent(void **context) {
  return call("cuCtxGetCurrent", Needs::Init, [&] {
    *context = contextStack().empty() ? nullptr : contextStack().back();
    return Success;
  });
}

VLMC_ENTRY cuCtxPushCurrent_v2(void *context) {
  return call("cuCtxPushCurrent", Needs::Init, [&] {
    if (context != primaryContext())
      return InvalidContext;
    contextStack().push_back(context);
    return Success;
  });
}

VLMC_ENTRY cuCtxPopCurrent_v2(void **context) {
  return call("cuCtxPopCurrent", Needs::Init, [&] {
    if (contextStack().empty())
      return InvalidContext;
    if (context)
      *context = contextStack().back();
    contextStack().pop_back();
    return Success;
  });
}

VLMC_ENTRY cuCtxSynchronize() {
  return call("cuCtxSynchronize", Needs::Context, [] {
    return Streams::get().isForbidden() ? CaptureUnsupported
                                        : Streams::get().finishAll();
  });
}

//===-- Entry points by name ----------------------------------------------===//

VLMC_ENTRY cuGetProcAddress_v2(const char *symbol, void **function,
                               int /*version*/, uint64_t /*flags*/,
                               int *status) {
  Dl_info info;
  void *found = nullptr;
  if (dladdr(reinterpret_cast<void *>(&cuInit), &info)) {
    void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    for (const char *suffix : {"_v2", ""})
      if (self && !found)
        found = dlsym(self, (std::string(symbol) + suffix).c_str());
    if (self)
      dlclose(self);
  }
  *function = found;
  if (status)
    *status = found ? 0 : 1;
  return found ? Success : NotFound;
}
