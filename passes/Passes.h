//===-- Passes.h - the passes of vlmc
//
// Creation and registration of all passes of `Passes.td`; the order in which
// they run is in `passes/Pipelines.h`.
//
//   vlmc::registerVlmPasses();
//   pm.addPass(vlmc::createFoldPass());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_PASSES_H
#define VLMC_PASSES_PASSES_H

#include "ir/Vlm/VlmOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include <memory>

namespace vlmc {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace vlmc

#endif // VLMC_PASSES_PASSES_H
