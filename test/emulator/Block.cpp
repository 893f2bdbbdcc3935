//===-- Block.cpp - a block of threads that run as fibers -----------------===//
#include "test/emulator/Block.h"
#include "test/emulator/Fiber.h"
#include <algorithm>
#include <cstring>

using namespace vlmc::emulator;

/// Not a power of two apart, so that stacks do not share sets of the cache.
static constexpr size_t stackBytes = 64 * 1024 + 64 * 13;
static constexpr size_t maxThreads = 1024;
/// Shared memory begins at a multiple of its greatest size, as descriptors of
/// matrices hold 18 bits of an address; what lies around it is its own too.
static constexpr size_t sharedAlignment = size_t{1} << 18;
static constexpr uint64_t stackMark = 0x5ca1ab1e0ddba11ULL;
/// Rounds in which threads only asked again, until that counts as a deadlock.
static constexpr unsigned maxIdleRounds = 20000;

static thread_local Thread *running = nullptr;

Thread *vlmc::emulator::currentThread() { return running; }

static std::string triple(const uint32_t *at) {
  return "(" + std::to_string(at[0]) + "," + std::to_string(at[1]) + "," +
         std::to_string(at[2]) + ")";
}

std::string Thread::name() const { return "thread " + triple(tid); }

//===-- A block's life ----------------------------------------------------===//

Block::Block(Grid &grid) : grid(grid), random(grid.options.seed) {
  char *around = mapMemory(4 * sharedAlignment, /*isLow=*/true);
  stacks = mapMemory(stackBytes * maxThreads);
  if (!around)
    return;
  uintptr_t begin = reinterpret_cast<uintptr_t>(around) + sharedAlignment;
  shared = around + sharedAlignment +
           (sharedAlignment - begin % sharedAlignment) % sharedAlignment;
  sharedMapping = around;
}

Block::~Block() {
  unmapMemory(sharedMapping, 4 * sharedAlignment);
  unmapMemory(stacks, stackBytes * maxThreads);
}

void Block::beginThread(uint32_t index, Dim3 block) {
  Thread &thread = threads[index];
  thread = Thread();
  const Dim3 &size = grid.launch.grid;
  const std::array<uint32_t, 12> registers = {index % block.x,
                                              index / block.x % block.y,
                                              index / (block.x * block.y),
                                              blockIndex.x,
                                              blockIndex.y,
                                              blockIndex.z,
                                              block.x,
                                              block.y,
                                              block.z,
                                              size.x,
                                              size.y,
                                              size.z};
  memcpy(thread.tid, registers.data(), sizeof registers);
  thread.laneId = index % warpLanes;
  thread.warpId = index / warpLanes;
  thread.warpCount = (threadCount() + warpLanes - 1) / warpLanes;
  thread.dynamicShared = static_cast<uint32_t>(grid.launch.sharedBytes);
  thread.shared = shared;
  thread.block = this;
  thread.index = index;
  char *stack = stacks + stackBytes * index;
  memcpy(stack, &stackMark, sizeof stackMark);
  thread.stackPointer = prepareStack(stack, stackBytes, &Block::enter);
  alive[thread.warpId] |= 1U << thread.laneId;
}

void Block::begin(Dim3 index) {
  blockIndex = index;
  const Dim3 &block = grid.launch.block;
  threads.resize(block.count());
  aliveCount = threadCount();
  alive.fill(0);
  inWarp.fill(0);
  atBarrier.fill(0);
  barriers.fill(Barrier());
  mbarriers.clear();
  events = 0;
  for (uint32_t i = 0; i < threadCount(); ++i)
    beginThread(i, block);
  runnable = alive;
  order.resize(threads[0].warpCount);
  for (uint32_t i = 0; i < order.size(); ++i)
    order[i] = i;
  // NaNs, of all float types.
  memset(shared, 0xff, grid.sharedBytes());
  if (isChecking())
    races.begin(grid.sharedBytes(), threads[0].warpCount, grid.granule);
}

bool Block::run(Dim3 index) {
  begin(index);
  bool isRight = schedule();
  running = nullptr;
  return isRight;
}

void Block::enter() {
  Grid &grid = running->block->grid;
  grid.entry(grid.arguments);
  running->block->exit(*running);
}

void Block::exit(Thread &thread) {
  thread.storeGroups.push_back(std::move(thread.openStores));
  for (auto &group : thread.storeGroups)
    for (auto &store : group)
      store();
  thread.storeGroups.clear();
  finishThread(thread);
  toScheduler(thread);
  __builtin_unreachable();
}

