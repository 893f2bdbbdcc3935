//===-- Convert.h - conversions between f32 and the stored float types
//---------------------------------------===//
//
// Exact conversions of f16 and bf16 to f32, and f32 to them rounded to nearest,
// ties to even. Bits only: they give the same on every machine.
//
//   float x = halfToFloat(0x3c00); // 1.0f
//
//===----------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_CONVERT_H
#define VLMC_CODEGEN_PACKAGE_CONVERT_H

#include <bit>
#include <cmath>
#include <cstdint>

namespace vlmc {

inline float bfloatToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// NaNs keep their payload and become quiet only if they were.
inline float halfToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  uint32_t exponent = (bits >> 10) & 31;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) |
                                (mantissa << 13));
  // Zero or subnormal: mantissa * 2^-24 is exact in f32.
  float value = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -value : value;
}

/// A finite value that is too large becomes infinite; a NaN stays one.
inline uint16_t floatToBfloat(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline uint16_t floatToHalf(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x1ff));
  if (magnitude >= 0x477ff000) // 65520 and more round to infinity
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) { // below 2^-14: a multiple of 2^-24
    float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    // nearbyint rounds ties to even in the default mode, the only one used.
    return static_cast<uint16_t>(sign |
                                 static_cast<uint16_t>(std::nearbyint(scaled)));
  }
  uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_CONVERT_H
