//===- MptConfig.h - Configs of MPT decoders --------------------*- C++ -*-===//
//
// MPT spells keys and tensors in its own way; this reads the text_config of a
// model that has one inside. There are three classes of it: MptForCausalLM of
// transformers, MosaicML's own MPTForCausalLM, and MosaicGPT before that.
//
//   DecoderFacts facts = readMpt(textConfig, file, "text_config", log,
//   decoder); addMptRules(model, {"lang_encoder.transformer."},
//               {"lang_encoder.lm_head"}, layers);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_MPTCONFIG_H
#define VLMC_FRONTEND_FAMILIES_MPTCONFIG_H

#include "frontend/families/DecoderConfig.h"

namespace vlmc {

/// The class is that of `architectures`; where there is none, all keys count as
/// in MosaicML's class, and those that are absent have the defaults of
/// transformers.
DecoderFacts readMpt(const Json &config, const std::string &file,
                     const std::string &path, ConfigLog &log,
                     spec::Decoder &decoder);

/// The rules of the decoder "text", as `addDecoderRules`, with the prefixes of
/// its layers.
void addMptRules(spec::ModelSpec &model, const std::vector<std::string> &bodies,
                 const std::vector<std::string> &heads,
                 const std::vector<std::string> &layers);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_MPTCONFIG_H
