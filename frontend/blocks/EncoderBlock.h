//===- EncoderBlock.h - The blocks of a pre-norm encoder --------*- C++ -*-===//
//
// What towers share: LayerNorm, attention, residual, LayerNorm, two-layer MLP,
// residual, so many times; or with the norms behind the residuals.
//
//   value = buildEncoderBlocks(builder, component, blocks, value, {.causal =
//   true});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_ENCODERBLOCK_H
#define VLMC_FRONTEND_BLOCKS_ENCODERBLOCK_H

#include "frontend/blocks/Block.h"
#include "mlir/IR/Value.h"

namespace vlmc {

/// Which keys a query sees.
struct EncoderMask {
  bool causal = false;
  /// [B, T] i64, 0 where a key is padding; may be null.
  mlir::Value keyValid;
  /// Padding is hidden from padding alone.
  bool amongInvalid = false;
};

void checkEncoderBlocks(const spec::TransformerBlocks &blocks,
                        const FaultSink &fault);
/// `prefix` is "" or ends with a point.
void listEncoderWeights(const spec::TransformerBlocks &blocks,
                        WeightList &weights, const std::string &prefix = "");
/// COMPONENT.embeddings, what the first block takes, and COMPONENT.layers.N,
/// what block N gives.
void listEncoderTaps(const std::string &component,
                     const spec::TransformerBlocks &blocks,
                     std::vector<std::string> &taps);

/// Builds all blocks on `value` [B, T, D], taps included. `states` gets what
/// the first block takes and what each gives; may be null.
mlir::Value buildEncoderBlocks(GraphBuilder &builder,
                               const std::string &component,
                               const spec::TransformerBlocks &blocks,
                               mlir::Value value, const EncoderMask &mask,
                               std::vector<mlir::Value> *states = nullptr);

/// Lists the weights of COMPONENT.NAME, attention pooling: the learned query,
/// the projections, the LayerNorm and the MLP behind it.
void listPoolWeights(const std::string &name,
                     const spec::TransformerBlocks &blocks,
                     WeightList &weights);
/// Pools `value` [B, T, D] to [B, 1, D]: a learned query attends to all tokens,
/// then x + MLP(LayerNorm(x)). `name` is the whole canonical name, `keyValid`
/// [B, T] is 0 where a token is padding; may be null.
mlir::Value buildAttentionPool(GraphBuilder &builder, const std::string &name,
                               const spec::TransformerBlocks &blocks,
                               mlir::Value value,
                               mlir::Value keyValid = mlir::Value());

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_ENCODERBLOCK_H
