//===- PictureTokenizer.cpp - A picture as ids of a vocabulary ------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_features [B, T, D],
// the decoder's embeddings of the ids that the picture's places become. Taps:
// `vision_features`, what the encoder gives, [B, T, L], and `image_token_ids`
// [B, T]. Inside, pixels are rows of channels. Sources: arXiv:2203.13131,
// arXiv:2012.09841; ChameleonVQVAE in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/GraphBuilder.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

using mlir::Value;
using Message = spec::PictureTokenizer;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;
static constexpr const char *features = "vision_features";
static constexpr const char *tokenIds = "image_token_ids";

namespace {
/// One step of the encoder, in the order of the data.
struct Step {
  enum Kind { Block, Attention, Halve } kind;
  std::string name; ///< without the component's
  int64_t inputs, outputs;
  int64_t side; ///< of its input, in places
};
} // namespace

static std::vector<Step> listSteps(const Message &encoder) {
  std::vector<Step> steps;
  int64_t channels = encoder.width(), side = encoder.image_size();
  auto add = [&](Step::Kind kind, const std::string &name, int64_t outputs) {
    steps.push_back({kind, name, channels, outputs, side});
    channels = outputs;
  };
  for (int level = 0; level < encoder.multipliers_size(); ++level) {
    const std::string prefix = "levels." + std::to_string(level);
    bool attends = std::ranges::find(encoder.attention_sizes(), side) !=
                   encoder.attention_sizes().end();
    for (int64_t i = 0; i < encoder.blocks(); ++i) {
      add(Step::Block, prefix + ".blocks." + std::to_string(i),
          encoder.width() * encoder.multipliers(level));
      if (attends)
        add(Step::Attention, prefix + ".attention." + std::to_string(i),
            channels);
    }
    if (level + 1 == encoder.multipliers_size())
      break;
    add(Step::Halve, prefix + ".halve", channels);
    side /= 2;
  }
  add(Step::Block, "middle.0", channels);
  if (encoder.middle_attention())
    add(Step::Attention, "middle.attention", channels);
  add(Step::Block, "middle.1", channels);
  return steps;
}

static const spec::Decoder *findDecoder(const spec::ModelSpec &model,
                                        const Message &encoder) {
  auto found = std::ranges::find_if(model.components(), [&](const auto &other) {
    return other.name() == encoder.decoder() && other.has_decoder();
  });
  return found == model.components().end() ? nullptr : &found->decoder();
}

