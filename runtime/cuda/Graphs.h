//===- Graphs.h - Runs that are known, launched at once -------------------===//
//
// A run of many small launches costs the host more than the device. The second
// run of an entry point with the same sizes in the same memory is recorded as a
// graph; from then on it is one launch. Inputs, and with them positions,
// lengths and tables of caches, lie in memory, so that a decoding step is the
// same run again, one graph for each number of sequences.
//
//   status = graphs.run(key, stream, mayRecord, [&] { return launchAll(); });
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_GRAPHS_H
#define VLMC_RUNTIME_CUDA_GRAPHS_H

#include "runtime/cuda/Driver.h"

#include <functional>
#include <map>
#include <vector>

namespace vlmc::rt::cuda {

/// How often things were done, for tests.
struct GraphCounters {
  uint64_t plainRuns = 0, recorded = 0, failed = 0, replays = 0;
};

class Graphs {
public:
  /// All that launches depend on: the entry point, sizes, addresses.
  using Key = std::vector<uint64_t>;
  /// Graphs that are kept: those used last.
  static constexpr size_t mostGraphs = 64;

  explicit Graphs(const Device &device) : device(device) {}
  ~Graphs() { clear(); }
  Graphs(const Graphs &) = delete;
  Graphs &operator=(const Graphs &) = delete;

  /// Does `launchAll`'s work on the stream: by its graph if there is one. Where
  /// a graph cannot be made the launches are plain ones.
  vlm_status_t *run(const Key &key, Stream *stream, bool mayRecord,
                    const std::function<vlm_status_t *()> &launchAll);
  /// Forgets all graphs, which must not be at work.
  void clear();
  /// Whether launches are being recorded and nothing else may be asked for.
  bool isRecording() const { return recording; }
  const GraphCounters &counters() const { return counts; }

private:
  struct Known {
    uint64_t runs = 0, lastUse = 0;
    bool isHopeless = false;
    GraphExec *graph = nullptr;
  };
  Known &find(const Key &key);
  GraphExec *record(Stream *stream,
                    const std::function<vlm_status_t *()> &launchAll);
  void drop(Known &known);

  const Device &device;
  std::map<Key, Known> all;
  uint64_t uses = 0;
  bool recording = false;
  GraphCounters counts;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_GRAPHS_H
