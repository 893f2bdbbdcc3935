//===-- Compile.h - from a checkpoint to a compiled model -----------------===//
//
// The whole way in one call, as `vlmc compile` takes it: frontend, passes, code
// generation, package. It can stop at any stage and print it, and go on from
// what it printed.
//
//   CompileRequest request;
//   request.model = "clip-vit-base-patch32";
//   request.output = "clip.vlm";
//   if (llvm::Error error = compileModel(request))
//     return error;                 // isUser of takeMessage() tells whose
//     fault
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_COMPILE_H
#define VLMC_TOOLS_DRIVER_COMPILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vlmc {

/// Where compiling stops, in the order of the data.
/// Ptx follows Planned and is for GPUs alone.
enum class EmitStage {
  Spec,
  Graph,
  Kernels,
  Planned,
  Llvm,
  Asm,
  Obj,
  Ptx,
  Package
};

/// "spec", "graph", ...: the stages that can be printed, in order.
std::vector<std::string> emitStageNames();
/// The stage of that name.
std::optional<EmitStage> findEmitStage(llvm::StringRef name);

struct CompileRequest {
  /// A checkpoint folder, a spec (.textproto) or a printed stage (.mlir).
  std::string model;
  /// The folder of the weights and the tokenizer, where `model` is not it.
  std::string checkpoint;
  /// The folder of the vision tower, of checkpoints that only name it; "": it
  /// is looked for by that name.
  std::string visionTower;
  /// Random weights instead of a checkpoint's.
  std::optional<uint64_t> randomSeed;
  /// Instruction-set levels, in any order; none: all base levels of this
  /// machine's architecture.
  std::vector<std::string> targets;
  /// How matrices are stored: f32, bf16 or f16, which rounds; auto: as they are
  /// in the checkpoint.
  std::string weights = "auto";
  /// One plain kernel per op, nothing fused.
  bool reference = false;
  /// Archives to link into a program in place of shared libraries.
  bool isStatic = false;
  /// Values that become outputs of their entry points, by name, or "all".
  std::vector<std::string> taps;
  EmitStage stage = EmitStage::Package;
  /// The package, or the file of a printed stage ("" or "-": standard output).
  std::string output;
  unsigned jobs = 0; ///< threads; 0: all
  /// The program vlmc-halide; "": the one beside this program.
  std::string vlmcHalide;
  /// The program ptxas; "": one that is found (codegen/cuda/Assemble.h), if any.
  std::string ptxas;

  /// Told of what the user should know but that stops nothing.
  std::function<void(llvm::StringRef message)> warn;
  /// Told of fusions made and missed, one line each; absent: nobody asks.
  std::function<void(llvm::StringRef line)> explain;
  /// Told of what is being done; `total` is 0 where nothing is counted.
  std::function<void(llvm::StringRef what, uint64_t done, uint64_t total)>
      progress;
};

/// Compiles. Nothing is left half-written when it fails.
/// Errors: whatever is wrong with the model, the weights, the options or the
/// output, told as the user's; defects of vlmc as such.
llvm::Error compileModel(const CompileRequest &request);

} // namespace vlmc

#endif // VLMC_TOOLS_DRIVER_COMPILE_H
