//===-- MemoryEntries.cpp - memory, and copies of it ----------------------===//
#include "test/emulator/driver/Streams.h"
#include <algorithm>
#include <cstring>

using namespace vlmc::emulator::driver;

static void *hostAddress(DevicePointer pointer) {
  return reinterpret_cast<void *>(pointer);
}

//===-- Memory ------------------------------------------------------------===//

static Result allocate(const char *name, DevicePointer *out, size_t bytes,
                       MemoryKind kind) {
  return call(name, Needs::Context, [&] {
    if (Streams::get().isForbidden())
      return CaptureUnsupported;
    void *memory = nullptr;
    Result result = State::get().allocate(bytes, kind, memory);
    *out = reinterpret_cast<DevicePointer>(memory);
    return result;
  });
}

VLMC_ENTRY cuMemAlloc_v2(DevicePointer *out, size_t bytes) {
  return allocate("cuMemAlloc", out, bytes, MemoryKind::Device);
}

VLMC_ENTRY cuMemAllocManaged(DevicePointer *out, size_t bytes,
                             unsigned /*flags*/) {
  return allocate("cuMemAllocManaged", out, bytes, MemoryKind::Managed);
}

/// Waits for all work, as a driver does.
VLMC_ENTRY cuMemFree_v2(DevicePointer pointer) {
  return call("cuMemFree", Needs::Context, [&] {
    if (!pointer)
      return Success;
    if (Streams::get().isForbidden())
      return CaptureUnsupported;
    Streams::get().finishAll();
    return State::get().release(hostAddress(pointer), /*isHost=*/false);
  });
}

VLMC_ENTRY cuMemAllocAsync(DevicePointer *out, size_t bytes,
                           void * /*stream*/) {
  return allocate("cuMemAllocAsync", out, bytes, MemoryKind::Device);
}

VLMC_ENTRY cuMemFreeAsync(DevicePointer pointer, void *stream) {
  return call("cuMemFreeAsync", Needs::Context, [&] {
    return Streams::get().submit(stream, [pointer] {
      return State::get().release(hostAddress(pointer), /*isHost=*/false);
    });
  });
}

static Result allocateHost(const char *name, void **out, size_t bytes) {
  return call(name, Needs::Context, [&] {
    return State::get().allocate(bytes, MemoryKind::Pinned, *out);
  });
}

VLMC_ENTRY cuMemAllocHost_v2(void **out, size_t bytes) {
  return allocateHost("cuMemAllocHost", out, bytes);
}

VLMC_ENTRY cuMemHostAlloc(void **out, size_t bytes, unsigned /*flags*/) {
  return allocateHost("cuMemHostAlloc", out, bytes);
}

VLMC_ENTRY cuMemFreeHost(void *memory) {
  return call("cuMemFreeHost", Needs::Context, [&] {
    Streams::get().finishAll();
    return State::get().release(memory, /*isHost=*/true);
  });
}

VLMC_ENTRY cuMemHostRegister_v2(void *memory, size_t bytes,
                                unsigned /*flags*/) {
  return call("cuMemHostRegister", Needs::Context,
              [&] { return State::get().registerHost(memory, bytes); });
}

VLMC_ENTRY cuMemHostUnregister(void *memory) {
  return call("cuMemHostUnregister", Needs::Context, [&] {
    Streams::get().finishAll();
    Result result = State::get().release(memory, /*isHost=*/true);
    return result == InvalidValue ? HostMemoryNotRegistered : result;
  });
}

VLMC_ENTRY cuMemHostGetDevicePointer_v2(DevicePointer *out, void *memory,
                                        unsigned /*flags*/) {
  return call("cuMemHostGetDevicePointer", Needs::Context, [&] {
    *out = reinterpret_cast<DevicePointer>(memory);
    return State::get().find(memory, 1) ? Success : InvalidValue;
  });
}

VLMC_ENTRY cuMemGetInfo_v2(size_t *free, size_t *total) {
  return call("cuMemGetInfo", Needs::Context, [&] {
    *free = State::get().freeBytes();
    *total = State::get().memoryBytes();
    return Success;
  });
}

VLMC_ENTRY cuMemGetAddressRange_v2(DevicePointer *begin, size_t *bytes,
                                   DevicePointer pointer) {
  return call("cuMemGetAddressRange", Needs::Context, [&] {
    const void *first = nullptr;
    const Allocation *found =
        State::get().find(hostAddress(pointer), 1, &first);
    if (!found)
      return NotFound;
    if (begin)
      *begin = reinterpret_cast<DevicePointer>(first);
    if (bytes)
      *bytes = found->bytes;
    return Success;
  });
}

//===-- Copies ------------------------------------------------------------===//

namespace {
/// What a copy says of its ends; `Any` looks at where memory is.
enum class Side : uint8_t { Host, Device, Any };
} // namespace

