//===-- Kernels.h - the GPU's kernel generators and how they are launched -===//
//
// A strategy is a function that writes one gpu.func, and a KernelPlan that says
// what a launch of it needs. Adding one: a generator here, its case in
// `planKernel` and `launchesOf` (Launch.cpp), and in Ptx.cpp's `emitBody`.
//
//   KernelPlan plan = planKernel(kernel);
//   emitGemm(e, frame, plan);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_KERNELS_H
#define VLMC_CODEGEN_CUDA_KERNELS_H

#include "codegen/cpu/RowEmitter.h"
#include "codegen/cuda/Launch.h"
#include "codegen/cuda/Tiles.h"

namespace vlmc::cuda {

enum class Strategy {
  Gemm,
  Attention,
  CachedAttention,
  Rows,
  Moments,
  Elements
};

/// The tile of a block's product and how warps share it.
struct GemmTile {
  int64_t rows = 128, columns = 128, depth = 32, stages = 4;
  int64_t warpsDown = 2, warpsAcross = 2;
  int64_t threads() const { return warpsDown * warpsAcross * warpThreads; }
  SharedTile left() const { return {rows, depth}; }
  SharedTile right() const { return {columns, depth}; }
  int64_t stageBytes() const { return left().bytes() + right().bytes(); }
  /// Sums of one warp row, as f32, on their way to memory.
  int64_t sumColumns() const { return columns + 4; }
  int64_t sharedBytes() const;
};

/// Queries and keys that a block of attention takes at once.
struct AttentionTile {
  int64_t queries = 64, keys = 64, stages = 2;
  int64_t size = 0; ///< features of a head, as many as tensor cores want
  int64_t threads() const { return queries / 16 * warpThreads; }
  SharedTile query() const { return {queries, size}; }
  SharedTile key() const { return {keys, size}; }
  int64_t sharedBytes() const {
    return query().bytes() + 2 * stages * key().bytes();
  }
};

struct KernelPlan {
  Strategy strategy = Strategy::Elements;
  Storage half = Storage::F32; ///< what tensor cores multiply
  GemmTile gemm;
  AttentionTile attention;
  int64_t threads = 128;
  int64_t sharedBytes = 0;
};

KernelPlan planKernel(vlm::KernelOp kernel);

/// The functions of a kernel, in the order of their launches: its name, or its
/// name and _p0, _p1, ...
std::vector<std::string> functionsOf(vlm::KernelOp kernel,
                                     const KernelPlan &plan);

/// "gemm", "attention", ...
llvm::StringRef strategyName(Strategy strategy);

/// Matrix products on tensor cores: tiles come through a ring of stages, the
/// epilogue goes row by row.
void emitGemm(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Attention on tensor cores, with sums and maxima that grow along the keys.
void emitAttention(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Keys and values of a call's tokens, into their places in the cache.
void emitCacheAppend(Emitter &e, cpu::KernelFrame &frame,
                     const KernelPlan &plan);
/// Attention over a cache, a warp for each head of each query.
void emitCachedAttention(Emitter &e, cpu::KernelFrame &frame,
                         const KernelPlan &plan);
/// Row-wise ops, a warp for each row.
void emitRows(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Moments of groups of channels, a block for each group.
void emitMoments(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Anything, a thread for each element of the result.
void emitElements(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_KERNELS_H
