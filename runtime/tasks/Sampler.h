//===- Sampler.h - Choosing the next token ----------------------*- C++ -*-===//
//
// From logits to a token: the likeliest, or one drawn at random from what the
// limits leave, in the order of transformers' logits processors. The same seed
// draws the same tokens on every machine.
//
//   Sampler sampler(options);
//   sampler.hold(promptIds);            // for the repetition penalty
//   int64_t next = sampler.choose(logits);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_SAMPLER_H
#define VLMC_RUNTIME_TASKS_SAMPLER_H

#include "runtime/vlm.h"

#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace vlmc::rt {

/// Returns NULL, or what is wrong with the numbers.
vlm_status_t *checkSampling(const vlm_generate_options_t &options);

class Sampler {
public:
  explicit Sampler(const vlm_generate_options_t &options)
      : options(options), random(options.seed) {}

  /// Tokens that are there before the first is chosen.
  void hold(const std::vector<int64_t> &ids) {
    held.insert(ids.begin(), ids.end());
  }
  /// Chooses, and counts what it chose. Changes the logits.
  int64_t choose(std::vector<float> &logits);

private:
  void penalize(std::vector<float> &logits) const;
  int64_t draw(const std::vector<float> &logits);

  vlm_generate_options_t options;
  std::mt19937_64 random;
  std::unordered_set<int64_t> held;
  std::unordered_map<int64_t, int64_t> answered; ///< how often
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_SAMPLER_H
