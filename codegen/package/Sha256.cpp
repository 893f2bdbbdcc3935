//===- Sha256.cpp - SHA-256 by the processor's instructions ---------------===//
#include "codegen/package/Sha256.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/TargetParser/Host.h"
#include <algorithm>
#include <cassert>
#ifdef __x86_64__
#include <immintrin.h>
#endif

using namespace llvm;

namespace vlmc {

#ifdef __x86_64__

/// The first 32 bits of the fractional parts of the cube roots of the first 64
/// primes.
alignas(16) static constexpr uint32_t roundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static bool hasShaInstructions() {
  static const bool has = [] {
    StringMap<bool> features = sys::getHostCPUFeatures();
    return features.lookup("sha") && features.lookup("sse4.1");
  }();
  return has;
}

/// Adds whole blocks of 64 bytes. The instructions hold the state as words
/// (a, b, e, f) and (c, d, g, h), highest first.
__attribute__((target("sha,sse4.1"))) static void
addBlocks(std::array<uint32_t, 8> &state, const uint8_t *data, size_t blocks) {
  auto *words = reinterpret_cast<__m128i *>(state.data());
  const __m128i swap =
      _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  for (; blocks; --blocks, data += 64) {
    const __m128i abefBefore = abef, cdghBefore = cdgh;
    __m128i w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      w[i] = _mm_shuffle_epi8(
          _mm_loadu_si128(reinterpret_cast<const __m128i *>(data) + i), swap);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      // Four rounds; w holds the last sixteen words of the schedule.
      __m128i &word = w[i % 4];
      const __m128i last = w[(i + 3) % 4];
      if (i >= 4) {
        __m128i seventh = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
        word = _mm_sha256msg1_epu32(word, w[(i + 1) % 4]);
        word = _mm_sha256msg2_epu32(_mm_add_epi32(word, seventh), last);
      }
      const auto *k = reinterpret_cast<const __m128i *>(roundConstants) + i;
      __m128i sum = _mm_add_epi32(word, _mm_load_si128(k));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abefBefore);
    cdgh = _mm_add_epi32(cdgh, cdghBefore);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

#else

static bool hasShaInstructions() { return false; }

static void addBlocks(std::array<uint32_t, 8> &, const uint8_t *, size_t) {
  llvm_unreachable("only for processors with SHA instructions");
}

#endif

Sha256::Sha256()
    : isFast(hasShaInstructions()),
      state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}

void Sha256::update(ArrayRef<uint8_t> bytes) {
  if (!isFast)
    return portable.update(bytes);
  total += bytes.size();
  if (held) {
    size_t taken = std::min(block.size() - held, bytes.size());
    std::copy_n(bytes.begin(), taken, block.begin() + held);
    held += taken;
    bytes = bytes.drop_front(taken);
    if (held < block.size())
      return;
    addBlocks(state, block.data(), 1);
    held = 0;
  }
  addBlocks(state, bytes.data(), bytes.size() / block.size());
  ArrayRef<uint8_t> rest = bytes.take_back(bytes.size() % block.size());
  std::copy(rest.begin(), rest.end(), block.begin());
  held = rest.size();
}

std::array<uint8_t, 32> Sha256::final() {
  if (!isFast)
    return portable.final();
  // One set bit, zeros, and the length in bits fill one or two blocks.
  std::array<uint8_t, 2 * 64> tail{};
  std::copy_n(block.begin(), held, tail.begin());
  tail[held] = 0x80;
  size_t bytes = held + 9 <= block.size() ? block.size() : 2 * block.size();
  support::endian::write64be(&tail[bytes - 8], total * 8);
  addBlocks(state, tail.data(), bytes / block.size());
  std::array<uint8_t, 32> digest;
  for (auto [i, word] : enumerate(state))
    support::endian::write32be(&digest[4 * i], word);
  return digest;
}

} // namespace vlmc
