//===-- Gpu.h - what a thread of a GPU can do beside arithmetic -----------===//
//
// Emitter speaks of loops, pointers and floats; this adds places in the grid,
// shared memory, shuffles, asynchronous copies and tensor cores, as intrinsics
// of LLVM's NVPTX.
//
//   Gpu g(e);
//   Value sum = g.sumOverWarp(x);
//   g.copyAsync(g.sharedAt(offset), source, 16, isValid);
//   g.commit();
//   g.waitFor(0);
//   g.barrier();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_GPU_H
#define VLMC_CODEGEN_CUDA_GPU_H

#include "codegen/cpu/Widen.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace vlmc::cuda {

using cpu::Emitter;
using cpu::Storage;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// Threads that go together.
inline constexpr int64_t warpThreads = 32;

/// The module's only shared memory, as much as a launch asks for.
inline constexpr llvm::StringLiteral sharedName = "vlmc_shared";

class Gpu {
public:
  explicit Gpu(Emitter &e);

  //===-- the grid
  Value thread();
  Value block(mlir::gpu::Dimension dimension);
  Value lane() { return e.rem(thread(), warpThreads); }
  Value warp() { return e.div(thread(), warpThreads); }

  //===-- within a warp; all lanes have to come here
  Value sumOverWarp(Value x);
  /// Of the lanes that differ in the bits below `lanes`, a power of two.
  Value maxOver(Value x, int64_t lanes);
  Value sumOver(Value x, int64_t lanes);
  /// Of lane `number`.
  Value fromLane(Value x, Value number);
  void barrier();

  //===-- shared memory: bytes from its begin
  /// Declares it in the module where the builder stands.
  static void declareShared(Emitter &e, mlir::gpu::GPUModuleOp module);
  Value sharedAt(Value bytes);
  Value load(Type type, Value shared, int64_t alignment);
  void store(Value value, Value shared, int64_t alignment);

  //===-- copies into shared memory behind the program's back
  /// Copies `bytes`, 4, 8 or 16, aligned so; zeros where it is not valid, and
  /// then `source` is not read.
  void copyAsync(Value shared, Value source, int64_t bytes, Value isValid);
  /// What was copied since the last group is one group.
  void commit();
  /// Waits until at most `left` groups are still under way.
  void waitFor(int64_t left);

  //===-- tensor cores
  /// Four 8 x 8 matrices of 16 bits; lane l gives the address of row l % 8 of
  /// matrix l / 8. Four values of two elements.
  llvm::SmallVector<Value> loadMatrices(Storage storage, Value shared,
                                        bool isTransposed = false);
  /// sums + a b of 16 x 16 and 16 x 8: `a` four, `b` two, `sums` four values.
  llvm::SmallVector<Value> multiply(Storage storage, ValueRange a, ValueRange b,
                                    ValueRange sums);
  /// Two floats as an element of `a` or `b`, the first in the low half.
  Value pack(Storage storage, Value low, Value high);

  /// A float, or a vector of it, rounded to what is stored.
  Value narrow(Storage storage, Value x);
  /// A float, or a vector of it, within f16's range where that is stored; NaNs
  /// stay.
  Value clip(Storage storage, Value x);
  /// A float rounded so, and what f16 has no room for to its end: a sum that
  /// is too large makes no infinity, from which products make NaNs.
  Value narrowWithin(Storage storage, Value x);
  /// Stores a float, or a vector of it, at element `offset` of a buffer, within its range.
  void storeAs(Storage storage, Value x, Value base, Value offset);
  /// 2^x, to about 22 bits.
  Value exp2(Value x);

  /// The address of constant numbers, under a name of its own in the module
  /// where the builder stands.
  Value table(llvm::StringRef name, mlir::DenseElementsAttr numbers);

  /// The element of a table [heads, elements] of biases for a key `distance`
  /// places behind its query; the ends stand for all farther ones.
  Value biasPlace(Value table, Value head, Value distance);

  Value intrinsic(llvm::StringRef name, Type result, ValueRange arguments);

  Emitter &e;
  Type f16, bf16, sharedPtr, globalPtr;

private:
  Value shuffleXor(Value x, int64_t mask);
  Value i32(int64_t value) { return e.iconstant(e.i32, value); }
  /// The type of two elements.
  Type pairOf(Storage storage);
};

/// Bytes of an element.
inline int64_t bytesOf(Storage storage) {
  return storage == Storage::F32 ? 4 : 2;
}

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_GPU_H
