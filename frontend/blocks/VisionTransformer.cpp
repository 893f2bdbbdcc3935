//===- VisionTransformer.cpp - A vision transformer -----------------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_embeds [B, P]. Tap
// `vision_features`, [B, T, D]: with the class token pooled the last block's
// output, before the post-norm, which works on that token alone; with attention
// pooling what is behind the post-norm of all tokens. Source:
// arXiv:2010.11929, arXiv:2103.00020 for the norms and the projection,
// arXiv:2106.04560 for attention pooling.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/EncoderBlock.h"
#include "frontend/blocks/GraphBuilder.h"
#include "frontend/blocks/Tower.h"
#include "frontend/blocks/VisionTokens.h"

#include <algorithm>

namespace vlmc {

using mlir::Value;
using Message = spec::VisionTransformer;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;
static constexpr const char *features = "vision_features";

static int64_t countTokens(const Message &vision) {
  int64_t side = vision.image_size() / vision.patch_size();
  return side * side + (vision.class_token() ? 1 : 0);
}

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &vision = component.vision_transformer();
  checkEncoderBlocks(vision.blocks(), fault);
  checkRange(fault, "image_size", vision.image_size(), 1, 65536);
  checkRange(fault, "patch_size", vision.patch_size(), 1,
             std::max<int64_t>(vision.image_size(), 1));
  checkRange(fault, "channels", vision.channels(), 1, 64);
  if (vision.has_projection_size())
    checkRange(fault, "projection_size", vision.projection_size(), 1, 1 << 20);
  if (vision.pool() == Message::POOL_UNSPECIFIED ||
      !Message::Pool_IsValid(vision.pool()))
    fault("pool", "expected CLASS_TOKEN, ATTENTION or TOKENS, found none");
  if (vision.pool() == Message::CLASS_TOKEN && !vision.class_token())
    fault("class_token", "expected true, as it is pooled, found false");
  for (int64_t layer : vision.feature_layers())
    checkRange(fault, "feature_layers", layer, 0, vision.blocks().layers());
  if (vision.feature_layers_size() > 64)
    fault("feature_layers", "expected at most 64 layers");
  if (vision.drop_class_token() && countTokens(vision) < 2)
    fault("drop_class_token", "expected false, as no token would be left");
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &vision = component.vision_transformer();
  WeightDim hidden = {vision.blocks().hidden_size(), {"hidden_size"}};
  WeightDim channels = {vision.channels(), {"channels"}};
  WeightDim patch = {vision.patch_size(), {"patch_size"}};
  if (vision.class_token())
    weights.add("class_token", {hidden});
  weights.add("patch_embed.weight", {hidden, channels, patch, patch});
  if (vision.patch_bias())
    weights.add("patch_embed.bias", {hidden});
  if (!vision.no_positions())
    weights.add("positions.weight",
              {{countTokens(vision), {"image_size", "patch_size"}}, hidden});
  if (vision.pre_norm())
    weights.addNorm("pre_norm", hidden);
  listEncoderWeights(vision.blocks(), weights);
  if (vision.post_norm())
    weights.addNorm("post_norm", hidden);
  if (vision.pool() == Message::ATTENTION)
    listPoolWeights("pool", vision.blocks(), weights);
  if (vision.has_projection_size())
    weights.addLinear("projection",
                      {vision.projection_size(), {"projection_size"}}, hidden,
                      /*bias=*/false);
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps;
  listEncoderTaps(component.name(), component.vision_transformer().blocks(),
                  taps);
  taps.emplace_back(features);
  if (component.vision_transformer().normalize())
    taps.push_back(component.name() + ".projection");
  return taps;
}

static Value buildEmbeddings(GraphBuilder &builder, const std::string &name,
                             const Message &vision, Value pixels) {
  Value value =
      builder.patchEmbed(pixels, name + ".patch_embed", vision.patch_bias());
  if (vision.class_token())
    value = builder.prependTokens(value, name + ".class_token", 1);
  if (!vision.no_positions())
    value = builder.add(value, builder.weight(name + ".positions.weight"),
                        name + ".positions");
  if (vision.pre_norm())
    value = builder.layerNorm(value, name + ".pre_norm",
                              vision.blocks().norm_epsilon());
  return value;
}

/// The token that stands for the picture, [B, 1, D], and the tap of all of
/// them.
static Value buildPool(GraphBuilder &builder, const std::string &name,
                       const Message &vision, Value value, Value &tapped) {
  auto postNorm = [&] {
    if (vision.post_norm())
      value = builder.layerNorm(value, name + ".post_norm",
                                vision.blocks().norm_epsilon());
  };
  bool isAttention = vision.pool() == Message::ATTENTION;
  if (isAttention)
    postNorm();
  tapped = value;
  if (isAttention)
    return buildAttentionPool(builder, name + ".pool", vision.blocks(), value);
  value = builder.takeToken(value, 0, name + ".pool");
  postNorm();
  return value;
}

Value addPixels(GraphBuilder &builder, const Message &vision) {
  return builder.argument(
      "pixel_values",
      builder.floats({dynamic, vision.channels(), vision.image_size(),
                      vision.image_size()}),
      {"B", "", "", ""});
}

Value buildVisionTokens(GraphBuilder &builder, const spec::Component &component,
                        Value pixels) {
  const Message &vision = component.vision_transformer();
  const std::string &name = component.name();
  Value value = buildEmbeddings(builder, name, vision, pixels);
  std::vector<Value> states;
  value =
      buildEncoderBlocks(builder, name, vision.blocks(), value, {}, &states);
  if (vision.post_norm())
    value = builder.layerNorm(value, name + ".post_norm",
                              vision.blocks().norm_epsilon());
  builder.tap(features, value);
  if (vision.feature_layers_size() > 0) {
    std::vector<Value> chosen;
    for (int64_t layer : vision.feature_layers())
      chosen.push_back(states[size_t(layer)]);
    value = builder.concatFeatures(chosen, name + ".features");
  }
  if (vision.drop_class_token())
    value =
        builder.sliceTokens(value, 1, countTokens(vision), name + ".tokens");
  return value;
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  const Message &vision = component.vision_transformer();
  if (vision.pool() == Message::TOKENS)
    return buildTowerEntry(model, component, builder);
  const std::string &name = component.name();
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  Value pixels = addPixels(builder, vision);
  Value value = buildEmbeddings(builder, name, vision, pixels);
  value = buildEncoderBlocks(builder, name, vision.blocks(), value, {});
  Value tapped;
  value = buildPool(builder, name, vision, value, tapped);
  value = builder.squeeze(value, name + ".pool");
  if (vision.has_projection_size())
    value = builder.linear(value, name + ".projection", /*bias=*/false);
  Value projected = value;
  if (vision.normalize())
    value = builder.l2Normalize(value, name + ".normalize");
  builder.result("image_embeds", value);
  builder.tap(features, tapped);
  if (vision.normalize())
    builder.tap(name + ".projection", projected);
  builder.endEntry();
}

extern const Block blockVisionTransformer;
const Block blockVisionTransformer = {check, listWeights, listTaps, build};

} // namespace vlmc
