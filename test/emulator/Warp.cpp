//===-- Warp.cpp - shuffles, votes and reductions of a warp ---------------===//
#include "test/emulator/Calls.h"
#include <algorithm>

using namespace vlmc::emulator;

//===-- Shuffles ----------------------------------------------------------===//

namespace {
struct ShuffleOperands {
  uint32_t mask, value, lane, clamp;
};
/// Without the predicate only `value` is there.
struct ShuffleResult {
  uint32_t value;
  uint8_t isInside;
};
enum class Way : uint8_t { Up, Down, Xor, Index };
} // namespace

/// The lane that a lane reads, as the PTX manual has it; `isInside` is false
/// where it keeps its own.
static uint32_t sourceLane(Way way, uint32_t lane, uint32_t operand,
                           uint32_t clamp, bool &isInside) {
  uint32_t segment = clamp >> 8 & 31, end = clamp & 31, by = operand & 31;
  uint32_t last = (lane & segment) | (end & ~segment), first = lane & segment;
  uint32_t source = 0;
  switch (way) {
  case Way::Up:
    isInside = lane >= by + last;
    return isInside ? lane - by : lane;
  case Way::Down:
    source = lane + by;
    break;
  case Way::Xor:
    source = lane ^ by;
    break;
  case Way::Index:
    source = first | (by & ~segment);
    break;
  }
  isInside = source <= last;
  return isInside ? source : lane;
}

template <Way way, bool hasPredicate> static void shuffleWarp(Warp &warp) {
  std::array<uint32_t, warpLanes> values = {};
  forLanes(warp.mask, [&](uint32_t lane) {
    values[lane] = operands<ShuffleOperands>(warp.lanes[lane].in).value;
  });
  forLanes(warp.mask, [&](uint32_t lane) {
    Thread &thread = warp.lanes[lane];
    const auto &in = operands<ShuffleOperands>(thread.in);
    bool isInside = false;
    uint32_t source = sourceLane(way, lane, in.lane, in.clamp, isInside);
    if (!(warp.mask >> source & 1))
      warp.block.fault(thread, FaultKind::Other,
                       "divergence: " + warp.site.op + " reads lane " +
                           std::to_string(source) +
                           ", which has ended or is not in the mask",
                       &warp.site);
    auto &out = result<ShuffleResult>(thread.out);
    out.value = values[source];
    if (hasPredicate)
      out.isInside = isInside;
  });
}

template <Way way, bool hasPredicate>
static void shuffle(Thread &thread, const Site &site, void *out,
                    const void *in) {
  thread.block->meetWarp(thread, site, operands<ShuffleOperands>(in).mask, out,
                         in, shuffleWarp<way, hasPredicate>);
}

//===-- Votes -------------------------------------------------------------===//

namespace {
struct VoteOperands {
  uint32_t mask;
  uint8_t value;
};
enum class Vote : uint8_t { All, Any, Uniform, Ballot };
} // namespace

template <Vote kind> static void voteWarp(Warp &warp) {
  uint32_t ballot = 0;
  forLanes(warp.mask, [&](uint32_t lane) {
    if (operands<VoteOperands>(warp.lanes[lane].in).value)
      ballot |= 1U << lane;
  });
  bool all = ballot == warp.mask, any = ballot != 0;
  forLanes(warp.mask, [&](uint32_t lane) {
    void *out = warp.lanes[lane].out;
    if (kind == Vote::Ballot)
      result<uint32_t>(out) = ballot;
    else
      result<uint8_t>(out) = kind == Vote::All   ? all
                             : kind == Vote::Any ? any
                                                 : all || !any;
  });
}

template <Vote kind>
static void vote(Thread &thread, const Site &site, void *out, const void *in) {
  thread.block->meetWarp(thread, site, operands<VoteOperands>(in).mask, out, in,
                         voteWarp<kind>);
}

//===-- Reductions, matches -----------------------------------------------===//

namespace {
struct ReduceOperands {
  uint32_t value, mask;
};
struct MatchOperands {
  uint32_t mask, value;
};
struct ElectResult {
  uint32_t lane;
  uint8_t isElected;
};
} // namespace

template <typename T, T (*combine)(T, T)> static void reduceWarp(Warp &warp) {
  T total = 0;
  bool isFirst = true;
  forLanes(warp.mask, [&](uint32_t lane) {
    T value =
        static_cast<T>(operands<ReduceOperands>(warp.lanes[lane].in).value);
    total = isFirst ? value : combine(total, value);
    isFirst = false;
  });
  forLanes(warp.mask,
           [&](uint32_t lane) { result<T>(warp.lanes[lane].out) = total; });
}

template <typename T, T (*combine)(T, T)>
static void reduce(Thread &thread, const Site &site, void *out,
                   const void *in) {
  thread.block->meetWarp(thread, site, operands<ReduceOperands>(in).mask, out,
                         in, reduceWarp<T, combine>);
}

template <typename T> static T larger(T a, T b) { return std::max(a, b); }
template <typename T> static T smaller(T a, T b) { return std::min(a, b); }
static uint32_t sum(uint32_t a, uint32_t b) { return a + b; }
static uint32_t conjunction(uint32_t a, uint32_t b) { return a & b; }
static uint32_t disjunction(uint32_t a, uint32_t b) { return a | b; }
static uint32_t difference(uint32_t a, uint32_t b) { return a ^ b; }

