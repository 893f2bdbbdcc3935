//===-- Block.h - a block of threads that run as fibers -------------------===//
//
// Runs one block after the other on a host thread: the scheduler lets a
// thread run until it waits for its warp, for a barrier or for memory, then
// the next one. What a kernel calls (Calls.h) finds here how to wait, how to
// meet the warp, and how to report a fault.
//
//   Block block(grid);
//   while (auto index = grid.next()) if (!block.run(*index)) break;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_BLOCK_H
#define VLMC_TEST_EMULATOR_BLOCK_H

#include "test/emulator/Emulator.h"
#include "test/emulator/Mbarrier.h"
#include "test/emulator/Races.h"
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <random>

namespace vlmc::emulator {

class Block;
struct Thread;

/// A place in the kernel that calls an operation or touches memory.
struct Site {
  std::string op;    ///< "shfl.sync.bfly.f32", "load"
  std::string where; ///< "file:line", or ""
  uint32_t id = 0;
  bool isAligned = false; ///< all lanes of the warp have to come here
  bool isWrite = false;
  uint32_t bytes = 0, alignment = 1;
  std::array<int64_t, 4> parameters = {}; ///< what inline PTX says
};

/// What the generated code reads: Lower.cpp knows the offsets.
struct Registers {
  uint32_t tid[3], ctaid[3], ntid[3], nctaid[3];
  uint32_t laneId, warpId, warpCount, dynamicShared;
  char *shared;
};

/// Lanes of a warp that have met at one operation.
struct Warp {
  Block &block;
  Thread *lanes; ///< of the whole warp
  uint32_t mask; ///< those that have met
  const Site &site;
};
using WarpAction = void (*)(Warp &warp);

/// A copy that is still under way.
struct Copy {
  char *to = nullptr;
  const char *from = nullptr;
  uint32_t bytes = 0, total = 0; ///< zeros behind `bytes`
};

enum class ThreadState : uint8_t { Runs, WaitsForWarp, WaitsAtBarrier, Done };

struct Thread : Registers {
  Block *block = nullptr;
  uint32_t index = 0;
  void *stackPointer = nullptr;
  ThreadState state = ThreadState::Runs;
  /// What it waits in.
  const Site *site = nullptr;
  void *out = nullptr;
  const void *in = nullptr;
  uint32_t mask = 0, barrier = 0;
  WarpAction action = nullptr;
  bool isPolling = false, isPatient = false;
  uint32_t atomics = 0;
  std::vector<Copy> openCopies;
  std::vector<std::vector<Copy>> copyGroups;
  /// Copies out of shared memory, and reads of tensor cores, under way.
  std::vector<std::function<void()>> openStores;
  std::vector<std::vector<std::function<void()>>> storeGroups;
  std::vector<const char *> openReads;
  std::vector<std::vector<const char *>> readGroups;

  std::string name() const;
};

/// What all blocks of a launch share.
struct Grid {
  std::string kernel;
  Launch launch;
  Options options;
  void (*entry)(void *const *) = nullptr;
  void *const *arguments = nullptr;
  size_t staticShared = 0;
  uint32_t granule = 1;
  struct Range {
    uintptr_t begin, end;
  };
  std::vector<Range> buffers; ///< sorted

  std::atomic<uint64_t> nextBlock{0};
  std::atomic<bool> hasFault{false};
  std::mutex mutex;
  std::string fault;
  FaultKind kind = FaultKind::None;
  Stats stats;

  size_t sharedBytes() const { return staticShared + launch.sharedBytes; }
};

class Block {
public:
  explicit Block(Grid &grid);
  ~Block();
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  bool isValid() const { return shared && stacks; }

  /// False: a fault, here or in another block.
  bool run(Dim3 index);

  //===-- for operations
  /// Ends the launch with a message; does not return.
  [[noreturn]] void fault(const Thread &thread, FaultKind kind,
                          const std::string &what, const Site *site = nullptr);
  /// The last lane of `mask` to come carries out `action` for all.
  void meetWarp(Thread &thread, const Site &site, uint32_t mask, void *out,
                const void *in, WarpAction action);
  enum class Reduce : uint8_t { None, And, Or, Count };
  /// `count` 0: all threads. `waits`: else only arrives.
  void barrier(Thread &thread, const Site &site, uint32_t id, uint32_t count,
               bool waits, Reduce reduce = Reduce::None, bool value = false,
               void *out = nullptr);
  /// Lets others run. `isPatient`: the kernel asks again by itself, and may do
  /// other things meanwhile.
  void poll(Thread &thread, const Site &site, bool isPatient);
  [[noreturn]] void exit(Thread &thread);
  /// Something happened that a waiting thread may wait for.
  void progress() { ++events; }

  bool isChecking() const { return grid.options.check; }
  /// Looks at an access, in check mode. `isCopy`: by a copy that is still
  /// under way.
  void access(Thread &thread, const void *data, size_t bytes, size_t alignment,
              bool isWrite, const Site &site, bool isCopy = false);
  bool isShared(const void *data) const;
  /// A mbarrier that was initialised; a fault otherwise.
  Mbarrier &mbarrier(Thread &thread, const Site &site, void *address);

  Thread &thread(uint32_t index) { return threads[index]; }
  uint32_t threadCount() const { return static_cast<uint32_t>(threads.size()); }
  Stats &stats() { return counts; }

  Grid &grid;
  Races races;
  Mbarriers mbarriers;
  char *shared = nullptr;

private:
  struct Barrier {
    uint32_t arrived = 0, count = 0;
    uint32_t values = 0; ///< true ones
    Block::Reduce reduce = Block::Reduce::None;
    const Site *site = nullptr;
    Clock clock;
  };

  void begin(Dim3 index);
  void beginThread(uint32_t index, Dim3 block);
  bool schedule();
  void runWarp(uint32_t warp);
  void resume(Thread &thread);
  void toScheduler(Thread &thread);
  void wait(Thread &thread, ThreadState state);
  void checkMeeting(Thread &thread, const Site &site, uint32_t mask);
  void completeWarp(uint32_t warp, uint32_t mask, const Thread &last);
  void checkBarrier(Thread &thread, const Site &site, uint32_t id,
                    uint32_t count);
  void releaseBarrier(uint32_t id);
  void finishThread(Thread &thread);
  void accessShared(Thread &thread, const void *data, size_t bytes,
                    bool isWrite, const Site &site, bool isCopy);
  void reportDeadlock();
  void report(FaultKind kind, const std::string &what);
  static void enter();

  std::vector<Thread> threads;
  std::vector<uint32_t> order;
  std::array<uint32_t, maxWarps> alive = {}, runnable = {}, inWarp = {},
                                 atBarrier = {};
  std::array<Barrier, 16> barriers;
  uint32_t aliveCount = 0;
  uint64_t events = 0;
  std::mt19937_64 random;
  void *scheduler = nullptr;
  char *stacks = nullptr, *sharedMapping = nullptr;
  Stats counts;
  size_t lastRange = 0;
  Dim3 blockIndex;
};

/// The thread that runs on this host thread.
Thread *currentThread();

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_BLOCK_H
