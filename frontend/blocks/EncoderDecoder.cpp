//===- EncoderDecoder.cpp - A language model with an encoder --------------===//
//
// Entry `encode_prompt`: the tokens of one prompt, [1, N], features of pictures
// in the place of some, to encoder_features [1, N, D]. Entry `decode`: any
// tokens of any answers, at their places in a cache, to the logits of the R
// tokens that `rows` names, [1, R, V]. They attend to rows of a cache of their
// own, `feature_cache`: the encoder's features go in once, as `features` [1, M,
// D], and each token sees rows first_feature to last_feature - 1. Taps:
// `inputs_embeds` of the encoder, `hidden_states` of the decoder behind its
// last norm. Source: arXiv:1910.10683; T5ForConditionalGeneration in
// transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::EncoderDecoder;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

/// The bucket of a key `distance` places behind its query (before, if
/// negative), in f32 as transformers has it.
static int64_t bucketOf(const Message &message, int64_t distance,
                        bool isEncoder) {
  int64_t buckets = message.position_buckets(), first = 0;
  if (isEncoder) {
    buckets /= 2;
    first = distance > 0 ? buckets : 0;
    distance = std::abs(distance);
  } else {
    distance = -std::min<int64_t>(distance, 0);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact)
    return first + distance;
  float ratio =
      std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
      static_cast<float>(
          std::log(static_cast<double>(message.position_distance()) /
                   static_cast<double>(exact)));
  auto further =
      static_cast<int64_t>(ratio * static_cast<float>(buckets - exact));
  return first + std::min(exact + further, buckets - 1);
}

/// The rows of the table for distances from -position_distance to it.
static std::vector<int64_t> bucketsOf(const Message &message, bool isEncoder) {
  std::vector<int64_t> rows;
  const int64_t most = message.position_distance();
  for (int64_t distance = -most; distance <= most; ++distance)
    rows.push_back(bucketOf(message, distance, isEncoder));
  return rows;
}

//===----------------------------------------------------------------------===//
// The message
//===----------------------------------------------------------------------===//

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &message = component.encoder_decoder();
  constexpr int64_t most = 1 << 20;
  checkRange(fault, "hidden_size", message.hidden_size(), 1, most);
  checkRange(fault, "intermediate_size", message.intermediate_size(), 1, most);
  checkRange(fault, "encoder_layers", message.encoder_layers(), 1, 4096);
  checkRange(fault, "decoder_layers", message.decoder_layers(), 1, 4096);
  checkRange(fault, "heads", message.heads(), 1, most);
  checkRange(fault, "head_size", message.head_size(), 1, 4096);
  checkRange(fault, "vocabulary_size", message.vocabulary_size(), 1, INT32_MAX);
  checkRange(fault, "max_tokens", message.max_tokens(), 1, INT32_MAX);
  checkRange(fault, "position_buckets", message.position_buckets(), 4, 4096);
  checkRange(fault, "position_distance", message.position_distance(),
             message.position_buckets() / 2 + 1, 1 << 16);
  if (message.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(message.activation()))
    fault("activation", "expected an activation function, found none");
  if (!(message.norm_epsilon() >= 0 && message.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(message.norm_epsilon()));
  if (message.features().empty())
    return;
  auto found = std::ranges::find_if(model.components(), [&](const auto &other) {
    return other.name() == message.features() &&
           connectorFeatures(other).value_or(0) > 0;
  });
  if (found == model.components().end())
    fault("features", "expected the name of a projector, Q-Former or "
                      "resampler, found '" +
                          message.features() + "'");
  else if (connectorFeatures(*found).value_or(0) != message.hidden_size())
    fault("hidden_size",
          "expected " + std::to_string(connectorFeatures(*found).value_or(0)) +
              ", the features of '" + message.features() + "', found " +
              std::to_string(message.hidden_size()));
}

static void listAttention(const std::string &name, const Message &message,
                          WeightList &weights) {
  WeightDim hidden = {message.hidden_size(), {"hidden_size"}};
  WeightDim inner = {message.heads() * message.head_size(),
                     {"heads", "head_size"}};
  weights.add(name + ".norm.weight", {hidden});
  for (const char *part : {"query", "key", "value"})
    weights.addLinear(name + "." + part, inner, hidden, /*bias=*/false);
  weights.addLinear(name + ".output", hidden, inner, /*bias=*/false);
}

