//===- Llava.h - What the families of LLaVA's line share --------*- C++ -*-===//
//
// A CLIP tower, a projector and a language model, with the names that
// transformers gives their keys and tensors; a family adds what is its own.
//
//   LlavaVariant variant;
//   variant.family = "foo";
//   variant.readRest = [](ConfigSection &top, spec::ModelSpec &model) { ... };
//   return readLlavaModel(config, variant, log);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_LLAVA_H
#define VLMC_FRONTEND_FAMILIES_LLAVA_H

#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"

namespace vlmc {

struct LlavaVariant {
  std::string_view family;
  ImageProcessorClass processor;
  /// Where config.json has no vision_feature_layer.
  Json featureLayers = -2;
  /// Whether vision_feature_select_strategy counts; else it is "default".
  bool hasStrategy = true;
  /// Whether the projector may be one matrix.
  bool hasLinear = false;
  /// Reads keys of the whole that only this family has and adds what they
  /// mean; components are vision, text, projector. May be null.
  void (*readRest)(ConfigSection &top, spec::ModelSpec &model) = nullptr;
};

spec::ModelSpec readLlavaModel(const CheckpointConfig &config,
                               const LlavaVariant &variant, ConfigLog &log);

/// `configKey` of these families.
std::string llavaConfigKey(std::string_view component, std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_LLAVA_H
