//===-- TensorEntries.cpp - tensor maps -----------------------------------===//
#include "test/emulator/TensorMap.h"
#include "test/emulator/driver/State.h"
#include <cstring>

using namespace vlmc::emulator;
using namespace vlmc::emulator::driver;

/// CUtensorMapDataType: u8 u16 u32 i32 u64 i64 f16 f32 f64 bf16 f32 tf32 tf32.
static int bytesOfType(unsigned type) {
  static const int bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  return type < sizeof bytes / sizeof *bytes ? bytes[type] : 0;
}

/// What a driver refuses of a dimension.
static bool isRight(const TensorMap &map, const uint64_t *dims,
                    const uint64_t *strides, const unsigned *box,
                    const unsigned *steps) {
  for (int d = 0; d < map.rank; ++d) {
    bool hasStride = d + 1 < map.rank;
    if (!dims[d] || dims[d] > (uint64_t{1} << 32) - 1 || !box[d] ||
        box[d] > 256 || steps[d] != 1 ||
        (hasStride && (strides[d] % 16 || strides[d] >= uint64_t{1} << 40)))
      return false;
  }
  unsigned inner = box[0] * map.elementBytes;
  return inner % 16 == 0 && (!map.swizzle || inner <= 16U << map.swizzle);
}

/// Steps of elements other than 1, interleaved layouts: not here.
VLMC_ENTRY cuTensorMapEncodeTiled(void *out, unsigned type, unsigned rank,
                                  void *memory, const uint64_t *dims,
                                  const uint64_t *strides, const unsigned *box,
                                  const unsigned *steps, int interleave,
                                  int swizzle, int /*promotion*/, int fill) {
  return call("cuTensorMapEncodeTiled", Needs::Init, [&] {
    TensorMap map;
    map.base = static_cast<char *>(memory);
    map.rank = static_cast<uint8_t>(rank);
    map.elementBytes = static_cast<uint8_t>(bytesOfType(type));
    map.swizzle = static_cast<uint8_t>(swizzle);
    map.fillsNan = fill == 1;
    if (!rank || rank > 5 || !map.elementBytes || interleave || swizzle < 0 ||
        swizzle > 3 || reinterpret_cast<uintptr_t>(memory) % 16 ||
        reinterpret_cast<uintptr_t>(out) % 64 ||
        !isRight(map, dims, strides, box, steps))
      return State::get().fail(InvalidValue,
                               "cuTensorMapEncodeTiled: sizes, strides or "
                               "alignment that a tensor map does not have");
    for (unsigned d = 0; d < rank; ++d) {
      map.dims[d] = static_cast<uint32_t>(dims[d]);
      map.box[d] = static_cast<uint16_t>(box[d]);
      if (d + 1 < rank)
        map.strides[d] = strides[d];
    }
    memcpy(out, &map, sizeof map);
    return Success;
  });
}
