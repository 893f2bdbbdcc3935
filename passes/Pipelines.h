//===-- Pipelines.h - the order of the passes
//
// From the graph border to the kernels border and on to the planned one, with
// fusion or by reference kernels. `vlmc compile` builds these pipelines,
// `vlmc-opt` knows them as `--vlm-optimize` and `--vlm-reference`.
//
//   buildOptimizePipeline(pm, PipelineOptions(target));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_PASSES_PIPELINES_H
#define VLMC_PASSES_PIPELINES_H

#include "ir/Target.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace vlmc {

/// What the pipelines need to know of the target.
struct PipelineOptions : mlir::PassPipelineOptions<PipelineOptions> {
  Option<std::string> arch{*this, "arch",
                           llvm::cl::desc("architecture of the target"),
                           llvm::cl::init("x86_64")};
  Option<std::string> chip{*this, "chip",
                           llvm::cl::desc("generation of a GPU, sm_90a"),
                           llvm::cl::init("")};
  Option<int64_t> tileRows{*this, "tile-rows",
                           llvm::cl::desc("rows of the GEMM micro-kernel"),
                           llvm::cl::init(6)};
  Option<int64_t> tilePanels{
      *this, "tile-panels",
      llvm::cl::desc("column panels of the GEMM micro-kernel"),
      llvm::cl::init(1)};
  Option<int64_t> l2Bytes{*this, "l2-bytes",
                          llvm::cl::desc("bytes of a second-level cache"),
                          llvm::cl::init(524288)};
  Option<std::string> weights{
      *this, "weights",
      llvm::cl::desc("how matrices are stored: auto, f32, bf16 or f16"),
      llvm::cl::init("auto")};

  PipelineOptions() = default;
  explicit PipelineOptions(const Target &target) {
    arch = target.arch;
    if (arch == "cuda")
      chip = target.cpu;
    tileRows = target.tileRows;
    tilePanels = target.tilePanels();
    l2Bytes = target.l2Bytes;
  }
};

/// Graph border to kernels border: everything that is the same for all
/// instruction-set levels of an architecture. `reference` makes one kernel of
/// each op and changes nothing else.
void buildKernelsPipeline(mlir::OpPassManager &pm,
                          const PipelineOptions &options, bool reference);

/// Kernels border to planned border. `reference` gives each kernel the strategy
/// "reference".
void buildPlannedPipeline(mlir::OpPassManager &pm,
                          const PipelineOptions &options, bool reference);

/// Both, with fusion: `--vlm-optimize`.
void buildOptimizePipeline(mlir::OpPassManager &pm,
                           const PipelineOptions &options);

/// Both, by reference kernels: `--vlm-reference`.
void buildReferencePipeline(mlir::OpPassManager &pm,
                            const PipelineOptions &options);

/// Registers the pipelines by name for textual use.
void registerVlmPipelines();

} // namespace vlmc

#endif // VLMC_PASSES_PIPELINES_H
