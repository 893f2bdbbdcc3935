//===-- BenchModel.h - a compiled model made for measuring ----------------===//
//
// Compiles a module at the graph border as `vlmc compile` does (passes, code
// generation, package), with random weights, and loads it through the runtime:
// once for one thread, once for all that the process may use.
//
//   BenchModel model(text, {"x86-64-v3"});
//   BenchRun run(model.entry(threads), {257});
//   run();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_BENCH_BENCHMODEL_H
#define VLMC_TOOLS_BENCH_BENCHMODEL_H

#include "runtime/vlm.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace vlmc::bench {

/// Of one entry, "run". Whatever goes wrong ends the program with a message.
class BenchModel {
public:
  /// `graph`: the entry and weights, read by recipes of their own names.
  /// `targets`: names of instruction-set levels, none: all of this
  /// architecture; the machine's best one runs.
  /// `stored`: how matrices are stored, "f32", "bf16" or "f16"; their values are
  /// such that nothing is rounded.
  BenchModel(llvm::StringRef graph, llvm::ArrayRef<std::string> targets,
             const std::string &stored = "f32");
  ~BenchModel();
  BenchModel(const BenchModel &) = delete;
  BenchModel &operator=(const BenchModel &) = delete;

  /// "x86-64-v3": the level that runs.
  std::string isa() const;
  /// The pool of one thread, or of all.
  vlm_pool_t *pool(int threads) const { return loaded(threads).pool; }
  const vlm_entry_t *entry(int threads) const;
  /// The values of a weight as in a checkpoint, row by row.
  std::span<const float> weight(const std::string &name) const;

private:
  struct Loaded {
    vlm_pool_t *pool = nullptr;
    vlm_model_t *model = nullptr;
  };
  const Loaded &loaded(int threads) const { return threads == 1 ? one : all; }
  void load(const std::string &package);

  llvm::SmallString<128> folder;
  std::map<std::string, std::vector<float>> weights;
  Loaded one, all;
};

/// An entry of one input and one output with memory for both, ready to run.
class BenchRun {
public:
  /// `sizes`: the dynamic dimensions of the input in order.
  BenchRun(const vlm_entry_t *entry, llvm::ArrayRef<int64_t> sizes);
  void operator()();

  std::span<const float> input() const { return in; }
  std::span<const float> output() const { return out; }

private:
  using Memory = std::unique_ptr<float, decltype(&free)>;
  static Memory allocate(vlm_tensor_t &tensor);

  const vlm_entry_t *entry;
  vlm_tensor_t inTensor{}, outTensor{};
  Memory inMemory{nullptr, free}, outMemory{nullptr, free};
  std::span<float> in, out;
};

} // namespace vlmc::bench

#endif // VLMC_TOOLS_BENCH_BENCHMODEL_H
