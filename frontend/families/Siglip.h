//===- Siglip.h - SigLIP's towers, wherever they look -----------*- C++ -*-===//
//
// What models that borrow SigLIP's vision tower, or both, need of it.
//
//   Json values = siglipVisionDefaults();
//   values.update(visionConfig);
//   readTowerImage(folder, siglipProcessor(side), side, log, model);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_SIGLIP_H
#define VLMC_FRONTEND_FAMILIES_SIGLIP_H

#include "frontend/families/DualEncoder.h"

namespace vlmc {

/// The defaults of SiglipVisionConfig.
const Json &siglipVisionDefaults();

/// The defaults of SiglipTextConfig.
const Json &siglipTextDefaults();

/// A sub-config, completed by the defaults of its class.
Json completeSection(ConfigSection &top, const std::string &name,
                     const Json &defaults);

/// A tower in front of a language model, whose tokens come out behind the last
/// norm: the values of its vision_config in `file`, beside the class's
/// defaults. `unread`: keys that say nothing of it.
void readSiglipTokens(const Json &values,
                      std::initializer_list<const char *> unread,
                      const std::string &file, ConfigLog &log,
                      spec::VisionTransformer &vision);

/// The rules of that tower, "vision", as `vision_tower` of transformers 4
/// and 5.
void addSiglipTokensRules(spec::ModelSpec &model);

/// Refuses vision_use_head: false in a vision_config, whose values are given.
void readSiglipHead(ConfigSection &section, const Json &values);

/// A text_config.
void readSiglipText(ConfigSection section, spec::TextTransformer &text,
                    spec::TextProcessing &words);

/// Whether the tokenizer gives no mask, so that padding is read. Faults of its
/// file are the tokenizer's to tell.
void readSiglipMask(const std::string &folder, spec::TextProcessing &words);

/// Canonical names of both towers, and those of transformers 4 and 5, which are
/// the same.
void addSiglipRules(spec::ModelSpec &model);

/// SiglipImageProcessor for pictures of that side.
ImageProcessorClass siglipProcessor(int64_t side);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_SIGLIP_H
