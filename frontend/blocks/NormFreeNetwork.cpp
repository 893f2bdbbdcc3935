//===- NormFreeNetwork.cpp - A residual network without norms -------------===//
//
// A tower: pixel_values [B, C, H, W] to the places of the last stage behind a
// convolution, [B, (H/32)(W/32), output_size], row by row. Kernels are taken as
// they are when they have been standardised; the learned gain of a branch is
// part of its last convolution and, inversely, of the layer that reads its
// mean. Sides are halved as `SAME` padding does: a place has the 3 x 3 pixels
// from its own on. Source: NFNet, arXiv:2102.06171;
// github.com/google-deepmind/deepmind-research, nfnets/nfnet.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::NormFreeNetwork;

/// Picture pixels, in each direction, for one of the last stage.
static constexpr int64_t reduction = 32;

/// A bottleneck of four convolutions.
namespace {
struct Bottleneck {
  std::string name; ///< without the component's
  int64_t inputs;
  int64_t outputs;
  int64_t inner;
  int64_t squeezed;
  int64_t side;   ///< of its input, in pixels
  int64_t stride; ///< 1 or 2
  double beta;    ///< one over the deviation of its input
  bool hasShortcut() const { return stride > 1 || inputs != outputs; }
};
} // namespace

static std::vector<Bottleneck> listBottlenecks(const Message &network) {
  std::vector<Bottleneck> list;
  int64_t inputs = network.widths(0) / 2, side = network.image_size() / 4;
  double deviation = 1;
  for (int stage = 0; stage < network.widths_size(); ++stage)
    for (int64_t i = 0; i < network.layers(stage); ++i) {
      const int64_t outputs = network.widths(stage);
      auto part = [&](double share) {
        return static_cast<int64_t>(static_cast<double>(outputs) * share);
      };
      const int64_t group = network.group_width();
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      list.push_back(
          {"stage" + std::to_string(stage + 1) + "." + std::to_string(i),
           inputs, outputs, part(network.inner()) / group * group,
           std::max<int64_t>(1, part(network.squeeze())), side, stride,
           1 / deviation});
      inputs = outputs;
      side /= stride;
      // It grows with each branch; a stage's first block begins anew.
      deviation = std::hypot(i == 0 ? 1 : deviation, network.residual_scale());
    }
  return list;
}

static void checkStages(const Message &network, const FaultSink &fault) {
  constexpr int64_t most = 1 << 16;
  if (network.widths_size() != 4 || network.layers_size() != 4)
    return fault("widths", "expected those of 4 stages, as many as layers, "
                           "found " +
                               std::to_string(network.widths_size()) + " and " +
                               std::to_string(network.layers_size()));
  for (int64_t width : network.widths())
    checkRange(fault, "widths", width, 1, most);
  for (int64_t layers : network.layers())
    checkRange(fault, "layers", layers, 1, 4096);
  if (network.widths(0) % 16)
    fault("widths", "expected a multiple of 16 first, as the stem has "
                    "sixteenths of it, found " +
                        std::to_string(network.widths(0)));
  checkRange(fault, "group_width", network.group_width(), 1, most);
  if (network.group_width() < 1)
    return;
  for (const Bottleneck &block : listBottlenecks(network))
    if (block.inner < 1)
      return fault("group_width",
                   "expected at most the channels within a bottleneck, found " +
                       std::to_string(network.group_width()));
}

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &network = component.norm_free_network();
  checkRange(fault, "image_size", network.image_size(), reduction, 65536);
  if (network.image_size() % reduction)
    fault("image_size", "expected a multiple of 32, found " +
                            std::to_string(network.image_size()));
  checkRange(fault, "channels", network.channels(), 1, 64);
  checkRange(fault, "output_size", network.output_size(), 1, 1 << 20);
  for (auto [field, value] :
       {std::pair("inner", network.inner()),
        std::pair("squeeze", network.squeeze()),
        std::pair("residual_scale", network.residual_scale()),
        std::pair("activation_scale", network.activation_scale())})
    if (!(value >= 1e-3 && value <= 1e3))
      return fault(field,
                   "expected 0.001 to 1000, found " + std::to_string(value));
  if (network.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(network.activation()))
    fault("activation", "expected an activation function, found none");
  checkStages(network, fault);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

