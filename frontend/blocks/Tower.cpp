//===- Tower.cpp - What connectors and decoders take tokens from ----------===//
#include "frontend/blocks/Tower.h"

#include "frontend/blocks/VisionTokens.h"

#include <algorithm>

namespace vlmc {

using mlir::Value;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

const spec::Component *findTower(const spec::ModelSpec &model,
                                 const std::string &name) {
  auto found = std::ranges::find_if(model.components(), [&](const auto &other) {
    return other.name() == name &&
           (other.has_vision_transformer() || other.has_residual_network() ||
            other.has_norm_free_network() || other.has_patch_projector());
  });
  return found == model.components().end() ? nullptr : &*found;
}

int64_t towerFeatures(const spec::Component &tower) {
  if (tower.has_residual_network())
    return tower.residual_network().width() * 32;
  if (tower.has_norm_free_network())
    return tower.norm_free_network().output_size();
  if (tower.has_patch_projector())
    return tower.patch_projector().output_size();
  const spec::VisionTransformer &vision = tower.vision_transformer();
  return vision.blocks().hidden_size() *
         std::max(1, vision.feature_layers_size());
}

std::optional<int64_t> connectorFeatures(const spec::Component &connector) {
  if (connector.has_projector())
    return connector.projector().output_size();
  if (connector.has_perceiver_resampler()) {
    const auto &resampler = connector.perceiver_resampler();
    return resampler.output_size() ? resampler.output_size()
                                   : resampler.hidden_size();
  }
  if (connector.has_q_former())
    return connector.q_former().output_size();
  return std::nullopt;
}

int64_t towerSide(const spec::Component &tower) {
  if (tower.has_residual_network())
    return tower.residual_network().image_size() / 32;
  if (tower.has_norm_free_network())
    return tower.norm_free_network().image_size() / 32;
  if (tower.has_patch_projector())
    return tower.patch_projector().image_size() /
           std::max<int64_t>(1, tower.patch_projector().patch_size());
  const spec::VisionTransformer &vision = tower.vision_transformer();
  if (hasOwnGrids(tower) ||
      (vision.class_token() && !vision.drop_class_token()))
    return 0;
  return vision.image_size() / std::max<int64_t>(1, vision.patch_size());
}

bool hasOwnGrids(const spec::Component &tower) {
  return tower.has_vision_transformer() &&
         tower.vision_transformer().grid() != spec::VisionTransformer::FIXED;
}

void checkTower(const spec::ModelSpec &model, const std::string &name,
                std::string_view widthField, int64_t width,
                const FaultSink &fault, int64_t joined, Grids grids) {
  const spec::Component *tower = findTower(model, name);
  if (!tower)
    return fault("tower", "expected the name of a vision transformer, residual "
                          "network or patch projector, found '" +
                              name + "'");
  if (tower->has_vision_transformer() &&
      tower->vision_transformer().pool() != spec::VisionTransformer::TOKENS)
    return fault("tower", "expected a vision transformer with pool TOKENS");
  if (grids == Grids::Fixed && hasOwnGrids(*tower))
    return fault("tower", "expected a vision transformer with a FIXED grid, as "
                          "all tokens are read");
  if (tower->has_residual_network() && !tower->residual_network().tokens())
    return fault("tower", "expected a residual network with tokens");
  if (tower->has_patch_projector() && !tower->patch_projector().image_size())
    return fault("tower", "expected a patch projector with an image_size");
  if (int64_t features = towerFeatures(*tower) * joined; features != width)
    fault(widthField, "expected " + std::to_string(features) +
                          ", the features of '" + name + "', found " +
                          std::to_string(width));
}

static Value addSquare(GraphBuilder &builder, int64_t channels, int64_t side) {
  return builder.argument("pixel_values",
                          builder.floats({dynamic, channels, side, side}),
                          {"B", "", "", ""});
}

llvm::SmallVector<Symbol> towerSymbols(const spec::Component &tower) {
  llvm::SmallVector<Symbol> symbols = {{"B", 1, 1, maxBatch}};
  if (hasOwnGrids(tower)) {
    const spec::VisionTransformer &vision = tower.vision_transformer();
    int64_t side = vision.image_size() / vision.patch_size();
    symbols.push_back({"T", 1, std::min(side * side, maxPatches), maxPatches});
  }
  return symbols;
}

TowerInputs addTowerPixels(GraphBuilder &builder,
                           const spec::Component &tower) {
  if (tower.has_residual_network())
    return {addSquare(builder, tower.residual_network().channels(),
                      tower.residual_network().image_size()),
            {},
            {}};
  if (tower.has_norm_free_network())
    return {addSquare(builder, tower.norm_free_network().channels(),
                      tower.norm_free_network().image_size()),
            {},
            {}};
  if (tower.has_patch_projector())
    return {addSquare(builder, tower.patch_projector().channels(),
                      tower.patch_projector().image_size()),
            {},
            {}};
  return addPixels(builder, tower.vision_transformer());
}

Value buildTowerTokens(GraphBuilder &builder, const spec::Component &tower,
                       const TowerInputs &inputs) {
  if (tower.has_residual_network())
    return buildNetworkTokens(builder, tower, inputs.pixels);
  if (tower.has_norm_free_network())
    return buildNormFreeTokens(builder, tower, inputs.pixels);
  if (tower.has_patch_projector())
    return buildPatchTokens(builder, tower, inputs.pixels);
  return buildVisionTokens(builder, tower, inputs);
}

void buildTowerEntry(const spec::ModelSpec &model, const spec::Component &tower,
                     GraphBuilder &builder) {
  bool isRead = std::ranges::any_of(model.components(), [&](const auto &other) {
    return other.has_decoder() && other.decoder().features() == tower.name();
  });
  if (!isRead)
    return;
  builder.beginEntry("encode_image", towerSymbols(tower));
  TowerInputs inputs = addTowerPixels(builder, tower);
  builder.result("image_features", buildTowerTokens(builder, tower, inputs));
  builder.endEntry();
}

} // namespace vlmc
