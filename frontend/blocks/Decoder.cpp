//===- Decoder.cpp - A decoder-only language model ------------------------===//
//
// Entry `decode`: any tokens of any sequences, [1, N], at their places in a
// cache, to the logits of the R tokens that `rows` names, [1, R, V]. A prompt
// is one call or several; each new token is one more.
//
// Rotary positions that depend on how long a sequence is: transformers turns a
// prompt by the frequencies of the prompt's length and each new token by those
// of the length that it makes; keys in the cache stay as they are. So each
// token has a length of its own: its prompt's, in whatever chunks that is run,
// or its place + 1. The code has the frequencies of short sequences; tokens of
// long ones take the row of `rotary`, cosines and sines, that `rotary_row`
// names. Others' tokens in the same run change nothing, in contrast to a batch
// of transformers, where the longest counts for all.
//
// Taps: `inputs_embeds`,
// and `hidden_states` behind the last norm (and what leads to the head's size),
// both [1, N, D]. Source: LlamaModel, MistralModel, Qwen2Model, Qwen3Model and,
// for learned positions, LayerNorm and post-norm, OPTModel, for slopes by
// distance MptModel, for a parallel residual GPTNeoXModel in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/CrossAttention.h"
#include "frontend/blocks/Rotary.h"
#include "frontend/blocks/Tower.h"

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

/// Whether queries and keys are turned by their positions.
static bool hasRotary(const Message &decoder) {
  return !decoder.has_position_offset() && decoder.distance_slopes().empty();
}

/// The features of a token before the first and behind the last layer.
static int64_t embeddingSize(const Message &decoder) {
  return decoder.embedding_size() ? decoder.embedding_size()
                                  : decoder.hidden_size();
}

/// The width of what a component makes of pictures for `decoder`.
static int64_t featureSize(const spec::Component &component,
                           const Message &decoder) {
  // Its features are tokens of the decoder itself.
  if (component.has_picture_tokenizer())
    return embeddingSize(decoder);
  if (component.has_tiled_tower())
    return component.tiled_tower().output_size();
  if (auto features = connectorFeatures(component))
    return *features;
  return towerFeatures(component);
}

/// Features must have the width of the tokens that they replace, or that the
/// layers expect that attend to them.
static void checkFeatures(const spec::ModelSpec &model, const Message &decoder,
                          const FaultSink &fault) {
  const bool isSeen = decoder.has_cross_attention();
  const int64_t wanted = isSeen ? decoder.cross_attention().feature_size()
                                : embeddingSize(decoder);
  for (const spec::Component &other : model.components()) {
    if (other.name() != decoder.features())
      continue;
    if (int64_t found = featureSize(other, decoder); found != wanted)
      fault(isSeen ? "cross_attention.feature_size" : "hidden_size",
            "expected " + std::to_string(found) + ", the features of '" +
                other.name() + "', found " + std::to_string(wanted));
    if (other.has_vision_transformer() &&
        other.vision_transformer().pool() != spec::VisionTransformer::TOKENS)
      fault("features", "expected a vision transformer with pool TOKENS");
    if (other.has_residual_network() && !other.residual_network().tokens())
      fault("features", "expected a residual network with tokens");
  }
}

/// Factors and caps are 0, for none, or finite and positive.
static void checkScales(const Message &decoder, const FaultSink &fault) {
  for (auto [field, value] :
       {std::pair("embedding_scale", decoder.embedding_scale()),
        std::pair("attention_scale", decoder.attention_scale()),
        std::pair("attention_softcap", decoder.attention_softcap()),
        std::pair("logit_softcap", decoder.logit_softcap()),
        std::pair("logit_scale", decoder.logit_scale()),
        std::pair("query_clip", decoder.query_clip())})
    if (!(value == 0 || (value >= 1e-6 && value <= 1e6)))
      fault(field, "expected 0, for none, or 1e-6 to 1e6, found " +
                       std::to_string(value));
  if (decoder.sees_prompt() && decoder.has_cross_attention())
    fault("sees_prompt", "expected false beside cross_attention");
  if (decoder.sees_pictures() &&
      (decoder.sees_prompt() || decoder.has_cross_attention() ||
       decoder.features().empty()))
    fault("sees_pictures", "expected false without features, and beside "
                           "sees_prompt and cross_attention");
}

