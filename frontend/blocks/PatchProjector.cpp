//===- PatchProjector.cpp - Patches of pictures as tokens -----------------===//
//
// Entry `encode_image`: pixel_values [B, C, P, P], a patch each, to
// image_features [B, 1, D], by one linear layer of the patch's pixels in the
// order row, column, channel. There is no tower. Source: Fuyu;
// FuyuModel.vision_embed_tokens in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/GraphBuilder.h"

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
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &projector = component.patch_projector();
  weights.addLinear(
      "patches", {projector.output_size(), {"output_size"}},
      {projector.patch_size() * projector.patch_size() * projector.channels(),
       {"patch_size", "channels"}});
}

static std::vector<std::string> listTaps(const spec::Component &) { return {}; }

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  const Message &projector = component.patch_projector();
  int64_t side = projector.patch_size();
  builder.beginEntry("encode_image", {{"B", 1, 100, maxBatch}});
  Value pixels = builder.argument(
      "pixel_values",
      builder.floats({dynamic, projector.channels(), side, side}),
      {"B", "", "", ""});
  builder.result("image_features",
                 builder.projectPatch(pixels, component.name() + ".patches"));
  builder.endEntry();
}

extern const Block blockPatchProjector;
const Block blockPatchProjector = {check, listWeights, listTaps, build};

} // namespace vlmc
