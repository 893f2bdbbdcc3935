//===- LargeMemory.h - Memory that goes back when it is freed ---*- C++ -*-===//
//
// malloc keeps much of what is freed, so that what a request takes could not be
// told beforehand. Large blocks are therefore the system's own mappings: they
// are given back at once and whole.
//
//   std::vector<float, LargeAllocator<float>> pixels(count);
//   void *block = takeLarge(bytes, VLM_ABI_ALIGNMENT);   // NULL: no memory
//   giveLarge(block, bytes);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_LARGEMEMORY_H
#define VLMC_RUNTIME_CORE_LARGEMEMORY_H

#include "runtime/abi/vlm_abi.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace vlmc::rt {

/// Below it malloc's own ways waste little.
inline constexpr size_t kLargeBytes = size_t(64) << 10;
inline constexpr size_t kSystemPage = 4096;

inline size_t roundedUp(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// `bytes` bytes; `alignment` is a power of two from VLM_ABI_ALIGNMENT on. NULL
/// if there is no memory.
inline void *takeLarge(size_t bytes, size_t alignment) {
  if (bytes > SIZE_MAX / 2)
    return nullptr;
  if (bytes < kLargeBytes)
    return std::aligned_alloc(alignment, roundedUp(bytes, alignment));
  // A longer mapping than needed, of which the ends go back.
  size_t surplus = alignment > kSystemPage ? alignment : 0;
  size_t length = roundedUp(bytes, kSystemPage);
  void *mapped = mmap(nullptr, length + surplus, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return nullptr;
  auto *begin = static_cast<char *>(mapped);
  if (surplus) {
    size_t skipped = size_t(-reinterpret_cast<intptr_t>(begin)) % alignment;
    if (skipped)
      munmap(begin, skipped);
    begin += skipped;
    if (skipped < surplus)
      munmap(begin + length, surplus - skipped);
  }
  return begin;
}

inline void giveLarge(void *block, size_t bytes) {
  if (bytes < kLargeBytes)
    std::free(block);
  else if (block)
    munmap(block, roundedUp(bytes, kSystemPage));
}

/// For std::vector.
template <typename T> struct LargeAllocator {
  using value_type = T;
  LargeAllocator() = default;
  template <typename U>
  LargeAllocator(const LargeAllocator<U> &) {} // NOLINT: as the standard asks
  T *allocate(size_t count) {
    void *block = count > SIZE_MAX / sizeof(T)
                      ? nullptr
                      : takeLarge(count * sizeof(T), VLM_ABI_ALIGNMENT);
    if (!block)
      throw std::bad_alloc();
    return static_cast<T *>(block);
  }
  void deallocate(T *block, size_t count) {
    giveLarge(block, count * sizeof(T));
  }
  bool operator==(const LargeAllocator &) const { return true; }
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_LARGEMEMORY_H
