//===- GenerationConfig.h - What generation_config.json says ----*- C++ -*-===//
//
// End and pad tokens, the usual number of new ones, what changes the choice of
// tokens. Without that file the keys of config.json count, as files of old
// versions have them; the decoder's where there is neither.
//
//   readGenerationConfig(facts, folder, log, *model.mutable_generation());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_GENERATIONCONFIG_H
#define VLMC_FRONTEND_FAMILIES_GENERATIONCONFIG_H

#include "frontend/families/DecoderConfig.h"

namespace vlmc {

void readGenerationConfig(const DecoderFacts &facts, const std::string &folder,
                          ConfigLog &log, spec::Generation &generation);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_GENERATIONCONFIG_H
