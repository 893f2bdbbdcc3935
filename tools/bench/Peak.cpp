//===-- Peak.cpp - the multiply-add peak of this machine ------------------===//
#include "tools/bench/Peak.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vlmc::bench {

#if defined(__x86_64__)

// Two multiply-adds a cycle of latency four to five need ten sums; a few more
// do no harm. The factors keep the sums finite and normal for ever.
static constexpr int sums = 12;
static constexpr float factor = 0.999f, term = 1e-4f;

__attribute__((target("avx2,fma"))) static double loopAvx2(int64_t iterations) {
  __m256 x[sums];
  for (int i = 0; i < sums; ++i)
    x[i] = _mm256_set1_ps(static_cast<float>(i) * 0.001f);
  for (int64_t k = 0; k < iterations; ++k)
    for (int i = 0; i < sums; ++i)
      x[i] =
          _mm256_fmadd_ps(x[i], _mm256_set1_ps(factor), _mm256_set1_ps(term));
  for (int i = 0; i < sums; ++i)
    __asm__ volatile("" : : "x"(x[i])); // the sums are needed
  return static_cast<double>(iterations) * sums * 2 * 8;
}

__attribute__((target("avx512f"))) static double
loopAvx512(int64_t iterations) {
  __m512 x[sums];
  for (int i = 0; i < sums; ++i)
    x[i] = _mm512_set1_ps(static_cast<float>(i) * 0.001f);
  for (int64_t k = 0; k < iterations; ++k)
    for (int i = 0; i < sums; ++i)
      x[i] =
          _mm512_fmadd_ps(x[i], _mm512_set1_ps(factor), _mm512_set1_ps(term));
  for (int i = 0; i < sums; ++i)
    __asm__ volatile("" : : "v"(x[i]));
  return static_cast<double>(iterations) * sums * 2 * 16;
}

PeakLoop findPeakLoop(std::string_view isa) {
  if (isa.starts_with("x86-64-v3"))
    return loopAvx2;
  if (isa.starts_with("x86-64-v4"))
    return loopAvx512;
  return nullptr;
}

#else

PeakLoop findPeakLoop(std::string_view isa) { return nullptr; }

#endif

} // namespace vlmc::bench
