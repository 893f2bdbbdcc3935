//===- ThreadPool.h - The threads that run a request ----------------------===//
//
// A pool runs one request at a time on all its threads. The threads spin for a
// moment after a request, because the next one often follows at once, and then
// sleep. A request that finds the pool taken runs on its calling thread alone.
//
// A region is a function that several threads run at once and that shares its
// work out itself (a queue). A thread that wakes late joins in the middle or
// not at all: nothing ever waits for a sleeping thread.
//
//   PoolLease lease(pool);   // lease.threads() of them, this one included
//   lease.run([](void *work, int thread) { ... }, &work);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_THREADPOOL_H
#define VLMC_RUNTIME_CORE_THREADPOOL_H

#include "runtime/vlm.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace vlmc::rt {

/// Runs on up to all threads of a pool at once; `thread` is 0 for the caller
/// and below the number of threads, different for all that run together. Must
/// not throw.
using RegionFn = void (*)(void *context, int thread);

/// Waits a little longer each time: first the CPU's pause, then the
/// scheduler's yield, since the awaited thread may need this CPU.
class Backoff {
public:
  void pause();

private:
  int spins = 0;
};

/// The default pool that all models without one of their own share; made at
/// its first use and ended when the last owner lets go.
vlm_status_t *defaultPool(std::shared_ptr<vlm_pool_t> &outPool);

} // namespace vlmc::rt

struct vlm_pool_t {
  explicit vlm_pool_t(int threads) : threads(threads) {}
  ~vlm_pool_t();

  /// Starts the workers. NULL or a status (no thread is left behind).
  vlm_status_t *start();
  /// Takes the pool for one request; false if another one has it.
  bool tryTake() { return !taken.exchange(true, std::memory_order_acquire); }
  void giveBack() { taken.store(false, std::memory_order_release); }
  /// Runs a region; only the taker may call it.
  void run(vlmc::rt::RegionFn region, void *context);

  const int threads;

private:
  void work(int thread);
  bool waitForEpoch(uint32_t &seen);
  void enterRegion(int thread);
  void stop();

  std::atomic<bool> taken{false};
  std::atomic<bool> stopping{false};
  /// Counts regions; workers sleep on it.
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<int> sleepers{0};
  /// kOpen while a region takes threads, plus the number of workers inside.
  alignas(64) std::atomic<uint32_t> gate{0};
  vlmc::rt::RegionFn region = nullptr;
  void *context = nullptr;
  std::vector<std::thread> workers;
};

namespace vlmc::rt {

/// The threads of one request: the whole pool, or the caller alone.
class PoolLease {
public:
  explicit PoolLease(vlm_pool_t *pool)
      : pool(pool->threads > 1 && pool->tryTake() ? pool : nullptr) {}
  ~PoolLease() {
    if (pool)
      pool->giveBack();
  }
  PoolLease(const PoolLease &) = delete;
  PoolLease &operator=(const PoolLease &) = delete;

  int threads() const { return pool ? pool->threads : 1; }
  void run(RegionFn region, void *context) {
    if (pool)
      pool->run(region, context);
    else
      region(context, 0);
  }

private:
  vlm_pool_t *pool;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_THREADPOOL_H
