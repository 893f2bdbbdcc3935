//===-- Outline.h - what a spec would take, without its weights -----------===//
//
// Parameters, work and memory of a model at its full size, from its spec alone:
// nothing is compiled and no weight is made.
//
//   auto outline = outlineModel("models/clip-vit-l14.textproto");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_OUTLINE_H
#define VLMC_TOOLS_DRIVER_OUTLINE_H

#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace vlmc {

struct ModelOutline {
  struct Component {
    std::string name;
    uint64_t tensors = 0;
    uint64_t parameters = 0; ///< those shared with another component are there
  };
  struct Entry {
    std::string name;
    /// The likely value of each size symbol, for which the rest is counted.
    std::vector<std::pair<std::string, int64_t>> likely;
    uint64_t steps = 0;
    int64_t flops = 0;       ///< a multiply-add is two
    int64_t memoryBytes = 0; ///< values between the steps
    int64_t cacheBytes = 0;  ///< of one token in the caches
  };
  std::string name, family;
  std::vector<Component> components;
  std::vector<Entry> entries;
};

/// Outlines a spec (.textproto).
/// Errors: those of compileModel() up to the stage 'planned'.
llvm::Expected<ModelOutline> outlineModel(const std::string &path);

} // namespace vlmc

#endif // VLMC_TOOLS_DRIVER_OUTLINE_H
