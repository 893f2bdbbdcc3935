//===- CrossAttention.cpp - Layers of a decoder that see pictures ---------===//
#include "frontend/blocks/CrossAttention.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::CrossAttention;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

void checkCrossAttention(const Message &cross, int64_t layers,
                         const FaultSink &fault) {
  constexpr int64_t most = 1 << 20;
  auto check = [&](const char *field, int64_t value, int64_t min, int64_t max) {
    checkRange(fault, std::string("cross_attention.") + field, value, min, max);
  };
  check("feature_size", cross.feature_size(), 1, most);
  check("heads", cross.heads(), 1, most);
  check("head_size", cross.head_size(), 1, 4096);
  check("intermediate_size", cross.intermediate_size(), 1, most);
  if (cross.kv_heads() < 1 || cross.heads() % cross.kv_heads() != 0)
    fault("cross_attention.kv_heads",
          "expected a divisor of heads " + std::to_string(cross.heads()) +
              ", found " + std::to_string(cross.kv_heads()));
  if (cross.layers().empty())
    fault("cross_attention.layers", "expected at least one layer, found none");
  int64_t before = -1;
  for (int64_t layer : cross.layers()) {
    if (layer < std::max<int64_t>(0, before) || layer > layers)
      fault("cross_attention.layers",
            "expected ascending numbers up to the decoder's " +
                std::to_string(layers) + " layers, found " +
                std::to_string(layer));
    before = layer;
  }
  if (cross.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(cross.activation()))
    fault("cross_attention.activation",
          "expected an activation function, found none");
  if (!(cross.norm_epsilon() >= 0 && cross.norm_epsilon() <= 1))
    fault("cross_attention.norm_epsilon",
          "expected 0 to 1, found " + std::to_string(cross.norm_epsilon()));
}

static void listLayerWeights(const std::string &layer, const Message &cross,
                             const WeightDim &hidden, WeightList &weights) {
  WeightDim features = {cross.feature_size(), {"feature_size"}};
  WeightDim inner = {cross.intermediate_size(), {"intermediate_size"}};
  WeightDim queries = {cross.heads() * cross.head_size(),
                       {"heads", "head_size"}};
  WeightDim keys = {cross.kv_heads() * cross.head_size(),
                    {"kv_heads", "head_size"}};
  auto addNorm = [&](const std::string &norm) {
    if (cross.layer_norm())
      weights.addNorm(norm, hidden);
    else
      weights.add(norm + ".weight", {hidden});
  };
  auto addGate = [&](const std::string &gate) {
    if (cross.vector_gate())
      weights.add(gate, {{1, {}}, {1, {}}, hidden});
    else
      weights.add(gate, {{1, {}}});
  };
  const std::string attention = layer + "attention.";
  addNorm(layer + "norm1");
  weights.addLinear(attention + "query", queries, hidden, /*bias=*/false);
  weights.addLinear(attention + "key", keys, features, /*bias=*/false);
  weights.addLinear(attention + "value", keys, features, /*bias=*/false);
  weights.addLinear(attention + "output", hidden, queries, /*bias=*/false);
  if (cross.head_norm())
    for (const char *part : {"query_norm.weight", "key_norm.weight"})
      weights.add(attention + part, {{cross.head_size(), {"head_size"}}});
  addGate(layer + "attention_gate");
  addNorm(layer + "norm2");
  if (!cross.plain_mlp())
    weights.addLinear(layer + "mlp.gate", inner, hidden, /*bias=*/false);
  weights.addLinear(layer + "mlp.up", inner, hidden, /*bias=*/false);
  weights.addLinear(layer + "mlp.down", hidden, inner, /*bias=*/false);
  addGate(layer + "mlp_gate");
}

