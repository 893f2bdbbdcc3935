//===-- TensorMap.h - what a tensor map's 128 bytes hold here -------------===//
//
// The layout is the emulator's own: a driver's maps are opaque. The stand-in's
// cuTensorMapEncodeTiled writes it, Tma.cpp reads it.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_TENSORMAP_H
#define VLMC_TEST_EMULATOR_TENSORMAP_H

#include <cstdint>

namespace vlmc::emulator {

struct alignas(64) TensorMap {
  static constexpr uint64_t mark = 0x766c6d6374656e73ULL;
  uint64_t magic = mark;
  char *base = nullptr;
  uint64_t strides[4] = {}; ///< bytes, of dimensions 1 to 4
  uint32_t dims[5] = {};    ///< dimension 0 is the fastest
  uint16_t box[5] = {};
  uint8_t rank = 0, elementBytes = 0;
  uint8_t swizzle = 0; ///< 0 none, 1 to 3: 32, 64, 128 bytes
  bool fillsNan = false;
};
static_assert(sizeof(TensorMap) == 128);

/// Where a byte of a tile goes: chunks of 16 bytes change places by bits of
/// the address above.
inline uintptr_t swizzled(uintptr_t address, int mode) {
  uintptr_t mask = (uintptr_t{1} << mode) - 1;
  return address ^ ((address >> 7 & mask) << 4);
}

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_TENSORMAP_H
