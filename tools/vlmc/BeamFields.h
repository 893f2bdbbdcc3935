//===- BeamFields.h - What a request says of a search -----------*- C++ -*-===//
//
// The fields num_beams, length_penalty and early_stopping of a case.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_BEAMFIELDS_H
#define VLMC_TOOLS_VLMC_BEAMFIELDS_H

#include <cstdint>
#include <optional>

namespace vlmc::tool {

/// What is not there is as the model says.
struct BeamFields {
  std::optional<int64_t> beams;
  std::optional<double> lengthPenalty;
  std::optional<uint32_t> end; ///< VLM_ABI_BEAMS_*
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_BEAMFIELDS_H
