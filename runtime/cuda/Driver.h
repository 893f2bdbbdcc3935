//===- Driver.h - The CUDA driver, opened at run time ---------------------===//
//
// One device, and the driver's errors as words. Models hold it by a shared
// pointer; it is closed with the last of them.
//
//   std::string whyNot;
//   std::shared_ptr<Device> device = Device::open(nullptr, whyNot);
//   if (!device) ...the CPU then, since whyNot...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_DRIVER_H
#define VLMC_RUNTIME_CUDA_DRIVER_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/cuda/CudaApi.h"
#include "runtime/vlm.h"

#include <memory>
#include <string>

namespace vlmc::rt::cuda {

class Device {
public:
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  /// The first device of the driver `path` (NULL: libcuda.so.1). NULL and the
  /// reason where there is none.
  static std::shared_ptr<Device> open(const char *path, std::string &whyNot);

  /// "", or why the code of a level does not run on this device.
  std::string whyNot(const vlm_abi_level &level) const;

  /// NULL for success, else a status that says what failed `doing` what.
  vlm_status_t *check(Result result, const std::string &doing) const;

  /// Memory of the device, which the host must not touch. It is made, cleared
  /// and copied beside whatever runs, and is as told when a call returns.
  vlm_status_t *takeCleared(size_t bytes, void *&out) const;
  vlm_status_t *copy(void *to, const void *from, size_t bytes) const;
  void giveBack(void *memory) const;

  const Functions &api() const { return functions; }
  const std::string &name() const { return deviceName; }
  /// 13000 for CUDA 13.0; 0: it is not known.
  int driverVersion() const {
    int version = 0;
    return functions.driverVersion(&version) == success ? version : 0;
  }
  Context *context() const { return primary; }
  /// Whether a launch may begin while the one before it ends.
  bool startsEarly() const { return major >= 9; }
  bool isEmulated() const { return functions.emulatedLoad != nullptr; }

private:
  Device() = default;
  std::string load(const char *path);
  std::string choose();
  std::string describe(Result result) const;

  void *library = nullptr;
  Functions functions;
  DeviceNumber number = 0;
  Context *primary = nullptr;
  Stream *copies = nullptr; ///< beside the streams of models
  std::string deviceName;
  int major = 0, minor = 0;
};

/// Makes the device's context the thread's for as long as it lives.
class ContextScope {
public:
  explicit ContextScope(const Device &device) : device(device) {
    device.api().contextPush(device.context());
  }
  ~ContextScope() {
    Context *popped = nullptr;
    device.api().contextPop(&popped);
  }
  ContextScope(const ContextScope &) = delete;
  ContextScope &operator=(const ContextScope &) = delete;

private:
  const Device &device;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_DRIVER_H
