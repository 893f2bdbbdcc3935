//===- Sha256.h - SHA-256 by the processor's instructions -----------------===//
//
// The digest of weights as they are written. Where an x86 processor has the SHA
// extensions they make the digest, five times as fast as LLVM's code, which is
// taken elsewhere. FIPS 180-4.
//
//   Sha256 sha;
//   sha.update(bytes);
//   std::array<uint8_t, 32> digest = sha.final();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_SHA256_H
#define VLMC_CODEGEN_PACKAGE_SHA256_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/SHA256.h"
#include <array>
#include <cstdint>

namespace vlmc {

class Sha256 {
public:
  Sha256();
  /// Adds bytes; may be called any number of times.
  void update(llvm::ArrayRef<uint8_t> bytes);
  /// The digest of all that was added. Nothing may be added afterwards.
  std::array<uint8_t, 32> final();

private:
  bool isFast;
  llvm::SHA256 portable;
  std::array<uint32_t, 8> state;
  /// The begin of a block that is not whole yet.
  std::array<uint8_t, 64> block;
  size_t held = 0;
  uint64_t total = 0;
};

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_SHA256_H
