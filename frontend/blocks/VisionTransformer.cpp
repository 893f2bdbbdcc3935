//===- VisionTransformer.cpp - A vision transformer -----------------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_embeds [B, P]; of
// pictures with grids of their own the rows of patches, a mask and the grids,
// see VisionTokens.h. Tap
// `vision_features`, [B, T, D]: with the class token pooled the last block's
// output, before the post-norm, which works on that token alone; with attention
// pooling what is behind the post-norm of all tokens. Source:
// arXiv:2010.11929, arXiv:2103.00020 for the norms and the projection,
// arXiv:2106.04560 for attention pooling, Siglip2VisionEmbeddings in
// transformers for positions resized to each picture, Idefics2VisionEmbeddings
// for fractional ones.
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

static int64_t patchValues(const Message &vision) {
  return vision.channels() * vision.patch_size() * vision.patch_size();
}

/// A table of another side is looked up by fractional places.
static void checkTable(const Message &vision, const FaultSink &fault) {
  checkRange(fault, "position_side", vision.position_side(), 0, 4096);
  if (vision.position_side() &&
      (vision.class_token() || vision.no_positions() ||
       vision.grid() != Message::FIXED))
    fault("position_side", "expected 0 beside a class token, no_positions or "
                           "grids that are not FIXED, found " +
                               std::to_string(vision.position_side()));
}

