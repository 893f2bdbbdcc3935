//===- NeoxConfig.h - Configs of GPT-NeoX decoders --------------*- C++ -*-===//
//
// GPT-NeoX (arXiv:2204.06745), of which RedPajama-INCITE and Pythia are, spells
// keys and tensors in its own way; this reads the text_config of a model that
// has one inside.
//
//   DecoderFacts facts = readNeox(textConfig, file, "text_config", log,
//   decoder); addNeoxRules(model, {"lang_encoder.gpt_neox."},
//               {"lang_encoder.embed_out"}, layers);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_NEOXCONFIG_H
#define VLMC_FRONTEND_FAMILIES_NEOXCONFIG_H

#include "frontend/families/DecoderConfig.h"

namespace vlmc {

/// Keys that the config lacks have the defaults of GPTNeoXConfig in
/// transformers.
DecoderFacts readNeox(const Json &config, const std::string &file,
                      const std::string &path, ConfigLog &log,
                      spec::Decoder &decoder);

/// The rules of the decoder "text", as `addDecoderRules`, with the prefixes of
/// its layers.
void addNeoxRules(spec::ModelSpec &model,
                  const std::vector<std::string> &bodies,
                  const std::vector<std::string> &heads,
                  const std::vector<std::string> &layers);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_NEOXCONFIG_H
