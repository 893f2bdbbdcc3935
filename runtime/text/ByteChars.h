//===- ByteChars.h - The characters that stand for bytes ------------------===//
//
// Byte-level vocabularies write every byte as a printable character: those of
// Latin-1 as themselves, the other 68 as U+0100 and on (GPT-2's encoder).
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_BYTECHARS_H
#define VLMC_RUNTIME_TEXT_BYTECHARS_H

#include <array>
#include <cstdint>

namespace vlmc::rt::text {

constexpr bool isOwnByteChar(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) ||
         (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

constexpr std::array<char16_t, 256> makeByteChars() {
  std::array<char16_t, 256> chars{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte)
    chars[byte] = isOwnByteChar(byte) ? byte : next++;
  return chars;
}
inline constexpr std::array<char16_t, 256> kByteChars = makeByteChars();
inline constexpr unsigned kByteCharLimit = 0x100 + 68;

inline char32_t byteChar(char byte) {
  return kByteChars[static_cast<uint8_t>(byte)];
}

constexpr std::array<int16_t, kByteCharLimit> makeCharBytes() {
  std::array<int16_t, kByteCharLimit> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte)
    bytes[kByteChars[byte]] = byte;
  return bytes;
}
inline constexpr std::array<int16_t, kByteCharLimit> kCharBytes =
    makeCharBytes();

/// The byte that a character stands for, or -1.
inline int charByte(char32_t c) {
  return c < kByteCharLimit ? kCharBytes[c] : -1;
}

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_BYTECHARS_H
