//===-- Targets.cpp - the list of targets and their names -----------------===//
#include "codegen/Codegen.h"
#include "codegen/target/Base.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include <map>
#include <mutex>

using namespace llvm;

namespace vlmc {

static const std::vector<BaseTarget> &allBases() {
  static const std::vector<BaseTarget> bases = {
#define VLMC_TARGET(name) name(),
#include "codegen/target/Targets.def"
#undef VLMC_TARGET
  };
  return bases;
}

/// The names that a base can have: its own, or one for each chip.
static std::vector<std::string> namesOf(const BaseTarget &base) {
  if (base.chips.empty())
    return {base.target.name};
  std::vector<std::string> names;
  for (const std::string &chip : base.chips)
    names.push_back(base.target.name + ":" + chip);
  return names;
}

std::vector<std::string> targetNames() {
  std::vector<std::string> names;
  for (const BaseTarget &base : allBases())
    append_range(names, namesOf(base));
  return names;
}

std::vector<const Target *> hostTargets() {
  StringRef arch =
      Triple::getArchTypeName(Triple(sys::getProcessTriple()).getArch());
  std::vector<const Target *> targets;
  for (const BaseTarget &base : allBases())
    if (base.target.arch == arch)
      targets.push_back(findTarget(base.target.name));
  sortBestFirst(targets);
  return targets;
}

void sortBestFirst(std::vector<const Target *> &targets) {
  sort(targets, [](const Target *a, const Target *b) {
    if (a->arch != b->arch)
      return a->arch < b->arch;
    if (a->level != b->level)
      return a->level > b->level;
    if (a->extras.size() != b->extras.size())
      return a->extras.size() > b->extras.size();
    return a->name < b->name;
  });
}

//===-- Names -------------------------------------------------------------===//

/// A suffix for tests, in no list: the kernels of a wider level in the
/// instructions of the level below it. See codegen/README.md.
static constexpr StringLiteral narrowSuffix = "as-v3";

static Error wrongName(StringRef name, const Twine &what) {
  return createStringError("target '" + name + "': " + what);
}

static Expected<Target> addFeatures(const BaseTarget &base, StringRef name,
                                    ArrayRef<StringRef> suffixes) {
  Target target = base.target;
  std::vector<std::string> known;
  for (const TargetFeature &feature : base.features)
    known.push_back(feature.name);
  for (auto [i, suffix] : enumerate(suffixes)) {
    if (is_contained(suffixes.take_front(i), suffix))
      return wrongName(name, "feature '" + suffix + "' is given twice");
    if (!is_contained(known, suffix))
      return wrongName(name, "unknown feature '" + suffix + "'; " +
                                 base.target.name + " takes " +
                                 (known.empty() ? "none" : join(known, ", ")));
  }
  for (const TargetFeature &feature : base.features)
    if (is_contained(suffixes, feature.name)) {
      target.name += "+" + feature.name;
      if (!feature.llvm.empty())
        target.features += (target.features.empty() ? "" : ",") + feature.llvm;
      target.extras.push_back(feature.name);
    }
  target.isa = target.name;
  return target;
}

/// The kernels of `wide` for the machines of level v3.
static Target narrow(const Target &wide) {
  const Target *v3 = findTarget("x86-64-v3");
  Target target = wide;
  target.name += "+" + narrowSuffix.str();
  target.isa = v3->isa;
  target.cpu = v3->cpu;
  target.features = v3->features;
  return target;
}

/// Higher numbers are better, and "sm_90a" is better than "sm_90" where both run.
static int levelOfChip(StringRef chip) {
  StringRef digits = chip.take_while([](char c) { return !isDigit(c); });
  digits = chip.drop_front(digits.size());
  int number = 0;
  digits.take_while([](char c) { return isDigit(c); }).getAsInteger(10, number);
  return 2 * number + (digits.ends_with("a") ? 1 : 0);
}

static Expected<Target> makeTarget(StringRef name) {
  SmallVector<StringRef> parts;
  name.split(parts, '+');
  ArrayRef<StringRef> suffixes = ArrayRef(parts).drop_front();
  for (const BaseTarget &base : allBases())
    for (const std::string &full : namesOf(base)) {
      if (parts[0] != full)
        continue;
      if (full == "x86-64-v4" && suffixes.size() == 1 &&
          suffixes[0] == narrowSuffix)
        return narrow(base.target);
      BaseTarget chip = base;
      if (!base.chips.empty()) {
        chip.target.name = full;
        chip.target.cpu = StringRef(full).split(':').second.str();
        chip.target.level = levelOfChip(chip.target.cpu);
      }
      return addFeatures(chip, name, suffixes);
    }
  return wrongName(name, "unknown base '" + parts[0] + "'; expected one of " +
                             join(targetNames(), ", ") +
                             ", where a CPU's may be followed by +FEATURE");
}

Expected<const Target *> parseTarget(StringRef name) {
  static std::mutex mutex;
  static std::map<std::string, Target> made;
  {
    std::lock_guard lock(mutex);
    if (auto it = made.find(name.str()); it != made.end())
      return &it->second;
  }
  Expected<Target> target = makeTarget(name);
  if (!target)
    return target.takeError();
  std::lock_guard lock(mutex);
  return &made.try_emplace(target->name, *target).first->second;
}

const Target *findTarget(StringRef name) {
  Expected<const Target *> target = parseTarget(name);
  if (target)
    return *target;
  consumeError(target.takeError());
  return nullptr;
}

std::string describeTarget(const Target &target) {
  return target.name + ": " + std::to_string(target.lanes()) +
         " lanes of f32, " + std::to_string(target.registers) +
         " vector registers, " + std::to_string(target.fmaPorts) +
         " multiply-adds a cycle of latency " +
         std::to_string(target.fmaLatency) + ", tile " +
         std::to_string(target.tileRows) + " x " +
         std::to_string(target.tileVectors * target.lanes()) + ", caches " +
         std::to_string(target.l1Bytes >> 10) + " KiB and " +
         std::to_string(target.l2Bytes >> 10) + " KiB";
}

} // namespace vlmc
