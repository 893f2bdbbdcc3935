//===- PatchProjector.cpp - Patches of pictures as tokens -----------------===//
//
// Entry `encode_image`: pixel_values [B, C, P, P], a patch each, to
// image_features [B, 1, D], by one linear layer of the patch's pixels in the
// order row, column, channel. There is no tower. With an image_size pictures
// come whole, [B, C, H, W], and the patches are tokens [B, T, D]: a tower of
// its own. Source: Fuyu; FuyuModel.vision_embed_tokens in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"

namespace vlmc {

using mlir::Value;
using Message = spec::PatchProjector;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &projector = component.patch_projector();
  checkRange(fault, "patch_size", projector.patch_size(), 1, 4096);
  checkRange(fault, "channels", projector.channels(), 1, 64);
  checkRange(fault, "output_size", projector.output_size(), 1, 1 << 20);
  checkRange(fault, "image_size", projector.image_size(), 0, 65536);
  if (projector.image_size() && projector.patch_size() > 0 &&
      projector.image_size() % projector.patch_size())
    fault("image_size",
          "expected a multiple of patch_size " +
              std::to_string(projector.patch_size()) + ", found " +
              std::to_string(projector.image_size()));
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &projector = component.patch_projector();
  weights.addLinear(
      "patches", {projector.output_size(), {"output_size"}},
      {projector.patch_size() * projector.patch_size() * projector.channels(),
       {"patch_size", "channels"}});
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  if (component.patch_projector().image_size())
    return {"vision_features"};
  return {};
}

Value buildPatchTokens(GraphBuilder &builder, const spec::Component &component,
                       Value pixels) {
  Value tokens = builder.projectPatch(pixels, component.name() + ".patches",
                                      component.patch_projector().patch_size());
  builder.tap("vision_features", tokens);
  return tokens;
}

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  const Message &projector = component.patch_projector();
  if (projector.image_size())
    return buildTowerEntry(model, component, builder);
  int64_t side = projector.patch_size();
  builder.beginEntry("encode_image", {{"B", 1, 100, maxBatch}});
  Value pixels = builder.argument(
      "pixel_values",
      builder.floats({dynamic, projector.channels(), side, side}),
      {"B", "", "", ""});
  builder.result("image_features",
                 builder.projectPatch(pixels, component.name() + ".patches",
                                      side));
  builder.endEntry();
}

extern const Block blockPatchProjector;
const Block blockPatchProjector = {check, listWeights, listTaps, build};

} // namespace vlmc
