//===- BuildGraph.h - From a ModelSpec to a module --------------*- C++ -*-===//
//
//   mlir::MLIRContext context;
//   auto module = buildGraph(model, &weights, {.taps = {"all"}}, context);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_BLOCKS_BUILDGRAPH_H
#define VLMC_FRONTEND_BLOCKS_BUILDGRAPH_H

#include "frontend/spec/model_spec.pb.h"
#include "frontend/support/Result.h"
#include "ir/WeightSource.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vlmc {

/// What a graph is built with.
struct GraphOptions {
  /// Values that become outputs of their entry point, by name, or "all"; see
  /// listTaps().
  std::set<std::string> taps;
};

/// The names that GraphOptions::taps may hold, in the order of the data.
std::vector<std::string> listTaps(const spec::ModelSpec &model);

/// Checks what a spec says, component by component: all faults, one a line.
std::optional<Failure> checkSpec(const spec::ModelSpec &model);

/// Builds the graph: one module with the model's weights as recipes and its
/// entry points, as the graph border (passes/VerifyGraph.cpp) demands. Without
/// weights, every weight is taken to be stored as f32. Loads the dialects it
/// needs. Errors are diagnostics of the context: a spec that checkSpec() or
/// weights that bindWeights() refuses, an unknown tap.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
buildGraph(const spec::ModelSpec &model, const WeightSource *weights,
           const GraphOptions &options, mlir::MLIRContext &context);

} // namespace vlmc

#endif // VLMC_FRONTEND_BLOCKS_BUILDGRAPH_H