void listCrossAttentionWeights(const Message &cross, int64_t hiddenSize,
                               WeightList &weights) {
  for (int64_t i = 0; i < cross.layers_size(); ++i)
    listLayerWeights("cross_layers." + std::to_string(i) + ".", cross,
                     {hiddenSize, {"hidden_size"}}, weights);
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

/// A run may bring no new features: M is 0 for most tokens of an answer.
void CrossAttentionBuilder::addArguments() {
  auto column = [&](llvm::StringRef what, llvm::StringRef size) {
    auto type =
        mlir::RankedTensorType::get({1, dynamic}, builder.types().getI32Type());
    Value value = builder.argument(what, type, {"", size});
    builder.range(0, INT32_MAX);
    return value;
  };
  features = builder.argument(
      "features", builder.floats({1, dynamic, cross.feature_size()}),
      {"", "M", ""});
  tokens.sequence = column("feature_sequence", "M");
  tokens.position = column("feature_position", "M");
  tokens.first = column("first_feature", "N");
  tokens.last = column("last_feature", "N");
  if (cross.skips_mlp()) {
    shown = column("shown", "N");
    builder.fill(1);
  }
  if (cross.alike()) {
    auto type =
        mlir::RankedTensorType::get({1, dynamic}, builder.types().getI32Type());
    alike = builder.argument("alike", type, {"", "N"});
    builder.range(-1, 0);
    builder.fill(-1);
  }
  cache =
      builder.argument("feature_cache",
                       builder.cacheType(cross.layers_size(), cross.kv_heads(),
                                         cross.head_size()),
                       {"", "", "", ""});
}

Value CrossAttentionBuilder::norm(Value value, const std::string &weight) {
  return cross.layer_norm()
             ? builder.layerNorm(value, weight, cross.norm_epsilon())
             : builder.rmsNorm(value, weight, cross.norm_epsilon(), 0);
}

Value CrossAttentionBuilder::attend(int64_t number, const std::string &layer,
                                    Value value, Value sequence) {
  const std::string attention = layer + ".attention";
  Value query = builder.linear(value, attention + ".query", /*bias=*/false);
  Value key = builder.linear(features, attention + ".key", /*bias=*/false);
  Value values = builder.linear(features, attention + ".value", /*bias=*/false);
  if (cross.head_norm()) {
    query = builder.rmsNorm(query, attention + ".query_norm",
                            cross.norm_epsilon(), 0);
    key =
        builder.rmsNorm(key, attention + ".key_norm", cross.norm_epsilon(), 0);
  }
  // A query of zeros finds all keys alike.
  if (alike)
    query = builder.mergeTokens(
        query, builder.zeros({1, cross.heads() * cross.head_size()}), alike,
        attention + ".alike");
  tokens.cache = builder.cacheLayer(cache, number);
  tokens.querySequence = sequence;
  Value mixed = builder.cachedAttention(
      query, key, values, tokens, cross.heads(),
      1 / std::sqrt(static_cast<double>(cross.head_size())), /*window=*/0,
      /*softcap=*/0, attention);
  return builder.linear(mixed, attention + ".output", /*bias=*/false);
}

Value CrossAttentionBuilder::buildMlp(const std::string &mlp, Value value) {
  Value inner =
      builder.linear(value, mlp + (cross.plain_mlp() ? ".up" : ".gate"),
                     /*bias=*/false);
  inner = builder.activation(inner, cross.activation(), mlp + ".activation");
  if (!cross.plain_mlp()) {
    Value up = builder.linear(value, mlp + ".up", /*bias=*/false);
    inner = builder.multiply(inner, up, mlp + ".product");
  }
  return builder.linear(inner, mlp + ".down", /*bias=*/false);
}

Value CrossAttentionBuilder::addGated(Value value, Value branch,
                                      const std::string &gate, Value shown) {
  auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
  int64_t gates = cross.vector_gate() ? type.getShape().back() : 1;
  return builder.gatedAdd(value, branch, builder.weight(gate, {gates}), gate,
                          shown);
}

Value CrossAttentionBuilder::build(int64_t number, Value value,
                                   Value sequence) {
  const std::string layer = name + ".cross_layers." + std::to_string(number);
  Value mixed = attend(number, layer, norm(value, layer + ".norm1"), sequence);
  value = addGated(value, mixed, layer + ".attention_gate");
  Value inner = buildMlp(layer + ".mlp", norm(value, layer + ".norm2"));
  return addGated(value, inner, layer + ".mlp_gate", shown);
}

} // namespace vlmc