static void checkNorms(const Message &decoder, const FaultSink &fault) {
  if (decoder.branch_norm() && decoder.post_norm())
    fault("branch_norm", "expected one of branch_norm and post_norm");
  if (decoder.no_pre_norm() && !decoder.branch_norm())
    fault("no_pre_norm", "expected branch_norm beside it, found none");
  if (decoder.head_layer_norm() && !decoder.head_norm())
    fault("head_layer_norm", "expected head_norm beside it, found none");
}

/// Ranges of ids whose logits are hidden: ascending, and not all of them.
static void checkMask(const Message &decoder, const FaultSink &fault) {
  const int64_t ids =
      decoder.vocabulary_size() + decoder.extra_vocabulary_size();
  int64_t before = 0, hidden = 0;
  bool isRight = decoder.masked_ids_size() % 2 == 0;
  for (int i = 0; isRight && i < decoder.masked_ids_size(); i += 2) {
    int64_t begin = decoder.masked_ids(i), end = decoder.masked_ids(i + 1);
    isRight = begin >= before && end > begin && end <= ids;
    before = end;
    hidden += end - begin;
  }
  if (!isRight || hidden >= ids)
    fault("masked_ids", "expected ascending pairs of begin and end within the "
                        "vocabulary of " +
                            std::to_string(ids) +
                            ", with an id outside of them");
}

/// Rotary positions of their own are for layers with a window, in sequences of
/// any length.
static void checkWindowRotary(const Message &decoder, const FaultSink &fault) {
  if (!decoder.has_window_rotary())
    return;
  if (!hasRotary(decoder) || !decoder.window())
    return fault("window_rotary",
                 "expected none without a window and rotary positions");
  checkRotary(decoder.window_rotary(), decoder.head_size(),
              [&](std::string_view field, const std::string &message) {
                fault("window_rotary: " + std::string(field), message);
              });
  if (dependsOnLength(decoder.window_rotary()))
    fault("window_rotary",
          "expected a kind that does not depend on the sequence's length");
}

/// How a layer is put together.
static void checkLayer(const Message &decoder, const FaultSink &fault) {
  if (decoder.query_norm() && decoder.head_norm())
    fault("query_norm", "expected one of query_norm and head_norm");
  if (decoder.unbiased_norm() && !decoder.layer_norm())
    fault("unbiased_norm", "expected layer_norm beside it, found none");
  if (decoder.parallel_residual() &&
      (decoder.post_norm() || decoder.branch_norm()))
    fault("parallel_residual",
          "expected neither post_norm nor branch_norm beside it");
  const int64_t slopes = decoder.distance_slopes_size();
  if (slopes && slopes != decoder.heads())
    fault("distance_slopes", "expected one for each of the " +
                                 std::to_string(decoder.heads()) +
                                 " heads, found " + std::to_string(slopes));
  if (slopes && (decoder.has_position_offset() || decoder.sees_prompt()))
    fault("distance_slopes",
          "expected neither position_offset nor sees_prompt beside them");
  // Numbers of places are exact in f32.
  if (slopes)
    checkRange(fault, "max_tokens", decoder.max_tokens(), 1, 1 << 23);
  for (double slope : decoder.distance_slopes())
    if (!(slope >= 0 && slope <= 1e6))
      fault("distance_slopes",
            "expected 0 to 1e6, found " + std::to_string(slope));
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
  if (hasRotary(decoder))
    checkRotary(decoder.rotary(), decoder.head_size(), fault);
  checkRange(fault, "position_offset", decoder.position_offset(), 0, 1 << 20);
  checkRange(fault, "embedding_size", decoder.embedding_size(), 0, 1 << 20);
  checkRange(fault, "extra_vocabulary_size", decoder.extra_vocabulary_size(), 0,
             INT32_MAX - decoder.vocabulary_size());
  checkRange(fault, "unscored_tokens", decoder.unscored_tokens(), 0,
             decoder.tied_head() || decoder.extra_vocabulary_size() ? 0
                                                                    : 1 << 20);
  if (!decoder.features().empty() &&
      !hasComponent(model, decoder.features(), spec::Component::kProjector) &&
      !hasComponent(model, decoder.features(), spec::Component::kQFormer) &&
      !hasComponent(model, decoder.features(),
                    spec::Component::kPerceiverResampler) &&
      !hasComponent(model, decoder.features(),
                    spec::Component::kPictureTokenizer) &&
      !hasComponent(model, decoder.features(), spec::Component::kTiledTower) &&
      !findTower(model, decoder.features()))
    fault("features", "expected the name of a projector, Q-Former, resampler, "
                      "picture tokenizer, patch projector, residual network, "
                      "tiled tower or vision transformer, found '" +
                          decoder.features() + "'");
  checkFeatures(model, decoder, fault);
  checkScales(decoder, fault);
  checkNorms(decoder, fault);
  checkLayer(decoder, fault);
  checkWindowRotary(decoder, fault);
  checkMask(decoder, fault);
  if (!decoder.has_cross_attention())
    return;
  if (decoder.features().empty())
    fault("features", "expected what the cross-attention attends to, found "
                      "none");
  checkCrossAttention(decoder.cross_attention(), decoder.layers(), fault);
}