static void listMlp(const std::string &name, const Message &message,
                    WeightList &weights) {
  WeightDim hidden = {message.hidden_size(), {"hidden_size"}};
  WeightDim inner = {message.intermediate_size(), {"intermediate_size"}};
  weights.add(name + ".norm.weight", {hidden});
  if (message.gated_mlp())
    weights.addLinear(name + ".gate", inner, hidden, /*bias=*/false);
  weights.addLinear(name + ".up", inner, hidden, /*bias=*/false);
  weights.addLinear(name + ".down", hidden, inner, /*bias=*/false);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &message = component.encoder_decoder();
  WeightDim hidden = {message.hidden_size(), {"hidden_size"}};
  WeightDim words = {message.vocabulary_size(), {"vocabulary_size"}};
  weights.add("tokens.weight", {words, hidden});
  for (const char *stack : {"encoder", "decoder"}) {
    const bool isEncoder = stack[0] == 'e';
    const std::string prefix = std::string(stack) + ".";
    weights.add(prefix + "position_bias.weight",
                {{message.position_buckets(), {"position_buckets"}},
                 {message.heads(), {"heads"}}});
    const int64_t layers =
        isEncoder ? message.encoder_layers() : message.decoder_layers();
    for (int64_t i = 0; i < layers; ++i) {
      const std::string layer = prefix + "layers." + std::to_string(i) + ".";
      listAttention(layer + "attention", message, weights);
      if (!isEncoder)
        listAttention(layer + "cross_attention", message, weights);
      listMlp(layer + "mlp", message, weights);
    }
    weights.add(prefix + "final_norm.weight", {hidden});
  }
  if (!message.tied_head())
    weights.addLinear("head", words, hidden, /*bias=*/false);
}

static std::vector<std::string> listTaps(const spec::Component &) {
  return {"inputs_embeds", "hidden_states"};
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
/// Builds the entry points of one model.
class EncoderDecoderBuilder {
public:
  EncoderDecoderBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), message(component.encoder_decoder()),
        name(component.name()) {}
  void buildEncoder();
  void buildDecoder();

private:
  Value column(llvm::StringRef what, llvm::StringRef size, int64_t most);
  Value addIds();
  Value norm(Value value, const std::string &weight) {
    return builder.rmsNorm(value, weight + ".norm", message.norm_epsilon(), 0);
  }
  Value project(Value value, const std::string &weight) {
    return builder.linear(value, weight, /*bias=*/false);
  }
  Value addMlp(Value value, const std::string &mlp);
  Value addResidual(Value branch, Value value, const std::string &attention);
  Value decodeLayer(int64_t number, Value value);

  GraphBuilder &builder;
  const Message &message;
  const std::string &name;
  Value features, cache, featureCache;
  GraphBuilder::CachedTokens tokens, seen;
};
} // namespace

/// An input of numbers, one for each token or row.
Value EncoderDecoderBuilder::column(llvm::StringRef what, llvm::StringRef size,
                                    int64_t most) {
  auto type =
      mlir::RankedTensorType::get({1, dynamic}, builder.types().getI32Type());
  Value value = builder.argument(what, type, {"", size});
  builder.range(0, most);
  return value;
}

Value EncoderDecoderBuilder::addIds() {
  auto type =
      mlir::RankedTensorType::get({1, dynamic}, builder.types().getI64Type());
  Value ids = builder.argument("input_ids", type, {"", "N"});
  builder.range(0, message.vocabulary_size() - 1);
  return ids;
}

Value EncoderDecoderBuilder::addMlp(Value value, const std::string &mlp) {
  Value normed = norm(value, mlp);
  Value up = project(normed, mlp + ".up");
  if (message.gated_mlp()) {
    Value gate = builder.activation(project(normed, mlp + ".gate"),
                                    message.activation(), mlp + ".activation");
    up = builder.multiply(gate, up, mlp + ".product");
  } else {
    up = builder.activation(up, message.activation(), mlp + ".activation");
  }
  return builder.add(project(up, mlp + ".down"), value, mlp + ".residual");
}

Value EncoderDecoderBuilder::addResidual(Value branch, Value value,
                                         const std::string &attention) {
  return builder.add(project(branch, attention + ".output"), value,
                     attention + ".residual");
}

