//===- Driver.cpp - The CUDA driver, opened at run time -------------------===//

#include "runtime/cuda/Driver.h"

#include "runtime/core/StatusInternal.h"

#include <dlfcn.h>
#include <iterator>
#include <type_traits>

namespace vlmc::rt::cuda {

static constexpr const char *kDefaultDriver = "libcuda.so.1";

Device::~Device() {
  if (copies) {
    ContextScope scope(*this);
    functions.streamDestroy(copies);
  }
  if (primary)
    functions.contextRelease(number);
  if (library)
    dlclose(library);
}

std::string Device::load(const char *path) {
  const char *name = path && *path ? path : kDefaultDriver;
  library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return std::string("there is no CUDA driver: ") + dlerror();
  std::string missing;
  auto find = [&](auto &function, const char *symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        dlsym(library, symbol));
    if (!function && missing.empty())
      missing = symbol;
  };
#define VLMC_CUDA_FIND(member, name, parameters) find(functions.member, #name);
  VLMC_CUDA_FUNCTIONS(VLMC_CUDA_FIND)
#undef VLMC_CUDA_FIND
  if (!missing.empty())
    return std::string("the CUDA driver '") + name + "' has no " + missing +
           "; it is no driver, or one too old";
  functions.emulatedLoad = reinterpret_cast<decltype(functions.emulatedLoad)>(
      dlsym(library, "vlmc_emulated_load"));
  functions.encodeTiled = reinterpret_cast<decltype(functions.encodeTiled)>(
      dlsym(library, "cuTensorMapEncodeTiled"));
  return "";
}

std::string Device::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  functions.getErrorName(result, &name);
  functions.getErrorString(result, &text);
  std::string words = name ? name : "error " + std::to_string(result);
  if (text)
    words.append(" (").append(text).append(")");
  return words;
}

/// Takes the first device; "" or what hinders.
std::string Device::choose() {
  if (Result result = functions.init(0))
    return "the CUDA driver does not start: " + describe(result);
  int count = 0;
  if (Result result = functions.deviceCount(&count))
    return "the CUDA driver counts no devices: " + describe(result);
  if (count == 0)
    return "the CUDA driver finds no GPU";
  char text[128] = "";
  Result result = functions.deviceGet(&number, 0);
  if (!result)
    result = functions.deviceName(text, int(std::size(text)), number);
  if (!result)
    result = functions.deviceAttribute(&major, capabilityMajor, number);
  if (!result)
    result = functions.deviceAttribute(&minor, capabilityMinor, number);
  if (!result)
    result = functions.contextRetain(&primary, number);
  if (!result) {
    ContextScope scope(*this);
    result = functions.streamCreate(&copies, besideNull);
  }
  if (result)
    return "the CUDA driver gives no access to the GPU: " + describe(result);
  deviceName = text;
  return "";
}

std::shared_ptr<Device> Device::open(const char *path, std::string &whyNot) {
  std::shared_ptr<Device> device(new Device);
  whyNot = device->load(path);
  if (whyNot.empty())
    whyNot = device->choose();
  if (!whyNot.empty())
    return nullptr;
  return device;
}

std::string Device::whyNot(const vlm_abi_level &level) const {
  const vlm_abi_device &needed = *level.device;
  auto capability = [](int32_t major, int32_t minor) {
    return std::to_string(major) + "." + std::to_string(minor);
  };
  bool fits = needed.exact ? major == needed.major && minor == needed.minor
                           : major > needed.major || (major == needed.major &&
                                                      minor >= needed.minor);
  if (!fits)
    return "the GPU '" + deviceName + "' has compute capability " +
           capability(major, minor) + ", but the code for " + level.isa +
           " is for " + capability(needed.major, needed.minor) +
           (needed.exact ? "" : " and higher");
  for (uint32_t i = 0; i < needed.n_codes; ++i)
    if (isEmulated() == (needed.codes[i].kind == VLM_ABI_CODE_BITCODE))
      return "";
  return "the emulator needs code that the model was compiled without; add "
         "+emulator to the target";
}

vlm_status_t *Device::check(Result result, const std::string &doing) const {
  if (result == success)
    return nullptr;
  vlm_code_t code = result == outOfMemory ? VLM_OUT_OF_MEMORY : VLM_IO;
  return makeStatus(code, "GPU '" + deviceName + "': " + doing +
                              " failed with " + describe(result));
}

static Pointer addressOf(const void *memory) {
  return reinterpret_cast<Pointer>(memory);
}

vlm_status_t *Device::takeCleared(size_t bytes, void *&out) const {
  ContextScope scope(*this);
  Pointer made = 0;
  Result result = functions.allocate(&made, bytes);
  if (!result)
    result = functions.fillAsync(made, 0, bytes, copies);
  if (!result)
    result = functions.streamWait(copies);
  if (result && made)
    functions.free(made);
  out = result ? nullptr : reinterpret_cast<void *>(made);
  return check(result, "making room for " + std::to_string(bytes) + " bytes");
}

vlm_status_t *Device::copy(void *to, const void *from, size_t bytes) const {
  ContextScope scope(*this);
  Result result =
      functions.copyAsync(addressOf(to), addressOf(from), bytes, copies);
  if (!result)
    result = functions.streamWait(copies);
  return check(result, "copying " + std::to_string(bytes) + " bytes");
}

void Device::giveBack(void *memory) const {
  ContextScope scope(*this);
  functions.free(addressOf(memory));
}

} // namespace vlmc::rt::cuda
