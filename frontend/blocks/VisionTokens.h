//===- VisionTokens.h - A tower's tokens as features ------------*- C++ -*-===//
//
// A vision transformer with `pool: TOKENS` has no entry point of its own: what
// its features go into builds it inside its own.
//
//   mlir::Value pixels = addPixels(builder, vision);
//   mlir::Value features = buildVisionTokens(builder, component, pixels);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H
#define VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H

#include "frontend/blocks/GraphBuilder.h"

namespace vlmc {

/// The argument `pixel_values`, [B, C, H, W], of an entry with the symbol B.
mlir::Value addPixels(GraphBuilder &builder,
                      const spec::VisionTransformer &vision);

/// The tokens behind the last block, [B, T, D], as `vision_features` too; the
/// result is without the class token where the message says so.
mlir::Value buildVisionTokens(GraphBuilder &builder,
                              const spec::Component &component,
                              mlir::Value pixels);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_VISIONTOKENS_H