void EncoderDecoderBuilder::buildEncoder() {
  const bool hasFeatures = !message.features().empty();
  llvm::SmallVector<Symbol> symbols = {{"N", 1, 64, message.max_tokens()}};
  if (hasFeatures)
    symbols.push_back({"M", 1, 32, maxBatch});
  builder.beginEntry("encode_prompt", symbols);
  Value ids = addIds(), row;
  if (hasFeatures) {
    features = builder.argument(
        "features", builder.floats({dynamic, message.hidden_size()}),
        {"M", ""});
    row = column("feature_row", "N", INT32_MAX);
    builder.range(-1, INT32_MAX);
    builder.below("M");
    builder.fill(-1);
  }
  Value value = builder.embedding(ids, name + ".tokens");
  if (hasFeatures)
    value = builder.mergeTokens(value, features, row, name + ".merge");
  builder.tap("inputs_embeds", value);
  const std::string stack = name + ".encoder.";
  Value bias = builder.distanceBias(stack + "position_bias.weight",
                                    bucketsOf(message, /*isEncoder=*/true));
  for (int64_t i = 0; i < message.encoder_layers(); ++i) {
    const std::string layer = stack + "layers." + std::to_string(i);
    const std::string attention = layer + ".attention";
    Value normed = norm(value, attention);
    Value mixed = builder.attention(
        project(normed, attention + ".query"),
        project(normed, attention + ".key"),
        project(normed, attention + ".value"), /*keyValid=*/Value(),
        /*causal=*/false, message.heads(), /*scale=*/1, attention,
        /*kvHeads=*/0, bias);
    value = addMlp(addResidual(mixed, value, attention), layer + ".mlp");
  }
  builder.result(
      "encoder_features",
      builder.rmsNorm(value, stack + "final_norm", message.norm_epsilon(), 0));
  builder.endEntry();
}

Value EncoderDecoderBuilder::decodeLayer(int64_t number, Value value) {
  const std::string layer = name + ".decoder.layers." + std::to_string(number);
  std::string attention = layer + ".attention";
  Value normed = norm(value, attention);
  tokens.cache = builder.cacheLayer(cache, number);
  Value mixed = builder.cachedAttention(
      project(normed, attention + ".query"),
      project(normed, attention + ".key"),
      project(normed, attention + ".value"), tokens, message.heads(),
      /*scale=*/1, /*window=*/0, /*softcap=*/0, attention);
  value = addResidual(mixed, value, attention);
  attention = layer + ".cross_attention";
  seen.cache = builder.cacheLayer(featureCache, number);
  mixed = builder.cachedAttention(
      project(norm(value, attention), attention + ".query"),
      project(features, attention + ".key"),
      project(features, attention + ".value"), seen, message.heads(),
      /*scale=*/1, /*window=*/0, /*softcap=*/0, attention);
  return addMlp(addResidual(mixed, value, attention), layer + ".mlp");
}

void EncoderDecoderBuilder::buildDecoder() {
  builder.beginEntry(
      "decode",
      {{"N", 1, 1, maxBatch}, {"R", 1, 1, maxBatch}, {"M", 0, 0, maxBatch}});
  Value ids = addIds();
  tokens.sequence = column("sequence", "N", INT32_MAX);
  tokens.position = column("position", "N", message.max_tokens() - 1);
  auto type = builder.cacheType(message.decoder_layers(), message.heads(),
                                message.head_size());
  cache = builder.argument("cache", type, {"", "", "", ""});
  features = builder.argument(
      "features", builder.floats({1, dynamic, message.hidden_size()}),
      {"", "M", ""});
  seen.sequence = column("feature_sequence", "M", INT32_MAX);
  seen.position = column("feature_position", "M", INT32_MAX);
  seen.first = column("first_feature", "N", INT32_MAX);
  seen.last = column("last_feature", "N", INT32_MAX);
  seen.querySequence = tokens.sequence;
  featureCache = builder.argument("feature_cache", type, {"", "", "", ""});
  Value rows = column("rows", "R", INT32_MAX);
  builder.below("N");
  Value value = builder.embedding(ids, name + ".tokens");
  const std::string stack = name + ".decoder.";
  tokens.distanceBias = builder.distanceBias(
      stack + "position_bias.weight", bucketsOf(message, /*isEncoder=*/false));
  for (int64_t i = 0; i < message.decoder_layers(); ++i)
    value = decodeLayer(i, value);
  value =
      builder.rmsNorm(value, stack + "final_norm", message.norm_epsilon(), 0);
  builder.tap("hidden_states", value);
  value = builder.takeTokens(value, rows, name + ".rows");
  if (message.scaled_head())
    value = builder.scale(
        value, 1 / std::sqrt(static_cast<double>(message.hidden_size())),
        name + ".rows.scale");
  builder.result(
      "logits",
      builder.linear(value, name + (message.tied_head() ? ".tokens" : ".head"),
                     /*bias=*/false));
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  EncoderDecoderBuilder(builder, component).buildEncoder();
  EncoderDecoderBuilder(builder, component).buildDecoder();
}

extern const Block blockEncoderDecoder;
const Block blockEncoderDecoder = {check, listWeights, listTaps, build};

} // namespace vlmc
