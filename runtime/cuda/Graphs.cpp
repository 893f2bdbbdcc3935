//===- Graphs.cpp - Runs that are known, launched at once -----------------===//

#include "runtime/cuda/Graphs.h"

#include <algorithm>

namespace vlmc::rt::cuda {

void Graphs::drop(Known &known) {
  if (known.graph)
    device.api().graphDestroy(known.graph);
  known.graph = nullptr;
}

void Graphs::clear() {
  ContextScope scope(device);
  for (auto &[key, known] : all)
    drop(known);
  all.clear();
}

/// What is known of the key; the one that was not used for longest makes room.
Graphs::Known &Graphs::find(const Key &key) {
  auto found = all.find(key);
  if (found == all.end()) {
    if (all.size() >= mostGraphs) {
      auto oldest = std::min_element(
          all.begin(), all.end(), [](const auto &a, const auto &b) {
            return a.second.lastUse < b.second.lastUse;
          });
      drop(oldest->second);
      all.erase(oldest);
    }
    found = all.try_emplace(key).first;
  }
  found->second.lastUse = ++uses;
  return found->second;
}

/// Null where there is no graph to be had; nothing has been done then.
GraphExec *Graphs::record(Stream *stream,
                          const std::function<vlm_status_t *()> &launchAll) {
  const Functions &api = device.api();
  if (api.captureBegin(stream, captureOfThread) != success)
    return nullptr;
  recording = true;
  vlm_status_t *status = launchAll();
  recording = false;
  Graph *graph = nullptr;
  Result result = api.captureEnd(stream, &graph);
  bool isWhole = !status && result == success;
  vlm_status_destroy(status); // plain launches will tell
  GraphExec *made = nullptr;
  if (isWhole && api.graphInstantiate(&made, graph, 0) != success)
    made = nullptr;
  if (graph)
    api.graphForget(graph);
  return made;
}

vlm_status_t *Graphs::run(const Key &key, Stream *stream, bool mayRecord,
                          const std::function<vlm_status_t *()> &launchAll) {
  Known &known = find(key);
  // The first run may be the only one; it is also when much is first asked of
  // the driver that a recording does not allow, products are measured, say,
  // which waits for all weights.
  known.runs += mayRecord ? 1 : 0;
  if (!known.graph && !known.isHopeless && mayRecord && known.runs > 1) {
    known.graph = record(stream, launchAll);
    known.isHopeless = !known.graph;
    ++(known.graph ? counts.recorded : counts.failed);
  }
  if (known.graph) {
    if (device.api().graphLaunch(known.graph, stream) == success) {
      ++counts.replays;
      return nullptr;
    }
    drop(known);
    known.isHopeless = true;
    ++counts.failed;
  }
  ++counts.plainRuns;
  return launchAll();
}

} // namespace vlmc::rt::cuda
