//===-- Hopper.h - what sm_90a can do beside other chips ------------------===//
//
// Barriers in shared memory that count arrivals and bytes, tiles that come by
// a tensor map (TMA), and products by four warps at once with both sides in
// shared memory (wgmma).
//
//   Hopper h(g);
//   h.initialise(barrier, 1);
//   h.expect(barrier, bytes);
//   h.copyTile(shared, barrier, map, column, row);
//   h.wait(barrier, parity);
//   sums = h.multiply(storage, columns, sums, left, right);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_HOPPER_H
#define VLMC_CODEGEN_CUDA_HOPPER_H

#include "codegen/cuda/Gpu.h"

namespace vlmc::cuda {

/// Threads that multiply together.
inline constexpr int64_t groupThreads = 4 * warpThreads;

/// Bytes of a row of a tile that wgmma reads: eight such rows are swizzled
/// among themselves, and lie at a multiple of 1024.
inline constexpr int64_t swizzledBytes = 128;

class Hopper {
public:
  explicit Hopper(Gpu &g) : g(g), e(g.e) {}

  //===-- barriers: 8 bytes of shared memory at a byte offset
  /// By one thread; others may use them after `publish` and a block's barrier.
  void initialise(Value barrier, int64_t arrivals);
  void publish();
  void arrive(Value barrier);
  /// Arrives, and has the phase wait for that many bytes besides.
  void expect(Value barrier, int64_t bytes);
  /// Waits until the phase of that parity (0, 1, 0, ...) is over.
  void wait(Value barrier, Value parity);
  /// Of `threads` threads of the block, all of whole warps; 1 to 15.
  void barrier(int64_t number, int64_t threads);

  /// Copies the tile whose first element is (row, column) of the map's matrix;
  /// zeros where there is none. Its bytes count for the barrier.
  void copyTile(Value shared, Value barrier, Value map, Value column,
                Value row);

  //===-- products of 64 rows by a group of warps
  /// The first `rows` x 64 tile of 16 bits at `shared`, for `multiply`; the
  /// next 16 features are 2 farther, the next 64 rows 512.
  Value describe(Value shared);
  Type sumsType(int64_t columns);
  /// sums + left right^T of 16 features. Nothing is read before `fence`, and
  /// nothing may be written before `finish` has waited.
  Value multiply(Storage storage, int64_t columns, Value sums, Value left,
                 Value right);
  void fence();
  void commit();
  /// Waits until at most `left` groups of products are under way.
  void finish(int64_t left);

  /// Gives registers back, or takes them, for all threads of a group.
  void keepRegisters(int64_t count, bool isMore);

private:
  Value i32(Value x);

  Gpu &g;
  Emitter &e;
};

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_HOPPER_H