static void addNorm(WeightList &weights, const std::string &name,
                    const Message &decoder, const WeightDim &features) {
  if (decoder.layer_norm() && !decoder.unbiased_norm())
    weights.addNorm(name, features);
  else
    weights.add(name + ".weight", {features});
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
  if (!decoder.no_pre_norm())
    addNorm(weights, layer + "norm1", decoder, hidden);
  const std::string attention = layer + "attention.";
  weights.addLinear(attention + "query", queries, hidden, decoder.query_bias());
  weights.addLinear(attention + "key", keys, hidden, decoder.query_bias());
  weights.addLinear(attention + "value", keys, hidden, decoder.query_bias());
  weights.addLinear(attention + "output", hidden, queries,
                    decoder.output_bias());
  if (decoder.head_layer_norm()) {
    for (auto [part, heads, field] :
         {std::tuple("query_norm", decoder.heads(), "heads"),
          std::tuple("key_norm", decoder.kv_heads(), "kv_heads")})
      for (const char *what : {".weight", ".bias"})
        weights.add(attention + part + what, {{heads, {field}}, head});
  } else if (decoder.head_norm()) {
    for (const char *part : {"query_norm", "key_norm"})
      addNorm(weights, attention + part, decoder, head);
  } else if (decoder.query_norm()) {
    addNorm(weights, attention + "query_norm", decoder, queries);
    addNorm(weights, attention + "key_norm", decoder, keys);
  }
  if (!decoder.no_pre_norm())
    addNorm(weights, layer + "norm2", decoder, hidden);
  if (decoder.branch_norm())
    for (const char *part : {"attention.norm", "mlp.norm"})
      addNorm(weights, layer + part, decoder, hidden);
  if (!decoder.plain_mlp())
    weights.addLinear(layer + "mlp.gate", inner, hidden, decoder.mlp_bias());
  weights.addLinear(layer + "mlp.up", inner, hidden, decoder.mlp_bias());
  weights.addLinear(layer + "mlp.down", hidden, inner, decoder.mlp_bias());
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &decoder = component.decoder();
  WeightDim hidden = {decoder.hidden_size(), {"hidden_size"}};
  WeightDim words = {decoder.vocabulary_size(), {"vocabulary_size"}};
  WeightDim outer = {
      embeddingSize(decoder),
      {decoder.embedding_size() ? "embedding_size" : "hidden_size"}};
  WeightDim extra = {decoder.extra_vocabulary_size(),
                     {"extra_vocabulary_size"}};
  weights.add("tokens.weight",
              {{decoder.vocabulary_size() + decoder.unscored_tokens(),
                {"vocabulary_size"}},
               outer});
  if (extra.size)
    weights.add("extra_tokens.weight", {extra, outer});
  if (decoder.has_position_offset())
    weights.add(
        "positions.weight",
        {{decoder.max_tokens() + decoder.position_offset(), {"max_tokens"}},
         hidden});
  if (decoder.embedding_size())
    weights.addLinear("project_in", hidden, outer, /*bias=*/false);
  for (int64_t i = 0; i < decoder.layers(); ++i)
    listLayerWeights("layers." + std::to_string(i) + ".", decoder, weights);
  if (decoder.has_cross_attention())
    listCrossAttentionWeights(decoder.cross_attention(), decoder.hidden_size(),
                              weights);
  if (!decoder.no_final_norm())
    addNorm(weights, "final_norm", decoder, hidden);
  if (decoder.embedding_size())
    weights.addLinear("project_out", outer, hidden, /*bias=*/false);
  if (decoder.tied_head())
    return;
  weights.addLinear("head", words, outer, /*bias=*/false);
  if (extra.size)
    weights.addLinear("extra_head", extra, outer, /*bias=*/false);
}

