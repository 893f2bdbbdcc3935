//===- Activations.h - Names of activation functions ------------*- C++ -*-===//
//
// config.json names activation functions as `ACT2FN` of
// transformers.activations does; several names mean one function.
//
//   spec::Activation kind = readActivation(section, "hidden_act", "gelu");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_ACTIVATIONS_H
#define VLMC_FRONTEND_FAMILIES_ACTIVATIONS_H

#include "frontend/checkpoint/Config.h"
#include "frontend/spec/model_spec.pb.h"

namespace vlmc {

/// Reads the activation of a section; an unknown name is an error in its log
/// that tells the known ones.
spec::Activation readActivation(ConfigSection &section, const std::string &key,
                                std::string_view fallback);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_ACTIVATIONS_H
