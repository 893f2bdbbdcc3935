//===- Projector.cpp - From a tower to a language model -------------------===//
//
// Entry `encode_image`: pixel_values [B, C, H, W] to image_features [B, T, D],
// the tower's tokens, or the means of squares of them, through linear layers;
// with a newline that is row 0 and the others follow. Source: LLaVA,
// arXiv:2304.08485 (one layer) and arXiv:2310.03744 (two);
// LlavaMultiModalProjector and Gemma3MultiModalProjector in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

#include <algorithm>

namespace vlmc {

using mlir::Value;
using Message = spec::Projector;

/// Squares of tokens must fill the tower's grid.
static void checkSquares(const spec::Component &tower, int64_t size,
                         const FaultSink &fault) {
  int64_t side = towerSide(tower);
  if (hasOwnGrids(tower))
    fault("unshuffle",
          "expected 0, as pictures have grids of their own, found " +
              std::to_string(size));
  else if (side == 0)
    fault("unshuffle",
          "expected 0, as the tower keeps its class token, found " +
              std::to_string(size));
  else if (side % size)
    fault("unshuffle", "expected a divisor of " + std::to_string(side) +
                           ", the tokens along a side, found " +
                           std::to_string(size));
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const Message &projector = component.projector();
  const int64_t size = std::max<int64_t>(1, projector.unshuffle());
  checkTower(model, projector.tower(), "input_size", projector.input_size(),
             fault, size * size,
             projector.newline() ? Grids::Fixed : Grids::Any);
  checkRange(fault, "unshuffle", projector.unshuffle(), 0, 64);
  const spec::Component *tower = findTower(model, projector.tower());
  if (tower && size > 1)
    checkSquares(*tower, size, fault);
  checkRange(fault, "pool", projector.pool(), 0, 1024);
  if (tower && projector.pool() &&
      (size > 1 || projector.newline() || hasOwnGrids(*tower) ||
       towerSide(*tower) < projector.pool()))
    fault("pool", "expected 0 beside unshuffle or newline, or for a tower "
                  "whose tokens are no square of as many along a side, found " +
                      std::to_string(projector.pool()));
  if (projector.rms_norm() && !projector.has_norm_epsilon())
    fault("rms_norm", "expected norm_epsilon beside it, found none");
  checkRange(fault, "layers", projector.layers(), 0, 64);
  checkRange(fault, "output_size", projector.output_size(), 1, 1 << 20);
  if (projector.layers() == 0 &&
      projector.input_size() != projector.output_size())
    fault("output_size", "expected input_size " +
                             std::to_string(projector.input_size()) +
                             ", as there is no layer, found " +
                             std::to_string(projector.output_size()));
  if (projector.layers() <= 1)
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
  if (projector.has_norm_epsilon() && projector.rms_norm())
    weights.add("norm.weight", {in});
  else if (projector.has_norm_epsilon())
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
  const spec::Component &tower = *findTower(model, projector.tower());
  builder.beginEntry("encode_image", towerSymbols(tower));
  TowerInputs inputs = addTowerPixels(builder, tower);
  Value value = buildTowerTokens(builder, tower, inputs);
  if (projector.unshuffle() > 1)
    value = builder.pixelUnshuffle(value, projector.unshuffle(),
                                   projector.transposed_unshuffle(),
                                   component.name() + ".unshuffle");
  if (projector.pool())
    value = builder.averagePool(value, towerSide(tower), projector.pool(),
                                component.name() + ".pool");
  if (projector.has_norm_epsilon() && projector.rms_norm())
    value = builder.rmsNorm(value, component.name() + ".norm",
                            projector.norm_epsilon(), projector.norm_offset());
  else if (projector.has_norm_epsilon())
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
