//===- Projector.cpp - From a tower to a language model -------------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_features [B, T, D],
// the tower's tokens through linear layers; with a newline that is row 0 and
// the others follow. Source: LLaVA, arXiv:2304.08485
// (one layer) and arXiv:2310.03744 (two); LlavaMultiModalProjector in
// transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/VisionTokens.h"

#include <algorithm>

namespace vlmc {

using mlir::Value;
using Message = spec::Projector;

static const spec::Component *findTower(const spec::ModelSpec &model,
                                        const Message &projector) {
  auto found = std::ranges::find_if(model.components(), [&](const auto &other) {
    return other.name() == projector.tower() && other.has_vision_transformer();
  });
  return found == model.components().end() ? nullptr : &*found;
}

/// The features of a token: those of one layer, or of several side by side.
static int64_t countFeatures(const spec::VisionTransformer &vision) {
  return vision.blocks().hidden_size() *
         std::max(1, vision.feature_layers_size());
}

/// Squares of tokens must fill the tower's grid.
static void checkSquares(const spec::VisionTransformer &vision, int64_t size,
                         const FaultSink &fault) {
  int64_t side =
      vision.image_size() / std::max<int64_t>(1, vision.patch_size());
  if (vision.class_token() && !vision.drop_class_token())
    fault("unshuffle", "expected 0, as the tower keeps its class token, found " +
                           std::to_string(size));
  else if (side % size)
    fault("unshuffle", "expected a divisor of " + std::to_string(side) +
                           ", the patches along a side, found " +
                           std::to_string(size));
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &projector = component.projector();
  const spec::Component *tower = findTower(model, projector);
  if (!tower)
    fault("tower", "expected the name of a vision transformer, found '" +
                       projector.tower() + "'");
  else if (tower->vision_transformer().pool() !=
           spec::VisionTransformer::TOKENS)
    fault("tower", "expected a vision transformer with pool TOKENS");
  else if (int64_t width =
               countFeatures(tower->vision_transformer()) *
               std::max<int64_t>(1, projector.unshuffle()) *
               std::max<int64_t>(1, projector.unshuffle());
           projector.input_size() != width)
    fault("input_size", "expected " + std::to_string(width) +
                            ", the features of '" + projector.tower() +
                            "', found " +
                            std::to_string(projector.input_size()));
  checkRange(fault, "unshuffle", projector.unshuffle(), 0, 64);
  if (tower && projector.unshuffle() > 1)
    checkSquares(tower->vision_transformer(), projector.unshuffle(), fault);
  checkRange(fault, "layers", projector.layers(), 1, 64);
  checkRange(fault, "output_size", projector.output_size(), 1, 1 << 20);
  if (projector.layers() == 1)
    return;
  checkRange(fault, "hidden_size", projector.hidden_size(), 1, 1 << 20);
  if (projector.activation() == spec::ACTIVATION_UNSPECIFIED ||
      !spec::Activation_IsValid(projector.activation()))
    fault("activation", "expected an activation function, found none");
}

static std::string layerName(int64_t number) {
  return "layers." + std::to_string(number);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &projector = component.projector();
  WeightDim in = {projector.input_size(), {"input_size"}};
  if (projector.has_norm_epsilon())
    weights.addNorm("norm", in);
  for (int64_t i = 0; i < projector.layers(); ++i) {
    bool isLast = i + 1 == projector.layers();
    WeightDim out = isLast
                        ? WeightDim{projector.output_size(), {"output_size"}}
                        : WeightDim{projector.hidden_size(), {"hidden_size"}};
    weights.addLinear(layerName(i), out, in, projector.bias());
    in = out;
  }
  if (projector.newline())
    weights.add("newline", {in});
}

static std::vector<std::string> listTaps(const spec::Component &) { return {}; }

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  const Message &projector = component.projector();
  const spec::Component &tower = *findTower(model, projector);
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  Value pixels = addPixels(builder, tower.vision_transformer());
  Value value = buildVisionTokens(builder, tower, pixels);
  if (projector.unshuffle() > 1)
    value = builder.pixelUnshuffle(value, projector.unshuffle(),
                                   projector.transposed_unshuffle(),
                                   component.name() + ".unshuffle");
  if (projector.has_norm_epsilon())
    value = builder.layerNorm(value, component.name() + ".norm",
                              projector.norm_epsilon());
  for (int64_t i = 0; i < projector.layers(); ++i) {
    const std::string layer = component.name() + "." + layerName(i);
    if (i > 0)
      value = builder.activation(value, projector.activation(),
                                 layer + ".activation");
    value = builder.linear(value, layer, projector.bias());
  }
  if (projector.newline())
    value = builder.prependTokens(value, component.name() + ".newline", 1);
  builder.result("image_features", value);
  builder.endEntry();
}

extern const Block blockProjector;
const Block blockProjector = {check, listWeights, listTaps, build};

} // namespace vlmc
