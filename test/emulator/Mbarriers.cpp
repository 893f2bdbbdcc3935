//===-- Mbarriers.cpp - barriers in shared memory -------------------------===//
#include "test/emulator/Calls.h"

using namespace vlmc::emulator;

namespace {
struct CountOperands {
  void *barrier;
  uint32_t count;
};
struct StateOperands {
  void *barrier;
  uint64_t state;
};
} // namespace

static Mbarrier &barrierOf(Thread &thread, const Site &site, const void *in) {
  return thread.block->mbarrier(thread, site, operands<void *>(in));
}

static void initialise(Thread &thread, const Site &site, void * /*out*/,
                       const void *in) {
  const auto &[address, count] = operands<CountOperands>(in);
  Block &block = *thread.block;
  if (!block.isShared(address) || reinterpret_cast<uintptr_t>(address) % 8)
    block.fault(thread, FaultKind::Alignment,
                site.op + " of what are not 8 aligned bytes of shared memory",
                &site);
  Mbarrier &barrier = block.mbarriers[address];
  barrier = Mbarrier();
  barrier.word = static_cast<MbarrierWord *>(address);
  *barrier.word = {count, count, 0, 0};
}

static void invalidate(Thread &thread, const Site &site, void * /*out*/,
                       const void *in) {
  barrierOf(thread, site, in);
  thread.block->mbarriers.erase(operands<void *>(in));
}

static void release(Thread &thread, Mbarrier &barrier) {
  if (thread.block->isChecking())
    thread.block->races.release(barrier.arriving, thread.warpId);
}

/// Arrives `count` times, after `bytes` more are expected.
static void arriveTimes(Thread &thread, const Site &site, void *out,
                        Mbarrier &barrier, uint32_t count, uint32_t bytes) {
  if (out)
    result<uint64_t>(out) = barrier.word->phase;
  if (count > barrier.word->pending)
    thread.block->fault(thread, FaultKind::Other,
                        site.op + ": the mbarrier's phase expects " +
                            std::to_string(barrier.word->expected) +
                            " arrivals, and this is one more",
                        &site);
  release(thread, barrier);
  barrier.word->bytes += bytes;
  barrier.word->pending -= count;
  barrier.tryComplete();
  thread.block->progress();
}

static void arrive(Thread &thread, const Site &site, void *out,
                   const void *in) {
  arriveTimes(thread, site, out, barrierOf(thread, site, in), 1, 0);
}

static void arriveCounted(Thread &thread, const Site &site, void *out,
                          const void *in) {
  arriveTimes(thread, site, out, barrierOf(thread, site, in),
              operands<CountOperands>(in).count, 0);
}

static void arriveExpecting(Thread &thread, const Site &site, void *out,
                            const void *in) {
  arriveTimes(thread, site, out, barrierOf(thread, site, in), 1,
              operands<CountOperands>(in).count);
}

static void expectBytes(Thread &thread, const Site &site, void * /*out*/,
                        const void *in) {
  Mbarrier &barrier = barrierOf(thread, site, in);
  barrier.word->bytes += operands<CountOperands>(in).count;
}

/// Arrives when the thread's copies so far are there; `.noinc` as one of the
/// arrivals that the barrier expects.
template <bool isExpected>
static void arriveAfterCopies(Thread &thread, const Site &site, void * /*out*/,
                              const void *in) {
  Mbarrier &barrier = barrierOf(thread, site, in);
  if (!isExpected)
    ++barrier.word->pending;
  thread.copyGroups.push_back(std::move(thread.openCopies));
  thread.openCopies.clear();
  barrier.deferred.emplace_back([&thread, &site, &barrier] {
    finishCopies(thread, 0);
    arriveTimes(thread, site, nullptr, barrier, 1, 0);
  });
}

//===-- Waiting -----------------------------------------------------------===//

/// Carries out what completes on the barrier, as somebody waits for it.
static bool isOver(Thread &thread, Mbarrier &barrier, uint32_t phase) {
  auto deferred = std::move(barrier.deferred);
  barrier.deferred.clear();
  for (auto &copy : deferred)
    copy();
  bool isDone = barrier.word->phase != (phase & 1U);
  if (isDone && thread.block->isChecking())
    thread.block->races.acquire(barrier.completed, thread.warpId);
  return isDone;
}

static void wait(Thread &thread, const Site &site, void *out, const void *in,
                 uint32_t phase) {
  while (!isOver(thread, barrierOf(thread, site, in), phase))
    thread.block->poll(thread, site, /*isPatient=*/false);
  if (out)
    result<uint8_t>(out) = 1;
}

static void waitParity(Thread &thread, const Site &site, void *out,
                       const void *in) {
  wait(thread, site, out, in, operands<CountOperands>(in).count);
}

static void waitState(Thread &thread, const Site &site, void *out,
                      const void *in) {
  wait(thread, site, out, in,
       static_cast<uint32_t>(operands<StateOperands>(in).state));
}

static void test(Thread &thread, const Site &site, void *out, const void *in,
                 uint32_t phase) {
  bool isDone = isOver(thread, barrierOf(thread, site, in), phase);
  if (!isDone)
    thread.block->poll(thread, site, /*isPatient=*/true);
  result<uint8_t>(out) = isDone;
}

static void testParity(Thread &thread, const Site &site, void *out,
                       const void *in) {
  test(thread, site, out, in, operands<CountOperands>(in).count);
}

static void testState(Thread &thread, const Site &site, void *out,
                      const void *in) {
  test(thread, site, out, in,
       static_cast<uint32_t>(operands<StateOperands>(in).state));
}

#define VLMC_CTA ".scope.cta.space.cta"

std::span<const Call> vlmc::emulator::mbarrierCalls() {
  static const Call calls[] = {
      {"cp.async.mbarrier.arrive", arriveAfterCopies<false>},
      {"cp.async.mbarrier.arrive.noinc", arriveAfterCopies<true>},
      {"cp.async.mbarrier.arrive.noinc.shared", arriveAfterCopies<true>},
      {"cp.async.mbarrier.arrive.shared", arriveAfterCopies<false>},
      {"mbarrier.arrive", arrive},
      {"mbarrier.arrive.expect.tx" VLMC_CTA, arriveExpecting},
      {"mbarrier.arrive" VLMC_CTA, arriveCounted},
      {"mbarrier.arrive.shared", arrive},
      {"mbarrier.expect.tx" VLMC_CTA, expectBytes},
      {"mbarrier.init", initialise},
      {"mbarrier.init.shared", initialise},
      {"mbarrier.inval", invalidate},
      {"mbarrier.inval.shared", invalidate},
      {"mbarrier.test.wait", testState},
      {"mbarrier.test.wait.parity" VLMC_CTA, testParity},
      {"mbarrier.test.wait.shared", testState},
      {"mbarrier.test.wait" VLMC_CTA, testState},
      {"mbarrier.try.wait.parity" VLMC_CTA, waitParity},
      {"mbarrier.try.wait.parity.tl" VLMC_CTA, waitParity},
      {"mbarrier.try.wait" VLMC_CTA, waitState},
      {"ptx.mbarrier.wait.parity", waitParity},
  };
  return calls;
}
