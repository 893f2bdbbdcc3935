//===-- Base.h - how a base target is described ---------------------------===//
//
// A file here describes one base and the suffixes that it takes; its function
// has a line in Targets.def.
//
//   BaseTarget mips() {
//     return {.target = {...}, .features = {{"msa", "+msa"}}};
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_TARGET_BASE_H
#define VLMC_CODEGEN_TARGET_BASE_H

#include "ir/Target.h"

namespace vlmc {

/// A suffix: `BASE+name`.
struct TargetFeature {
  std::string name;
  std::string llvm; ///< LLVM's names of it, "+avx512vnni"
};

struct BaseTarget {
  /// Of the base alone; `name` and `isa` are equal.
  Target target;
  /// In the order in which a target's name lists them.
  std::vector<TargetFeature> features;
  /// Not "": the name goes on with ':' and one of these LLVM CPUs.
  std::vector<std::string> chips;
};

#define VLMC_TARGET(name) BaseTarget name();
#include "codegen/target/Targets.def"
#undef VLMC_TARGET

} // namespace vlmc

#endif // VLMC_CODEGEN_TARGET_BASE_H
