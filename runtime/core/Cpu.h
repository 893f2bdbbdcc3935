//===- Cpu.h - What this machine can run and how much of it is ours -------===//
//
// Used once per load (which level of a compiled model runs here) and once per
// default pool (how many threads).
//
//   if (supportsIsa("x86-64-v3")) ...
//   int threads = usableCpus();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_CPU_H
#define VLMC_RUNTIME_CORE_CPU_H

#include <string>
#include <string_view>

namespace vlmc::rt {

/// The name of the folder below lib/ that holds this machine's code.
const char *archFolder();

/// Whether CPU and operating system run code of this level ("x86-64-v3",
/// "x86-64-v4", "aarch64", each with or without +FEATURE: avxvnni of v3; vnni
/// and bf16 of v4; dotprod, i8mm and bf16 of aarch64). False for names it does
/// not know.
bool supportsIsa(std::string_view isa);

/// The CPUs that the process may use: its affinity mask, cut to the CPU time
/// that its control groups (version 2) grant. At least 1, at most 1024.
int usableCpus();

/// The limit of one cpu.max file ("<quota> <period>" or "max <period>") in
/// CPUs, rounded up; 0: none.
int cpusOfQuota(std::string_view cpuMax);

/// The least limit among the control group of `procCgroup` (the contents of
/// /proc/self/cgroup) and its parents below the mount point `root`; 0: none.
int cpusOfControlGroups(const std::string &root, std::string_view procCgroup);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_CPU_H
