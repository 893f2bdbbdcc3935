//===- Blip2.h - What the families with a Q-Former share --------*- C++ -*-===//
//
// A vision transformer, a Q-Former and a language model, with the names that
// transformers gives their keys and tensors: BLIP-2 and InstructBLIP.
//
//   Blip2Variant variant;
//   variant.family = "foo";
//   return readBlip2Model(config, variant, log);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_BLIP2_H
#define VLMC_FRONTEND_FAMILIES_BLIP2_H

#include "frontend/families/Family.h"

namespace vlmc {

struct Blip2Variant {
  std::string_view family;
  /// The class of the whole, without "ForConditionalGeneration".
  std::string_view className;
  /// The Q-Former reads the prompt as well.
  bool readsPrompt = false;
};

spec::ModelSpec readBlip2Model(const CheckpointConfig &config,
                               const Blip2Variant &variant, ConfigLog &log);

/// `configKey` of these families.
std::string blip2ConfigKey(std::string_view component, std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_BLIP2_H
