//===- Tower.h - What connectors and decoders take tokens from --*- C++ -*-===//
//
// A tower makes tokens of a picture: a vision transformer with `pool: TOKENS`,
// a residual network with `tokens`, or a patch projector of whole pictures.
// It has no entry point of its own then: what reads its tokens builds them
// inside its own.
//
//   const spec::Component *tower = findTower(model, projector.tower());
//   builder.beginEntry("encode_image", towerSymbols(*tower));
//   TowerInputs inputs = addTowerPixels(builder, *tower);
//   mlir::Value tokens = buildTowerTokens(builder, *tower, inputs);
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

/// Whether each picture has lines and columns of patches of its own.
bool hasOwnGrids(const spec::Component &tower);

/// Whether a connector can read tokens of pictures with grids of their own,
/// some of which are padding.
enum class Grids { Fixed, Any };

/// Tells, as a fault of the field `tower`, a component that is missing or gives
/// no tokens, or not such as the connector reads, and as one of `widthField` a
/// tower whose tokens are not of `width` features, with `joined` of them side
/// by side.
void checkTower(const spec::ModelSpec &model, const std::string &name,
                std::string_view widthField, int64_t width,
                const FaultSink &fault, int64_t joined = 1,
                Grids grids = Grids::Fixed);

/// What a tower reads.
struct TowerInputs {
  mlir::Value pixels;
  /// [B, T] i64, 0 where a token is padding; null: none is.
  mlir::Value valid;
  mlir::Value grid; ///< [B, 2] i64, lines and columns of patches; may be null
};

/// The size symbols of an entry that a tower is part of.
llvm::SmallVector<Symbol> towerSymbols(const spec::Component &tower);

/// The argument `pixel_values`, [B, C, H, W], of an entry with the symbol B, and
/// those beside it where pictures have grids of their own (VisionTokens.h).
TowerInputs addTowerPixels(GraphBuilder &builder, const spec::Component &tower);

/// The tokens, [B, T, D], and the taps on the way.
mlir::Value buildTowerTokens(GraphBuilder &builder,
                             const spec::Component &tower,
                             const TowerInputs &inputs);

/// An entry `encode_image` with the tokens as `image_features`, for a tower
/// that a decoder reads; else nothing.
void buildTowerEntry(const spec::ModelSpec &model, const spec::Component &tower,
                     GraphBuilder &builder);

// Those of each kind, in its own file.
mlir::Value buildNetworkTokens(GraphBuilder &builder,
                               const spec::Component &component,
                               mlir::Value pixels);
mlir::Value buildNormFreeTokens(GraphBuilder &builder,
                                const spec::Component &component,
                                mlir::Value pixels);
mlir::Value buildPatchTokens(GraphBuilder &builder,
                             const spec::Component &component,
                             mlir::Value pixels);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_TOWER_H
