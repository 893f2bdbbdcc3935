//===-- Pipelines.cpp - the order of the passes ---------------------------===//
#include "passes/Pipelines.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"

using namespace mlir;
using namespace vlmc;

/// Tensor-level changes that do not know the target.
static void addGraphPasses(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createFoldPass());
  pm.addPass(createTrimPaddingPass());
  pm.addPass(createDropUnreadRowsPass());
  pm.addPass(createFuseQKVPass());
  pm.addPass(createFusePatchEmbedPass());
}

/// Groups grow around anchors, by the rules of the architecture.
static void addFusionPasses(OpPassManager &pm, const std::string &arch) {
  pm.addPass(createFuseGateUpPass({.arch = arch}));
  pm.addPass(createPlaceAnchorsPass());
  pm.addPass(createFuseAttentionPass({.arch = arch}));
  pm.addPass(createFuseNormProloguePass({.arch = arch}));
  pm.addPass(createFuseEpiloguePass({.arch = arch}));
}

void vlmc::buildKernelsPipeline(OpPassManager &pm,
                                const PipelineOptions &options,
                                bool reference) {
  pm.addPass(createVerifyGraphPass());
  if (!reference) {
    addGraphPasses(pm);
    addFusionPasses(pm, options.arch);
  } else {
    pm.addPass(createPlaceAnchorsPass());
  }
  pm.addPass(createGroupRowsPass({.eachOp = reference}));
  pm.addPass(createFormKernelsPass());
  pm.addPass(createDedupeKernelsPass());
  pm.addPass(createVerifyKernelsPass());
}

void vlmc::buildPlannedPipeline(OpPassManager &pm,
                                const PipelineOptions &options,
                                bool reference) {
  pm.addPass(createVerifyKernelsPass());
  pm.addPass(createTilePass({.arch = options.arch,
                             .chip = options.chip,
                             .strategy = reference ? "reference" : "auto",
                             .weights = options.weights,
                             .tileRows = options.tileRows,
                             .tilePanels = options.tilePanels,
                             .l2Bytes = options.l2Bytes}));
  pm.addPass(createPackWeightsPass(
      {.arch = options.arch, .weights = options.weights}));
  if (options.arch == "cuda")
    pm.addPass(createNarrowValuesPass());
  pm.addPass(createPlanMemoryPass());
  pm.addPass(createVerifyPlannedPass());
}

void vlmc::buildOptimizePipeline(OpPassManager &pm,
                                 const PipelineOptions &options) {
  buildKernelsPipeline(pm, options, /*reference=*/false);
  buildPlannedPipeline(pm, options, /*reference=*/false);
}

void vlmc::buildReferencePipeline(OpPassManager &pm,
                                  const PipelineOptions &options) {
  buildKernelsPipeline(pm, options, /*reference=*/true);
  buildPlannedPipeline(pm, options, /*reference=*/true);
}

void vlmc::registerVlmPipelines() {
  PassPipelineRegistration<PipelineOptions>(
      "vlm-optimize", "From the graph border to the planned one",
      buildOptimizePipeline);
  PassPipelineRegistration<PipelineOptions>(
      "vlm-reference",
      "From the graph border to the planned one, one reference kernel per op",
      buildReferencePipeline);
  PassPipelineRegistration<PipelineOptions>(
      "vlm-to-kernels", "From the graph border to the kernels border",
      [](OpPassManager &pm, const PipelineOptions &options) {
        buildKernelsPipeline(pm, options, /*reference=*/false);
      });
  PassPipelineRegistration<PipelineOptions>(
      "vlm-to-reference-kernels",
      "From the graph border to the kernels border, one kernel per op",
      [](OpPassManager &pm, const PipelineOptions &options) {
        buildKernelsPipeline(pm, options, /*reference=*/true);
      });
  PassPipelineRegistration<PipelineOptions>(
      "vlm-to-planned", "From the kernels border to the planned one",
      [](OpPassManager &pm, const PipelineOptions &options) {
        buildPlannedPipeline(pm, options, /*reference=*/false);
      });
}
