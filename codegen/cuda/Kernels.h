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
#include "codegen/cuda/Product.h"

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
  int64_t slices = 1; ///< blocks that share the features of a head's values
  int64_t threads() const { return queries / 16 * warpThreads; }
  SharedTile query() const { return {queries, size}; }
  SharedTile key() const { return {keys, size}; }
  SharedTile value() const { return {keys, (size / slices + 15) / 16 * 16}; }
  int64_t sharedBytes() const {
    return query().bytes() + 2 * stages * key().bytes(); // values are less
  }
};

/// A product of few rows: a block makes 16 columns of the result, or of both
/// sides of a gate; its warps share the features among them, `steps` times 32
/// at once each.
struct SkinnyTile {
  static constexpr int64_t maxRows = 16;
  static constexpr int64_t columns = 16;
  int64_t warps = 0; ///< 0: there is no such function
  int64_t steps = 4;
  int64_t sides = 1; ///< 2: a gate and what it multiplies
  /// Whether a block begins to load weights while the launch before it ends.
  bool startsEarly = false;
  int64_t threads() const { return warps * warpThreads; }
  /// Sums of one side by one warp, as f32: rows of the result, then columns.
  int64_t sumBytes() const { return maxRows * columns * 4; }
  /// Sums of each warp, or before them parts of rows' moments.
  int64_t sharedBytes() const { return warps * sides * sumBytes(); }
};

/// A product on sm_90a: one group of four warps copies, `groups` multiply 64
/// rows each.
struct WgmmaTile {
  int64_t rows = 128, depth = 64, groups = 2;
  int64_t columns = 0; ///< 0: there is no such function
  int64_t stages = 0;
  int64_t piece = 1; ///< columns that the epilogue takes at once
  int64_t threads() const { return (groups + 1) * 4 * warpThreads; }
  int64_t left() const { return rows * depth * 2; } ///< bytes
  int64_t right() const { return columns * depth * 2; }
  int64_t stageBytes() const { return left() + right(); }
  int64_t barriersAt() const { return stages * stageBytes(); }
  /// Sums as f32, on their way to memory.
  int64_t sumColumns() const { return columns + 8; }
  int64_t sharedBytes() const { return barriersAt() + stages * 2 * 8; }
};

struct KernelPlan {
  Strategy strategy = Strategy::Elements;
  Storage half = Storage::F32; ///< what tensor cores multiply
  GemmTile gemm;
  SkinnyTile skinny;
  WgmmaTile wgmma;
  std::string whyNoWgmma; ///< of a product on a chip that has it
  Product product;
  AttentionTile attention;
  int64_t threads = 128;
  int64_t sharedBytes = 0;

  /// Columns of the result that a block of a product makes: half of its tile
  /// where the other half are their gates.
  int64_t resultColumns() const {
    int64_t columns = wgmma.columns ? wgmma.columns : gemm.columns;
    return columns / (product.isGated() ? 2 : 1);
  }
};

KernelPlan planKernel(vlm::KernelOp kernel);

/// How an operand of a kernel lies in memory.
Storage storageOf(vlm::KernelOp kernel, Value argument);
/// The same of its result.
Storage resultStorage(vlm::KernelOp kernel);

/// Sets the plan of a product of a kernel on sm_90a, or `whyNoWgmma`.
void planWgmma(vlm::KernelOp kernel, KernelPlan &plan);
/// The tensor maps of both sides of a product of so many rows.
std::vector<LaunchMap> wgmmaMaps(vlm::KernelOp kernel, const KernelPlan &plan,
                                 const vlm::Size &rows);

/// What of a kernel a function does.
enum class Part { Whole, Append, Attend, FewRows, Norm };

struct KernelFunction {
  std::string name;
  Part part = Part::Whole;
  int64_t threads = 0, sharedBytes = 0;
  int64_t maps = 0; ///< tensor maps among its arguments, the first
};

/// The functions of a kernel, in the order of their launches: one of its name,
/// or its name and what the part is.
std::vector<KernelFunction> functionsOf(vlm::KernelOp kernel,
                                        const KernelPlan &plan);

/// "gemm", "attention", ...
llvm::StringRef strategyName(Strategy strategy);

/// Matrix products on tensor cores: tiles come through a ring of stages, the
/// epilogue goes row by row.
void emitGemm(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Matrix products of sm_90a: tiles come by `maps`, groups of warps multiply.
void emitWgmma(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan,
               ValueRange maps);
/// Matrix products of few rows: the weight is read once, as fast as may be.
void emitSkinny(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
/// Rows that are normalised before a product, into the kernel's temporary.
void emitNormPass(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan);
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
