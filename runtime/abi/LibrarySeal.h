//===- LibrarySeal.h - The checksum at the end of a model's library -------===//
//
// The last bytes of libNAME.so, behind all that ELF knows of. A dynamic loader
// trusts what it maps: one flipped bit can end the process. So the runtime
// compares the file with its seal before the loader sees it.
//
//   LibrarySeal seal = sealOf(bytes, size);     // codegen/package appends it
//   bool whole = seal.crc == crc64(bytes, seal.bytes);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_ABI_LIBRARYSEAL_H
#define VLMC_RUNTIME_ABI_LIBRARYSEAL_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vlmc {

/// Little-endian, as all machines are that libraries are made for.
struct LibrarySeal {
  std::array<char, 8> magic; ///< kLibrarySealMagic
  uint64_t bytes;            ///< of the file before the seal
  uint64_t crc;              ///< crc64() of them
};
static_assert(sizeof(LibrarySeal) == 24, "codegen/package writes this layout");

inline constexpr std::array<char, 8> kLibrarySealMagic = {'v', 'l', 'm', 's',
                                                          'e', 'a', 'l', '1'};

namespace detail {
/// Row k: what a byte does to the remainder k bytes further on.
using Crc64Table = std::array<std::array<uint64_t, 256>, 8>;

constexpr Crc64Table makeCrc64Table() {
  constexpr uint64_t polynomial = 0xC96C5795D7870F42; // ECMA-182, reflected
  Crc64Table table{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t value = byte;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ (value & 1 ? polynomial : 0);
    table[0][byte] = value;
  }
  for (size_t row = 1; row < 8; ++row)
    for (size_t byte = 0; byte < 256; ++byte) {
      uint64_t before = table[row - 1][byte];
      table[row][byte] = (before >> 8) ^ table[0][before & 0xFF];
    }
  return table;
}

inline constexpr Crc64Table kCrc64Table = makeCrc64Table();
} // namespace detail

/// CRC-64/XZ (ECMA-182, reflected, all ones in and out), eight bytes a step:
/// finds every damage of up to 64 bits in a row, and of others all but one in
/// 2^64. A library of 500 KB takes 0.3 ms.
inline uint64_t crc64(const void *data, size_t bytes) {
  const auto &table = detail::kCrc64Table;
  const auto *at = static_cast<const unsigned char *>(data);
  uint64_t crc = ~uint64_t(0);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc ^= word;
    crc = table[7][crc & 0xFF] ^ table[6][crc >> 8 & 0xFF] ^
          table[5][crc >> 16 & 0xFF] ^ table[4][crc >> 24 & 0xFF] ^
          table[3][crc >> 32 & 0xFF] ^ table[2][crc >> 40 & 0xFF] ^
          table[1][crc >> 48 & 0xFF] ^ table[0][crc >> 56];
  }
  for (; bytes > 0; --bytes, ++at)
    crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xFF];
  return ~crc;
}

/// The seal of a file that holds `bytes` bytes so far.
inline LibrarySeal sealOf(const void *data, size_t bytes) {
  return {kLibrarySealMagic, bytes, crc64(data, bytes)};
}

} // namespace vlmc

#endif // VLMC_RUNTIME_ABI_LIBRARYSEAL_H
