//===-- Targets.cpp - the list of targets ---------------------------------------------------------------------------------------------------===//
#include "codegen/Codegen.h"

namespace vlmc {

#define VLMC_TARGET(name) Target name();
#include "codegen/target/Targets.def"
#undef VLMC_TARGET

static const std::vector<Target> &allTargets() {
  static const std::vector<Target> targets = {
#define VLMC_TARGET(name) name(),
#include "codegen/target/Targets.def"
#undef VLMC_TARGET
  };
  return targets;
}

const Target *findTarget(llvm::StringRef name) {
  for (const Target &target : allTargets())
    if (target.name == name)
      return &target;
  return nullptr;
}

std::vector<std::string> targetNames() {
  std::vector<std::string> names;
  for (const Target &target : allTargets())
    names.push_back(target.name);
  return names;
}

} // namespace vlmc