static void addConvolution(WeightList &weights, const std::string &name,
                           int64_t outputs, int64_t inputs, int64_t kernel) {
  WeightDim out = {outputs, {"widths"}};
  weights.add(name + ".weight",
              {out, {inputs, {"widths"}}, {kernel, {}}, {kernel, {}}});
  weights.add(name + ".bias", {out});
}

/// The channels behind the convolutions of the stem.
static std::vector<int64_t> stemWidths(const Message &network) {
  const int64_t last = network.widths(0) / 2;
  return {last / 8, last / 4, last / 2, last};
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &network = component.norm_free_network();
  int64_t inputs = network.channels(), number = 0;
  for (int64_t outputs : stemWidths(network)) {
    addConvolution(weights, "stem.conv" + std::to_string(++number), outputs,
                   inputs, 3);
    inputs = outputs;
  }
  for (const Bottleneck &block : listBottlenecks(network)) {
    const std::string prefix = block.name + ".";
    if (block.hasShortcut())
      addConvolution(weights, prefix + "shortcut", block.outputs, block.inputs,
                     1);
    addConvolution(weights, prefix + "conv1", block.inner, block.inputs, 1);
    for (const char *grouped : {"conv2", "conv3"})
      addConvolution(weights, prefix + grouped, block.inner,
                     network.group_width(), 3);
    addConvolution(weights, prefix + "conv4", block.outputs, block.inner, 1);
    WeightDim out = {block.outputs, {"widths"}};
    WeightDim squeezed = {block.squeezed, {"widths", "squeeze"}};
    weights.addLinear(prefix + "squeeze", squeezed, out);
    weights.addLinear(prefix + "excite", out, squeezed);
  }
  addConvolution(weights, "final", network.output_size(), network.widths(3), 1);
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps = {component.name() + ".embeddings"};
  const size_t count = listBottlenecks(component.norm_free_network()).size();
  for (size_t i = 0; i < count; ++i)
    taps.push_back(component.name() + ".layers." + std::to_string(i));
  taps.emplace_back("vision_features");
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
class NetworkBuilder {
public:
  NetworkBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), network(component.norm_free_network()),
        name(component.name() + ".") {}
  Value build(Value pixels);

private:
  Value activate(Value value, const std::string &label, double factor = 1) {
    value = builder.activation(value, network.activation(), name + label);
    return builder.scale(value, factor * network.activation_scale(),
                         name + label + ".scale");
  }
  Value convolve(Value value, const std::string &conv, int64_t side,
                 int64_t stride, int64_t kernel) {
    const int64_t before = stride == 1 ? kernel / 2 : 0;
    return builder.convolution(value, name + conv, side, stride, before,
                               kernel / 2);
  }
  Value convolveGroups(Value value, const std::string &conv, int64_t channels,
                       int64_t side, int64_t stride);
  Value buildStem(Value pixels);
  Value buildBottleneck(const Bottleneck &block, Value value);
  Value excite(const std::string &prefix, Value value);

  GraphBuilder &builder;
  const Message &network;
  std::string name;
};
} // namespace

