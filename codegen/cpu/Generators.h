//===-- Generators.h - the kernel generators, one per strategy ---------------------------------------------------------------------------===//
//
// A generator adds the functions of one `vlm.kernel` to a module of func, scf, arith, vector and LLVM ops and says their names. Adding a strategy: a
// generator here, its name in `Lower.cpp`, its plan (tiles, temporaries, scratch) in `passes/Tile.cpp`.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_GENERATORS_H
#define VLMC_CODEGEN_CPU_GENERATORS_H

#include "codegen/Codegen.h"
#include "codegen/cpu/RowEmitter.h"
#include "codegen/cpu/Widen.h"
#include "llvm/ADT/StringSet.h"

namespace vlmc::cpu {

/// Matrix products: rows are packed with the prologue applied, then multiplied tile by tile with the epilogue in registers.
void generateGemm(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Convolutions of 3 x 3 in fewer multiplications: tiles of the picture are
/// transformed, multiplied, and transformed back.
void generateWinograd(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Attention with a whole row of scores in cache.
void generateAttention(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Attention over a cache, and what is appended to it.
void generateCachedAttention(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Cosines and sines of rotary positions.
void generateRopeTable(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Row-wise ops.
void generateRows(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// A convolution of each channel by itself, and ops on what it gives, element by
/// element.
void generateDepthwise(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// The mean or the largest of each sequence's tokens.
void generateTokenPool(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// The position of a token in each sequence.
void generateTokenIndex(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// All pairs of rows of two operands.
void generateContrast(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);
/// Any region, through its ops' reference lowering to linalg. May fail with a diagnostic.
mlir::LogicalResult generateReference(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code);

/// Adds a phase: `run` emits tasks [begin, end), `tasks` their number.
void addPhase(Emitter &e, vlm::KernelOp kernel, llvm::StringRef prefix, KernelCode &code,
              llvm::function_ref<void(Value args, Value begin, Value end)> run, llvm::function_ref<Value(DimFrame &dims)> tasks);

/// Calls `body` for the rows that a grid of tiles of `mr` rows leaves, `left` of
/// them: at once where the tile is small, so that there is one micro-kernel for
/// each number; else in powers of two. `above` counts the rows left that come
/// before.
void forRowsLeft(Emitter &e, Value left, int64_t mr, llvm::function_ref<void(int64_t rows, Value above)> body);

/// An integer of the kernel's `tiles`.
int64_t tileOf(vlm::KernelOp kernel, llvm::StringRef name);

/// One register tile of a product: rows x (panels of 16 columns), over k in [0, count).
struct ProductTile {
  int64_t rows = 1;
  int64_t panels = 1;
  Value count;
  /// Element (row i, k) of the left side, as a pointer.
  std::function<Value(int64_t row, Value k, int64_t step)> left;
  /// The right side's panels: element (panel, k, column) lies at right + panel * panelStride + k * 16 + column, in elements of `storage`; bf16 keeps
  /// pairs along k: + (k & ~1) * 16 + column * 2 + (k & 1).
  Storage storage = Storage::F32;
  Value right;
  Value panelStride;
  /// Where the panels are left as f32, in such order; null: nowhere.
  Value widened;
  Value widenedStride;
  /// Where the next panels to be read begin, to be prefetched; may be null.
  Value next;
  /// From one panel there to the next, in floats.
  Value nextStride;
  /// Whether all of as many panels as these is prefetched there, of the same
  /// storage; else a quarter of each, of f32.
  bool wholeNext = false;
};
/// Emits the tile's sums, added to `initial` in ascending k by one chain of fused multiply-adds per element, so that the bits depend on k only.
/// Accumulators stand row by row, in a row panel by panel, in a panel vector by vector.
llvm::SmallVector<Value> emitProduct(Emitter &e, const ProductTile &tile, ValueRange initial);

/// What the code of a product's second phase depends on: rows of a row panel,
/// column panels side by side, and how weights are stored.
struct ProductShape {
  int64_t mr;
  int64_t np;
  Storage storage;
};
/// Makes the second phase of all products of a shape and gives its name: (args,
/// begin, end, packed rows, weights, result, scratch, rows, n, k, k of a block,
/// rows of a block, epilogue, epilogue of the last columns).
std::string ensureMultiply(Emitter &e, llvm::StringRef prefix,
                           const ProductShape &shape);
/// (args, rows, row, column, columns, sums, result)
llvm::SmallVector<Type> epilogueArguments(Emitter &e);
/// A product's epilogue as a function of these arguments: what the kernel does
/// to the result of `anchor`, on `rows` rows of sums from `row` on, `columns` of
/// them from `column` on. `edge`: of the last panel, which has fewer than 16.
Value ensureEpilogue(Emitter &e, vlm::KernelOp kernel, mlir::Operation *anchor,
                     llvm::StringRef prefix, bool edge);

/// The rows of a product in panels with room for `mr` each. Where rows that are
/// left would be cut into powers of two, which read the weights once more for
/// few rows, there are none left: all panels are alike but for one row.
class RowPanels {
public:
  RowPanels(Emitter &e, Value rows, int64_t mr);
  Value count;  ///< of all, one of the rows left included
  Value whole;  ///< panels of whole tiles, then the rows left
  Value left;
  /// The first row of a panel, and how many rows a whole one has.
  Value firstRow(Emitter &e, Value panel) const;
  Value height(Emitter &e, Value panel) const;
  /// Whole tiles have from this many to `mr` rows.
  static int64_t lowest(int64_t mr);

private:
  Value low;  ///< rows of a panel,
  Value tall; ///< but one more of so many
};

/// Blocks of as many panels each, none of more than `mc` rows.
struct RowBlocks {
  Value count;
  Value panels;
};
RowBlocks rowBlocks(Emitter &e, Value rows, int64_t mr, Value mc);

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_GENERATORS_H
