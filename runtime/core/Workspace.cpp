//===- Workspace.cpp - The memory of one run ------------------------------===//

#include "runtime/core/Workspace.h"

#include "runtime/core/LargeMemory.h"

namespace vlmc::rt {

/// Idle workspaces that a model keeps at most: more requests at once than that
/// still run, they only allocate.
static constexpr size_t kMaxIdle = 8;

static constexpr size_t kHugePage = size_t(2) << 20;

Workspace::~Workspace() { giveLarge(memory, size); }

/// Whole huge pages for what is large: one entry of the CPU's page cache then
/// covers 2 MiB.
static size_t alignmentOf(size_t bytes) {
  return bytes >= 2 * kHugePage ? kHugePage : size_t(VLM_ABI_ALIGNMENT);
}

size_t Workspace::rounded(size_t bytes) {
  size_t alignment = alignmentOf(bytes);
  return bytes > SIZE_MAX - alignment
             ? bytes
             : (bytes + alignment - 1) / alignment * alignment;
}

bool Workspace::reserve(size_t bytes) {
  if (bytes <= size)
    return true;
  giveLarge(memory, size);
  memory = nullptr;
  size = 0;
  size_t alignment = alignmentOf(bytes);
  if (bytes > SIZE_MAX - alignment)
    return false;
  bytes = rounded(bytes);
  memory = static_cast<std::byte *>(takeLarge(bytes, alignment));
  if (!memory)
    return false;
  size = bytes;
  if (alignment == kHugePage)
    madvise(memory, bytes, MADV_HUGEPAGE); // a wish; refusal costs only speed
  return true;
}

std::unique_ptr<Workspace> WorkspaceCache::take() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!idle.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(idle.back());
      idle.pop_back();
      return workspace;
    }
    idle.reserve(kMaxIdle); // so that giveBack() allocates nothing
  }
  return std::make_unique<Workspace>();
}

void WorkspaceCache::giveBack(std::unique_ptr<Workspace> workspace) {
  std::lock_guard<std::mutex> lock(mutex);
  if (idle.size() < kMaxIdle)
    idle.push_back(std::move(workspace));
}

} // namespace vlmc::rt
