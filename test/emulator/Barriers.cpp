//===-- Barriers.cpp - barriers of a block, and in shared memory ----------===//
#include "test/emulator/Calls.h"

using namespace vlmc::emulator;

using Reduce = Block::Reduce;

//===-- Barriers of the block ---------------------------------------------===//

namespace {
struct BarrierOperands {
  uint32_t id, count;
};
struct ReduceAllOperands {
  uint32_t id;
  uint8_t value;
};
struct ReduceCountOperands {
  uint32_t id, count;
  uint8_t value;
};
} // namespace

static void syncFirst(Thread &thread, const Site &site, void * /*out*/,
                      const void * /*in*/) {
  thread.block->barrier(thread, site, 0, 0, /*waits=*/true);
}

static void syncAll(Thread &thread, const Site &site, void * /*out*/,
                    const void *in) {
  thread.block->barrier(thread, site, operands<uint32_t>(in), 0,
                        /*waits=*/true);
}

template <bool waits>
static void syncCount(Thread &thread, const Site &site, void * /*out*/,
                      const void *in) {
  const auto &[id, count] = operands<BarrierOperands>(in);
  thread.block->barrier(thread, site, id, count, waits);
}

template <Reduce kind>
static void reduceAll(Thread &thread, const Site &site, void *out,
                      const void *in) {
  const auto &[id, value] = operands<ReduceAllOperands>(in);
  thread.block->barrier(thread, site, id, 0, true, kind, value != 0, out);
}

template <Reduce kind>
static void reduceCount(Thread &thread, const Site &site, void *out,
                        const void *in) {
  const auto &[id, count, value] = operands<ReduceCountOperands>(in);
  thread.block->barrier(thread, site, id, count, true, kind, value != 0, out);
}

#define VLMC_CTA "barrier.cta."

std::span<const Call> vlmc::emulator::barrierCalls() {
  static const Call calls[] = {
      {"barrier0", syncFirst, true},
      {VLMC_CTA "arrive.aligned.count", syncCount<false>, true},
      {VLMC_CTA "arrive.count", syncCount<false>},
      {VLMC_CTA "red.and.aligned.all", reduceAll<Reduce::And>, true},
      {VLMC_CTA "red.and.aligned.count", reduceCount<Reduce::And>, true},
      {VLMC_CTA "red.and.all", reduceAll<Reduce::And>},
      {VLMC_CTA "red.and.count", reduceCount<Reduce::And>},
      {VLMC_CTA "red.or.aligned.all", reduceAll<Reduce::Or>, true},
      {VLMC_CTA "red.or.aligned.count", reduceCount<Reduce::Or>, true},
      {VLMC_CTA "red.or.all", reduceAll<Reduce::Or>},
      {VLMC_CTA "red.or.count", reduceCount<Reduce::Or>},
      {VLMC_CTA "red.popc.aligned.all", reduceAll<Reduce::Count>, true},
      {VLMC_CTA "red.popc.aligned.count", reduceCount<Reduce::Count>, true},
      {VLMC_CTA "red.popc.all", reduceAll<Reduce::Count>},
      {VLMC_CTA "red.popc.count", reduceCount<Reduce::Count>},
      {VLMC_CTA "sync.aligned.all", syncAll, true},
      {VLMC_CTA "sync.aligned.count", syncCount<true>, true},
      {VLMC_CTA "sync.all", syncAll},
      {VLMC_CTA "sync.count", syncCount<true>},
  };
  return calls;
}
