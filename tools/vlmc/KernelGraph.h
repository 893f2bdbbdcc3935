//===- KernelGraph.h - A picture of an entry point's steps ------*- C++ -*-===//
//
//   std::string svg = drawSteps(entry, level, symbols);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_KERNELGRAPH_H
#define VLMC_TOOLS_VLMC_KERNELGRAPH_H

#include "runtime/abi/vlm_abi.h"
#include "tools/driver/Predict.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// Operations and bytes of all steps together.
struct Costs {
  double flops = 0, bytes = 0;
};
Costs costsOf(const vlm_abi_entry &entry, const std::vector<int64_t> &symbols);

/// Seconds that the steps take at least, one behind the other, below a roof.
double limitOf(const vlm_abi_entry &entry, const std::vector<int64_t> &symbols,
               const Roof &roof);

/// The steps from top to bottom as an SVG document, with the values that go
/// from one to another, and for the given sizes the operations and bytes of
/// each; a bar shows its share of the operations.
std::string drawSteps(const vlm_abi_entry &entry, const vlm_abi_level &level,
                      const std::vector<int64_t> &symbols);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_KERNELGRAPH_H
