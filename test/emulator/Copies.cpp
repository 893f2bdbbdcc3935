//===-- Copies.cpp - cp.async ---------------------------------------------===//
//
// A copy is carried out when its thread waits for it, as late as a GPU may;
// until then its destination holds NaNs. So a missing wait shows.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Calls.h"
#include <algorithm>
#include <cstring>

using namespace vlmc::emulator;

namespace {
struct CopyOperands {
  char *to;
  const char *from;
  uint32_t bytes; ///< only where the name ends with .s
};
} // namespace

template <uint32_t total, bool hasBytes>
static void copyAsync(Thread &thread, const Site &site, void * /*out*/,
                      const void *in) {
  const auto &[to, from, given] = operands<CopyOperands>(in);
  Block &block = *thread.block;
  uint32_t bytes = hasBytes ? given : total;
  if (bytes > total)
    block.fault(thread, FaultKind::Other,
                site.op + " of " + std::to_string(bytes) + " bytes", &site);
  if (block.isChecking()) {
    if (!block.isShared(to))
      block.fault(thread, FaultKind::Address,
                  site.op + " to what is not shared memory", &site);
    if (bytes)
      block.access(thread, from, bytes, total, false, site);
    block.access(thread, to, total, total, true, site, /*isCopy=*/true);
  }
  memset(to, 0xff, total);
  thread.openCopies.push_back({to, from, bytes, total});
}

static void finish(Thread &thread, const Copy &copy) {
  Block &block = *thread.block;
  if (block.isChecking())
    block.races.settle(static_cast<size_t>(copy.to - block.shared), copy.total,
                       thread.index);
  memcpy(copy.to, copy.from, copy.bytes);
  memset(copy.to + copy.bytes, 0, copy.total - copy.bytes);
}

void vlmc::emulator::finishCopies(Thread &thread, size_t left) {
  auto &groups = thread.copyGroups;
  if (groups.size() <= left)
    return;
  auto end = groups.end() - static_cast<ptrdiff_t>(left);
  for (auto group = groups.begin(); group != end; ++group)
    for (const Copy &copy : *group)
      finish(thread, copy);
  groups.erase(groups.begin(), end);
}

static void commitGroup(Thread &thread, const Site & /*site*/, void * /*out*/,
                        const void * /*in*/) {
  thread.copyGroups.push_back(std::move(thread.openCopies));
  thread.openCopies.clear();
}

static void waitGroup(Thread &thread, const Site & /*site*/, void * /*out*/,
                      const void *in) {
  finishCopies(thread, operands<uint32_t>(in));
}

static void waitAll(Thread &thread, const Site &site, void *out,
                    const void *in) {
  commitGroup(thread, site, out, in);
  finishCopies(thread, 0);
}

/// isspacep.shared and the like.
template <bool ofShared>
static void isSpace(Thread &thread, const Site & /*site*/, void *out,
                    const void *in) {
  bool isShared = thread.block->isShared(operands<const void *>(in));
  result<uint8_t>(out) = isShared == ofShared;
}

std::span<const Call> vlmc::emulator::copyCalls() {
  static const Call calls[] = {
      {"cp.async.ca.shared.global.16", copyAsync<16, false>},
      {"cp.async.ca.shared.global.16.s", copyAsync<16, true>},
      {"cp.async.ca.shared.global.4", copyAsync<4, false>},
      {"cp.async.ca.shared.global.4.s", copyAsync<4, true>},
      {"cp.async.ca.shared.global.8", copyAsync<8, false>},
      {"cp.async.ca.shared.global.8.s", copyAsync<8, true>},
      {"cp.async.cg.shared.global.16", copyAsync<16, false>},
      {"cp.async.cg.shared.global.16.s", copyAsync<16, true>},
      {"cp.async.commit.group", commitGroup},
      {"cp.async.wait.all", waitAll},
      {"cp.async.wait.group", waitGroup},
      {"isspacep.global", isSpace<false>},
      {"isspacep.shared", isSpace<true>},
  };
  return calls;
}
