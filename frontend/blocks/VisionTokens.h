//===- VisionTokens.h - A tower's tokens as features ------------*- C++ -*-===//
//
// A vision transformer with `pool: TOKENS` has no entry point of its own: what
// its features go into builds it inside its own.
//
//   TowerInputs inputs = addPixels(builder, vision);
//   mlir::Value features = buildVisionTokens(builder, component, inputs);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H
#define VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H

#include "frontend/blocks/Tower.h"

namespace vlmc {

/// The argument `pixel_values`, [B, C, H, W], of an entry with the symbol B. Of
/// pictures with grids of their own `pixel_values` are rows of patches, [B, T,
/// P * P * C], beside `pixel_attention_mask` [B, T] and `spatial_shapes` [B, 2],
/// lines and columns; the entry has the symbol T too.
TowerInputs addPixels(GraphBuilder &builder,
                      const spec::VisionTransformer &vision);

/// The tokens behind the last block, [B, T, D], as `vision_features` too; the
/// result is without the class token where the message says so.
mlir::Value buildVisionTokens(GraphBuilder &builder,
                              const spec::Component &component,
                              const TowerInputs &inputs);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H