static std::vector<std::string> listTaps(const spec::Component &) {
  return {"inputs_embeds", "hidden_states"};
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

/// Of ChameleonLayerNorm in transformers, whatever the other norms have.
static constexpr double headNormEpsilon = 1e-5;

namespace {
/// Builds the entry point of one decoder.
class DecoderBuilder {
public:
  DecoderBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), decoder(component.decoder()), name(component.name()),
        cross(builder, decoder.cross_attention(), name) {}
  void build();

private:
  Value column(llvm::StringRef what, llvm::StringRef size);
  /// The rows of "tokens" or "head", those of tensors of their own included.
  Value vocabulary(const std::string &part) {
    llvm::SmallVector<std::string> names = {name + "." + part + ".weight"};
    if (decoder.extra_vocabulary_size())
      names.push_back(name + ".extra_" + part + ".weight");
    return builder.joinedWeight(names);
  }
  Value buildEmbeddings();
  Value buildAttention(const std::string &layer, int64_t number, Value value);
  Value buildMlp(const std::string &layer, Value value);
  Value buildLayer(const std::string &layer, int64_t number, Value value);
  Value addPositions(Value value);
  Value longRows(Value shortTable);
  Value norm(Value value, const std::string &weight) {
    return decoder.layer_norm()
               ? builder.layerNorm(value, weight, decoder.norm_epsilon(),
                                   !decoder.unbiased_norm())
               : builder.rmsNorm(value, weight, decoder.norm_epsilon(),
                                 decoder.norm_offset());
  }
  Value headNorm(Value value, const std::string &weight) {
    return decoder.head_layer_norm()
               ? builder.headLayerNorm(value, weight, decoder.head_size(),
                                       headNormEpsilon)
               : norm(value, weight);
  }
  /// Cosines and sines of a layer.
  Value tableOf(int64_t layer) const {
    return windowTable && hasWindow(layer) ? windowTable : table;
  }
  bool hasWindow(int64_t layer) const {
    return decoder.window_layers().empty() ||
           std::ranges::find(decoder.window_layers(), layer) !=
               decoder.window_layers().end();
  }

  GraphBuilder &builder;
  const Message &decoder;
  const std::string &name;
  CrossAttentionBuilder cross;
  GraphBuilder::CachedTokens tokens;
  Value cache, table, windowTable;
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
  builder.range(0, decoder.vocabulary_size() + decoder.extra_vocabulary_size() +
                       decoder.unscored_tokens() - 1);
  Value features, row;
  if (decoder.has_cross_attention()) {
    cross.addArguments();
  } else if (!decoder.features().empty()) {
    features = builder.argument(
        "features", builder.floats({dynamic, embeddingSize(decoder)}),
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
  if (decoder.sees_prompt() || decoder.sees_pictures()) {
    tokens.first = column("first_seen", "N");
    builder.range(0, decoder.max_tokens());
    tokens.last = column("last_seen", "N");
    builder.range(0, decoder.max_tokens());
  }
  cache =
      builder.argument("cache",
                       builder.cacheType(decoder.layers(), decoder.kv_heads(),
                                         decoder.head_size()),
                       {"", "", "", ""});
  Value value = builder.embedding(ids, vocabulary("tokens"), name + ".tokens");
  if (decoder.embedding_scale() != 0)
    value =
        builder.scale(value, decoder.embedding_scale(), name + ".tokens.scale");
  return features ? builder.mergeTokens(value, features, row, name + ".merge")
                  : value;
}

Value DecoderBuilder::buildAttention(const std::string &layer, int64_t number,
                                     Value value) {
  const std::string attention = layer + ".attention";
  const bool bias = decoder.query_bias();
  auto project = [&](const char *part) {
    Value made = builder.linear(value, attention + part, bias);
    return decoder.query_clip() == 0
               ? made
               : builder.clamp(made, decoder.query_clip(), attention + part);
  };
  Value query = project(".query");
  Value key = project(".key");
  Value values = project(".value");
  if (decoder.query_norm()) {
    query = norm(query, attention + ".query_norm");
    key = norm(key, attention + ".key_norm");
  }
  if (decoder.head_norm()) {
    query = headNorm(query, attention + ".query_norm");
    key = headNorm(key, attention + ".key_norm");
  }
  if (table) {
    const bool interleaved = decoder.rotary().interleaved();
    query = builder.rope(query, tableOf(number), decoder.heads(), interleaved,
                         attention + ".query");
    key = builder.rope(key, tableOf(number), decoder.kv_heads(), interleaved,
                       attention + ".key");
  }
  tokens.cache = builder.cacheLayer(cache, number);
  Value mixed = builder.cachedAttention(
      query, key, values, tokens, decoder.heads(),
      decoder.attention_scale() != 0
          ? decoder.attention_scale()
          : 1 / std::sqrt(static_cast<double>(decoder.head_size())),
      hasWindow(number) ? decoder.window() : 0, decoder.attention_softcap(),
      attention);
  return builder.linear(mixed, attention + ".output", decoder.output_bias());
}

Value DecoderBuilder::buildMlp(const std::string &layer, Value value) {
  const std::string mlp = layer + ".mlp";
  if (decoder.plain_mlp()) {
    Value inner = builder.linear(value, mlp + ".up", decoder.mlp_bias());
    inner =
        builder.activation(inner, decoder.activation(), mlp + ".activation");
    return builder.linear(inner, mlp + ".down", decoder.mlp_bias());
  }
  Value gate = builder.linear(value, mlp + ".gate", decoder.mlp_bias());
  gate = builder.activation(gate, decoder.activation(), mlp + ".activation");
  Value up = builder.linear(value, mlp + ".up", decoder.mlp_bias());
  return builder.linear(builder.multiply(gate, up, mlp + ".product"),
                        mlp + ".down", decoder.mlp_bias());
}

Value DecoderBuilder::buildLayer(const std::string &layer, int64_t number,
                                 Value value) {
  const bool isPost = decoder.post_norm();
  const bool isPre = !isPost && !decoder.no_pre_norm();
  auto before = [&](const char *weight) {
    return isPre ? norm(value, layer + weight) : value;
  };
  auto behind = [&](const char *weight) {
    if (isPost)
      value = norm(value, layer + weight);
  };
  auto branch = [&](Value made, const char *weight) {
    return decoder.branch_norm() ? norm(made, layer + weight) : made;
  };
  Value mixed = branch(buildAttention(layer, number, before(".norm1")),
                       ".attention.norm");
  if (decoder.parallel_residual()) {
    Value inner = buildMlp(layer, before(".norm2"));
    inner = builder.add(inner, mixed, layer + ".branches");
    return builder.add(inner, value, layer + ".residual");
  }
  value = builder.add(mixed, value, layer + ".attention.residual");
  behind(".norm1");
  Value inner = branch(buildMlp(layer, before(".norm2")), ".mlp.norm");
  value = builder.add(inner, value, layer + ".mlp.residual");
  behind(".norm2");
  return value;
}

/// Puts the given rows in the place of those of tokens of long sequences.
Value DecoderBuilder::longRows(Value shortTable) {
  Value given = builder.argument(
      "rotary", builder.floats({dynamic, decoder.rotary().size()}), {"L", ""});
  Value row = column("rotary_row", "N");
  builder.range(-1, INT32_MAX);
  builder.below("L");
  builder.fill(-1);
  return builder.mergeTokens(shortTable, given, row, name + ".rotary.long");
}

/// Learned positions are a table; rotary ones work on queries and keys, slopes
/// on scores.
Value DecoderBuilder::addPositions(Value value) {
  if (decoder.embedding_size())
    value = builder.linear(value, name + ".project_in", /*bias=*/false);
  if (!decoder.distance_slopes().empty()) {
    tokens.distanceBias = builder.slopedBias(
        std::vector<double>(decoder.distance_slopes().begin(),
                            decoder.distance_slopes().end()),
        decoder.max_tokens(), name + ".distance_bias");
    return value;
  }
  if (!decoder.has_position_offset()) {
    table =
        builder.ropeTable(tokens.position, rotaryFrequencies(decoder.rotary()),
                          rotaryScale(decoder.rotary()), name + ".rotary");
    if (dependsOnLength(decoder.rotary()))
      table = longRows(table);
    if (decoder.has_window_rotary())
      windowTable = builder.ropeTable(
          tokens.position, rotaryFrequencies(decoder.window_rotary()),
          rotaryScale(decoder.window_rotary()), name + ".rotary.window");
    return value;
  }
  Value positions = builder.embedding(tokens.position, name + ".positions",
                                      decoder.position_offset());
  return builder.add(value, positions, name + ".positions.sum");
}

void DecoderBuilder::build() {
  const int64_t most = decoder.max_tokens();
  llvm::SmallVector<Symbol> symbols = {{"N", 1, 1, maxBatch},
                                       {"R", 1, 1, maxBatch}};
  if (decoder.has_cross_attention())
    symbols.push_back({"M", 0, 0, maxBatch});
  else if (!decoder.features().empty())
    symbols.push_back({"M", 1, std::min<int64_t>(576, most), maxBatch});
  if (hasRotary(decoder) && dependsOnLength(decoder.rotary()))
    symbols.push_back({"L", 1, 1, maxBatch});
  builder.beginEntry("decode", symbols);
  Value value = buildEmbeddings();
  Value rows = column("rows", "R");
  builder.range(0, INT32_MAX);
  builder.below("N");
  builder.tap("inputs_embeds", value);
  value = addPositions(value);
  const auto &seeing = decoder.cross_attention().layers();
  int next = 0; // of the layers that see pictures
  for (int64_t i = 0; i <= decoder.layers(); ++i) {
    for (; next < seeing.size() && seeing[next] == i; ++next)
      value = cross.build(next, value, tokens.sequence);
    if (i < decoder.layers())
      value = buildLayer(name + ".layers." + std::to_string(i), i, value);
  }
  if (!decoder.no_final_norm())
    value = norm(value, name + ".final_norm");
  if (decoder.embedding_size())
    value = builder.linear(value, name + ".project_out", /*bias=*/false);
  builder.tap("hidden_states", value);
  value = builder.takeTokens(value, rows, name + ".rows");
  value = builder.linear(
      value, vocabulary(decoder.tied_head() ? "tokens" : "head"),
      /*bias=*/Value(), name + (decoder.tied_head() ? ".tokens" : ".head"));
  if (decoder.logit_scale() != 0)
    value = builder.scale(value, decoder.logit_scale(), name + ".head.scale");
  if (decoder.logit_softcap() != 0)
    value = builder.softcap(value, decoder.logit_softcap(), name + ".softcap");
  if (!decoder.masked_ids().empty())
    value =
        builder.maskFeatures(value,
                             std::vector<int64_t>(decoder.masked_ids().begin(),
                                                  decoder.masked_ids().end()),
                             name + ".mask");
  builder.result("logits", value);
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  DecoderBuilder(builder, component).build();
}

extern const Block blockDecoder;
const Block blockDecoder = {check, listWeights, listTaps, build};

} // namespace vlmc
