//===-- Interface.h - what programs see of a package ----------------------===//
//
// NAME.h (static inline wrappers over vlm.h, one typed function per entry
// point) and NAMEConfig.cmake (so that find_package(NAME) gives NAME::NAME).
//
//   writeFile("clip.h", makeHeader(tables));
//   writeFile("clipConfig.cmake", makeCMakeConfig(tables, {"x86_64"}));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_INTERFACE_H
#define VLMC_CODEGEN_PACKAGE_INTERFACE_H

#include "codegen/package/ModelTables.h"

namespace vlmc {

/// The C header of a model.
/// `isStatic`: of archives instead of shared libraries.
std::string makeHeader(const ModelTables &tables, bool isStatic = false);

/// The CMake package file of a model whose libraries stand in lib/ARCH.
std::string makeCMakeConfig(const ModelTables &tables,
                            llvm::ArrayRef<std::string> archs,
                            bool isStatic = false);

/// "pixel_values f32 [B, 3, 224, 224]".
std::string describeTensor(const TensorTable &tensor);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_INTERFACE_H