void Block::finishThread(Thread &thread) {
  thread.state = ThreadState::Done;
  uint32_t warp = thread.warpId, bit = 1U << thread.laneId;
  alive[warp] &= ~bit;
  runnable[warp] &= ~bit;
  --aliveCount;
  progress();
  // Others may have waited for this one alone.
  if (uint32_t waiting = inWarp[warp]) {
    Thread *lanes = &threads[warp * warpLanes];
    const Thread &first = lanes[__builtin_ctz(waiting)];
    uint32_t need = first.mask & alive[warp];
    if ((waiting & need) == need)
      completeWarp(warp, need, first);
  }
  for (uint32_t id = 0; id < barriers.size(); ++id)
    if (barriers[id].arrived && !barriers[id].count &&
        barriers[id].arrived >= aliveCount)
      releaseBarrier(id);
}

//===-- The scheduler -----------------------------------------------------===//

void Block::resume(Thread &thread) {
  running = &thread;
  thread.isPolling = false;
  ++counts.switches;
  switchStack(&scheduler, thread.stackPointer);
  if (!thread.isPolling)
    progress();
  uint64_t mark = 0;
  memcpy(&mark, stacks + stackBytes * thread.index, sizeof mark);
  if (mark != stackMark && !grid.hasFault)
    report(FaultKind::Other, thread.name() + ": local memory and calls need " +
                                 "more than the emulator's stack of " +
                                 std::to_string(stackBytes) + " bytes");
}

void Block::toScheduler(Thread &thread) {
  switchStack(&thread.stackPointer, scheduler);
}

void Block::wait(Thread &thread, ThreadState state) {
  thread.state = state;
  runnable[thread.warpId] &= ~(1U << thread.laneId);
  toScheduler(thread);
}

void Block::poll(Thread &thread, const Site &site, bool isPatient) {
  thread.site = &site;
  thread.isPolling = true;
  thread.isPatient = isPatient;
  toScheduler(thread);
}

void Block::runWarp(uint32_t warp) {
  uint64_t turns = grid.options.seed ? 1 + random() % 8 : ~uint64_t{0};
  for (; turns && runnable[warp] && !grid.hasFault; --turns) {
    uint64_t before = events;
    uint32_t first = grid.options.seed ? random() % warpLanes : 0;
    for (uint32_t i = 0; i < warpLanes && !grid.hasFault; ++i) {
      uint32_t lane = (first + i) % warpLanes;
      if (runnable[warp] >> lane & 1)
        resume(threads[warp * warpLanes + lane]);
    }
    if (events == before)
      return;
  }
}

bool Block::schedule() {
  unsigned idle = 0;
  while (aliveCount && !grid.hasFault) {
    uint64_t before = events;
    if (grid.options.seed)
      std::shuffle(order.begin(), order.end(), random);
    for (uint32_t warp : order)
      runWarp(warp);
    if (grid.hasFault || events != before) {
      idle = 0;
      continue;
    }
    bool isPatient =
        std::any_of(threads.begin(), threads.end(), [](const Thread &thread) {
          return thread.state == ThreadState::Runs && thread.isPatient;
        });
    if (++idle > (isPatient ? maxIdleRounds : 1))
      reportDeadlock();
  }
  return !grid.hasFault;
}

//===-- Faults ------------------------------------------------------------===//

void Block::report(FaultKind kind, const std::string &what) {
  std::lock_guard<std::mutex> lock(grid.mutex);
  if (grid.hasFault)
    return;
  const std::array<uint32_t, 3> at = {blockIndex.x, blockIndex.y, blockIndex.z};
  grid.fault =
      "kernel @" + grid.kernel + ", block " + triple(at.data()) + ", " + what;
  grid.kind = kind;
  grid.hasFault = true;
}

void Block::fault(const Thread &thread, FaultKind kind, const std::string &what,
                  const Site *site) {
  std::string where = site && !site->where.empty() ? " at " + site->where : "";
  report(kind, thread.name() + ": " + what + where);
  toScheduler(*running);
  __builtin_unreachable();
}

void Block::reportDeadlock() {
  std::map<std::string, std::pair<uint32_t, std::string>> waiting;
  for (const Thread &thread : threads) {
    if (thread.state == ThreadState::Done)
      continue;
    std::string what = thread.site ? thread.site->op : "nothing known";
    if (thread.state == ThreadState::WaitsAtBarrier) {
      const Barrier &barrier = barriers[thread.barrier];
      what = "barrier " + std::to_string(thread.barrier) + " (" +
             std::to_string(barrier.arrived) + " of " +
             std::to_string(barrier.count ? barrier.count : aliveCount) +
             " are there)";
    }
    auto &[count, first] = waiting[what];
    if (!count++)
      first = thread.name();
  }
  std::string text = "deadlock:";
  for (const auto &[what, who] : waiting)
    text += " " + std::to_string(who.first) + " threads from " + who.second +
            " on wait in " + what + ";";
  text.pop_back();
  report(FaultKind::Other, text);
}

//===-- Operations of a warp ----------------------------------------------===//

