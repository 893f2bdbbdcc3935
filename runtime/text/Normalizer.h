//===- Normalizer.h - What is done to a text before it is split -----------===//
//
// The first stage of a tokenizer: text to text. A kind is a class in
// Normalizer.cpp and a line in makeNormalizer().
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_NORMALIZER_H
#define VLMC_RUNTIME_TEXT_NORMALIZER_H

#include "runtime/text/Tables.h"

#include <memory>
#include <string>

namespace vlmc::rt::text {

class Normalizer {
public:
  virtual ~Normalizer() = default;
  /// Changes well-formed text, which begins the whole text if `begins`; that
  /// becomes false where the begin is taken off. False if the work outgrew its
  /// limits.
  virtual bool apply(std::string &text, bool &begins) const = 0;
};

std::unique_ptr<Normalizer> makeBertNormalizer(const vlm_text_stage &stage);

/// Returns "" or the problem.
std::string makeNormalizer(const Tables &tables, const vlm_text_stage &stage,
                           std::unique_ptr<Normalizer> &out);

} // namespace vlmc::rt::text

#endif // VLMC_RUNTIME_TEXT_NORMALIZER_H
