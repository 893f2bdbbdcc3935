//===- Tower.h - What connectors and decoders take tokens from --*- C++ -*-===//
//
// A tower makes tokens of a picture: a vision transformer with `pool: TOKENS`,
// a residual network with `tokens`, or a patch projector of whole pictures.
// It has no entry point of its own then: what reads its tokens builds them
// inside its own.
//
//   const spec::Component *tower = findTower(model, projector.tower());
//   mlir::Value pixels = addTowerPixels(builder, *tower);
//   mlir::Value tokens = buildTowerTokens(builder, *tower, pixels);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_TOWER_H
#define VLMC_FRONTEND_BLOCKS_TOWER_H

#include "frontend/blocks/GraphBuilder.h"

#include <optional>

namespace vlmc {

/// The component of this name if it is of a kind that can be a tower, or null.
const spec::Component *findTower(const spec::ModelSpec &model,
                                 const std::string &name);

/// The features of a token: of one layer, or of several side by side.
int64_t towerFeatures(const spec::Component &tower);

/// The features of a token that a connector, which stands between a tower and a
/// decoder, makes; nothing: it is of another kind.
std::optional<int64_t> connectorFeatures(const spec::Component &connector);

/// Tokens along a side, where they are a square of places; else 0.
int64_t towerSide(const spec::Component &tower);

/// Tells, as a fault of the field `tower`, a component that is missing or gives
/// no tokens, and as one of `widthField` a tower whose tokens are not of
/// `width` features, with `joined` of them side by side.
void checkTower(const spec::ModelSpec &model, const std::string &name,
                std::string_view widthField, int64_t width,
                const FaultSink &fault, int64_t joined = 1);

/// The argument `pixel_values`, [B, C, H, W], of an entry with the symbol B.
mlir::Value addTowerPixels(GraphBuilder &builder, const spec::Component &tower);

/// The tokens, [B, T, D], and the taps on the way.
mlir::Value buildTowerTokens(GraphBuilder &builder,
                             const spec::Component &tower, mlir::Value pixels);

/// An entry `encode_image` with the tokens as `image_features`, for a tower
/// that a decoder reads; else nothing.
void buildTowerEntry(const spec::ModelSpec &model, const spec::Component &tower,
                     GraphBuilder &builder);

// Those of each kind, in its own file.
mlir::Value buildNetworkTokens(GraphBuilder &builder,
                               const spec::Component &component,
                               mlir::Value pixels);
mlir::Value buildPatchTokens(GraphBuilder &builder,
                             const spec::Component &component,
                             mlir::Value pixels);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_TOWER_H
