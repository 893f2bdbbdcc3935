//===- VipLlava.cpp - The ViP-LLaVA family --------------------------------===//
//
// LLaVA whose projector takes the features of several layers side by side,
// through a LayerNorm: ViP-LLaVA (arXiv:2312.00784),
// `VipLlavaForConditionalGeneration` of transformers. Defaults are those of
// configuration_vipllava.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Llava.h"

namespace vlmc {

static void readNorm(ConfigSection &top, spec::ModelSpec &model) {
  model.mutable_components(2)->mutable_projector()->set_norm_epsilon(
      top.number("projector_layernorm_eps", 1e-5, 0, 1));
  addRule(model, "projector.norm",
          {"multi_modal_projector.", "model.multi_modal_projector."},
          "projector_layernorm");
}

static spec::ModelSpec readVipLlava(const CheckpointConfig &config,
                                    ConfigLog &log) {
  LlavaVariant variant;
  variant.family = "vipllava";
  variant.processor.names = {"CLIPImageProcessor", "LlavaImageProcessor"};
  variant.featureLayers = {-2, -5, -8, -11, 6};
  variant.hasStrategy = false;
  variant.readRest = readNorm;
  return readLlavaModel(config, variant, log);
}

extern const Family familyVipLlava;
const Family familyVipLlava = {"vipllava", readVipLlava, llavaConfigKey};

} // namespace vlmc
