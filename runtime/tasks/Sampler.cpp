//===- Sampler.cpp - Choosing the next token ------------------------------===//
#include "runtime/tasks/Sampler.h"

#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <cmath>
#include <limits>
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

namespace {

/// Ids by their logits, the likeliest first, sorted only as far as anybody
/// looks. Among equals the first id goes first, so that the order is one.
class Ranking {
  auto before() const {
    return [this](int32_t a, int32_t b) {
      float left = logits[size_t(a)], right = logits[size_t(b)];
      return left != right ? left > right : a < b;
    };
  }

public:
  /// Of the `most` likeliest; 0: of all.
  Ranking(const std::vector<float> &logits, size_t most)
      : logits(logits), ids(logits.size()) {
    std::iota(ids.begin(), ids.end(), 0);
    if (most == 0 || most >= ids.size())
      return;
    std::nth_element(ids.begin(), ids.begin() + ptrdiff_t(most), ids.end(),
                     before());
    ids.resize(most);
    sort(most);
  }
  size_t size() const { return ids.size(); }
  int32_t at(size_t rank) {
    if (rank >= sorted)
      sort(std::max<size_t>(2 * rank, 64));
    return ids[rank];
  }
  /// In no order.
  const std::vector<int32_t> &all() const { return ids; }

private:
  void sort(size_t count) {
    count = std::min(count, ids.size());
    std::partial_sort(ids.begin() + ptrdiff_t(sorted),
                      ids.begin() + ptrdiff_t(count), ids.end(), before());
    sorted = count;
  }

  const std::vector<float> &logits;
  std::vector<int32_t> ids;
  size_t sorted = 0;
};

} // namespace

/// Draws from the probabilities of the logits that the limits leave.
int64_t Sampler::draw(const std::vector<float> &logits) {
  Ranking ranking(logits, size_t(options.top_k));
  double largest = logits[size_t(ranking.at(0))];
  auto weight = [&](int32_t id) {
    return std::exp((logits[size_t(id)] - largest) /
                    double(options.temperature));
  };
  double total = 0;
  for (int32_t id : ranking.all())
    total += weight(id);
  size_t count = ranking.size();
  bool isCut = options.min_p > 0;
  if (options.top_p > 0 && options.top_p < 1) {
    // The fewest that together reach it; one at least.
    double sum = 0;
    size_t kept = 0;
    while (kept < count && sum < options.top_p * total)
      sum += weight(ranking.at(kept++));
    count = std::max<size_t>(kept, 1);
    isCut = true;
  }
  if (isCut) {
    total = 1; // the first one's
    size_t kept = 1;
    for (; kept < count; ++kept) {
      double next = weight(ranking.at(kept));
      if (next < options.min_p)
        break;
      total += next;
    }
    count = kept;
  }
  constexpr double unit = 1.0 / 9007199254740992.0; // 2^-53
  double at = double(random() >> 11) * unit * total;
  for (size_t i = 0; i + 1 < count; ++i) {
    double next = weight(ranking.at(i));
    if (at < next)
      return ranking.at(i);
    at -= next;
  }
  return ranking.at(count - 1);
}

int64_t Sampler::choose(std::vector<float> &logits) {
  penalize(logits);
  for (float &logit : logits) // which has no place in an order
    if (std::isnan(logit))
      logit = -std::numeric_limits<float>::infinity();
  int64_t chosen =
      options.temperature > 0
          ? draw(logits)
          : std::max_element(logits.begin(), logits.end()) - logits.begin();
  held.insert(chosen);
  ++answered[chosen];
  return chosen;
}

} // namespace vlmc::rt
