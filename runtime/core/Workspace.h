//===- Workspace.h - The memory of one run --------------------------------===//
//
// One block for everything a run needs beside inputs, outputs and weights, and
// the lists it works with. Kept by the model when the run is over, so that a
// repeated run allocates nothing.
//
//   WorkspaceLease lease(model.workspaces);
//   if (!lease->reserve(bytes)) ...no memory...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_WORKSPACE_H
#define VLMC_RUNTIME_CORE_WORKSPACE_H

#include "runtime/vlm.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace vlmc::rt {

class Workspace {
public:
  Workspace() = default;
  ~Workspace();
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;

  /// Makes the block at least `bytes` long; its contents are lost. False if
  /// there is no memory.
  bool reserve(size_t bytes);
  /// How many bytes that takes.
  static size_t rounded(size_t bytes);
  std::byte *block() { return memory; }

  /// Each entry input's tensor in the request, NULL where it is left out, and
  /// each output's.
  std::vector<const vlm_tensor_t *> givenInputs;
  std::vector<vlm_tensor_t *> givenOutputs;
  /// What the kernels get.
  std::vector<void *> inputs, outputs, slots;

private:
  std::byte *memory = nullptr;
  size_t size = 0;
};

/// The workspaces of a model that no run is using.
class WorkspaceCache {
public:
  std::unique_ptr<Workspace> take();
  void giveBack(std::unique_ptr<Workspace> workspace);

private:
  std::mutex mutex;
  std::vector<std::unique_ptr<Workspace>> idle; // the last one used is last
};

class WorkspaceLease {
public:
  explicit WorkspaceLease(WorkspaceCache &cache)
      : cache(cache), workspace(cache.take()) {}
  ~WorkspaceLease() { cache.giveBack(std::move(workspace)); }
  WorkspaceLease(const WorkspaceLease &) = delete;
  WorkspaceLease &operator=(const WorkspaceLease &) = delete;
  Workspace *operator->() { return workspace.get(); }
  Workspace &operator*() { return *workspace; }

private:
  WorkspaceCache &cache;
  std::unique_ptr<Workspace> workspace;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_WORKSPACE_H
