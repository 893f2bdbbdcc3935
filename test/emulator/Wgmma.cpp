//===-- Wgmma.cpp - wgmma.mma_async of sm_90a -----------------------------===//
//
// m64nNk16 of f16 or bf16 with sums in f32, A and B K-major in shared memory.
// Each warp makes its 16 rows when its lanes have met. The products are there
// at once; that shared memory is read until the wait is kept in mind for the
// search of races.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Calls.h"
#include "test/emulator/Half.h"
#include "test/emulator/TensorMap.h"
#include <cstring>

using namespace vlmc::emulator;

static constexpr int depth = 16, warpRows = 16, maxColumns = 256;

namespace {
/// A matrix descriptor: where an operand's rows are.
struct Descriptor {
  uint64_t bits;
  char *shared;

  int swizzle() const {
    static const int modes[] = {0, 3, 2, 1}; // none, 128, 64, 32 bytes
    return modes[bits >> 62 & 3];
  }
  uint64_t leading() const { return (bits >> 16 & 0x3fff) << 4; }
  uint64_t stride() const { return (bits >> 32 & 0x3fff) << 4; }
  /// Eight elements from column 8 `chunk` on.
  char *at(int row, int chunk) const {
    uint64_t offset = (bits & 0x3fff) << 4;
    offset += static_cast<uint64_t>(row / 8) * stride();
    if (int mode = swizzle())
      offset += static_cast<uint64_t>(row % 8) * (16U << mode) +
                static_cast<uint64_t>(chunk) * 16;
    else
      offset += static_cast<uint64_t>(row % 8) * 16 +
                static_cast<uint64_t>(chunk) * leading();
    auto place = reinterpret_cast<uintptr_t>(shared) + offset;
    return reinterpret_cast<char *>(swizzled(place, swizzle()));
  }
};

struct Parameters {
  int32_t keepsSums, scaleA, scaleB, transposesA, transposesB;
};
} // namespace

/// Reads rows of an operand, `step` apart, as floats.
template <typename Row>
static void readRows(Warp &warp, const Descriptor &operand, int first,
                     int count, Row *rows) {
  bool isBrain = warp.site.parameters[1] != 0;
  Thread &lane = warp.lanes[0];
  for (int row = 0; row < count; ++row)
    for (int chunk = 0; chunk < depth / 8; ++chunk) {
      const char *from = operand.at(first + row, chunk);
      if (warp.block.isChecking()) {
        warp.block.access(lane, from, 16, 16, false, warp.site);
        lane.openReads.push_back(from);
      }
      uint16_t values[8];
      memcpy(values, from, 16);
      for (int i = 0; i < 8; ++i)
        rows[row][chunk * 8 + i] =
            isBrain ? brainToFloat(values[i]) : halfToFloat(values[i]);
    }
}

static void multiplyWarp(Warp &warp) {
  auto columns = static_cast<int>(warp.site.parameters[0]);
  const auto *in = static_cast<const char *>(warp.lanes[0].in);
  Descriptor a{}, b{};
  Parameters parameters;
  size_t before = static_cast<size_t>(columns) / 2 * 4;
  memcpy(&a.bits, in + before, 8);
  memcpy(&b.bits, in + before + 8, 8);
  memcpy(&parameters, in + before + 16, sizeof parameters);
  a.shared = b.shared = warp.block.shared;
  if (warp.mask != allLanes || parameters.transposesA || parameters.transposesB)
    warp.block.fault(*currentThread(), FaultKind::Other,
                     warp.site.op + (warp.mask != allLanes
                                         ? " of part of a warp"
                                         : ": operands that are not K-major "
                                           "are not emulated"),
                     &warp.site);
  static thread_local float left[warpRows][depth], right[maxColumns][depth];
  readRows(warp, a, static_cast<int>(warp.lanes[0].warpId % 4) * warpRows,
           warpRows, left);
  readRows(warp, b, 0, columns, right);
  auto sign = static_cast<float>(parameters.scaleA * parameters.scaleB);
  for (int lane = 0; lane < 32; ++lane) {
    const auto *sums = static_cast<const float *>(warp.lanes[lane].in);
    auto *out = static_cast<float *>(warp.lanes[lane].out);
    for (int i = 0; i < columns / 2; ++i) {
      int row = lane / 4 + i % 4 / 2 * 8,
          column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      float sum = 0;
      for (int k = 0; k < depth; ++k)
        sum += left[row][k] * right[column][k];
      out[i] = (parameters.keepsSums ? sums[i] : 0.0F) + sign * sum;
    }
  }
}

static void multiplyAsync(Thread &thread, const Site &site, void *out,
                          const void *in) {
  thread.block->meetWarp(thread, site, allLanes, out, in, multiplyWarp);
}

static void commit(Thread &thread, const Site & /*site*/, void * /*out*/,
                   const void * /*in*/) {
  thread.readGroups.push_back(std::move(thread.openReads));
  thread.openReads.clear();
}

static void waitGroup(Thread &thread, const Site &site, void * /*out*/,
                      const void *in) {
  auto &groups = thread.readGroups;
  while (groups.size() > operands<uint64_t>(in)) {
    for (const char *from : groups.front())
      thread.block->access(thread, from, 16, 16, false, site);
    groups.erase(groups.begin());
  }
}

std::span<const Call> vlmc::emulator::wgmmaCalls() {
  static const Call calls[] = {
      {"wgmma.commit_group.sync.aligned", commit},
      {"wgmma.mma_async", multiplyAsync, true},
      {"wgmma.wait_group.sync.aligned", waitGroup},
  };
  return calls;
}
