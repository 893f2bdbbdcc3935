//===- PerceiverResampler.cpp - A tower's tokens as a few latents ---------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_features [B, R, D],
// the latents behind the final norm, and a linear layer where there is one. Or,
// where videos are read, `encode_frame` gives a tower's `frame_features` [B, T,
// D], and `encode_image` takes those of the frames of each picture or video,
// one behind the other with R rows of any kind before them, [B, S, D], and for
// each of the S places `frames` and `media`, numbers of frame and picture. In
// each layer they attend to the tower's
// tokens and to themselves, which are normed apart, then go through an MLP; no
// biases. Where pictures have grids of their own, two inputs tell of the S =
// R + T places that latents attend to: `context_row` [B, S], the token that
// stands there (of the first R, which are the latents', any), and
// `context_valid` [B, S], 0 for padding. Sources: Flamingo, arXiv:2204.14198,
// appendix A.1.1; in transformers IdeficsPerceiverResampler and, with RMSNorm
// and shared key heads, Idefics2PerceiverResampler.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::PerceiverResampler;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

/// The MLP before the layers.
static void checkInput(const Message &resampler, const FaultSink &fault) {
  constexpr int64_t most = 1 << 20;
  checkRange(fault, "input_intermediate_size",
             resampler.input_intermediate_size(), 0, most);
  if (!resampler.input_intermediate_size())
    return;
  checkRange(fault, "input_size", resampler.input_size(), 1, most);
  if (resampler.input_activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(resampler.input_activation()))
    fault("input_activation", "expected an activation function, found none");
}

/// Whether the tower's tokens are of frames, which are put together behind it.
static bool readsFrames(const Message &resampler) {
  return resampler.max_frames() || resampler.max_media();
}

