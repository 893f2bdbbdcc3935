//===- Sha256.h - The SHA-256 digest --------------------------------------===//
//
// Ties a weights file to its compiled library (the header's digest) and finds
// damaged tensors (vlm_model_verify). FIPS 180-4.
//
//   Digest digest = sha256(bytes, size);
//   std::string text = toHex(digest);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_SHA256_H
#define VLMC_RUNTIME_CORE_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace vlmc::rt {

using Digest = std::array<uint8_t, 32>;

Digest sha256(const void *data, size_t bytes);

/// Lower-case hexadecimal, 64 digits.
std::string toHex(const Digest &digest);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_SHA256_H
