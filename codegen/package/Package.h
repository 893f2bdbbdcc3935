//===-- Package.h - writes NAME.vlm ---------------------------------------===//
//
// Planned modules, their objects and the checkpoint go in, a directory comes
// out, complete or not at all: lib/ARCH/libNAME.so (or .a), NAME.weights,
// NAME.h, NAMEConfig.cmake and manifest.textproto. The same input and options
// give the same bytes.
//
//   PackageInputs inputs;
//   inputs.output = "clip.vlm";
//   inputs.levels.push_back({target, *planned, kernels, {"kernels", object}});
//   if (llvm::Error error = writePackage(inputs))
//     return error;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_PACKAGE_H
#define VLMC_CODEGEN_PACKAGE_PACKAGE_H

#include "codegen/package/Link.h"
#include "codegen/package/ModelTables.h"
#include "frontend/spec/model_spec.pb.h"

namespace vlmc {

/// The code of one instruction-set level.
struct PackageLevel {
  const Target *target = nullptr;
  mlir::ModuleOp planned;
  std::vector<KernelCode> kernels;
  NamedObject object; ///< defines the functions of `kernels`
};

/// The code of one GPU level, which every library of the package holds.
struct PackageDevice {
  const Target *target = nullptr;
  mlir::ModuleOp planned;
  std::vector<KernelCode> kernels; ///< without phases
  DeviceTable table;
};

/// The image pipelines of one architecture: the symbols of the functions and
/// the objects that define them.
struct PackageImage {
  std::string arch;
  std::string resizeRows;
  std::string resizeColumns;
  std::string finish;
  std::vector<NamedObject> objects;
};

struct PackageInputs {
  std::string output; ///< the directory, "clip.vlm"
  std::string name;   ///< a C identifier; see getPackageName()
  const spec::ModelSpec *spec = nullptr;
  std::vector<PackageLevel> levels; ///< best first within an architecture
  std::vector<PackageDevice> devices; ///< best first; they need a CPU's level
  const WeightSource *weights = nullptr;
  llvm::ArrayRef<uint8_t> tokenizer; ///< tables of runtime/text, or empty
  /// The same, for words that go into the tower beside a picture.
  llvm::ArrayRef<uint8_t> pictureWords;
  std::vector<PackageImage> images;  ///< one per architecture, or none
  /// The floats of all values, 3 x 256 each, where `images` is not
  std::vector<float> pilTable, torchvisionTable;
  std::vector<float>
      videoTable; ///< of a video's frames, if they have their own
  ///< empty
  bool reference = false;
  bool isStatic = false; ///< archives in place of shared libraries
  std::vector<std::string> taps;
  std::vector<std::string> options; ///< for the manifest: without paths
  unsigned jobs = 0;                ///< threads; 0: all
  WriteProgress progress;           ///< of the weights; may be empty
};

/// The name of the model in a package at `output`: its last component without
/// ".vlm", as a C identifier.
std::string getPackageName(llvm::StringRef output);

/// Checks that a package could be written to `output`, before the work.
llvm::Error checkPackageOutput(llvm::StringRef output);

/// Writes the package. What stood at `output` before stays whole until the new
/// one takes its place, and for ever if anything fails.
/// Errors: an output that cannot be written or is no package; a checkpoint that
/// does not fit the recipes; an object with open symbols.
llvm::Error writePackage(const PackageInputs &inputs);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_PACKAGE_H