static void checkFrames(const spec::ModelSpec &model, const Message &resampler,
                        const FaultSink &fault) {
  checkRange(fault, "max_frames", resampler.max_frames(), 0, 1 << 16);
  checkRange(fault, "max_media", resampler.max_media(), 0, 1 << 16);
  const spec::Component *tower = findTower(model, resampler.tower());
  if (readsFrames(resampler) && tower && hasOwnGrids(*tower))
    fault("max_frames", "expected a tower of pictures of one size beside "
                        "max_frames and max_media");
  if (readsFrames(resampler) && resampler.input_intermediate_size())
    fault("max_frames", "expected no input_intermediate_size beside max_frames "
                        "and max_media");
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &resampler = component.perceiver_resampler();
  constexpr int64_t most = 1 << 20;
  const bool hasInput = resampler.input_intermediate_size() != 0;
  checkTower(model, resampler.tower(), hasInput ? "input_size" : "hidden_size",
             hasInput ? resampler.input_size() : resampler.hidden_size(), fault,
             /*joined=*/1, Grids::Any);
  checkInput(resampler, fault);
  checkFrames(model, resampler, fault);
  checkRange(fault, "output_size", resampler.output_size(), 0, most);
  checkRange(fault, "hidden_size", resampler.hidden_size(), 1, most);
  checkRange(fault, "latents", resampler.latents(), 1, most);
  checkRange(fault, "layers", resampler.layers(), 1, 4096);
  checkRange(fault, "heads", resampler.heads(), 1, most);
  checkRange(fault, "head_size", resampler.head_size(), 1, 4096);
  checkRange(fault, "intermediate_size", resampler.intermediate_size(), 1,
             most);
  if (resampler.kv_heads() < 1 || resampler.heads() % resampler.kv_heads() != 0)
    fault("kv_heads", "expected a divisor of heads " +
                          std::to_string(resampler.heads()) + ", found " +
                          std::to_string(resampler.kv_heads()));
  if (resampler.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(resampler.activation()))
    fault("activation", "expected an activation function, found none");
  if (!(resampler.norm_epsilon() >= 0 && resampler.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(resampler.norm_epsilon()));
}

static void addNorm(WeightList &weights, const std::string &name,
                    const Message &resampler, const WeightDim &features) {
  if (resampler.rms_norm())
    weights.add(name + ".weight", {features});
  else
    weights.addNorm(name, features);
}

static void listLayerWeights(const std::string &layer, const Message &resampler,
                             WeightList &weights) {
  WeightDim hidden = {resampler.hidden_size(), {"hidden_size"}};
  WeightDim inner = {resampler.intermediate_size(), {"intermediate_size"}};
  WeightDim head = {resampler.head_size(), {"head_size"}};
  WeightDim queries = {resampler.heads() * resampler.head_size(),
                       {"heads", "head_size"}};
  WeightDim keys = {resampler.kv_heads() * resampler.head_size(),
                    {"kv_heads", "head_size"}};
  const std::string attention = layer + "attention.";
  addNorm(weights, layer + "context_norm", resampler, hidden);
  addNorm(weights, layer + "norm1", resampler, hidden);
  weights.addLinear(attention + "query", queries, hidden, /*bias=*/false);
  weights.addLinear(attention + "key", keys, hidden, /*bias=*/false);
  weights.addLinear(attention + "value", keys, hidden, /*bias=*/false);
  weights.addLinear(attention + "output", hidden, queries, /*bias=*/false);
  if (resampler.head_norm())
    for (const char *part : {"query_norm", "key_norm"})
      addNorm(weights, attention + part, resampler, head);
  addNorm(weights, layer + "norm2", resampler, hidden);
  if (resampler.gated_mlp())
    weights.addLinear(layer + "mlp.gate", inner, hidden, /*bias=*/false);
  weights.addLinear(layer + "mlp.up", inner, hidden, /*bias=*/false);
  weights.addLinear(layer + "mlp.down", hidden, inner, /*bias=*/false);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &resampler = component.perceiver_resampler();
  WeightDim hidden = {resampler.hidden_size(), {"hidden_size"}};
  if (resampler.input_intermediate_size()) {
    WeightDim in = {resampler.input_size(), {"input_size"}};
    WeightDim inner = {resampler.input_intermediate_size(),
                       {"input_intermediate_size"}};
    weights.addLinear("input_mlp.gate", inner, in, /*bias=*/false);
    weights.addLinear("input_mlp.up", inner, in, /*bias=*/false);
    weights.addLinear("input_mlp.down", hidden, inner, /*bias=*/false);
  }
  weights.add("latents", {{resampler.latents(), {"latents"}}, hidden});
  if (resampler.max_frames())
    weights.add("frames.weight",
                {{resampler.max_frames(), {"max_frames"}}, hidden});
  if (resampler.max_media())
    weights.add("media.weight",
                {{resampler.max_media(), {"max_media"}}, {1, {}}, hidden});
  for (int64_t i = 0; i < resampler.layers(); ++i)
    listLayerWeights("layers." + std::to_string(i) + ".", resampler, weights);
  addNorm(weights, "final_norm", resampler, hidden);
  if (resampler.output_size())
    weights.addLinear("projection", {resampler.output_size(), {"output_size"}},
                      hidden, /*bias=*/false);
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps;
  for (int64_t i = 0; i < component.perceiver_resampler().layers(); ++i)
    taps.push_back(component.name() + ".layers." + std::to_string(i));
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
class ResamplerBuilder {
public:
  ResamplerBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), resampler(component.perceiver_resampler()),
        name(component.name()) {}
  /// Where pictures have grids of their own: the places that latents attend to.
  void addPlaces();
  /// The places' symbol.
  Symbol placesSymbol(int64_t likelyTokens) const {
    const int64_t latents = resampler.latents();
    return {"S", latents + 1, latents + likelyTokens, latents + maxPatches};
  }
  /// Where tokens are of frames: those of pictures and videos, behind places
  /// for the latents, with the numbers of their frame and picture.
  Value addFrames();
  Value build(Value context);

private:
  Value number(const char *what, int64_t most, Value context);
  Value norm(Value value, const std::string &weight) {
    return resampler.rms_norm()
               ? builder.rmsNorm(value, weight, resampler.norm_epsilon(), 0)
               : builder.layerNorm(value, weight, resampler.norm_epsilon());
  }
  Value column(llvm::StringRef what, mlir::Type type);
  Value join(Value latents, Value context, const std::string &label);
  Value attend(const std::string &layer, Value context, Value latents);
  Value buildMlp(const std::string &mlp, bool isGated,
                 spec::Activation activation, Value value);

  GraphBuilder &builder;
  const Message &resampler;
  const std::string &name;
  Value placeRow, placeValid; ///< with grids of their own
  bool isJoined = false;      ///< places for the latents are there
};
} // namespace

Value ResamplerBuilder::column(llvm::StringRef what, mlir::Type type) {
  return builder.argument(
      what, mlir::RankedTensorType::get({dynamic, dynamic}, type), {"B", "S"});
}

void ResamplerBuilder::addPlaces() {
  placeRow = column("context_row", builder.types().getI32Type());
  builder.range(0, maxPatches - 1);
  builder.below("T");
  placeValid = column("context_valid", builder.types().getI64Type());
  builder.range(0, 1);
}

/// Adds a learned feature by a number of each token.
Value ResamplerBuilder::number(const char *what, int64_t most, Value context) {
  auto type = mlir::RankedTensorType::get({dynamic, dynamic},
                                          builder.types().getI32Type());
  Value numbers = builder.argument(what, type, {"B", "S"});
  builder.range(0, most - 1);
  const std::string table = name + "." + what;
  Value added = builder.embedding(
      numbers,
      builder.weight(table + ".weight", {most, resampler.hidden_size()}),
      table);
  return builder.add(context, added, table + ".sum");
}

