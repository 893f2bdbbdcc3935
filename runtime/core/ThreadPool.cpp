//===- ThreadPool.cpp - The threads that run a request --------------------===//

#include "runtime/core/ThreadPool.h"

#include "runtime/core/Cpu.h"
#include "runtime/core/PoolInternal.h"
#include "runtime/core/StatusInternal.h"

#include <chrono>
#include <climits>
#include <linux/futex.h>
#include <mutex>
#include <sched.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

using namespace vlmc::rt;

/// How long a worker spins for the next region before it sleeps. Waking a
/// sleeper takes 40-60 us, so spinning about that long several times over
/// costs least when requests follow each other; a spinning pool takes CPU time
/// from others, so it is no longer than that.
static constexpr std::chrono::microseconds kSpin{200};

/// Pauses of a Backoff before it yields: about 20 us.
static constexpr int kPauses = 1000;

static constexpr uint32_t kOpen = 1u << 31;

static void cpuPause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void Backoff::pause() {
  if (spins < kPauses) {
    ++spins;
    cpuPause();
  } else {
    sched_yield();
  }
}

static void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

static void futexWakeAll(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

vlm_status_t *vlm_pool_t::start() {
  workers.reserve(threads - 1);
  try {
    for (int thread = 1; thread < threads; ++thread)
      workers.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error &error) {
    size_t started = workers.size();
    stop();
    return makeStatus(
        VLM_IO, "thread pool: the system refused thread " +
                    std::to_string(started + 2) + " of " +
                    std::to_string(threads) + " (" + error.code().message() +
                    "); ask for fewer threads or raise the process's limit");
  }
  return nullptr;
}

vlm_pool_t::~vlm_pool_t() { stop(); }

void vlm_pool_t::stop() {
  stopping.store(true);
  epoch.fetch_add(1);
  futexWakeAll(epoch);
  for (std::thread &worker : workers)
    worker.join();
  workers.clear();
}

void vlm_pool_t::run(RegionFn newRegion, void *newContext) {
  region = newRegion;
  context = newContext;
  gate.store(kOpen, std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0)
    futexWakeAll(epoch);

  newRegion(newContext, 0);

  // Whoever has not come by now is not waited for.
  gate.fetch_and(~kOpen, std::memory_order_acq_rel);
  Backoff backoff;
  while (gate.load(std::memory_order_acquire) != 0)
    backoff.pause();
}

void vlm_pool_t::work(int thread) {
  uint32_t seen = 0;
  while (waitForEpoch(seen))
    enterRegion(thread);
}

/// Waits until `epoch` is no longer `seen` and stores the new one there. False
/// when the pool ends.
bool vlm_pool_t::waitForEpoch(uint32_t &seen) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point end = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      uint32_t now = epoch.load(std::memory_order_acquire);
      if (now != seen) {
        seen = now;
        return !stopping.load();
      }
      cpuPause();
    }
  } while (Clock::now() < end);

  // The order with run() is: we count ourselves, then look at the epoch; it
  // raises the epoch, then looks at the count. One of the two sees the other.
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  uint32_t now;
  while ((now = epoch.load(std::memory_order_seq_cst)) == seen)
    futexWait(epoch, seen);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
  seen = now;
  return !stopping.load();
}

void vlm_pool_t::enterRegion(int thread) {
  uint32_t inside = gate.load(std::memory_order_acquire);
  do {
    if (!(inside & kOpen))
      return;
  } while (!gate.compare_exchange_weak(inside, inside + 1,
                                       std::memory_order_acq_rel,
                                       std::memory_order_acquire));
  region(context, thread);
  gate.fetch_sub(1, std::memory_order_release);
}

//===----------------------------------------------------------------------===//
// parallelFor
//===----------------------------------------------------------------------===//

namespace {
struct Loop {
  std::atomic<int64_t> next{0};
  int64_t count;
  void (*body)(void *, int64_t);
  void *context;
};
} // namespace

void vlm_pool_for(vlm_pool_t *pool, int64_t count,
                  void (*body)(void *context, int64_t index), void *context) {
  Loop loop{.count = count, .body = body, .context = context};
  RegionFn region = [](void *data, int) {
    Loop &loop = *static_cast<Loop *>(data);
    int64_t index;
    while ((index = loop.next.fetch_add(1)) < loop.count)
      loop.body(loop.context, index);
  };
  if (count < 2) {
    region(&loop, 0);
    return;
  }
  PoolLease(pool).run(region, &loop);
}

//===----------------------------------------------------------------------===//
// The C API and the default pool
//===----------------------------------------------------------------------===//

static vlm_status_t *createPool(int threads, std::unique_ptr<vlm_pool_t> &out) {
  if (threads < 0 || threads > 1024)
    return makeStatus(VLM_INVALID_ARGUMENT,
                      "thread pool: expected 1 to 1024 threads, or 0 for as "
                      "many as the process may use, found " +
                          std::to_string(threads));
  auto pool = std::make_unique<vlm_pool_t>(threads ? threads : usableCpus());
  if (vlm_status_t *status = pool->start())
    return status;
  out = std::move(pool);
  return nullptr;
}

vlm_status_t *vlm_pool_create(int threads, vlm_pool_t **out_pool) {
  return guarded("thread pool", [&]() -> vlm_status_t * {
    if (!out_pool)
      return makeStatus(VLM_INVALID_ARGUMENT,
                        "vlm_pool_create: 'out_pool' must not be NULL");
    std::unique_ptr<vlm_pool_t> pool;
    if (vlm_status_t *status = createPool(threads, pool))
      return status;
    *out_pool = pool.release();
    return nullptr;
  });
}

int vlm_pool_threads(const vlm_pool_t *pool) { return pool->threads; }

void vlm_pool_destroy(vlm_pool_t *pool) { delete pool; }

vlm_status_t *vlmc::rt::defaultPool(std::shared_ptr<vlm_pool_t> &outPool) {
  static std::mutex mutex;
  static std::weak_ptr<vlm_pool_t> shared;
  std::lock_guard<std::mutex> lock(mutex);
  outPool = shared.lock();
  if (outPool)
    return nullptr;
  std::unique_ptr<vlm_pool_t> pool;
  if (vlm_status_t *status = createPool(0, pool))
    return status;
  outPool = std::move(pool);
  shared = outPool;
  return nullptr;
}
