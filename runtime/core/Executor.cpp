//===- Executor.cpp - Runs the steps of an entry point --------------------===//

#include "runtime/core/Executor.h"

#include "runtime/core/Cache.h"
#include "runtime/core/Profile.h"
#include "runtime/core/Size.h"

#include <algorithm>

namespace vlmc::rt {

static uint64_t phaseOf(uint64_t queue) { return queue >> kTaskBits; }
static uint64_t taskOf(uint64_t queue) { return queue & kMaxTasks; }
static uint64_t startOf(uint64_t phase) { return phase << kTaskBits; }

/// Scratch is rounded up to whole pairs of cache lines, since the CPU fetches
/// pairs and the neighbour is another thread's.
static constexpr int64_t kThreadAlignment = 2 * VLM_ABI_ALIGNMENT;

bool threadBytes(const vlm_entry_t &entry, const int64_t *symbols,
                 int64_t &outBytes) {
  int64_t scratch;
  if (!evaluate(entry.abi->scratch, symbols, scratch))
    return false;
  int64_t tables = entry.maxBuffers * int64_t(sizeof(void *)) +
                   entry.maxDims * int64_t(sizeof(int64_t)) + kThreadAlignment -
                   1 + VLM_ABI_ALIGNMENT;
  if (__builtin_add_overflow(scratch, tables, &outBytes))
    return false;
  outBytes = outBytes / kThreadAlignment * kThreadAlignment;
  return true;
}

/// One thread's walk through the steps.
class Run::Thread {
public:
  Thread(Run &run, int thread)
      : run(run), abi(*run.entry.abi), end(startOf(run.entry.phases)),
        thread(thread) {
    std::byte *own = run.perThread + thread * run.perThreadBytes;
    // The tables lie at the end, behind the scratch, which needs alignment.
    buffers = reinterpret_cast<void **>(own + run.perThreadBytes) -
              run.entry.maxBuffers;
    dims = reinterpret_cast<int64_t *>(buffers) - run.entry.maxDims;
    args = {buffers, dims, own};
  }

  void walk() {
    uint64_t queue = run.queue.load(std::memory_order_acquire);
    while (queue < end) {
      seek(phaseOf(queue));
      queue = work(queue);
    }
  }

private:
  const vlm_abi_kernel &kernel() const {
    return run.entry.level->kernels[abi.steps[step].kernel];
  }
  void seek(uint64_t phase);
  bool resolve();
  void profile(const vlm_abi_phase &code, uint32_t phase, int64_t first,
               int64_t count);
  uint64_t work(uint64_t queue);
  uint64_t waitFor(uint64_t phase);
  /// Ends the run for all threads.
  void fail() {
    run.failed.store(true, std::memory_order_relaxed);
    run.queue.store(end, std::memory_order_release);
  }

  Run &run;
  const vlm_abi_entry &abi;
  const uint64_t end;
  const int thread;
  uint32_t step = 0;
  uint64_t firstPhase = 0; ///< of the step
  uint32_t resolved = UINT32_MAX;
  void **buffers;
  int64_t *dims;
  vlm_kernel_args args;
};

/// Goes forward to the step that the phase belongs to.
void Run::Thread::seek(uint64_t phase) {
  while (phase >= firstPhase + kernel().n_phases) {
    firstPhase += kernel().n_phases;
    ++step;
  }
}

/// Fills in the buffers and dims of the step; false if a dim is too large.
bool Run::Thread::resolve() {
  if (resolved == step)
    return true;
  const vlm_abi_step &s = abi.steps[step];
  const vlm_abi_kernel &k = kernel();
  for (uint32_t i = 0; i < k.n_dims; ++i)
    if (!evaluate(s.dims[i], run.symbols, dims[i]))
      return false;
  for (uint32_t i = 0; i < k.n_buffers; ++i) {
    const vlm_abi_buffer &buffer = s.buffers[i];
    switch (buffer.kind) {
    case VLM_ABI_INPUT:
      buffers[i] = run.workspace.inputs[buffer.index];
      break;
    case VLM_ABI_OUTPUT:
      buffers[i] = run.workspace.outputs[buffer.index];
      break;
    case VLM_ABI_SLOT:
      buffers[i] = run.workspace.slots[buffer.index];
      break;
    case VLM_ABI_CACHE_LAYER:
      buffers[i] = const_cast<vlm_abi_cache_layer *>(
          static_cast<vlm_cache_t *>(run.workspace.inputs[buffer.index])
              ->layer(buffer.offset));
      break;
    default: // kernels only read weights; the mapping is read-only
      buffers[i] = const_cast<unsigned char *>(run.entry.model->weights.data() +
                                               buffer.offset);
    }
  }
  resolved = step;
  return true;
}

/// Runs tasks and notes when.
void Run::Thread::profile(const vlm_abi_phase &code, uint32_t phase,
                          int64_t first, int64_t count) {
  int64_t begin = nowNanoseconds();
  code.run(&args, first, first + count);
  run.profile->add({.step = step,
                    .phase = phase,
                    .thread = thread,
                    .tasks = count,
                    .begin_ns = begin,
                    .end_ns = nowNanoseconds()});
}

/// Takes part in the phase of `queue` until it is over; returns the queue's
/// state then.
uint64_t Run::Thread::work(uint64_t queue) {
  uint64_t phase = phaseOf(queue);
  if (!resolve()) {
    fail();
    return end;
  }
  const vlm_abi_phase &code = kernel().phases[phase - firstPhase];
  int64_t tasks = std::max<int64_t>(code.tasks(dims), 0);
  if (uint64_t(tasks) > kMaxTasks) {
    fail();
    return end;
  }
  if (tasks == 0) {
    run.queue.compare_exchange_strong(queue, startOf(phase + 1));
    return run.queue.load(std::memory_order_acquire);
  }
  while (phaseOf(queue) == phase) {
    int64_t first = int64_t(taskOf(queue));
    int64_t remaining = tasks - first;
    if (remaining <= 0)
      return waitFor(phase);
    // Large pieces first, small ones last: few claims, and all threads end at
    // about the same time.
    int64_t count = run.threads == 1
                        ? remaining
                        : std::max<int64_t>(1, remaining / (2 * run.threads));
    if (!run.queue.compare_exchange_weak(queue, queue + uint64_t(count),
                                         std::memory_order_acq_rel,
                                         std::memory_order_acquire))
      continue;
    if (run.profile)
      profile(code, uint32_t(phase - firstPhase), first, count);
    else
      code.run(&args, first, first + count);
    // The last to finish has seen all others' results and opens the next
    // phase; until then nobody counts in `finished`.
    if (run.finished.fetch_add(count, std::memory_order_acq_rel) + count ==
        tasks) {
      run.finished.store(0, std::memory_order_relaxed);
      run.queue.store(startOf(phase + 1), std::memory_order_release);
    }
    queue = run.queue.load(std::memory_order_acquire);
  }
  return queue;
}

uint64_t Run::Thread::waitFor(uint64_t phase) {
  Backoff backoff;
  uint64_t queue;
  while (phaseOf(queue = run.queue.load(std::memory_order_acquire)) == phase)
    backoff.pause();
  return queue;
}

bool Run::run(PoolLease &lease) {
  lease.run(
      [](void *context, int thread) {
        Thread(*static_cast<Run *>(context), thread).walk();
      },
      this);
  return !failed.load(std::memory_order_relaxed);
}

} // namespace vlmc::rt
