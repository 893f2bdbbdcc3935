//===-- State.h - what the stand-in for the driver keeps ------------------===//
//
// One device, one lock, memory by address, errors that stay, and failures by
// wish. Every entry point runs its body by `call`:
//
//   VLMC_ENTRY cuCtxGetCurrent(void **context) {
//     return call("cuCtxGetCurrent", Needs::Init, [&] { ...; return Success;
//     });
//   }
//
// Environment: README.md of this folder.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_DRIVER_STATE_H
#define VLMC_TEST_EMULATOR_DRIVER_STATE_H

#include "test/emulator/driver/CudaTypes.h"
#include <map>
#include <mutex>
#include <string>
#include <vector>

#define VLMC_ENTRY                                                             \
  extern "C"                                                                   \
      __attribute__((visibility("default"))) vlmc::emulator::driver::Result

namespace vlmc::emulator::driver {

enum class MemoryKind : uint8_t { Device, Managed, Pinned, Registered };

struct Allocation {
  size_t bytes = 0;
  MemoryKind kind = MemoryKind::Device;
  bool isMapped = false; ///< pages of its own, which can be shut
};

/// "cuMemAlloc:3" or "cuLaunchKernel:5:719": which call fails, and how.
struct Failure {
  std::string name;
  long left = 1;
  Result result = Unknown;
};

class State {
public:
  static State &get();

  std::recursive_mutex mutex;
  bool isInitialised = false;
  /// An error of the device that every call gives from now on.
  Result lost = Success;
  unsigned contextUses = 0;

  /// Reads the environment anew, and forgets errors, failures and memory.
  void reset();

  /// The number of the chip: 80, 89, 90.
  int chip() const { return chipNumber; }
  size_t maxSharedBytes() const;
  size_t memoryBytes() const { return capacity; }
  size_t freeBytes() const { return capacity - used; }

  /// The failure wished for this call, or Success.
  Result injected(const std::string &name);
  /// Notes an error that stays; gives it back.
  Result fail(Result result, const std::string &message);
  const std::string &message() const { return lastMessage; }

  Result allocate(size_t bytes, MemoryKind kind, void *&memory);
  Result registerHost(void *memory, size_t bytes);
  Result release(void *memory, bool isHost);
  void releaseAll();
  /// Opens or shuts memory of the device where it is protected; openings are
  /// counted.
  void open(int change);
  /// What holds all of these bytes; null: nothing does.
  const Allocation *find(const void *memory, size_t bytes,
                         const void **begin = nullptr) const;

private:
  State();
  void readFailures(const char *text);
  bool isShut() const { return isProtected && openings == 0; }

  std::map<uintptr_t, Allocation> memory;
  size_t capacity = 0, used = 0;
  int chipNumber = 80;
  bool isProtected = false; ///< the device's memory is not the host's
  int openings = 0;
  std::vector<Failure> failures;
  std::string lastMessage;
};

/// The device touches its memory while this lives: its work is being done.
class DeviceAccess {
public:
  DeviceAccess() { State::get().open(1); }
  ~DeviceAccess() { State::get().open(-1); }
  DeviceAccess(const DeviceAccess &) = delete;
  DeviceAccess &operator=(const DeviceAccess &) = delete;
};

/// The contexts of a host thread; there is but one to push.
std::vector<void *> &contextStack();
void *primaryContext();

enum class Needs : uint8_t { Nothing, Init, Context };

/// Errors after which a device is of no use until its context is made anew.
bool isSticky(Result result);

template <typename Body> Result call(const char *name, Needs needs, Body body) {
  State &state = State::get();
  std::lock_guard<std::recursive_mutex> lock(state.mutex);
  if (needs != Needs::Nothing && !state.isInitialised)
    return NotInitialized;
  if (needs == Needs::Context && state.lost != Success)
    return state.lost;
  if (needs == Needs::Context && contextStack().empty())
    return InvalidContext;
  if (Result wished = state.injected(name); wished != Success)
    return isSticky(wished)
               ? state.fail(wished, std::string(name) + ": a failure by wish")
               : wished;
  return body();
}

const char *environment(const char *name, const char *otherwise);

} // namespace vlmc::emulator::driver

#endif // VLMC_TEST_EMULATOR_DRIVER_STATE_H
