//===-- RowEmitter.h - the values of a kernel's region, row by row ----------------------------------------------------------------------===//
//
// Everything in a kernel but its anchor works on rows: a value `[..., D]` is rows of D features, counted over all leading dimensions. `prepare` emits
// what must be known of a row before its features are read (addresses, means, norms) and gives a `Row`, which emits any stretch of features.
// The same code is therefore a GEMM's prologue (rows are packed), its epilogue (rows are finished in registers) and a kernel of its own.
//
//   KernelFrame frame(e, kernel, args);
//   RowEmitter rows(e, frame);
//   Row row = rows.prepare(kernel.getYielded()[0], m);
//   e.store(row(k, e.vector, e.lanes()), e.at(out, k));
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_ROWEMITTER_H
#define VLMC_CODEGEN_CPU_ROWEMITTER_H

#include "codegen/cpu/Emitter.h"
#include "codegen/cpu/Widen.h"
#include "ir/Vlm/VlmOps.h"

namespace vlmc::cpu {

/// The sizes of every value of a kernel's region, from the `dims` that a call passes.
class DimFrame {
public:
  DimFrame(Emitter &e, vlm::KernelOp kernel, Value dims);
  /// The same, each dynamic dimension of the operands in order.
  DimFrame(Emitter &e, vlm::KernelOp kernel, ValueRange dims);
  Value dim(Value value, int64_t i) const { return sizes.lookup(value)[i]; }
  /// The number of rows: the product of all dimensions but the last.
  Value rows(Emitter &e, Value value) const;

private:
  void fill(Emitter &e, vlm::KernelOp kernel, llvm::function_ref<Value(int64_t)> dynamicDim);
  llvm::DenseMap<Value, llvm::SmallVector<Value>> sizes;
};

/// What a generated function knows of its kernel: buffers by number, sizes, scratch.
class KernelFrame {
public:
  /// `args` points to a `vlm_kernel_args`.
  KernelFrame(Emitter &e, vlm::KernelOp kernel, Value args);
  /// From buffers and sizes that are values already.
  KernelFrame(Emitter &e, vlm::KernelOp kernel, ValueRange buffers, ValueRange dims)
      : kernel(kernel), buffers(buffers), dims(e, kernel, dims) {}
  vlm::KernelOp kernel;
  /// Operands, results, temporaries.
  llvm::SmallVector<Value> buffers;
  Value scratch;
  DimFrame dims;

  Value operand(Value blockArgument) const { return buffers[llvm::cast<mlir::BlockArgument>(blockArgument).getArgNumber()]; }
  Value result(unsigned i) { return buffers[kernel.getArgumentTypes().size() + i]; }
  /// How an operand, or behind them a result, lies in memory: as `tiles.storage` says, or else its type.
  WeightForm form(unsigned i) const;
  WeightForm form(Value blockArgument) const { return form(llvm::cast<mlir::BlockArgument>(blockArgument).getArgNumber()); }
  Value temporary(unsigned i) { return buffers[kernel.getArgumentTypes().size() + kernel.getResultTypes().size() + i]; }
};

/// Emits features [k, k + lanes of the type) of a prepared row; lanes from `valid` on are neither read nor meaningful.
using Row = std::function<Value(Value k, Type type, int64_t valid)>;

class RowEmitter {
public:
  RowEmitter(Emitter &e, const KernelFrame &frame) : e(e), frame(frame) {}

  /// Rows of `anchor` (a GEMM's product) come from here instead of memory.
  void setAnchor(Value anchor, std::function<Row(Value m)> source) {
    anchorValue = anchor;
    anchorRow = std::move(source);
  }
  /// What is summed over a row becomes a function of its own, `<stem>_sums<i>`: for code that prepares many rows. The frame was made from `args`.
  void outlineSums(llvm::StringRef stem, Value args);
  /// Sums of terms over the features of a row, f32 each, by all threads that share the row: for what `prepare` emits, not for rows' features.
  using SharedSum = std::function<Value(int64_t features, llvm::function_ref<Value(Value k)> term)>;
  void setSharedSum(SharedSum sum) { sharedSum = std::move(sum); }
  /// Row `m` of a value.
  Row prepare(Value value, Value m);
  /// Calls `body(k, type, valid)` so that all of [0, features) is covered: whole vectors, then one masked vector.
  void forFeatures(int64_t features, llvm::function_ref<void(Value k, Type type, int64_t valid)> body);

private:
  Emitter &e;
  const KernelFrame &frame;
  Value anchorValue;
  std::function<Row(Value m)> anchorRow;
  SharedSum sharedSum;
  std::string outlineStem;
  Value outlineArgs, outlineResults;
  llvm::DenseMap<mlir::Operation *, std::string> outlined;

  /// What `op` knows of its row `m` as a whole, at most two numbers: emitted here or, if so told, as a function that is called here.
  llvm::SmallVector<Value> ofRow(mlir::Operation *op, Value m, std::function<llvm::SmallVector<Value>(RowEmitter &rows, Value m)> emit);
  /// Row `number` of an operand, as its layout says.
  Row memoryRow(Value argument, Value number);
  Row panelRow(Value argument, Value number);
  Row prepareAdd(vlm::AddOp op, Value m);
  Row prepareLayerNorm(vlm::LayerNormOp op, Value m);
  Row prepareL2Normalize(vlm::L2NormalizeOp op, Value m);
  Row prepareEmbedding(vlm::EmbeddingOp op, Value m);
  Row preparePrepend(vlm::PrependTokensOp op, Value m);
  Row prepareTake(vlm::TakeTokensOp op, Value m);
  Row prepareSliceTokens(vlm::SliceTokensOp op, Value m);
  Row prepareReplaceTokens(vlm::ReplaceTokensOp op, Value m);
  Row prepareGroupNorm(vlm::GroupNormOp op, Value m);
  Row prepareMaskFeatures(vlm::MaskFeaturesOp op, Value m);
  Row prepareAveragePool(vlm::AveragePoolOp op, Value m);
  Row prepareScaleFeatures(vlm::ScaleFeaturesOp op, Value m);
  Row prepareDepthwise(vlm::DepthwiseConv2dOp op, Value m);
  Row prepareGridPositions(vlm::AddGridPositionsOp op, Value m);
  Row prepareGatedAdd(vlm::GatedAddOp op, Value m);
  Row prepareMultiply(vlm::MultiplyOp op, Value m);
  Row prepareMergeTokens(vlm::MergeTokensOp op, Value m);
  Row prepareRmsNorm(vlm::RmsNormOp op, Value m);
  Row prepareRope(vlm::RopeOp op, Value m);
  llvm::SmallVector<Value> moments(const Row &input, int64_t features, double epsilon);
  /// LayerNorm in groups of features, with weights for a group or for all.
  Row groupNorm(const Row &input, const Row &weight, const Row &bias, int64_t group, double epsilon, bool hasOwnWeights);
  Value inverseRms(const Row &input, Value first, int64_t group, double epsilon);
  Value lanewise(Value k, Type type, int64_t valid, int64_t group,
                 llvm::function_ref<Value(Value k, Type type, int64_t valid)> body);
  /// The sum of `term` over the features of a row, in an order that depends on their number only.
  Value sumOver(int64_t features, llvm::function_ref<Value(Value k, Type type, int64_t valid)> term);
};

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_ROWEMITTER_H
