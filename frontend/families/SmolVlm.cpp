//===- SmolVlm.cpp - The SmolVLM family -----------------------------------===//
//
// Idefics3 under another name (arXiv:2504.05299),
// `SmolVLMForConditionalGeneration` of transformers. The checkpoints of SmolVLM
// 1 call themselves idefics3.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Idefics3.h"

namespace vlmc {

static spec::ModelSpec readSmolVlm(const CheckpointConfig &config,
                                   ConfigLog &log) {
  return readIdefics3Model(config, "smolvlm", log);
}

extern const Family familySmolVlm;
const Family familySmolVlm = {"smolvlm", readSmolVlm, idefics3ConfigKey};

} // namespace vlmc
