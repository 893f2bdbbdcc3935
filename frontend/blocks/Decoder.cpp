//===- Decoder.cpp - A decoder-only language model ------------------------===//
//
// Entry `decode`: any tokens of any sequences, [1, N], at their places in a
// cache, to the logits of the R tokens that `rows` names, [1, R, V]. A prompt
// is one call or several; each new token is one more. Taps: `inputs_embeds`,
// and `hidden_states` behind the last norm, both [1, N, D]. Source: LlamaModel,
// MistralModel, Qwen2Model and Qwen3Model in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/GraphBuilder.h"
#include "frontend/blocks/Rotary.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::Decoder;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

//===----------------------------------------------------------------------===//
// The message
//===----------------------------------------------------------------------===//

static void checkSizes(const Message &decoder, const FaultSink &fault) {
  constexpr int64_t most = 1 << 20;
  checkRange(fault, "hidden_size", decoder.hidden_size(), 1, most);
  checkRange(fault, "intermediate_size", decoder.intermediate_size(), 1, most);
  checkRange(fault, "layers", decoder.layers(), 1, 4096);
  checkRange(fault, "heads", decoder.heads(), 1, most);
  checkRange(fault, "head_size", decoder.head_size(), 1, 4096);
  checkRange(fault, "vocabulary_size", decoder.vocabulary_size(), 1, INT32_MAX);
  checkRange(fault, "max_tokens", decoder.max_tokens(), 1, INT32_MAX);
  checkRange(fault, "window", decoder.window(), 0, INT32_MAX);
  if (decoder.kv_heads() < 1 || decoder.heads() % decoder.kv_heads() != 0)
    fault("kv_heads", "expected a divisor of heads " +
                          std::to_string(decoder.heads()) + ", found " +
                          std::to_string(decoder.kv_heads()));
}

static bool hasComponent(const spec::ModelSpec &model, const std::string &name,
                         spec::Component::KindCase kind) {
  return std::ranges::any_of(model.components(), [&](const auto &component) {
    return component.name() == name && component.kind_case() == kind;
  });
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &decoder = component.decoder();
  checkSizes(decoder, fault);
  if (decoder.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(decoder.activation()))
    fault("activation", "expected an activation function, found none");
  if (!(decoder.norm_epsilon() >= 0 && decoder.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(decoder.norm_epsilon()));
  for (int64_t layer : decoder.window_layers())
    checkRange(fault, "window_layers", layer, 0, decoder.layers() - 1);
  checkRotary(decoder.rotary(), decoder.head_size(), fault);
  if (!decoder.features().empty() &&
      !hasComponent(model, decoder.features(), spec::Component::kProjector))
    fault("features", "expected the name of a projector, found '" +
                          decoder.features() + "'");
}

static void listLayerWeights(const std::string &layer, const Message &decoder,
                             WeightList &weights) {
  WeightDim hidden = {decoder.hidden_size(), {"hidden_size"}};
  WeightDim inner = {decoder.intermediate_size(), {"intermediate_size"}};
  WeightDim queries = {decoder.heads() * decoder.head_size(),
                       {"heads", "head_size"}};
  WeightDim keys = {decoder.kv_heads() * decoder.head_size(),
                    {"kv_heads", "head_size"}};
  WeightDim head = {decoder.head_size(), {"head_size"}};
  weights.add(layer + "norm1.weight", {hidden});
  const std::string attention = layer + "attention.";
  weights.addLinear(attention + "query", queries, hidden, decoder.query_bias());
  weights.addLinear(attention + "key", keys, hidden, decoder.query_bias());
  weights.addLinear(attention + "value", keys, hidden, decoder.query_bias());
  weights.addLinear(attention + "output", hidden, queries,
                    decoder.output_bias());
  if (decoder.head_norm())
    for (const char *part : {"query_norm", "key_norm"})
      weights.add(attention + part + ".weight", {head});
  weights.add(layer + "norm2.weight", {hidden});
  weights.addLinear(layer + "mlp.gate", inner, hidden, decoder.mlp_bias());
  weights.addLinear(layer + "mlp.up", inner, hidden, decoder.mlp_bias());
  weights.addLinear(layer + "mlp.down", hidden, inner, decoder.mlp_bias());
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &decoder = component.decoder();
  WeightDim hidden = {decoder.hidden_size(), {"hidden_size"}};
  WeightDim words = {decoder.vocabulary_size(), {"vocabulary_size"}};
  weights.add("tokens.weight", {words, hidden});
  for (int64_t i = 0; i < decoder.layers(); ++i)
    listLayerWeights("layers." + std::to_string(i) + ".", decoder, weights);
  weights.add("final_norm.weight", {hidden});
  if (!decoder.tied_head())
    weights.addLinear("head", words, hidden, /*bias=*/false);
}

static std::vector<std::string> listTaps(const spec::Component &) {
  return {"inputs_embeds", "hidden_states"};
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
/// Builds the entry point of one decoder.
class DecoderBuilder {
public:
  DecoderBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), decoder(component.decoder()), name(component.name()) {
  }
  void build();

private:
  Value column(llvm::StringRef what, llvm::StringRef size);
  Value buildEmbeddings();
  Value buildAttention(const std::string &layer, int64_t number, Value value);
  Value buildMlp(const std::string &layer, Value value);
  Value norm(Value value, const std::string &weight) {
    return builder.rmsNorm(value, weight, decoder.norm_epsilon(),
                           decoder.norm_offset());
  }
  bool hasWindow(int64_t layer) const {
    return decoder.window_layers().empty() ||
           std::ranges::find(decoder.window_layers(), layer) !=
               decoder.window_layers().end();
  }

  GraphBuilder &builder;
  const Message &decoder;
  const std::string &name;
  GraphBuilder::CachedTokens tokens;
  Value cache, table;
};
} // namespace

