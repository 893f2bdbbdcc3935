//===- Size.h - Sizes that depend on the request --------------------------===//
//
// Evaluates the polynomials of a compiled model over an entry's symbols with
// checked arithmetic: no request, however large, wraps around.
//
//   int64_t bytes;
//   if (!evaluate(slot, symbols, bytes)) ...too large...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_SIZE_H
#define VLMC_RUNTIME_CORE_SIZE_H

#include "runtime/abi/vlm_abi.h"

#include <algorithm>
#include <cstdint>

namespace vlmc::rt {

/// The value of a polynomial; false if it does not fit 63 bits.
inline bool evaluate(const vlm_abi_size &size, const int64_t *symbols,
                     int64_t &out) {
  int64_t sum = 0;
  for (uint64_t t = 0; t < size.n_terms; ++t) {
    const vlm_abi_term &term = size.terms[t];
    int64_t product = term.coefficient;
    for (int s = 0; s < VLM_ABI_MAX_SYMBOLS; ++s)
      for (uint8_t power = term.powers[s]; power > 0; --power)
        if (__builtin_mul_overflow(product, symbols[s], &product))
          return false;
    if (__builtin_add_overflow(sum, product, &sum))
      return false;
  }
  out = sum;
  return true;
}

/// The largest of some polynomials.
inline bool evaluate(const vlm_abi_max_size &max, const int64_t *symbols,
                     int64_t &out) {
  int64_t largest = 0;
  for (uint64_t i = 0; i < max.n_sizes; ++i) {
    int64_t value;
    if (!evaluate(max.sizes[i], symbols, value))
      return false;
    largest = std::max(largest, value);
  }
  out = largest;
  return true;
}

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_SIZE_H