static bool isPinned(const void *memory, size_t bytes) {
  return State::get().find(memory, bytes) != nullptr;
}

/// Whether a place may be an end of that side.
static bool isRight(const void *memory, size_t bytes, Side side) {
  return side != Side::Device || State::get().find(memory, bytes);
}

/// A copy from memory that is not pinned reads it at once; one to such memory
/// is waited for. All else is done when it is waited for.
static Result copy(const char *name, void *to, Side toSide, const void *from,
                   Side fromSide, size_t bytes, void *stream, bool waits) {
  return call(name, Needs::Context, [&] {
    Streams &streams = Streams::get();
    if (!bytes)
      return Success;
    if (!isRight(to, bytes, toSide) || !isRight(from, bytes, fromSide))
      return State::get().fail(
          InvalidValue, std::string(name) + ": " + std::to_string(bytes) +
                            " bytes that are not all in memory of the device");
    Stream *queue = streams.find(stream);
    if (!queue)
      return InvalidHandle;
    if (waits && streams.isForbidden())
      return CaptureUnsupported;
    Work work = [=] {
      memmove(to, from, bytes);
      return Success;
    };
    if (fromSide != Side::Device && !queue->capture && !isPinned(from, bytes)) {
      const auto *begin = static_cast<const char *>(from);
      auto own = std::make_shared<std::vector<char>>(begin, begin + bytes);
      work = [=] {
        memmove(to, own->data(), bytes);
        return Success;
      };
    }
    Result result = streams.submit(stream, work);
    bool isPageable = toSide != Side::Device && !isPinned(to, bytes);
    if (result == Success && (waits || isPageable) && !queue->capture)
      result = streams.finish(*queue);
    return result;
  });
}

VLMC_ENTRY cuMemcpyHtoD_v2(DevicePointer to, const void *from, size_t bytes) {
  return copy("cuMemcpyHtoD", hostAddress(to), Side::Device, from, Side::Host,
              bytes, nullptr, true);
}

VLMC_ENTRY cuMemcpyDtoH_v2(void *to, DevicePointer from, size_t bytes) {
  return copy("cuMemcpyDtoH", to, Side::Host, hostAddress(from), Side::Device,
              bytes, nullptr, true);
}

VLMC_ENTRY cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) {
  return copy("cuMemcpyDtoD", hostAddress(to), Side::Device, hostAddress(from),
              Side::Device, bytes, nullptr, true);
}

VLMC_ENTRY cuMemcpy(DevicePointer to, DevicePointer from, size_t bytes) {
  return copy("cuMemcpy", hostAddress(to), Side::Any, hostAddress(from),
              Side::Any, bytes, nullptr, true);
}

VLMC_ENTRY cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from,
                                size_t bytes, void *stream) {
  return copy("cuMemcpyHtoDAsync", hostAddress(to), Side::Device, from,
              Side::Host, bytes, stream, false);
}

VLMC_ENTRY cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes,
                                void *stream) {
  return copy("cuMemcpyDtoHAsync", to, Side::Host, hostAddress(from),
              Side::Device, bytes, stream, false);
}

VLMC_ENTRY cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from,
                                size_t bytes, void *stream) {
  return copy("cuMemcpyDtoDAsync", hostAddress(to), Side::Device,
              hostAddress(from), Side::Device, bytes, stream, false);
}

VLMC_ENTRY cuMemcpyAsync(DevicePointer to, DevicePointer from, size_t bytes,
                         void *stream) {
  return copy("cuMemcpyAsync", hostAddress(to), Side::Any, hostAddress(from),
              Side::Any, bytes, stream, false);
}

template <typename T>
static Result fill(const char *name, DevicePointer to, T value, size_t count,
                   void *stream) {
  return call(name, Needs::Context, [&] {
    auto *memory = static_cast<T *>(hostAddress(to));
    if (!isRight(memory, count * sizeof(T), Side::Device))
      return InvalidValue;
    return Streams::get().submit(stream, [=] {
      std::fill_n(memory, count, value);
      return Success;
    });
  });
}

VLMC_ENTRY cuMemsetD8_v2(DevicePointer to, unsigned char value, size_t count) {
  return fill("cuMemsetD8", to, value, count, nullptr);
}

VLMC_ENTRY cuMemsetD32_v2(DevicePointer to, unsigned value, size_t count) {
  return fill("cuMemsetD32", to, value, count, nullptr);
}

VLMC_ENTRY cuMemsetD8Async(DevicePointer to, unsigned char value, size_t count,
                           void *stream) {
  return fill("cuMemsetD8Async", to, value, count, stream);
}

VLMC_ENTRY cuMemsetD32Async(DevicePointer to, unsigned value, size_t count,
                            void *stream) {
  return fill("cuMemsetD32Async", to, value, count, stream);
}
