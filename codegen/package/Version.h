//===-- Version.h - the version that compiled models carry ----------------===//
//
// The same string stands in weights files, manifests and model libraries.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_VERSION_H
#define VLMC_CODEGEN_PACKAGE_VERSION_H

namespace vlmc {

/// vlmc's version, "0.1.0".
inline const char *getVersion() { return VLMC_VERSION; }

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_VERSION_H
