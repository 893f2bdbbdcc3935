//===- ContrastiveHead.cpp - How well pictures and texts agree ------------===//
//
// Entry `similarity`: image_embeds [I, P] and text_embeds [N, P], as the towers
// give them, to logits_per_image [I, N]. Source: arXiv:2103.00020; with a
// temperature arXiv:2102.05918.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/GraphBuilder.h"

namespace vlmc {

using mlir::Value;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

static const spec::Component *findComponent(const spec::ModelSpec &model,
                                            const std::string &name) {
  for (const spec::Component &component : model.components())
    if (component.name() == name)
      return &component;
  return nullptr;
}

/// The size of the rows that a tower gives.
static int64_t embeddingSize(const spec::Component &component) {
  if (component.has_residual_network())
    return component.residual_network().projection_size();
  if (component.has_inverted_network()) {
    const spec::InvertedNetwork &network = component.inverted_network();
    return network.stages().empty() ? 0 : network.stages().rbegin()->outputs();
  }
  auto size = [](const auto &tower) {
    return tower.has_projection_size() ? tower.projection_size()
                                       : tower.blocks().hidden_size();
  };
  return component.has_vision_transformer()
             ? size(component.vision_transformer())
             : size(component.text_transformer());
}

static void check(const spec::ModelSpec &model,
                  const spec::Component &component, const FaultSink &fault) {
  const spec::ContrastiveHead &head = component.contrastive_head();
  const spec::Component *image = findComponent(model, head.image());
  const spec::Component *text = findComponent(model, head.text());
  const bool isPictures = image && (image->has_vision_transformer() ||
                                    image->has_residual_network() ||
                                    image->has_inverted_network());
  if (!isPictures)
    fault("image", "expected the name of a vision_transformer, "
                   "residual_network or inverted_network, found '" +
                       head.image() + "'");
  if (!text || !text->has_text_transformer())
    fault("text", "expected the name of a text_transformer, found '" +
                      head.text() + "'");
  if (isPictures && text && text->has_text_transformer() &&
      embeddingSize(*image) != embeddingSize(*text))
    fault("image", "expected embeddings of one size, found " +
                       std::to_string(embeddingSize(*image)) + " of '" +
                       head.image() + "' and " +
                       std::to_string(embeddingSize(*text)) + " of '" +
                       head.text() + "'");
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  weights.add(
      component.contrastive_head().temperature() ? "temperature" : "log_scale",
      {});
  if (component.contrastive_head().bias())
    weights.add("bias", {});
}

static std::vector<std::string> listTaps(const spec::Component &) { return {}; }

static void build(const spec::ModelSpec &model,
                  const spec::Component &component, GraphBuilder &builder) {
  const spec::ContrastiveHead &head = component.contrastive_head();
  int64_t size = embeddingSize(*findComponent(model, head.image()));
  builder.beginEntry("similarity",
                     {{"I", 1, 1, maxBatch}, {"N", 1, 1, maxBatch}});
  Value image = builder.argument("image_embeds",
                                 builder.floats({dynamic, size}), {"I", ""});
  Value text = builder.argument("text_embeds", builder.floats({dynamic, size}),
                                {"N", ""});
  builder.result(
      "logits_per_image",
      builder.contrastiveLogits(image, text, component.name(), head.bias(),
                                head.temperature()));
  builder.endEntry();
}

extern const Block blockContrastiveHead;
const Block blockContrastiveHead = {check, listWeights, listTaps, build};

} // namespace vlmc