static std::string hex(uint32_t mask) {
  static const char digits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4)
    text += digits[mask >> shift & 15];
  return text;
}

void Block::checkMeeting(Thread &thread, const Site &site, uint32_t mask) {
  uint32_t warp = thread.warpId;
  if (!(mask >> thread.laneId & 1))
    fault(thread, FaultKind::Other,
          "divergence: lane " + std::to_string(thread.laneId) + " calls " +
              site.op + ", whose mask " + hex(mask) + " does not have it",
          &site);
  if (uint32_t others = inWarp[warp] & mask) {
    const Thread &other = threads[warp * warpLanes + __builtin_ctz(others)];
    bool isSame = other.site->op == site.op && other.mask == mask &&
                  (!site.isAligned || other.site->id == site.id);
    if (!isSame)
      fault(thread, FaultKind::Other,
            "divergence: comes to " + site.op + " with mask " + hex(mask) +
                " while " + other.name() + " of its warp waits in " +
                (other.site->op == site.op && other.mask == mask
                     ? "another call of it"
                     : other.site->op + " with mask " + hex(other.mask)),
            &site);
  }
  if (uint32_t others = site.isAligned ? atBarrier[warp] : 0)
    fault(thread, FaultKind::Other,
          "divergence: comes to " + site.op + " while " +
              threads[warp * warpLanes + __builtin_ctz(others)].name() +
              " of its warp waits at a barrier",
          &site);
}

void Block::completeWarp(uint32_t warp, uint32_t mask, const Thread &last) {
  Thread *lanes = &threads[warp * warpLanes];
  Warp met{*this, lanes, mask, *last.site};
  ++counts.warpOps;
  progress();
  inWarp[warp] &= ~mask;
  last.action(met);
  for (; mask; mask &= mask - 1) {
    Thread &lane = lanes[__builtin_ctz(mask)];
    if (lane.state == ThreadState::WaitsForWarp) {
      lane.state = ThreadState::Runs;
      runnable[warp] |= 1U << lane.laneId;
    }
  }
}

void Block::meetWarp(Thread &thread, const Site &site, uint32_t mask, void *out,
                     const void *in, WarpAction action) {
  checkMeeting(thread, site, mask);
  thread.site = &site;
  thread.out = out;
  thread.in = in;
  thread.mask = mask;
  thread.action = action;
  uint32_t warp = thread.warpId;
  inWarp[warp] |= 1U << thread.laneId;
  uint32_t need = mask & alive[warp];
  if ((inWarp[warp] & need) == need)
    completeWarp(warp, need, thread);
  else
    wait(thread, ThreadState::WaitsForWarp);
}

//===-- Barriers of the block ---------------------------------------------===//

void Block::checkBarrier(Thread &thread, const Site &site, uint32_t id,
                         uint32_t count) {
  if (id >= barriers.size())
    fault(thread, FaultKind::Other,
          "barrier " + std::to_string(id) + " of 0 to 15", &site);
  if (count % warpLanes)
    fault(thread, FaultKind::Other,
          "barrier " + std::to_string(id) + " for " + std::to_string(count) +
              " threads, not a multiple of 32",
          &site);
  const Barrier &barrier = barriers[id];
  if (barrier.arrived && barrier.count != count)
    fault(thread, FaultKind::Other,
          "barrier " + std::to_string(id) + " for " + std::to_string(count) +
              " threads, where others came for " +
              std::to_string(barrier.count),
          &site);
  if (!site.isAligned)
    return;
  uint32_t first = thread.warpId * warpLanes;
  if (uint32_t others = inWarp[thread.warpId]) {
    const Thread &other = threads[first + __builtin_ctz(others)];
    fault(thread, FaultKind::Other,
          "divergence: comes to barrier " + std::to_string(id) + " while " +
              other.name() + " of its warp waits in " + other.site->op,
          &site);
  }
  if (uint32_t others = atBarrier[thread.warpId]) {
    const Thread &other = threads[first + __builtin_ctz(others)];
    if (other.site->id != site.id)
      fault(thread, FaultKind::Other,
            "divergence: comes to barrier " + std::to_string(id) + " while " +
                other.name() + " of its warp waits at another call of one",
            &site);
  }
}

void Block::barrier(Thread &thread, const Site &site, uint32_t id,
                    uint32_t count, bool waits, Reduce reduce, bool value,
                    void *out) {
  checkBarrier(thread, site, id, count);
  Barrier &barrier = barriers[id];
  barrier.count = count;
  barrier.reduce = reduce;
  barrier.values += value;
  ++barrier.arrived;
  if (waits) {
    thread.site = &site;
    thread.barrier = id;
    thread.out = out;
    thread.state = ThreadState::WaitsAtBarrier;
    atBarrier[thread.warpId] |= 1U << thread.laneId;
    runnable[thread.warpId] &= ~(1U << thread.laneId);
  }
  // Lanes of a warp that are still to come count as before the barrier.
  if (isChecking())
    waits ? races.tell(barrier.clock, thread.warpId)
          : races.release(barrier.clock, thread.warpId);
  if (barrier.arrived >= (count ? count : aliveCount))
    releaseBarrier(id);
  if (thread.state == ThreadState::WaitsAtBarrier)
    toScheduler(thread);
}

