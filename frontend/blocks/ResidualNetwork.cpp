//===- ResidualNetwork.cpp - A residual network with attention pooling ----===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_embeds [B, P].
// Inside, pixels are rows of channels, so that a convolution of one pixel is a
// product of matrices. Tap `vision_features`: the last stage's map, [B,
// (H/32)(W/32), 32 * width], which with `tokens` is all there is: a tower of
// places. Source: arXiv:2103.00020, section 2.3;
// open_clip.modified_resnet.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::ResidualNetwork;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;
static constexpr const char *features = "vision_features";
/// A bottleneck gives so many times the channels that it works on.
static constexpr int64_t expansion = 4;
/// Picture pixels, in each direction, for one of the last stage.
static constexpr int64_t reduction = 32;

/// A bottleneck of three convolutions.
namespace {
struct Bottleneck {
  std::string name; ///< without the component's
  int64_t inputs;
  int64_t inner;
  int64_t side;   ///< of its input, in pixels
  int64_t stride; ///< by average pooling
  int64_t outputs() const { return inner * expansion; }
  /// Whether the input takes a convolution to become the summand.
  bool hasShortcut() const { return stride > 1 || inputs != outputs(); }
};
} // namespace

static int64_t lastFeatures(const Message &network) {
  return network.width() * 8 * expansion;
}

static std::vector<Bottleneck> listBottlenecks(const Message &network) {
  std::vector<Bottleneck> list;
  int64_t inputs = network.width(), side = network.image_size() / 4;
  for (int stage = 0; stage < network.layers_size(); ++stage)
    for (int64_t i = 0; i < network.layers(stage); ++i) {
      int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      list.push_back(
          {"stage" + std::to_string(stage + 1) + "." + std::to_string(i),
           inputs, network.width() << stage, side, stride});
      inputs = list.back().outputs();
      side /= stride;
    }
  return list;
}

static void checkPool(const Message &network, const FaultSink &fault) {
  if (network.heads() < 1 || lastFeatures(network) % network.heads() != 0)
    fault("heads", "expected a divisor of 32 * width, which is " +
                       std::to_string(lastFeatures(network)) + ", found " +
                       std::to_string(network.heads()));
  checkRange(fault, "projection_size", network.projection_size(), 1, 1 << 20);
}

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &network = component.residual_network();
  checkRange(fault, "width", network.width(), 2, 1 << 14);
  if (network.width() % 2)
    fault("width", "expected an even number, as the stem has half of it, "
                   "found " +
                       std::to_string(network.width()));
  if (network.layers_size() != 4)
    fault("layers", "expected those of 4 stages, found " +
                        std::to_string(network.layers_size()));
  for (int64_t layers : network.layers())
    checkRange(fault, "layers", layers, 1, 4096);
  checkRange(fault, "image_size", network.image_size(), reduction, 65536);
  if (network.image_size() % reduction)
    fault("image_size", "expected a multiple of 32, found " +
                            std::to_string(network.image_size()));
  checkRange(fault, "channels", network.channels(), 1, 64);
  if (!network.tokens())
    checkPool(network, fault);
  if (!(network.norm_epsilon() >= 0 && network.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(network.norm_epsilon()));
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// A convolution NAME and the batch norm behind it.
static void addConvolution(WeightList &weights, const std::string &name,
                           const std::string &norm, int64_t outputs,
                           int64_t inputs, int64_t kernel) {
  WeightDim out = {outputs, {"width"}};
  weights.add(name + ".weight",
              {out, {inputs, {"width"}}, {kernel, {}}, {kernel, {}}});
  weights.addNorm(norm, out);
  weights.add(norm + ".running_mean", {out});
  weights.add(norm + ".running_var", {out});
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &network = component.residual_network();
  int64_t half = network.width() / 2;
  addConvolution(weights, "stem.conv1", "stem.norm1", half, network.channels(),
                 3);
  addConvolution(weights, "stem.conv2", "stem.norm2", half, half, 3);
  addConvolution(weights, "stem.conv3", "stem.norm3", network.width(), half, 3);
  for (const Bottleneck &block : listBottlenecks(network)) {
    const std::string prefix = block.name + ".";
    addConvolution(weights, prefix + "conv1", prefix + "norm1", block.inner,
                   block.inputs, 1);
    addConvolution(weights, prefix + "conv2", prefix + "norm2", block.inner,
                   block.inner, 3);
    addConvolution(weights, prefix + "conv3", prefix + "norm3", block.outputs(),
                   block.inner, 1);
    if (block.hasShortcut())
      addConvolution(weights, prefix + "shortcut", prefix + "shortcut_norm",
                     block.outputs(), block.inputs, 1);
  }
  if (network.tokens())
    return;
  int64_t side = network.image_size() / reduction;
  WeightDim last = {lastFeatures(network), {"width"}};
  weights.add("pool.positions.weight",
              {{side * side + 1, {"image_size"}}, last});
  for (const char *part : {"query", "key", "value"})
    weights.addLinear(std::string("pool.attention.") + part, last, last);
  weights.addLinear("pool.attention.output",
                    {network.projection_size(), {"projection_size"}}, last);
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  const Message &network = component.residual_network();
  std::vector<std::string> taps = {component.name() + ".embeddings"};
  for (size_t i = 0; i < listBottlenecks(network).size(); ++i)
    taps.push_back(component.name() + ".layers." + std::to_string(i));
  taps.emplace_back(features);
  if (network.normalize() && !network.tokens())
    taps.push_back(component.name() + ".projection");
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
/// Builds the entry point of one tower.
class TowerBuilder {
public:
  TowerBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), network(component.residual_network()),
        name(component.name()) {}
  void build();
  /// The last stage's map.
  Value buildMap(Value pixels);

private:
  /// A convolution, its batch norm and, in a bottleneck, no function behind it
  /// where the sum comes first.
  Value convolve(Value value, const std::string &conv, const std::string &norm,
                 int64_t side, int64_t stride = 1) {
    return builder.convolution(value, name + "." + conv, name + "." + norm,
                               network.norm_epsilon(), side, stride);
  }
  Value relu(Value value, const std::string &label) {
    return builder.activation(value, spec::RELU, name + "." + label);
  }
  Value buildStem(Value pixels);
  Value buildBottleneck(const Bottleneck &block, Value value);
  Value buildPool(Value value);

  GraphBuilder &builder;
  const Message &network;
  const std::string &name;
};
} // namespace