Value ResamplerBuilder::addFrames() {
  Value context = builder.argument(
      "frame_features",
      builder.floats({dynamic, dynamic, resampler.hidden_size()}),
      {"B", "S", ""});
  isJoined = true;
  if (resampler.max_frames())
    context = number("frames", resampler.max_frames(), context);
  if (resampler.max_media())
    context = number("media", resampler.max_media(), context);
  return context;
}

/// Attention has no order of keys, so the latents may as well stand in front.
Value ResamplerBuilder::join(Value latents, Value context,
                             const std::string &label) {
  return placeRow || isJoined ? builder.replaceTokens(latents, context, label)
                              : builder.prependTokens(latents, context, label);
}

Value ResamplerBuilder::attend(const std::string &layer, Value context,
                               Value latents) {
  const std::string attention = layer + ".attention";
  latents = norm(latents, layer + ".norm1");
  Value both = join(latents, norm(context, layer + ".context_norm"),
                    attention + ".tokens");
  Value query = builder.linear(latents, attention + ".query", /*bias=*/false);
  Value key = builder.linear(both, attention + ".key", /*bias=*/false);
  Value value = builder.linear(both, attention + ".value", /*bias=*/false);
  if (resampler.head_norm()) {
    query = norm(query, attention + ".query_norm");
    key = norm(key, attention + ".key_norm");
  }
  Value mixed = builder.attention(
      query, key, value, placeValid, /*causal=*/false, resampler.heads(),
      1 / std::sqrt(static_cast<double>(resampler.head_size())), attention,
      resampler.kv_heads());
  return builder.linear(mixed, attention + ".output", /*bias=*/false);
}

Value ResamplerBuilder::buildMlp(const std::string &mlp, bool isGated,
                                 spec::Activation activation, Value value) {
  Value inner = builder.linear(value, mlp + (isGated ? ".gate" : ".up"),
                               /*bias=*/false);
  inner = builder.activation(inner, activation, mlp + ".activation");
  if (isGated) {
    Value up = builder.linear(value, mlp + ".up", /*bias=*/false);
    inner = builder.multiply(inner, up, mlp + ".product");
  }
  return builder.linear(inner, mlp + ".down", /*bias=*/false);
}

Value ResamplerBuilder::build(Value context) {
  if (resampler.input_intermediate_size())
    context = buildMlp(name + ".input_mlp", /*isGated=*/true,
                       resampler.input_activation(), context);
  if (placeRow)
    context = builder.takeTokens(context, placeRow, name + ".context");
  // Every picture has its own latents, which begin alike.
  Value latents = builder.sliceTokens(
      join(builder.weight(name + ".latents"), context, name + ".latents"), 0,
      resampler.latents(), name + ".latents");
  for (int64_t i = 0; i < resampler.layers(); ++i) {
    const std::string layer = name + ".layers." + std::to_string(i);
    latents = builder.add(attend(layer, context, latents), latents,
                          layer + ".attention.residual");
    Value inner =
        buildMlp(layer + ".mlp", resampler.gated_mlp(), resampler.activation(),
                 norm(latents, layer + ".norm2"));
    latents = builder.add(inner, latents, layer + ".mlp.residual");
    builder.tap(layer, latents);
  }
  return norm(latents, name + ".final_norm");
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  const spec::PerceiverResampler &resampler = component.perceiver_resampler();
  const spec::Component &tower = *findTower(model, resampler.tower());
  const bool hasFrames = readsFrames(resampler);
  ResamplerBuilder latentBuilder(builder, component);
  llvm::SmallVector<Symbol> symbols = towerSymbols(tower);
  if (hasOwnGrids(tower))
    symbols.push_back(latentBuilder.placesSymbol(symbols.back().likely));
  builder.beginEntry(hasFrames ? "encode_frame" : "encode_image", symbols);
  TowerInputs inputs = addTowerPixels(builder, tower);
  if (hasOwnGrids(tower))
    latentBuilder.addPlaces();
  Value context = buildTowerTokens(builder, tower, inputs);
  if (hasFrames) {
    builder.result("frame_features", context);
    builder.endEntry();
    const int64_t side = towerSide(tower);
    builder.beginEntry(
        "encode_image",
        {{"B", 1, 1, maxBatch},
         latentBuilder.placesSymbol(std::max<int64_t>(1, side * side))});
    context = latentBuilder.addFrames();
  }
  Value latents = latentBuilder.build(context);
  if (resampler.output_size())
    latents = builder.linear(latents, component.name() + ".projection",
                             /*bias=*/false);
  builder.result("image_features", latents);
  builder.endEntry();
}

extern const Block blockPerceiverResampler;
const Block blockPerceiverResampler = {check, listWeights, listTaps, build};

} // namespace vlmc
