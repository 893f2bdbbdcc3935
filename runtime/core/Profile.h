//===- Profile.h - When each piece of a run was worked on -----------------===//
//
// Filled by the threads of one run, each in its own list.
//
//   vlm_profile_t profile(entry, threads);
//   profile.add(thread, {.step = 3, ...});
//   profile.merge();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_PROFILE_H
#define VLMC_RUNTIME_CORE_PROFILE_H

#include "runtime/core/Model.h"
#include "runtime/vlm.h"

#include <array>
#include <cstdint>
#include <vector>

struct vlm_profile_t {
  /// Takes all memory: nothing is allocated while the run goes on.
  vlm_profile_t(const vlm_entry_t &entry, int threads);

  /// Keeps a piece of work, unless the thread has more than can be expected.
  void add(const vlm_span_t &span) {
    Lane &lane = lanes[size_t(span.thread)];
    if (lane.spans.size() < lane.spans.capacity())
      lane.spans.push_back(span);
  }
  /// Joins the threads' lists, in the order of time.
  void merge();

  int threads;
  std::array<int64_t, VLM_ABI_MAX_SYMBOLS> symbols{};
  std::vector<vlm_span_t> spans;

private:
  struct alignas(128) Lane {
    std::vector<vlm_span_t> spans;
  };
  std::vector<Lane> lanes;
};

namespace vlmc::rt {
/// Nanoseconds of a clock that only goes forward.
int64_t nowNanoseconds();
} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_PROFILE_H
