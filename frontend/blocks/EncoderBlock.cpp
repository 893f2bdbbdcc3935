//===- EncoderBlock.cpp - The blocks of a pre-norm encoder ----------------===//
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
}

void listEncoderWeights(const spec::TransformerBlocks &blocks,
                        WeightList &weights) {
  WeightDim features = hidden(blocks);
  WeightDim inner = {blocks.intermediate_size(), {"intermediate_size"}};
  for (int64_t i = 0; i < blocks.layers(); ++i) {
    std::string layer = "layers." + std::to_string(i) + ".";
    weights.addNorm(layer + "norm1", features);
    for (const char *part : {"query", "key", "value", "output"})
      weights.addLinear(layer + "attention." + part, features, features);
    weights.addNorm(layer + "norm2", features);
    weights.addLinear(layer + "mlp.fc1", inner, features);
    weights.addLinear(layer + "mlp.fc2", features, inner);
  }
}

void listEncoderTaps(const std::string &component,
                     const spec::TransformerBlocks &blocks,
                     std::vector<std::string> &taps) {
  taps.push_back(component + ".embeddings");
  for (int64_t i = 0; i < blocks.layers(); ++i)
    taps.push_back(component + ".layers." + std::to_string(i));
}

static mlir::Value buildAttention(GraphBuilder &builder,
                                  const std::string &name,
                                  const spec::TransformerBlocks &blocks,
                                  mlir::Value value, const EncoderMask &mask) {
  mlir::Value query = builder.linear(value, name + ".query");
  mlir::Value key = builder.linear(value, name + ".key");
  mlir::Value values = builder.linear(value, name + ".value");
  int64_t headSize = blocks.hidden_size() / blocks.heads();
  mlir::Value mixed = builder.attention(
      query, key, values, mask.keyValid, mask.causal, blocks.heads(),
      1.0 / std::sqrt(static_cast<double>(headSize)), name);
  return builder.linear(mixed, name + ".output");
}

mlir::Value buildEncoderBlocks(GraphBuilder &builder,
                               const std::string &component,
                               const spec::TransformerBlocks &blocks,
                               mlir::Value value, const EncoderMask &mask) {
  builder.tap(component + ".embeddings", value);
  for (int64_t i = 0; i < blocks.layers(); ++i) {
    std::string layer = component + ".layers." + std::to_string(i);
    mlir::Value normed =
        builder.layerNorm(value, layer + ".norm1", blocks.norm_epsilon());
    mlir::Value mixed =
        buildAttention(builder, layer + ".attention", blocks, normed, mask);
    value = builder.add(mixed, value, layer + ".attention.residual");
    normed = builder.layerNorm(value, layer + ".norm2", blocks.norm_epsilon());
    mlir::Value inner =
        builder.activation(builder.linear(normed, layer + ".mlp.fc1"),
                           blocks.activation(), layer + ".mlp.activation");
    mlir::Value outer = builder.linear(inner, layer + ".mlp.fc2");
    value = builder.add(outer, value, layer + ".mlp.residual");
    builder.tap(layer, value);
  }
  return value;
}

} // namespace vlmc
