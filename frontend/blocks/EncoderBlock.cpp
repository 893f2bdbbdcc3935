//===- EncoderBlock.cpp - The blocks of an encoder ------------------------===//
#include "frontend/blocks/EncoderBlock.h"

#include "frontend/blocks/GraphBuilder.h"

#include <cmath>

namespace vlmc {

static WeightDim hidden(const spec::TransformerBlocks &blocks) {
  return {blocks.hidden_size(), {"hidden_size"}};
}

void checkEncoderBlocks(const spec::TransformerBlocks &blocks,
                        const FaultSink &fault) {
  checkRange(fault, "hidden_size", blocks.hidden_size(), 1, 1 << 20);
  checkRange(fault, "intermediate_size", blocks.intermediate_size(), 1,
             1 << 20);
  checkRange(fault, "layers", blocks.layers(), 1, 4096);
  if (blocks.heads() < 1 || blocks.hidden_size() % blocks.heads() != 0)
    fault("heads", "expected a divisor of hidden_size " +
                       std::to_string(blocks.hidden_size()) + ", found " +
                       std::to_string(blocks.heads()));
  if (blocks.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(blocks.activation()))
    fault("activation", "expected an activation function, found none");
  if (!(blocks.norm_epsilon() >= 0 && blocks.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(blocks.norm_epsilon()));
  if (blocks.post_norm() && blocks.gated())
    fault("post_norm", "expected false, as blocks are gated, found true");
}

static void listAttentionWeights(const std::string &name,
                                 const WeightDim &features, WeightList &weights,
                                 bool bias = true, bool outputBias = true) {
  for (const char *part : {"query", "key", "value"})
    weights.addLinear(name + "." + part, features, features, bias);
  weights.addLinear(name + ".output", features, features, outputBias);
}

static void listMlpWeights(const std::string &name,
                           const spec::TransformerBlocks &blocks,
                           WeightList &weights) {
  WeightDim inner = {blocks.intermediate_size(), {"intermediate_size"}};
  weights.addLinear(name + ".fc1", inner, hidden(blocks));
  weights.addLinear(name + ".fc2", hidden(blocks), inner);
}

static void listNorm(const std::string &name,
                     const spec::TransformerBlocks &blocks,
                     WeightList &weights) {
  if (blocks.rms_norm())
    weights.add(name + ".weight", {hidden(blocks)});
  else
    weights.addNorm(name, hidden(blocks));
}

void listEncoderWeights(const spec::TransformerBlocks &blocks,
                        WeightList &weights, const std::string &prefix) {
  WeightDim features = hidden(blocks);
  for (int64_t i = 0; i < blocks.layers(); ++i) {
    std::string layer = prefix + "layers." + std::to_string(i) + ".";
    listNorm(layer + "norm1", blocks, weights);
    listAttentionWeights(layer + "attention", features, weights,
                         !blocks.unbiased_attention(),
                         !blocks.unbiased_output());
    if (blocks.query_norm())
      for (const char *part : {"attention.query_norm", "attention.key_norm"})
        weights.add(layer + part + ".weight", {features});
    listNorm(layer + "norm2", blocks, weights);
    listMlpWeights(layer + "mlp", blocks, weights);
    if (blocks.layer_scale())
      for (const char *part : {"attention.scale", "mlp.scale"})
        weights.add(layer + part, {features});
    if (blocks.gated())
      for (const char *part : {"attention.gate", "mlp.branch_gate"})
        weights.add(layer + part, {});
  }
}

void listPoolWeights(const std::string &name,
                     const spec::TransformerBlocks &blocks,
                     WeightList &weights) {
  WeightDim features = hidden(blocks);
  weights.add(name + ".query_token", {{1, {}}, {1, {}}, features});
  listAttentionWeights(name + ".attention", features, weights);
  weights.addNorm(name + ".norm", features);
  listMlpWeights(name + ".mlp", blocks, weights);
}

void listEncoderTaps(const std::string &component,
                     const spec::TransformerBlocks &blocks,
                     std::vector<std::string> &taps) {
  taps.push_back(component + ".embeddings");
  for (int64_t i = 0; i < blocks.layers(); ++i)
    taps.push_back(component + ".layers." + std::to_string(i));
}

/// Of InternVLVisionRMSNorm in transformers, whatever the other norms have.
static constexpr double queryNormEpsilon = 1e-6;

/// A linear layer that ends a branch, with the branch's learned factors.
static mlir::Value buildLast(GraphBuilder &builder, const std::string &name,
                             const std::string &branch,
                             const spec::TransformerBlocks &blocks,
                             mlir::Value value, bool bias = true) {
  return blocks.layer_scale()
             ? builder.scaledLinear(value, name, branch + ".scale")
             : builder.linear(value, name, bias);
}

/// The residual with a branch added, by a gate where the blocks have such.
static mlir::Value addBranch(GraphBuilder &builder,
                             const spec::TransformerBlocks &blocks,
                             mlir::Value branch, mlir::Value residual,
                             const std::string &gate,
                             const std::string &label) {
  return blocks.gated() ? builder.gatedAdd(residual, branch,
                                           builder.weight(gate, {1}), label)
                        : builder.add(branch, residual, label);
}

static mlir::Value buildNorm(GraphBuilder &builder, const std::string &name,
                             const spec::TransformerBlocks &blocks,
                             mlir::Value value) {
  return blocks.rms_norm()
             ? builder.rmsNorm(value, name, blocks.norm_epsilon(), 0)
             : builder.layerNorm(value, name, blocks.norm_epsilon());
}

/// Attention of the tokens of `asking` to those of `value`.
static mlir::Value buildAttention(GraphBuilder &builder,
                                  const std::string &name,
                                  const spec::TransformerBlocks &blocks,
                                  mlir::Value asking, mlir::Value value,
                                  const EncoderMask &mask) {
  const bool bias = !blocks.unbiased_attention();
  mlir::Value query = builder.linear(asking, name + ".query", bias);
  mlir::Value key = builder.linear(value, name + ".key", bias);
  if (blocks.query_norm()) {
    query = builder.rmsNorm(query, name + ".query_norm", queryNormEpsilon, 0);
    key = builder.rmsNorm(key, name + ".key_norm", queryNormEpsilon, 0);
  }
  mlir::Value values = builder.linear(value, name + ".value", bias);
  int64_t headSize = blocks.hidden_size() / blocks.heads();
  mlir::Value mixed = builder.attention(
      query, key, values, mask.keyValid, mask.causal, blocks.heads(),
      1.0 / std::sqrt(static_cast<double>(headSize)), name, /*kvHeads=*/0,
      /*distanceBias=*/mlir::Value(), mask.amongInvalid);
  return buildLast(builder, name + ".output", name, blocks, mixed,
                   !blocks.unbiased_output());
}

/// x + MLP(LayerNorm(x)), or LayerNorm(x + MLP(x)).
static mlir::Value buildMlp(GraphBuilder &builder, const std::string &norm,
                            const std::string &mlp,
                            const spec::TransformerBlocks &blocks,
                            mlir::Value value, bool isPostNorm = false) {
  mlir::Value normed =
      isPostNorm ? value : buildNorm(builder, norm, blocks, value);
  mlir::Value inner =
      builder.activation(builder.linear(normed, mlp + ".fc1"),
                         blocks.activation(), mlp + ".activation");
  mlir::Value outer = buildLast(builder, mlp + ".fc2", mlp, blocks, inner);
  mlir::Value sum = addBranch(builder, blocks, outer, value,
                              mlp + ".branch_gate", mlp + ".residual");
  return isPostNorm ? buildNorm(builder, norm, blocks, sum) : sum;
}

mlir::Value buildAttentionPool(GraphBuilder &builder, const std::string &name,
                               const spec::TransformerBlocks &blocks,
                               mlir::Value value, mlir::Value keyValid) {
  mlir::Value asking = builder.weight(name + ".query_token");
  mlir::Value pooled =
      buildAttention(builder, name + ".attention", blocks, asking, value,
                     {.keyValid = keyValid});
  return buildMlp(builder, name + ".norm", name + ".mlp", blocks, pooled);
}

mlir::Value buildEncoderBlocks(GraphBuilder &builder,
                               const std::string &component,
                               const spec::TransformerBlocks &blocks,
                               mlir::Value value, const EncoderMask &mask,
                               std::vector<mlir::Value> *states) {
  builder.tap(component + ".embeddings", value);
  if (states)
    states->push_back(value);
  for (int64_t i = 0; i < blocks.layers(); ++i) {
    std::string layer = component + ".layers." + std::to_string(i);
    const bool isPostNorm = blocks.post_norm();
    mlir::Value normed =
        isPostNorm ? value
                   : buildNorm(builder, layer + ".norm1", blocks, value);
    mlir::Value mixed = buildAttention(builder, layer + ".attention", blocks,
                                       normed, normed, mask);
    value = addBranch(builder, blocks, mixed, value, layer + ".attention.gate",
                      layer + ".attention.residual");
    if (isPostNorm)
      value = buildNorm(builder, layer + ".norm1", blocks, value);
    value = buildMlp(builder, layer + ".norm2", layer + ".mlp", blocks, value,
                     isPostNorm);
    builder.tap(layer, value);
    if (states)
      states->push_back(value);
  }
  return value;
}

} // namespace vlmc