static void checkSizes(const Message &encoder, const FaultSink &fault) {
  constexpr int64_t most = 1 << 20;
  checkRange(fault, "image_size", encoder.image_size(), 1, 65536);
  checkRange(fault, "channels", encoder.channels(), 1, 64);
  checkRange(fault, "width", encoder.width(), 1, most);
  checkRange(fault, "blocks", encoder.blocks(), 1, 4096);
  checkRange(fault, "latent_size", encoder.latent_size(), 1, most);
  checkRange(fault, "code_size", encoder.code_size(), 1, most);
  checkRange(fault, "codes", encoder.codes(), 1, most);
  if (encoder.multipliers().empty() || encoder.multipliers_size() > 16)
    fault("multipliers", "expected those of 1 to 16 resolutions, found " +
                             std::to_string(encoder.multipliers_size()));
  else if (encoder.image_size() >> (encoder.multipliers_size() - 1) < 1)
    fault("image_size", "expected at least 1 place at the last resolution");
  for (int64_t factor : encoder.multipliers())
    checkRange(fault, "multipliers", factor, 1, 1 << 10);
  if (!(encoder.norm_epsilon() >= 0 && encoder.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(encoder.norm_epsilon()));
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &encoder = component.picture_tokenizer();
  checkSizes(encoder, fault);
  std::vector<int64_t> channels = {encoder.width()};
  for (int64_t factor : encoder.multipliers())
    channels.push_back(encoder.width() * factor);
  for (int64_t count : channels)
    if (encoder.groups() < 1 || count % encoder.groups() != 0) {
      fault("groups", "expected a divisor of all numbers of channels, as of " +
                          std::to_string(count) + ", found " +
                          std::to_string(encoder.groups()));
      break;
    }
  const spec::Decoder *decoder = findDecoder(model, encoder);
  if (!decoder)
    return fault("decoder", "expected the name of a decoder, found '" +
                                encoder.decoder() + "'");
  if (encoder.ids_size() != encoder.codes())
    fault("ids", "expected one for each of the " +
                     std::to_string(encoder.codes()) + " codes, found " +
                     std::to_string(encoder.ids_size()));
  for (int64_t id : encoder.ids())
    if (id < 0 || id >= decoder->vocabulary_size())
      return fault("ids", "expected ids below the vocabulary_size " +
                              std::to_string(decoder->vocabulary_size()) +
                              " of '" + encoder.decoder() + "', found " +
                              std::to_string(id));
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

static void addConvolution(WeightList &weights, const std::string &name,
                           const WeightDim &out, const WeightDim &in,
                           int64_t kernel) {
  weights.add(name + ".weight", {out, in, {kernel, {}}, {kernel, {}}});
  weights.add(name + ".bias", {out});
}

static void listStep(const Step &step, WeightList &weights) {
  WeightDim in = {step.inputs, {"width", "multipliers"}};
  WeightDim out = {step.outputs, {"width", "multipliers"}};
  const std::string prefix = step.name + ".";
  if (step.kind == Step::Halve)
    return addConvolution(weights, step.name, out, in, 3);
  if (step.kind == Step::Attention) {
    weights.addNorm(prefix + "norm", in);
    for (const char *part : {"query", "key", "value", "output"})
      addConvolution(weights, prefix + part, out, in, 1);
    return;
  }
  weights.addNorm(prefix + "norm1", in);
  addConvolution(weights, prefix + "conv1", out, in, 3);
  weights.addNorm(prefix + "norm2", out);
  addConvolution(weights, prefix + "conv2", out, out, 3);
  if (step.inputs != step.outputs)
    addConvolution(weights, prefix + "shortcut", out, in, 1);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &encoder = component.picture_tokenizer();
  std::vector<Step> steps = listSteps(encoder);
  WeightDim latent = {encoder.latent_size(), {"latent_size"}};
  WeightDim code = {encoder.code_size(), {"code_size"}};
  WeightDim last = {steps.back().outputs, {"width", "multipliers"}};
  addConvolution(weights, "first", {encoder.width(), {"width"}},
                 {encoder.channels(), {"channels"}}, 3);
  for (const Step &step : steps)
    listStep(step, weights);
  weights.addNorm("norm", last);
  addConvolution(weights, "last", latent, last, 3);
  addConvolution(weights, "projection", code, latent, 1);
  weights.add("codes.weight", {{encoder.codes(), {"codes"}}, code});
}

static std::vector<std::string> listTaps(const spec::Component &) {
  return {features, tokenIds};
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
class TokenizerBuilder {
public:
  TokenizerBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), encoder(component.picture_tokenizer()),
        name(component.name()) {}
  void build();

private:
  Value convolve(Value value, const std::string &conv, int64_t side) {
    return builder.convolution(value, name + "." + conv, side, /*stride=*/1,
                               /*before=*/1, /*behind=*/1);
  }
  Value project(Value value, const std::string &conv) {
    return builder.convolution(value, name + "." + conv, /*side=*/1,
                               /*stride=*/1, /*before=*/0, /*behind=*/0);
  }
  Value norm(Value value, const std::string &weight) {
    return builder.groupNorm(value, name + "." + weight, encoder.groups(),
                             encoder.norm_epsilon());
  }
  /// The norm and the function in front of a convolution.
  Value activate(Value value, const std::string &weight) {
    return builder.activation(norm(value, weight), spec::SILU,
                              name + "." + weight + ".activation");
  }
  Value buildStep(const Step &step, Value value);
  Value buildBlock(const Step &step, Value value);
  Value buildAttention(const Step &step, Value value);

  GraphBuilder &builder;
  const Message &encoder;
  const std::string &name;
};
} // namespace

Value TokenizerBuilder::buildBlock(const Step &step, Value value) {
  const std::string prefix = step.name + ".";
  Value inner = activate(value, prefix + "norm1");
  inner = convolve(inner, prefix + "conv1", step.side);
  inner = activate(inner, prefix + "norm2");
  inner = convolve(inner, prefix + "conv2", step.side);
  Value summand =
      step.inputs == step.outputs ? value : project(value, prefix + "shortcut");
  return builder.add(inner, summand, name + "." + prefix + "residual");
}

/// Of all places to all others, with one head.
Value TokenizerBuilder::buildAttention(const Step &step, Value value) {
  const std::string prefix = step.name + ".";
  Value normed = norm(value, prefix + "norm");
  Value mixed = builder.attention(
      project(normed, prefix + "query"), project(normed, prefix + "key"),
      project(normed, prefix + "value"), /*keyValid=*/Value(),
      /*causal=*/false, /*heads=*/1,
      1 / std::sqrt(static_cast<double>(step.outputs)), name + "." + step.name);
  return builder.add(project(mixed, prefix + "output"), value,
                     name + "." + prefix + "residual");
}

Value TokenizerBuilder::buildStep(const Step &step, Value value) {
  if (step.kind == Step::Halve)
    return builder.convolution(value, name + "." + step.name, step.side,
                               /*stride=*/2, /*before=*/0, /*behind=*/1);
  return step.kind == Step::Block ? buildBlock(step, value)
                                  : buildAttention(step, value);
}

void TokenizerBuilder::build() {
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  int64_t size = encoder.image_size();
  Value value = builder.argument(
      "pixel_values", builder.floats({dynamic, encoder.channels(), size, size}),
      {"B", "", "", ""});
  value = convolve(value, "first", size);
  for (const Step &step : listSteps(encoder))
    value = buildStep(step, value);
  int64_t side = size >> (encoder.multipliers_size() - 1);
  value = convolve(activate(value, "norm"), "last", side);
  builder.tap(features, value);
  value = project(value, "projection");
  std::vector<int32_t> ids(encoder.ids().begin(), encoder.ids().end());
  Value tokens = builder.nearestRow(value, name + ".codes", ids);
  builder.tap(tokenIds, tokens);
  builder.result("image_features",
                 builder.embedding(tokens, encoder.decoder() + ".tokens"));
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  TokenizerBuilder(builder, component).build();
}

extern const Block blockPictureTokenizer;
const Block blockPictureTokenizer = {check, listWeights, listTaps, build};

} // namespace vlmc
