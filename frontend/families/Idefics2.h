//===- Idefics2.h - What Idefics2 and its followers share -------*- C++ -*-===//
//
// SigLIP's tower with positions by fractional places (NaViT, arXiv:2307.06304),
// a decoder beside it, and the names that transformers gives their tensors; a
// family adds its connector and what it does to pictures.
//
//   readPlacedTower(top.object("vision_config"), defaults, file, log, tower);
//   DecoderFacts facts = readOwnWords(top, config, {"llama", {}}, log,
//   decoder); addPlacedNames(model);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_IDEFICS2_H
#define VLMC_FRONTEND_FAMILIES_IDEFICS2_H

#include "frontend/families/DecoderConfig.h"
#include "frontend/families/Family.h"

namespace vlmc {

/// The tower; `defaults` are those of the class of its config. Its features are
/// all tokens behind the last norm.
void readPlacedTower(const Json *given, const Json &defaults,
                     const std::string &file, ConfigLog &log,
                     spec::VisionTransformer &vision);

/// The decoder where text_config names none, and where there is none at all.
struct UsualWords {
  const char *type;
  Json absent;
};

/// text_config, whose head is tied as the whole config says.
DecoderFacts readOwnWords(ConfigSection &top, const CheckpointConfig &config,
                          const UsualWords &usual, ConfigLog &log,
                          spec::Decoder &decoder);

/// The names of the tower "vision" and of the decoder "text".
void addPlacedNames(spec::ModelSpec &model);

/// What the model says of its tokens, the placeholder too, which is `usual`
/// where the config does not name it; the longest text.
void readOwnGeneration(ConfigSection &top, const DecoderFacts &facts,
                       const CheckpointConfig &config, int64_t usual,
                       ConfigLog &log, spec::ModelSpec &model);

/// Keys of the whole that published files have and that change nothing.
void ignoreRest(ConfigSection &top);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_IDEFICS2_H
