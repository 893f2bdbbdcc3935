//===- InstructBlip.cpp - The InstructBLIP family -------------------------===//
//
// BLIP-2 whose Q-Former reads the instruction beside its queries:
// InstructBLIP (arXiv:2305.06500), `InstructBlipForConditionalGeneration` of
// transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Blip2.h"

namespace vlmc {

static spec::ModelSpec readInstructBlip(const CheckpointConfig &config,
                                        ConfigLog &log) {
  Blip2Variant variant;
  variant.family = "instructblip";
  variant.className = "InstructBlip";
  variant.readsPrompt = true;
  return readBlip2Model(config, variant, log);
}

extern const Family familyInstructBlip;
const Family familyInstructBlip = {"instructblip", readInstructBlip,
                                   blip2ConfigKey};

} // namespace vlmc
