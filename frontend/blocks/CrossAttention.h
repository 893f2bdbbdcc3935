//===- CrossAttention.h - Layers of a decoder that see pictures -*- C++ -*-===//
//
// Gated cross-attention stands before layers of a decoder. What it attends to
// are rows of a cache of its own, which are computed once per picture: a run
// gets the features that are new, [1, M, D], and for each token the range of
// rows that it sees. Sources: Flamingo, arXiv:2204.14198;
// IdeficsGatedCrossAttentionLayer in transformers.
//
//   CrossAttentionBuilder cross(builder, message, name);
//   cross.addArguments();                    // behind the decoder's own
//   value = cross.build(0, value, sequence); // before the layer it is for
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_CROSSATTENTION_H
#define VLMC_FRONTEND_BLOCKS_CROSSATTENTION_H

#include "frontend/blocks/GraphBuilder.h"

namespace vlmc {

/// `layers` is the decoder's number of layers.
void checkCrossAttention(const spec::CrossAttention &cross, int64_t layers,
                         const FaultSink &fault);

/// The weights of all layers; `hiddenSize` is the decoder's.
void listCrossAttentionWeights(const spec::CrossAttention &cross,
                               int64_t hiddenSize, WeightList &weights);

class CrossAttentionBuilder {
public:
  /// `name` is the decoder's.
  CrossAttentionBuilder(GraphBuilder &builder,
                        const spec::CrossAttention &cross, std::string name)
      : builder(builder), cross(cross), name(std::move(name)) {}

  void addArguments();
  /// Layer `number` of the cross-attention; `sequence` is the tokens' column.
  mlir::Value build(int64_t number, mlir::Value value, mlir::Value sequence);

private:
  mlir::Value norm(mlir::Value value, const std::string &weight);
  mlir::Value attend(int64_t number, const std::string &layer,
                     mlir::Value value, mlir::Value sequence);
  mlir::Value buildMlp(const std::string &mlp, mlir::Value value);
  mlir::Value addGated(mlir::Value value, mlir::Value branch,
                       const std::string &gate,
                       mlir::Value shown = mlir::Value());

  GraphBuilder &builder;
  const spec::CrossAttention &cross;
  std::string name;
  mlir::Value features, cache, shown, alike;
  GraphBuilder::CachedTokens tokens;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_CROSSATTENTION_H