static void matchWarp(Warp &warp) {
  forLanes(warp.mask, [&](uint32_t lane) {
    uint32_t same = 0;
    uint32_t own = operands<MatchOperands>(warp.lanes[lane].in).value;
    forLanes(warp.mask, [&](uint32_t other) {
      if (operands<MatchOperands>(warp.lanes[other].in).value == own)
        same |= 1U << other;
    });
    result<uint32_t>(warp.lanes[lane].out) = same;
  });
}

static void match(Thread &thread, const Site &site, void *out, const void *in) {
  thread.block->meetWarp(thread, site, operands<MatchOperands>(in).mask, out,
                         in, matchWarp);
}

static void electWarp(Warp &warp) {
  auto first = static_cast<uint32_t>(__builtin_ctz(warp.mask));
  forLanes(warp.mask, [&](uint32_t lane) {
    result<ElectResult>(warp.lanes[lane].out) = {first, lane == first};
  });
}

static void elect(Thread &thread, const Site &site, void *out, const void *in) {
  thread.block->meetWarp(thread, site, operands<uint32_t>(in), out, in,
                         electWarp);
}

//===-- Meeting -----------------------------------------------------------===//

/// Also orders what the lanes did to memory.
static void syncWarp(Warp &warp) {
  if (warp.block.isChecking())
    warp.block.races.step(warp.lanes[0].warpId);
}

static void sync(Thread &thread, const Site &site, void *out, const void *in) {
  thread.block->meetWarp(thread, site, operands<uint32_t>(in), out, in,
                         syncWarp);
}

/// The lanes that run: here each alone, as nothing says which run together.
static void activeMask(Thread &thread, const Site & /*site*/, void *out,
                       const void * /*in*/) {
  result<uint32_t>(out) = 1U << thread.laneId;
}

static void exitThread(Thread &thread, const Site & /*site*/, void * /*out*/,
                       const void * /*in*/) {
  thread.block->exit(thread);
}

static void sleep(Thread &thread, const Site &site, void * /*out*/,
                  const void * /*in*/) {
  thread.block->poll(thread, site, /*isPatient=*/true);
}

namespace {
struct ByteOperands {
  uint32_t a, b, selector;
};
} // namespace

static void permuteBytes(Thread & /*thread*/, const Site & /*site*/, void *out,
                         const void *in) {
  const auto &[a, b, selector] = operands<ByteOperands>(in);
  uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t picked = 0;
  for (unsigned i = 0; i < 4; ++i) {
    uint32_t which = selector >> (4 * i) & 15;
    auto byte = static_cast<uint32_t>(bytes >> (which % 8 * 8) & 255);
    if (which & 8)
      byte = byte & 128 ? 255 : 0;
    picked |= byte << (8 * i);
  }
  result<uint32_t>(out) = picked;
}

std::span<const Call> vlmc::emulator::warpCalls() {
  static const Call calls[] = {
      {"activemask", activeMask},
      {"bar.warp.sync", sync},
      {"elect.sync", elect},
      {"exit", exitThread},
      {"match.any.sync.i32", match},
      {"nanosleep", sleep},
      {"prmt", permuteBytes},
      {"redux.sync.add", reduce<uint32_t, sum>},
      {"redux.sync.and", reduce<uint32_t, conjunction>},
      {"redux.sync.max", reduce<int32_t, larger<int32_t>>},
      {"redux.sync.min", reduce<int32_t, smaller<int32_t>>},
      {"redux.sync.or", reduce<uint32_t, disjunction>},
      {"redux.sync.umax", reduce<uint32_t, larger<uint32_t>>},
      {"redux.sync.umin", reduce<uint32_t, smaller<uint32_t>>},
      {"redux.sync.xor", reduce<uint32_t, difference>},
      {"shfl.sync.bfly.f32", shuffle<Way::Xor, false>},
      {"shfl.sync.bfly.f32p", shuffle<Way::Xor, true>},
      {"shfl.sync.bfly.i32", shuffle<Way::Xor, false>},
      {"shfl.sync.bfly.i32p", shuffle<Way::Xor, true>},
      {"shfl.sync.down.f32", shuffle<Way::Down, false>},
      {"shfl.sync.down.f32p", shuffle<Way::Down, true>},
      {"shfl.sync.down.i32", shuffle<Way::Down, false>},
      {"shfl.sync.down.i32p", shuffle<Way::Down, true>},
      {"shfl.sync.idx.f32", shuffle<Way::Index, false>},
      {"shfl.sync.idx.f32p", shuffle<Way::Index, true>},
      {"shfl.sync.idx.i32", shuffle<Way::Index, false>},
      {"shfl.sync.idx.i32p", shuffle<Way::Index, true>},
      {"shfl.sync.up.f32", shuffle<Way::Up, false>},
      {"shfl.sync.up.f32p", shuffle<Way::Up, true>},
      {"shfl.sync.up.i32", shuffle<Way::Up, false>},
      {"shfl.sync.up.i32p", shuffle<Way::Up, true>},
      {"vote.all.sync", vote<Vote::All>},
      {"vote.any.sync", vote<Vote::Any>},
      {"vote.ballot.sync", vote<Vote::Ballot>},
      {"vote.uni.sync", vote<Vote::Uniform>},
  };
  return calls;
}
