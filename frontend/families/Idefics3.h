//===- Idefics3.h - The reader of Idefics3 and SmolVLM ----------*- C++ -*-===//
//
// The two are one model under two names, with processors of their own.
//
//   return readIdefics3Model(config, "foo", log);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_IDEFICS3_H
#define VLMC_FRONTEND_FAMILIES_IDEFICS3_H

#include "frontend/families/Family.h"

namespace vlmc {

spec::ModelSpec readIdefics3Model(const CheckpointConfig &config,
                                  std::string_view family, ConfigLog &log);

/// `configKey` of these families.
std::string idefics3ConfigKey(std::string_view component,
                              std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_IDEFICS3_H
