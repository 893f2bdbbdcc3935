//===- Executor.h - Runs the steps of an entry point ----------------------===//
//
// One parallel region per run. All threads walk the entry's step table; the
// tasks of each phase are claimed from one queue, and the thread that finishes
// the last task of a phase opens the next one. A thread that comes late finds
// the queue further on and joins there.
//
//   Run run(entry, symbols, workspace, perThread, perThreadBytes, threads);
//   bool done = run.run(lease);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_EXECUTOR_H
#define VLMC_RUNTIME_CORE_EXECUTOR_H

#include "runtime/core/Model.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/core/Workspace.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vlmc::rt {

/// Bytes of each thread's own memory: scratch, then the buffers and dims of
/// the step at hand. False if too large to count.
bool threadBytes(const vlm_entry_t &entry, const int64_t *symbols,
                 int64_t &outBytes);

/// The most phases an entry may have and the most tasks a phase may have: the
/// queue's state is one 64-bit word.
inline constexpr int kTaskBits = 40;
inline constexpr uint64_t kMaxTasks = (uint64_t(1) << kTaskBits) - 1;
inline constexpr uint64_t kMaxPhases = (uint64_t(1) << (64 - kTaskBits)) - 1;

class Run {
public:
  /// `perThread` is `threads` times threadBytes() of memory, aligned to
  /// VLM_ABI_ALIGNMENT. `profile` may be NULL.
  Run(const vlm_entry_t &entry, const int64_t *symbols, Workspace &workspace,
      std::byte *perThread, int64_t perThreadBytes, int threads,
      vlm_profile_t *profile = nullptr)
      : entry(entry), symbols(symbols), workspace(workspace),
        perThread(perThread), perThreadBytes(perThreadBytes), threads(threads),
        profile(profile) {}

  /// Runs all steps. False if a step's sizes or tasks are beyond what can be
  /// counted (then some steps have not run).
  bool run(PoolLease &lease);

private:
  class Thread;

  const vlm_entry_t &entry;
  const int64_t *symbols;
  Workspace &workspace;
  std::byte *perThread;
  int64_t perThreadBytes;
  int threads;
  vlm_profile_t *profile; ///< may be NULL
  std::atomic<bool> failed{false};
  /// The current phase (counted over all steps) and its next unclaimed task.
  alignas(64) std::atomic<uint64_t> queue{0};
  /// Finished tasks of the current phase.
  alignas(64) std::atomic<int64_t> finished{0};
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_EXECUTOR_H
