//===- InvertedNetwork.cpp - Inverted residual blocks ---------------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_embeds [B, P].
// Inside, pixels are rows of channels, so that a convolution of one pixel is a
// product of matrices. Tap `vision_features`: the last block's map, [B, H' *
// W', P]. Source: arXiv:1801.04381 for the blocks, arXiv:1905.11946 for
// squeeze-and-excitation in them; AlignVisionModel in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Block.h"
#include "frontend/blocks/GraphBuilder.h"

#include <algorithm>

namespace vlmc {

using mlir::Value;
using Message = spec::InvertedNetwork;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;
static constexpr const char *features = "vision_features";

namespace {
/// One block and the map that it takes.
struct InvertedBlock {
  std::string name; ///< without the component's
  int64_t inputs;
  int64_t outputs;
  int64_t inner; ///< channels that are convolved
  int64_t squeezed;
  GraphBuilder::Window window;
  int64_t kernel;
  bool hasResidual;
};
} // namespace

static int64_t placesOf(int64_t length, int64_t before, int64_t behind,
                        int64_t kernel, int64_t stride) {
  return (length + before + behind - kernel) / stride + 1;
}

/// The window of a convolution of each channel. With a stride of 1 maps keep
/// their size, with 2 there is one place less in front, unless it is centred.
static GraphBuilder::Window windowOf(int64_t height, int64_t width,
                                     int64_t kernel, int64_t stride,
                                     bool isCentered) {
  int64_t before = kernel / 2, behind = kernel / 2;
  if (stride == 1)
    before = (kernel - 1) / 2;
  else if (!isCentered)
    --before;
  return {height, width, stride, {before, before, behind, behind}};
}

/// The map behind the stem, which has one place of zeros behind the picture.
static std::pair<int64_t, int64_t> stemSize(const Message &network) {
  return {placesOf(network.image_height(), 0, 1, 3, 2),
          placesOf(network.image_width(), 0, 1, 3, 2)};
}

static std::vector<InvertedBlock> listBlocks(const Message &network) {
  std::vector<InvertedBlock> list;
  auto [height, width] = stemSize(network);
  for (const Message::Stage &stage : network.stages())
    for (int64_t i = 0; i < stage.blocks(); ++i) {
      auto number = static_cast<int64_t>(list.size());
      const bool isCentered =
          std::ranges::find(network.centered_blocks(), number) !=
          network.centered_blocks().end();
      InvertedBlock block;
      block.name = "layers." + std::to_string(number);
      block.inputs = i == 0 ? stage.inputs() : stage.outputs();
      block.outputs = stage.outputs();
      block.inner = block.inputs * stage.expansion();
      block.squeezed = std::max<int64_t>(
          1, static_cast<int64_t>(static_cast<double>(block.inputs) *
                                  network.squeeze()));
      block.kernel = stage.kernel();
      block.window = windowOf(height, width, stage.kernel(),
                              i == 0 ? stage.stride() : 1, isCentered);
      block.hasResidual = i > 0;
      const auto &padding = block.window.padding;
      height = placesOf(height, padding[0], padding[2], block.kernel,
                        block.window.stride);
      width = placesOf(width, padding[1], padding[3], block.kernel,
                       block.window.stride);
      list.push_back(std::move(block));
    }
  return list;
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

/// That a stage's numbers are such that its blocks can be listed.
static bool checkStage(const Message::Stage &stage, int64_t given,
                       const FaultSink &fault) {
  bool isGood = true;
  auto range = [&](const char *field, int64_t value, int64_t min, int64_t max) {
    isGood = isGood && value >= min && value <= max;
    checkRange(fault, field, value, min, max);
  };
  range("stages.blocks", stage.blocks(), 1, 4096);
  range("stages.inputs", stage.inputs(), 1, 1 << 16);
  range("stages.outputs", stage.outputs(), 1, 1 << 16);
  range("stages.expansion", stage.expansion(), 1, 64);
  range("stages.kernel", stage.kernel(), 1, 64);
  range("stages.stride", stage.stride(), 1, 2);
  if (stage.inputs() != given) {
    isGood = false;
    fault("stages.inputs", "expected " + std::to_string(given) +
                               ", the channels of what is before it, found " +
                               std::to_string(stage.inputs()));
  }
  if (stage.stride() == 2 && stage.kernel() < 2) {
    isGood = false;
    fault("stages.kernel", "expected at least 2 with a stride of 2, found " +
                               std::to_string(stage.kernel()));
  }
  return isGood;
}

static void checkMaps(const Message &network, const FaultSink &fault) {
  for (const InvertedBlock &block : listBlocks(network)) {
    const GraphBuilder::Window &window = block.window;
    auto fits = [&](int64_t length, int side) {
      return length + window.padding[side] + window.padding[side + 2] >=
             block.kernel;
    };
    if (fits(window.height, 0) && fits(window.width, 1))
      continue;
    return fault("image_height", "expected a larger picture: the map of " +
                                     std::to_string(window.height) + " x " +
                                     std::to_string(window.width) +
                                     " places in front of " + block.name +
                                     " is smaller than its kernel of " +
                                     std::to_string(block.kernel));
  }
}

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &network = component.inverted_network();
  checkRange(fault, "image_height", network.image_height(), 2, 65536);
  checkRange(fault, "image_width", network.image_width(), 2, 65536);
  checkRange(fault, "channels", network.channels(), 1, 64);
  checkRange(fault, "stem", network.stem(), 1, 1 << 16);
  if (network.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(network.activation()))
    fault("activation", "expected an activation function, found none");
  if (!(network.squeeze() >= 0 && network.squeeze() <= 64))
    fault("squeeze",
          "expected 0 to 64, found " + std::to_string(network.squeeze()));
  if (!(network.norm_epsilon() >= 0 && network.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(network.norm_epsilon()));
  if (network.pool() != Message::MEAN && network.pool() != Message::MAX)
    fault("pool", "expected MEAN or MAX, found none");
  if (network.stages().empty())
    return fault("stages", "expected at least one, found none");
  bool isGood = network.image_height() >= 2 && network.image_width() >= 2;
  int64_t given = network.stem();
  for (const Message::Stage &stage : network.stages()) {
    isGood = checkStage(stage, given, fault) && isGood;
    given = stage.outputs();
  }
  if (isGood)
    checkMaps(network, fault);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// A convolution NAME without a bias and the batch norm behind it.
static void addConvolution(WeightList &weights, const std::string &name,
                           const WeightDim &outputs, const WeightDim &inputs,
                           int64_t kernel) {
  const WeightDim side = {kernel, {"stages"}};
  weights.add(name + ".weight", {outputs, inputs, side, side});
  weights.addNorm(name + "_norm", outputs);
  weights.add(name + "_norm.running_mean", {outputs});
  weights.add(name + "_norm.running_var", {outputs});
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &network = component.inverted_network();
  auto channels = [](int64_t count) { return WeightDim{count, {"stages"}}; };
  addConvolution(weights, "stem", {network.stem(), {"stem"}},
                 {network.channels(), {"channels"}}, 3);
  const WeightDim one = {1, {}};
  for (const InvertedBlock &block : listBlocks(network)) {
    const std::string prefix = block.name + ".";
    if (block.inner != block.inputs)
      addConvolution(weights, prefix + "expand", channels(block.inner),
                     channels(block.inputs), 1);
    addConvolution(weights, prefix + "depthwise", channels(block.inner), one,
                   block.kernel);
    const WeightDim squeezed = {block.squeezed, {"stages", "squeeze"}};
    weights.add(prefix + "squeeze.weight",
                {squeezed, channels(block.inner), one, one});
    weights.add(prefix + "squeeze.bias", {squeezed});
    weights.add(prefix + "excite.weight",
                {channels(block.inner), squeezed, one, one});
    weights.add(prefix + "excite.bias", {channels(block.inner)});
    addConvolution(weights, prefix + "project", channels(block.outputs),
                   channels(block.inner), 1);
  }
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  const Message &network = component.inverted_network();
  std::vector<std::string> taps = {component.name() + ".embeddings"};
  for (const InvertedBlock &block : listBlocks(network))
    taps.push_back(component.name() + "." + block.name);
  taps.emplace_back(features);
  if (network.normalize())
    taps.push_back(component.name() + ".pool");
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
/// Builds the entry point of one network.
class NetworkBuilder {
public:
  NetworkBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), network(component.inverted_network()),
        name(component.name()) {}
  void build();

private:
  Value convolve(Value value, const std::string &conv,
                 const GraphBuilder::Window &window) {
    return builder.convolution(value, conv, conv + "_norm",
                               network.norm_epsilon(), window);
  }
  Value activate(Value value, const std::string &label) {
    return builder.activation(value, network.activation(),
                              label + ".activation");
  }
  Value linear(Value value, const std::string &label) {
    return builder.linearOfPixel(value, label);
  }
  Value excite(Value value, const std::string &prefix);
  Value buildBlock(const InvertedBlock &block, Value value);

  GraphBuilder &builder;
  const Message &network;
  const std::string &name;
};
} // namespace

/// The channels weighed by what they are on average.
Value NetworkBuilder::excite(Value value, const std::string &prefix) {
  Value mean = builder.meanTokens(value, prefix + "squeeze.mean");
  Value inner = activate(linear(mean, prefix + "squeeze"), prefix + "squeeze");
  Value factors = builder.activation(linear(inner, prefix + "excite"),
                                     spec::SIGMOID, prefix + "excite.sigmoid");
  return builder.scaleFeatures(value, factors, prefix + "excite.product");
}

Value NetworkBuilder::buildBlock(const InvertedBlock &block, Value value) {
  const std::string prefix = name + "." + block.name + ".";
  const Value residual = value;
  // Convolutions of one pixel read rows of pixels, wherever these stand.
  const GraphBuilder::Window pixel = {1, 1, 1, {0, 0, 0, 0}};
  if (block.inner != block.inputs)
    value =
        activate(convolve(value, prefix + "expand", pixel), prefix + "expand");
  value =
      builder.depthwise(value, prefix + "depthwise", prefix + "depthwise_norm",
                        network.norm_epsilon(), block.window);
  value = excite(activate(value, prefix + "depthwise"), prefix);
  value = convolve(value, prefix + "project", pixel);
  return block.hasResidual ? builder.add(value, residual, prefix + "residual")
                           : value;
}

void NetworkBuilder::build() {
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  int64_t height = network.image_height(), width = network.image_width();
  Value value = builder.argument(
      "pixel_values",
      builder.floats({dynamic, network.channels(), height, width}),
      {"B", "", "", ""});
  value = convolve(value, name + ".stem", {height, width, 2, {0, 0, 1, 1}});
  value = activate(value, name + ".stem");
  builder.tap(name + ".embeddings", value);
  for (const InvertedBlock &block : listBlocks(network)) {
    value = buildBlock(block, value);
    builder.tap(name + "." + block.name, value);
  }
  builder.tap(features, value);
  value = network.pool() == Message::MEAN
              ? builder.meanTokens(value, name + ".pool")
              : builder.maxTokens(value, name + ".pool");
  Value pooled = value;
  if (network.normalize())
    value = builder.l2Normalize(value, name + ".normalize");
  builder.result("image_embeds", value);
  if (network.normalize())
    builder.tap(name + ".pool", pooled);
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  NetworkBuilder(builder, component).build();
}

extern const Block blockInvertedNetwork;
const Block blockInvertedNetwork = {check, listWeights, listTaps, build};

} // namespace vlmc
