//===- BeamSearch.cpp - The likeliest answers -----------------------------===//
//
// Scores are f32, and what cannot be chosen has one of -1e9 less, as there.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/BeamSearch.h"

#include <algorithm>
#include <cmath>

namespace vlmc::rt {

static constexpr float hopeless = -1e9F;

BeamOptions beamOptions(const vlm_abi_generation &facts) {
  BeamOptions options;
  options.beams = std::max<int64_t>(1, facts.beams);
  if (facts.length_penalty)
    options.lengthPenalty = *facts.length_penalty;
  options.end = facts.beam_end;
  return options;
}

BeamSearch::BeamSearch(const vlm_abi_generation &facts,
                       const BeamOptions &options,
                       std::span<const int64_t> prompt, int64_t most,
                       int64_t padding)
    : facts(facts), options(options), prompt(prompt.begin(), prompt.end()),
      most(most), processors(facts, int64_t(prompt.size()), most, padding),
      beams(size_t(options.beams)), finished(size_t(options.beams)) {
  // All are the same now, of which one counts.
  for (size_t i = 1; i < beams.size(); ++i)
    beams[i].score = hopeless;
  for (Beam &beam : finished)
    beam.score = hopeless;
}

double BeamSearch::lengthFactor(int64_t tokens) const {
  return std::pow(double(tokens), double(options.lengthPenalty));
}

std::vector<int64_t> BeamSearch::continued(const Candidate &candidate) const {
  std::vector<int64_t> ids = beams[size_t(candidate.beam)].ids;
  ids.push_back(candidate.id);
  return ids;
}

/// Logarithms of the probabilities, in f32.
static std::vector<float> logSoftmax(std::span<const float> logits) {
  float largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(double(logit) - double(largest));
  double base = double(largest) + std::log(sum);
  std::vector<float> result(logits.size());
  std::ranges::transform(logits, result.begin(),
                         [&](float logit) { return float(logit - base); });
  return result;
}

/// The best continuations of all beams, best first: so many that as many as
/// beams go on even if all others end.
std::vector<BeamSearch::Candidate>
BeamSearch::findBest(std::span<const std::span<const float>> logits) const {
  const size_t count =
      size_t(std::max<int64_t>(2, 1 + facts.n_end_tokens) * options.beams);
  auto isBetter = [](const Candidate &a, const Candidate &b) {
    if (a.score != b.score)
      return a.score > b.score;
    return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
  };
  std::vector<Candidate> best; // a heap, its worst one on top
  for (size_t beam = 0; beam < beams.size(); ++beam) {
    std::vector<float> scores =
        logSoftmax(logits[std::min(beam, logits.size() - 1)]);
    std::vector<int64_t> ids = prompt;
    ids.insert(ids.end(), beams[beam].ids.begin(), beams[beam].ids.end());
    processors.apply(ids, scores);
    for (size_t id = 0; id < scores.size(); ++id) {
      Candidate next{scores[id] + beams[beam].score, int32_t(beam),
                     int64_t(id)};
      if (best.size() == count && !isBetter(next, best.front()))
        continue;
      if (best.size() == count) {
        std::ranges::pop_heap(best, isBetter);
        best.pop_back();
      }
      best.push_back(next);
      std::ranges::push_heap(best, isBetter);
    }
  }
  std::ranges::sort_heap(best, isBetter);
  const int64_t *end = facts.end_tokens + facts.n_end_tokens;
  for (Candidate &each : best)
    each.ends =
        length + 1 == most || std::find(facts.end_tokens, end, each.id) != end;
  return best;
}

/// Those among the first ones that end, where they are better than others that
/// did.
void BeamSearch::keepFinished(const std::vector<Candidate> &best) {
  bool isFull = options.end == VLM_ABI_BEAMS_FULL &&
                std::ranges::all_of(finished, &Beam::isFinished);
  std::vector<Beam> all = std::move(finished);
  auto factor = float(lengthFactor(length + 1));
  for (size_t i = 0; i < best.size(); ++i) {
    Beam beam;
    beam.isFinished = best[i].ends && i < beams.size();
    beam.score = best[i].score / factor;
    for (bool isOut : {isFull, !improves, !beam.isFinished})
      beam.score += isOut ? hopeless : 0;
    beam.ids = continued(best[i]);
    all.push_back(std::move(beam));
  }
  std::ranges::stable_sort(all, std::greater<>(), &Beam::score);
  all.resize(beams.size());
  finished = std::move(all);
}

/// The best ones that do not end.
void BeamSearch::goOn(const std::vector<Candidate> &best) {
  std::vector<Candidate> order = best;
  for (Candidate &each : order)
    each.score += each.ends ? hopeless : 0;
  std::ranges::stable_sort(order, std::greater<>(), &Candidate::score);
  std::vector<Beam> next(beams.size());
  for (size_t i = 0; i < next.size(); ++i) {
    const Candidate &each = order[std::min(i, order.size() - 1)];
    next[i].ids = continued(each);
    next[i].score = each.score;
    next[i].origin = each.beam;
  }
  beams = std::move(next);
}

/// Whether the best beam may still come before the worst answer.
bool BeamSearch::canImprove() const {
  bool usesMost =
      options.end == VLM_ABI_BEAMS_IMPOSSIBLE && options.lengthPenalty > 0;
  float possible =
      beams[0].score / float(lengthFactor(usesMost ? most : length));
  float worst = std::ranges::min(finished, {}, &Beam::score).score;
  return std::ranges::any_of(finished, [&](const Beam &beam) {
    return possible > (beam.isFinished ? worst : hopeless);
  });
}

void BeamSearch::take(std::span<const std::span<const float>> logits) {
  std::vector<Candidate> best = findBest(logits);
  keepFinished(best);
  goOn(best);
  ++length;
  improves = improves && canImprove();
  bool isFull = options.end == VLM_ABI_BEAMS_FULL &&
                std::ranges::all_of(finished, &Beam::isFinished);
  bool allEnd = std::ranges::all_of(best, &Candidate::ends);
  over = !improves || isFull || allEnd;
}

} // namespace vlmc::rt