Value TowerBuilder::buildStem(Value pixels) {
  int64_t side = network.image_size();
  Value value = convolve(pixels, "stem.conv1", "stem.norm1", side, 2);
  value = relu(value, "stem.relu1");
  value = convolve(value, "stem.conv2", "stem.norm2", side / 2);
  value = relu(value, "stem.relu2");
  value = convolve(value, "stem.conv3", "stem.norm3", side / 2);
  value = relu(value, "stem.relu3");
  return builder.averagePool(value, side / 2, 2, name + ".stem.pool");
}

Value TowerBuilder::buildBottleneck(const Bottleneck &block, Value value) {
  const std::string prefix = block.name + ".";
  auto pool = [&](Value input, const char *label) {
    return block.stride == 1
               ? input
               : builder.averagePool(input, block.side, block.stride,
                                     name + "." + prefix + label);
  };
  int64_t side = block.side / block.stride;
  Value inner = convolve(value, prefix + "conv1", prefix + "norm1", block.side);
  inner = relu(inner, prefix + "relu1");
  inner = convolve(inner, prefix + "conv2", prefix + "norm2", block.side);
  inner = pool(relu(inner, prefix + "relu2"), "pool");
  inner = convolve(inner, prefix + "conv3", prefix + "norm3", side);
  Value summand = value;
  if (block.hasShortcut())
    summand = convolve(pool(value, "shortcut_pool"), prefix + "shortcut",
                       prefix + "shortcut_norm", side);
  inner = builder.add(inner, summand, name + "." + prefix + "residual");
  return relu(inner, prefix + "relu3");
}

/// The attention of the mean to itself and all places, projected: [B, 1, P].
Value TowerBuilder::buildPool(Value value) {
  const std::string pool = name + ".pool", attention = pool + ".attention";
  int64_t side = network.image_size() / reduction;
  Value mean = builder.averagePool(value, side, side, pool + ".mean");
  value = builder.prependTokens(mean, value, pool + ".tokens");
  value = builder.add(value, builder.weight(pool + ".positions.weight"),
                      pool + ".positions");
  Value asking = builder.takeToken(value, 0, pool + ".query");
  Value query = builder.linear(asking, attention + ".query");
  Value key = builder.linear(value, attention + ".key");
  Value values = builder.linear(value, attention + ".value");
  auto headSize = static_cast<double>(lastFeatures(network) / network.heads());
  Value mixed = builder.attention(query, key, values, /*keyValid=*/Value(),
                                  /*causal=*/false, network.heads(),
                                  1 / std::sqrt(headSize), attention);
  return builder.linear(mixed, attention + ".output");
}

Value TowerBuilder::buildMap(Value pixels) {
  Value value = buildStem(pixels);
  builder.tap(name + ".embeddings", value);
  int64_t number = 0;
  for (const Bottleneck &block : listBottlenecks(network)) {
    value = buildBottleneck(block, value);
    builder.tap(name + ".layers." + std::to_string(number++), value);
  }
  builder.tap(features, value);
  return value;
}

void TowerBuilder::build() {
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  int64_t size = network.image_size();
  Value value = builder.argument(
      "pixel_values", builder.floats({dynamic, network.channels(), size, size}),
      {"B", "", "", ""});
  value = buildMap(value);
  value = builder.squeeze(buildPool(value), name + ".pool");
  Value projected = value;
  if (network.normalize())
    value = builder.l2Normalize(value, name + ".normalize");
  builder.result("image_embeds", value);
  if (network.normalize())
    builder.tap(name + ".projection", projected);
  builder.endEntry();
}

Value buildNetworkTokens(GraphBuilder &builder,
                         const spec::Component &component, Value pixels) {
  return TowerBuilder(builder, component).buildMap(pixels);
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  if (component.residual_network().tokens())
    return buildTowerEntry(model, component, builder);
  TowerBuilder(builder, component).build();
}

extern const Block blockResidualNetwork;
const Block blockResidualNetwork = {check, listWeights, listTaps, build};

} // namespace vlmc
