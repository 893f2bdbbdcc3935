//===-- Emulator.h - runs a GPU's kernels on the CPU ----------------------===//
//
// Takes the LLVM IR of a `gpu.module` (NVVM level, text or bitcode), compiles
// it for this machine and runs its kernels: a fiber for each CUDA thread,
// blocks on as many host threads as asked for. In check mode every access is
// looked at, and the first fault ends the launch.
//
//   std::string error;
//   auto module = emulator::Module::load(text, {.check = true}, error);
//   emulator::Buffers::add(x.data(), x.size() * 4);
//   void *in = x.data();
//   void *arguments[] = {&in, &count};
//   if (!module->launch("scale", {.grid = {4}, .block = {128}}, arguments,
//                       error))
//     FAIL() << error;
//
// README.md says what is emulated and what is not.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_EMULATOR_H
#define VLMC_TEST_EMULATOR_EMULATOR_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc::emulator {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return static_cast<uint64_t>(x) * y * z; }
};

struct Options {
  /// Looks at every access for bounds, alignment and races.
  bool check = false;
  /// 0: warps in order; otherwise the order of warps and lanes is random.
  uint64_t seed = 0;
  /// Host threads among which the blocks of a grid are shared out.
  unsigned hostThreads = 1;
  /// Bytes of shared memory that a block may have.
  size_t maxSharedBytes = 232448;
};

/// What a launch did.
struct Stats {
  uint64_t warpOps = 0;  ///< warp-wide operations
  uint64_t barriers = 0; ///< completed barriers of a block
  uint64_t switches = 0; ///< between threads
};

struct Launch {
  Dim3 grid = {}, block = {};
  size_t sharedBytes = 0; ///< dynamic ones
  Stats *stats = nullptr;
};

/// What kind of fault ended a launch.
enum class FaultKind { None, Launch, Address, Alignment, Other };

/// Memory that kernels may touch, for check mode. May be called from any
/// thread; a launch sees what was there when it began.
struct Buffers {
  static void add(const void *data, size_t bytes);
  static void remove(const void *data);
};

class Module {
public:
  /// Null, with `error` set, where the IR is broken or has an intrinsic or
  /// inline PTX that is not emulated.
  static std::unique_ptr<Module>
  load(std::string_view ir, const Options &options, std::string &error);
  ~Module();

  std::vector<std::string> kernels() const;
  bool hasKernel(const std::string &kernel) const;
  /// Bytes of each argument; a grid constant counts whole.
  const std::vector<size_t> &argumentBytes(const std::string &kernel) const;
  /// A global variable's memory; null where there is none of the name.
  void *global(const std::string &name, size_t &bytes) const;

  /// Runs a grid to its end; `arguments` points to a value each. False, with
  /// `error` saying kernel, block, thread and what, at the first fault. One
  /// launch of a module at a time.
  bool launch(const std::string &kernel, const Launch &launch,
              void *const *arguments, std::string &error,
              FaultKind *kind = nullptr);

private:
  Module();
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_EMULATOR_H
