//===- Profile.cpp - When each piece of a run was worked on ---------------===//

#include "runtime/core/Profile.h"

#include <algorithm>
#include <chrono>

using namespace vlmc::rt;

/// A thread claims half of what is left over all threads: no more than this
/// many pieces of one phase, however many tasks it has.
static constexpr size_t kPieces = 96;

vlm_profile_t::vlm_profile_t(const vlm_entry_t &entry, int threads)
    : threads(threads), lanes(size_t(threads)) {
  size_t most = size_t(entry.phases) * (threads == 1 ? 1 : kPieces);
  for (Lane &lane : lanes)
    lane.spans.reserve(most);
}

void vlm_profile_t::merge() {
  for (Lane &lane : lanes)
    spans.insert(spans.end(), lane.spans.begin(), lane.spans.end());
  std::ranges::sort(spans, {}, &vlm_span_t::begin_ns);
}

int64_t vlmc::rt::nowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

size_t vlm_profile_span_count(const vlm_profile_t *profile) {
  return profile->spans.size();
}

const vlm_span_t *vlm_profile_spans(const vlm_profile_t *profile) {
  return profile->spans.data();
}

int vlm_profile_threads(const vlm_profile_t *profile) {
  return profile->threads;
}

const int64_t *vlm_profile_sizes(const vlm_profile_t *profile) {
  return profile->symbols.data();
}

void vlm_profile_destroy(vlm_profile_t *profile) { delete profile; }