/// An input of numbers, one for each token or row.
Value DecoderBuilder::column(llvm::StringRef what, llvm::StringRef size) {
  auto type =
      mlir::RankedTensorType::get({1, dynamic}, builder.types().getI32Type());
  return builder.argument(what, type, {"", size});
}

Value DecoderBuilder::buildEmbeddings() {
  auto idType =
      mlir::RankedTensorType::get({1, dynamic}, builder.types().getI64Type());
  Value ids = builder.argument("input_ids", idType, {"", "N"});
  builder.range(0, decoder.vocabulary_size() - 1);
  Value features, row;
  if (!decoder.features().empty()) {
    features = builder.argument(
        "features", builder.floats({dynamic, decoder.hidden_size()}),
        {"M", ""});
    row = column("feature_row", "N");
    builder.range(-1, INT32_MAX);
    builder.below("M");
    builder.fill(-1);
  }
  tokens.sequence = column("sequence", "N");
  builder.range(0, INT32_MAX);
  tokens.position = column("position", "N");
  builder.range(0, decoder.max_tokens() - 1);
  cache =
      builder.argument("cache",
                       builder.cacheType(decoder.layers(), decoder.kv_heads(),
                                         decoder.head_size()),
                       {"", "", "", ""});
  Value value = builder.embedding(ids, name + ".tokens");
  return features ? builder.mergeTokens(value, features, row, name + ".merge")
                  : value;
}

Value DecoderBuilder::buildAttention(const std::string &layer, int64_t number,
                                     Value value) {
  const std::string attention = layer + ".attention";
  const bool bias = decoder.query_bias();
  Value query = builder.linear(value, attention + ".query", bias);
  Value key = builder.linear(value, attention + ".key", bias);
  Value values = builder.linear(value, attention + ".value", bias);
  if (decoder.head_norm()) {
    query = norm(query, attention + ".query_norm");
    key = norm(key, attention + ".key_norm");
  }
  const bool interleaved = decoder.rotary().interleaved();
  query = builder.rope(query, table, decoder.heads(), interleaved,
                       attention + ".query");
  key = builder.rope(key, table, decoder.kv_heads(), interleaved,
                     attention + ".key");
  tokens.cache = builder.cacheLayer(cache, number);
  Value mixed = builder.cachedAttention(
      query, key, values, tokens, decoder.heads(),
      1 / std::sqrt(static_cast<double>(decoder.head_size())),
      hasWindow(number) ? decoder.window() : 0, /*softcap=*/0, attention);
  return builder.linear(mixed, attention + ".output", decoder.output_bias());
}

Value DecoderBuilder::buildMlp(const std::string &layer, Value value) {
  const std::string mlp = layer + ".mlp";
  Value gate = builder.linear(value, mlp + ".gate", decoder.mlp_bias());
  gate = builder.activation(gate, decoder.activation(), mlp + ".activation");
  Value up = builder.linear(value, mlp + ".up", decoder.mlp_bias());
  return builder.linear(builder.multiply(gate, up, mlp + ".product"),
                        mlp + ".down", decoder.mlp_bias());
}

void DecoderBuilder::build() {
  const int64_t most = decoder.max_tokens();
  llvm::SmallVector<Symbol> symbols = {{"N", 1, 1, maxBatch},
                                       {"R", 1, 1, maxBatch}};
  if (!decoder.features().empty())
    symbols.push_back({"M", 1, std::min<int64_t>(576, most), maxBatch});
  builder.beginEntry("decode", symbols);
  Value value = buildEmbeddings();
  Value rows = column("rows", "R");
  builder.range(0, INT32_MAX);
  builder.below("N");
  builder.tap("inputs_embeds", value);
  table =
      builder.ropeTable(tokens.position, rotaryFrequencies(decoder.rotary()),
                        rotaryScale(decoder.rotary()), name + ".rotary");
  for (int64_t i = 0; i < decoder.layers(); ++i) {
    const std::string layer = name + ".layers." + std::to_string(i);
    Value mixed = buildAttention(layer, i, norm(value, layer + ".norm1"));
    value = builder.add(mixed, value, layer + ".attention.residual");
    Value inner = buildMlp(layer, norm(value, layer + ".norm2"));
    value = builder.add(inner, value, layer + ".mlp.residual");
  }
  value = norm(value, name + ".final_norm");
  builder.tap("hidden_states", value);
  value = builder.takeTokens(value, rows, name + ".rows");
  builder.result(
      "logits",
      builder.linear(value, name + (decoder.tied_head() ? ".tokens" : ".head"),
                     /*bias=*/false));
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  DecoderBuilder(builder, component).build();
}

extern const Block blockDecoder;
const Block blockDecoder = {check, listWeights, listTaps, build};

} // namespace vlmc