/// Each group of channels is made of those in the same place before it.
Value NetworkBuilder::convolveGroups(Value value, const std::string &conv,
                                     int64_t channels, int64_t side,
                                     int64_t stride) {
  const int64_t width = network.group_width();
  if (channels == width)
    return convolve(value, conv, side, stride, 3);
  llvm::SmallVector<Value> groups;
  for (int64_t begin = 0; begin < channels; begin += width) {
    const std::string label =
        name + conv + "[" + std::to_string(begin / width) + "]";
    auto rows = [&](const char *part) {
      return vlm::RecipeAttr::slice(0, begin, begin + width,
                                    builder.storedWeight(name + conv + part));
    };
    Value matrix = builder.madeWeight(
        label + ".weight.windows",
        vlm::RecipeAttr::transpose({0, 2, 3, 1}, rows(".weight")));
    Value bias = builder.madeWeight(label + ".bias", rows(".bias"));
    Value own = builder.sliceFeatures(value, begin, begin + width, label);
    groups.push_back(builder.convolution(own, matrix, bias, side, stride,
                                         stride == 1 ? 1 : 0, 1, label));
  }
  return builder.concatFeatures(groups, name + conv);
}

Value NetworkBuilder::buildStem(Value pixels) {
  int64_t side = network.image_size();
  Value value = convolve(pixels, "stem.conv1", side, 2, 3);
  value = convolve(activate(value, "stem.act1"), "stem.conv2", side / 2, 1, 3);
  value = convolve(activate(value, "stem.act2"), "stem.conv3", side / 2, 1, 3);
  return convolve(activate(value, "stem.act3"), "stem.conv4", side / 2, 2, 3);
}

/// Channels are multiplied by factors that are made of their means.
Value NetworkBuilder::excite(const std::string &prefix, Value value) {
  Value mean = builder.meanTokens(value, name + prefix + "mean");
  Value inner = builder.linear(mean, name + prefix + "squeeze");
  inner = builder.activation(inner, spec::RELU, name + prefix + "relu");
  Value factors = builder.linear(inner, name + prefix + "excite");
  factors =
      builder.activation(factors, spec::SIGMOID, name + prefix + "sigmoid");
  value = builder.scaleFeatures(value, factors, name + prefix + "excited");
  return builder.scale(value, 2 * network.residual_scale(),
                       name + prefix + "branch");
}

Value NetworkBuilder::buildBottleneck(const Bottleneck &block, Value value) {
  const std::string prefix = block.name + ".";
  Value begun = activate(value, prefix + "act1", block.beta);
  Value shortcut = value;
  const int64_t side = block.side / block.stride;
  if (block.hasShortcut()) {
    shortcut = begun;
    if (block.stride > 1)
      shortcut = builder.averagePool(begun, block.side, block.stride,
                                     name + prefix + "shortcut.pool");
    shortcut = convolve(shortcut, prefix + "shortcut", side, 1, 1);
  }
  Value inner = convolve(begun, prefix + "conv1", block.side, 1, 1);
  inner = convolveGroups(activate(inner, prefix + "act2"), prefix + "conv2",
                         block.inner, block.side, block.stride);
  inner = convolveGroups(activate(inner, prefix + "act3"), prefix + "conv3",
                         block.inner, side, 1);
  inner =
      convolve(activate(inner, prefix + "act4"), prefix + "conv4", side, 1, 1);
  return builder.add(excite(prefix, inner), shortcut,
                     name + prefix + "residual");
}

Value NetworkBuilder::build(Value pixels) {
  Value value = buildStem(pixels);
  builder.tap(name + "embeddings", value);
  int64_t number = 0;
  for (const Bottleneck &block : listBottlenecks(network)) {
    value = buildBottleneck(block, value);
    builder.tap(name + "layers." + std::to_string(number++), value);
  }
  value = convolve(value, "final", network.image_size() / reduction, 1, 1);
  value = activate(value, "final.act");
  builder.tap("vision_features", value);
  return value;
}

Value buildNormFreeTokens(GraphBuilder &builder,
                          const spec::Component &component, Value pixels) {
  return NetworkBuilder(builder, component).build(pixels);
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  buildTowerEntry(model, component, builder);
}

extern const Block blockNormFreeNetwork;
const Block blockNormFreeNetwork = {check, listWeights, listTaps, build};

} // namespace vlmc
