//===- ImagePipelines.h - Resizing as Halide pipelines ----------*- C++ -*-===//
//
// The three image pipelines of a package as Halide algorithms with schedules.
// Only the program vlmc-halide uses this; everything else goes through
// codegen/halide/Halide.h. runtime/abi/ImagePipelines.h tells the arguments.
//
//   Halide::Target target = vlmc::halideTarget("x86-64-v3").value();
//   vlmc::writeImagePipelines(target, "clip", "out"); // out/clip_image_*.o
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_HALIDE_IMAGEPIPELINES_H
#define VLMC_CODEGEN_HALIDE_IMAGEPIPELINES_H

#include <Halide.h>

#include <optional>
#include <string>

namespace vlmc {

/// Halide's name for an instruction-set level, code without a runtime, checks
/// and bounds queries; features behind a `+` change nothing in these pipelines.
std::optional<Halide::Target> halideTarget(const std::string &name);

/// Writes `<prefix>_image_{resize_rows,resize_columns,finish}.o` into
/// `folder`. Throws Halide::Error; the caller catches it.
void writeImagePipelines(const Halide::Target &target,
                         const std::string &prefix, const std::string &folder);

} // namespace vlmc

#endif // VLMC_CODEGEN_HALIDE_IMAGEPIPELINES_H
