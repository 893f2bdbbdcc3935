//===- T5Config.h - Configs of T5 models ------------------------*- C++ -*-===//
//
// T5 (arXiv:1910.10683) in its versions 1.0 and 1.1 spells keys and tensors in
// its own way; this reads the text_config of a model that has one inside.
//
//   DecoderFacts facts = readT5(textConfig, config, "text_config",
//                               "language_model.", log, message, generation);
//   addT5Rules(model, "language_model.");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_T5CONFIG_H
#define VLMC_FRONTEND_FAMILIES_T5CONFIG_H

#include "frontend/families/DecoderConfig.h"
#include "frontend/families/Family.h"

namespace vlmc {

/// Keys that the config lacks have the defaults of T5Config in transformers.
/// `prefix` stands before the names of its tensors, which tell whether there is
/// a head.
DecoderFacts readT5(const Json &text, const CheckpointConfig &config,
                    const std::string &path, const std::string &prefix,
                    ConfigLog &log, spec::EncoderDecoder &message,
                    spec::Generation &generation);

/// The rules of the component "t5".
void addT5Rules(spec::ModelSpec &model, const std::string &prefix);

/// The key that a field comes from.
std::string t5Key(std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_T5CONFIG_H
