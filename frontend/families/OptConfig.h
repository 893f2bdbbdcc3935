//===- OptConfig.h - Configs of OPT decoders --------------------*- C++ -*-===//
//
// OPT (arXiv:2205.01068) spells keys and tensors in its own way; this reads the
// text_config of a model that has one inside.
//
//   DecoderFacts facts = readOpt(textConfig, file, "text_config", log,
//   decoder); addOptRules(model, {"language_model.model.decoder."},
//               {"language_model.lm_head"});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_OPTCONFIG_H
#define VLMC_FRONTEND_FAMILIES_OPTCONFIG_H

#include "frontend/families/DecoderConfig.h"

namespace vlmc {

/// Keys that the config lacks have the defaults of OPTConfig in transformers.
DecoderFacts readOpt(const Json &config, const std::string &file,
                     const std::string &path, ConfigLog &log,
                     spec::Decoder &decoder);

/// The rules of the decoder "text", as `addDecoderRules`.
void addOptRules(spec::ModelSpec &model, const std::vector<std::string> &bodies,
                 const std::vector<std::string> &heads);

/// The key of text_config that a decoder's field comes from.
std::string optKey(std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_OPTCONFIG_H
