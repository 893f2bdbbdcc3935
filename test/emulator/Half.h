//===-- Half.h - 16-bit floats as bits ------------------------------------===//
//
//   uint16_t bits = floatToHalf(0.1F);
//   float x = halfToFloat(bits);
//
// Rounds to nearest, ties to even, as a GPU's conversions do.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_HALF_H
#define VLMC_TEST_EMULATOR_HALF_H

#include <bit>
#include <cstdint>

namespace vlmc::emulator {

inline float halfToFloat(uint16_t bits) {
  uint32_t sign = (bits & 0x8000U) << 16, exponent = bits >> 10 & 31U,
           mantissa = bits & 0x3ffU;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  if (exponent == 0) {
    float x = static_cast<float>(mantissa) * 0x1p-24F;
    return sign ? -x : x;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

inline uint16_t floatToHalf(float x) {
  auto bits = std::bit_cast<uint32_t>(x);
  uint32_t sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U)
    return static_cast<uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) // rounds to more than 65504
    return static_cast<uint16_t>(sign | 0x7c00U);
  if (magnitude < 0x38800000U) { // below the smallest normal half
    // Adding half a unit of 2^-24 times 2^23 leaves the rounded value low.
    float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U));
  }
  uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign |
                               (magnitude - 0x38000000U + 0xfffU + odd) >> 13);
}

inline float brainToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t floatToBrain(float x) {
  auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U)
    return static_cast<uint16_t>(bits >> 16 | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_HALF_H
