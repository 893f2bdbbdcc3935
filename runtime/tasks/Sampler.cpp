//===- Sampler.cpp - Choosing the next token ------------------------------===//
#include "runtime/tasks/Sampler.h"

#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vlmc::rt {

vlm_status_t *checkSampling(const vlm_generate_options_t &options) {
  struct Number {
    const char *name;
    float value, least, most;
  };
  constexpr float large = 1e6F;
  for (const Number &number :
       {Number{"temperature", options.temperature, 0, large},
        Number{"top_p", options.top_p, 0, 1},
        Number{"min_p", options.min_p, 0, 1},
        Number{"repetition_penalty", options.repetition_penalty, 0, large},
        Number{"presence_penalty", options.presence_penalty, -large, large},
        Number{"frequency_penalty", options.frequency_penalty, -large, large}})
    if (!(number.value >= number.least && number.value <= number.most))
      return invalid(std::string(number.name) + ": expected a number from " +
                     std::to_string(int64_t(number.least)) + " to " +
                     std::to_string(int64_t(number.most)) + ", found " +
                     std::to_string(number.value));
  if (options.top_k < 0)
    return invalid("top_k: expected 0 or more, found " +
                   std::to_string(options.top_k));
  if (options.max_new_tokens < 0)
    return invalid("max_new_tokens: expected 0 or more, found " +
                   std::to_string(options.max_new_tokens));
  return nullptr;
}

void Sampler::penalize(std::vector<float> &logits) const {
  auto in = [&](int64_t id) { return id >= 0 && size_t(id) < logits.size(); };
  float factor = options.repetition_penalty;
  if (factor != 0 && factor != 1)
    for (int64_t id : held)
      if (in(id))
        logits[size_t(id)] = logits[size_t(id)] < 0
                                 ? logits[size_t(id)] * factor
                                 : logits[size_t(id)] / factor;
  if (options.presence_penalty != 0 || options.frequency_penalty != 0)
    for (auto [id, count] : answered)
      if (in(id))
        logits[size_t(id)] -=
            options.presence_penalty + float(count) * options.frequency_penalty;
}

/// Draws from the probabilities of the logits that the limits leave.
int64_t Sampler::draw(std::vector<float> &logits) {
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  // Among equals the first id goes first, so that the order is one.
  std::ranges::sort(order, [&](int64_t a, int64_t b) {
    float left = logits[size_t(a)], right = logits[size_t(b)];
    return left != right ? left > right : a < b;
  });
  size_t count = order.size();
  if (options.top_k > 0)
    count = std::min(count, size_t(options.top_k));
  std::vector<double> weights;
  double total = 0;
  double largest = logits[size_t(order[0])];
  for (size_t i = 0; i < count; ++i) {
    weights.push_back(std::exp((logits[size_t(order[i])] - largest) /
                               double(options.temperature)));
    total += weights.back();
  }
  if (options.top_p > 0 && options.top_p < 1) {
    // The fewest that together reach it; one at least.
    double sum = 0;
    size_t kept = 0;
    while (kept < count && sum < options.top_p * total)
      sum += weights[kept++];
    count = std::max<size_t>(kept, 1);
  }
  while (count > 1 && weights[count - 1] < options.min_p * weights[0])
    --count;
  total =
      std::accumulate(weights.begin(), weights.begin() + ptrdiff_t(count), 0.0);
  constexpr double unit = 1.0 / 9007199254740992.0; // 2^-53
  double at = double(random() >> 11) * unit * total;
  for (size_t i = 0; i + 1 < count; ++i) {
    if (at < weights[i])
      return order[i];
    at -= weights[i];
  }
  return order[count - 1];
}

int64_t Sampler::choose(std::vector<float> &logits) {
  penalize(logits);
  int64_t chosen =
      options.temperature > 0
          ? draw(logits)
          : std::max_element(logits.begin(), logits.end()) - logits.begin();
  held.insert(chosen);
  ++answered[chosen];
  return chosen;
}

} // namespace vlmc::rt
