//===- Halide.h - Image pipelines from vlmc-halide --------------*- C++ -*-===//
//
// Generates the image pipelines of a package. Halide lives in a program of its
// own, vlmc-halide, which stands beside vlmc; this is how the packager calls
// it. Objects hold code without open symbols and are linked like any other.
//
//   auto objects = vlmc::generateImagePipelines("x86-64-v3", "clip", tempDir,
//                                               vlmc::findVlmcHalide());
//   if (!objects)
//     return objects.takeError();
//   link(*objects); // defines clip_image_resize_rows_argv and its like
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_HALIDE_HALIDE_H
#define VLMC_CODEGEN_HALIDE_HALIDE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace vlmc {

/// The functions that the objects define, `int f(void **args)`, in the order of
/// the fields of `vlm_abi_image`; runtime/abi/ImagePipelines.h tells their
/// arguments. `prefix` is the package's NAME.
struct ImagePipelineSymbols {
  std::string resizeRows;
  std::string resizeColumns;
  std::string finish;
};
ImagePipelineSymbols imagePipelineSymbols(llvm::StringRef prefix);

/// Where vlmc-halide is: beside the running program.
std::string findVlmcHalide();

/// Runs `vlmcHalide` for an instruction-set level ("x86-64-v3") and returns the
/// paths of the objects that it wrote into `outDir`, which must exist. `prefix`
/// must be a C identifier. The same arguments give the same bytes.
/// Errors: the program is missing or fails (its message is passed on).
llvm::Expected<std::vector<std::string>>
generateImagePipelines(llvm::StringRef target, llvm::StringRef prefix,
                       llvm::StringRef outDir, llvm::StringRef vlmcHalide);

} // namespace vlmc

#endif // VLMC_CODEGEN_HALIDE_HALIDE_H