/// Grids of their own go with tokens that are patches, each with a position.
static void checkGrid(const Message &vision, const FaultSink &fault) {
  if (!Message::Grid_IsValid(vision.grid()))
    fault("grid", "expected FIXED, RESIZED or BUCKETED, found another");
  if (vision.grid() == Message::FIXED)
    return;
  for (auto [field, isSet] : {std::pair("class_token", vision.class_token()),
                              std::pair("no_positions", vision.no_positions())})
    if (isSet)
      fault(field, "expected false, as grids are not FIXED, found true");
  if (vision.pool() == Message::CLASS_TOKEN)
    fault("pool", "expected ATTENTION or TOKENS, as grids are not FIXED, found "
                  "CLASS_TOKEN");
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
  if (vision.drop_class_token() &&
      (countTokens(vision) < 2 || vision.grid() != Message::FIXED))
    fault("drop_class_token", "expected false, as no token would be left");
  checkGrid(vision, fault);
  checkTable(vision, fault);
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &vision = component.vision_transformer();
  WeightDim hidden = {vision.blocks().hidden_size(), {"hidden_size"}};
  WeightDim channels = {vision.channels(), {"channels"}};
  WeightDim patch = {vision.patch_size(), {"patch_size"}};
  if (vision.class_token())
    weights.add("class_token", {hidden});
  if (vision.grid() == Message::RESIZED)
    weights.add("patch_embed.weight",
                {hidden, {patchValues(vision), {"channels", "patch_size"}}});
  else
    weights.add("patch_embed.weight", {hidden, channels, patch, patch});
  if (vision.patch_bias())
    weights.add("patch_embed.bias", {hidden});
  const int64_t side = vision.position_side();
  if (side)
    weights.add("positions.weight", {{side * side, {"position_side"}}, hidden});
  else if (!vision.no_positions())
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

/// The rows of patches, with positions by their places.
static Value buildPatchRows(GraphBuilder &builder, const std::string &name,
                            const Message &vision, const TowerInputs &inputs) {
  const std::string patches = name + ".patch_embed";
  const bool isLinear = vision.grid() == Message::RESIZED;
  Value value =
      isLinear
          ? builder.linear(inputs.pixels, patches, vision.patch_bias())
          : builder.linearOfWindow(inputs.pixels, patches, vision.patch_bias());
  return builder.addGridPositions(
      value, name + ".positions", inputs.grid,
      isLinear ? std::vector<float>()
               : bucketBoundaries(vision.image_size() / vision.patch_size()));
}

/// The number in a table of `buckets` of place `i` of `side` along a side, in
/// the arithmetic of Idefics3VisionEmbeddings in transformers.
static int64_t bucketOf(int64_t i, int64_t side,
                        const std::vector<float> &boundaries) {
  const float step = 1.0F / static_cast<float>(side);
  float at = std::min(static_cast<float>(i) * step, 0.999999F);
  return std::ranges::upper_bound(boundaries, at) - boundaries.begin();
}

/// The positions of a picture's patches out of a square table of another side,
/// which is known now: runs of rows, one behind the other.
static Value buildPlaced(GraphBuilder &builder, const std::string &name,
                         const Message &vision) {
  const int64_t side = vision.image_size() / vision.patch_size();
  const int64_t buckets = vision.position_side();
  const std::vector<float> boundaries = bucketBoundaries(buckets);
  vlm::RecipeAttr stored = builder.storedWeight(name + ".weight");
  llvm::SmallVector<vlm::RecipeAttr> runs;
  int64_t begin = 0, end = 0;
  auto flush = [&] {
    if (end > begin)
      runs.push_back(vlm::RecipeAttr::slice(0, begin, end, stored));
  };
  for (int64_t place = 0; place < side * side; ++place) {
    int64_t row = bucketOf(place / side, side, boundaries) * buckets +
                  bucketOf(place % side, side, boundaries);
    if (row != end) {
      flush();
      begin = row;
    }
    end = row + 1;
  }
  flush();
  return builder.madeWeight(
      name + ".placed",
      runs.size() == 1 ? runs[0] : vlm::RecipeAttr::concat(0, runs));
}

static Value buildEmbeddings(GraphBuilder &builder, const std::string &name,
                             const Message &vision, const TowerInputs &inputs) {
  const bool isFixed = vision.grid() == Message::FIXED;
  Value value = isFixed
                    ? builder.patchEmbed(inputs.pixels, name + ".patch_embed",
                                         vision.patch_bias())
                    : buildPatchRows(builder, name, vision, inputs);
  if (vision.class_token())
    value = builder.prependTokens(value, name + ".class_token", 1);
  if (isFixed && !vision.no_positions())
    value = builder.add(value,
                        vision.position_side()
                            ? buildPlaced(builder, name + ".positions", vision)
                            : builder.weight(name + ".positions.weight"),
                        name + ".positions");
  if (vision.pre_norm())
    value = builder.layerNorm(value, name + ".pre_norm",
                              vision.blocks().norm_epsilon());
  return value;
}

/// The token that stands for the picture, [B, 1, D], and the tap of all of
/// them.
static Value buildPool(GraphBuilder &builder, const std::string &name,
                       const Message &vision, Value value, Value valid,
                       Value &tapped) {
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
    return buildAttentionPool(builder, name + ".pool", vision.blocks(), value,
                              valid);
  value = builder.takeToken(value, 0, name + ".pool");
  postNorm();
  return value;
}

TowerInputs addPixels(GraphBuilder &builder, const Message &vision) {
  if (vision.grid() == Message::FIXED)
    return {builder.argument(
                "pixel_values",
                builder.floats({dynamic, vision.channels(), vision.image_size(),
                                vision.image_size()}),
                {"B", "", "", ""}),
            {},
            {}};
  auto integers = [&](int64_t columns) {
    return mlir::RankedTensorType::get({dynamic, columns},
                                       builder.types().getI64Type());
  };
  TowerInputs inputs;
  inputs.pixels = builder.argument(
      "pixel_values", builder.floats({dynamic, dynamic, patchValues(vision)}),
      {"B", "T", ""});
  inputs.valid =
      builder.argument("pixel_attention_mask", integers(dynamic), {"B", "T"});
  inputs.grid = builder.argument("spatial_shapes", integers(2), {"B", ""});
  builder.range(1, maxPatches);
  return inputs;
}

Value buildVisionTokens(GraphBuilder &builder, const spec::Component &component,
                        const TowerInputs &inputs) {
  const Message &vision = component.vision_transformer();
  const std::string &name = component.name();
  Value value = buildEmbeddings(builder, name, vision, inputs);
  std::vector<Value> states;
  value = buildEncoderBlocks(builder, name, vision.blocks(), value,
                             {.keyValid = inputs.valid}, &states);
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
  builder.beginEntry("encode_image", towerSymbols(component));
  TowerInputs inputs = addPixels(builder, vision);
  Value value = buildEmbeddings(builder, name, vision, inputs);
  value = buildEncoderBlocks(builder, name, vision.blocks(), value,
                             {.keyValid = inputs.valid});
  Value tapped;
  value = buildPool(builder, name, vision, value, inputs.valid, tapped);
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