void Block::releaseBarrier(uint32_t id) {
  Barrier barrier = barriers[id];
  barriers[id] = Barrier();
  ++counts.barriers;
  progress();
  for (Thread &thread : threads) {
    if (thread.state != ThreadState::WaitsAtBarrier || thread.barrier != id)
      continue;
    thread.state = ThreadState::Runs;
    runnable[thread.warpId] |= 1U << thread.laneId;
    atBarrier[thread.warpId] &= ~(1U << thread.laneId);
    if (isChecking()) {
      races.acquire(barrier.clock, thread.warpId);
      races.step(thread.warpId);
    }
    if (barrier.reduce == Reduce::Count)
      memcpy(thread.out, &barrier.values, 4);
    else if (barrier.reduce != Reduce::None)
      *static_cast<uint8_t *>(thread.out) =
          barrier.reduce == Reduce::And ? barrier.values == barrier.arrived
                                        : barrier.values > 0;
  }
}

Mbarrier &Block::mbarrier(Thread &thread, const Site &site, void *address) {
  auto found = mbarriers.find(address);
  if (found == mbarriers.end())
    fault(thread, FaultKind::Other,
          site.op + " of a mbarrier that was not initialised", &site);
  return found->second;
}

//===-- Accesses ----------------------------------------------------------===//

bool Block::isShared(const void *data) const {
  const char *at = static_cast<const char *>(data);
  return at >= shared - sharedAlignment && at < shared + sharedAlignment;
}

static std::string accessName(const Site &site, size_t bytes, bool isWrite) {
  return site.op + ": " + std::to_string(bytes) + "-byte " +
         (isWrite ? "write" : "read");
}

void Block::accessShared(Thread &thread, const void *data, size_t bytes,
                         bool isWrite, const Site &site, bool isCopy) {
  auto offset = static_cast<const char *>(data) - shared;
  size_t size = grid.sharedBytes();
  if (offset < 0 || offset + bytes > size)
    fault(thread, FaultKind::Address,
          accessName(site, bytes, isWrite) + " of shared memory at byte " +
              std::to_string(offset) + ", where the block has " +
              std::to_string(size),
          &site);
  auto conflict = races.access(static_cast<size_t>(offset), bytes, thread.index,
                               isWrite, isCopy);
  if (conflict)
    fault(thread, FaultKind::Other,
          "race: " + accessName(site, bytes, isWrite) +
              " of shared memory at byte " + std::to_string(offset) +
              " without a barrier since the " +
              (conflict->isWrite ? "write" : "read") + " by " +
              (conflict->thread == copyAgent
                   ? "a copy that was not waited for"
                   : threads[conflict->thread].name()),
          &site);
}

void Block::access(Thread &thread, const void *data, size_t bytes,
                   size_t alignment, bool isWrite, const Site &site,
                   bool isCopy) {
  auto at = reinterpret_cast<uintptr_t>(data);
  if (!bytes)
    return;
  if (at % alignment)
    fault(thread, FaultKind::Alignment,
          accessName(site, bytes, isWrite) + " at an address that is " +
              std::to_string(at % alignment) + " off a multiple of " +
              std::to_string(alignment),
          &site);
  if (isShared(data)) {
    accessShared(thread, data, bytes, isWrite, site, isCopy);
    return;
  }
  auto own = reinterpret_cast<uintptr_t>(stacks + stackBytes * thread.index);
  if (at >= own && at + bytes <= own + stackBytes)
    return;
  const auto &ranges = grid.buffers;
  auto holds = [&](size_t i) {
    return i < ranges.size() && at >= ranges[i].begin &&
           at + bytes <= ranges[i].end;
  };
  if (holds(lastRange))
    return;
  auto next = std::upper_bound(
      ranges.begin(), ranges.end(), at,
      [](uintptr_t x, const Grid::Range &range) { return x < range.begin; });
  lastRange = static_cast<size_t>(next - ranges.begin()) - 1;
  if (next != ranges.begin() && holds(lastRange))
    return;
  std::string near =
      next == ranges.begin() || !ranges[lastRange].begin
          ? "before all buffers"
          : std::to_string(at - ranges[lastRange].begin) +
                " bytes behind the begin of a buffer of " +
                std::to_string(ranges[lastRange].end - ranges[lastRange].begin);
  fault(thread, FaultKind::Address,
        accessName(site, bytes, isWrite) + " outside of every buffer, " + near,
        &site);
}
