//===- Cpu.cpp - What this machine can run and how much of it is ours -----===//

#include "runtime/core/Cpu.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace vlmc::rt {

#if defined(__x86_64__)

const char *archFolder() { return "x86_64"; }

/// The CPU's feature words that the levels of the psABI are made of.
struct Features {
  uint32_t leaf1Ecx = 0, leaf7Ebx = 0, leaf7Ecx = 0, extendedEcx = 0;
  uint32_t leaf7SubEax = 0; // sub-leaf 1
  uint64_t savedByOs = 0; // XCR0

  Features() {
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d))
      leaf1Ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      leaf7Ebx = b;
      leaf7Ecx = c;
      // `a` is the number of the last sub-leaf.
      if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        leaf7SubEax = a;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
      extendedEcx = c;
    if (leaf1Ecx & bit_OSXSAVE) {
      uint32_t low, high;
      __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      savedByOs = uint64_t(high) << 32 | low;
    }
  }
};

static bool hasAll(uint64_t word, uint64_t bits) {
  return (word & bits) == bits;
}

/// The suffixes that each level can have.
static bool supportsFeature(const Features &cpu, std::string_view base,
                            std::string_view feature) {
  if (base == "x86-64-v3")
    return feature == "avxvnni" && cpu.leaf7SubEax & 1u << 4;
  if (feature == "vnni")
    return cpu.leaf7Ecx & 1u << 11;
  return feature == "bf16" && cpu.leaf7SubEax & 1u << 5;
}

static bool supportsBase(const Features &cpu, std::string_view isa) {
  bool v3 = hasAll(cpu.savedByOs, 0x6) && // xmm, ymm
            hasAll(cpu.leaf1Ecx, bit_AVX | bit_FMA | bit_F16C | bit_MOVBE) &&
            hasAll(cpu.leaf7Ebx, bit_AVX2 | bit_BMI | bit_BMI2) &&
            hasAll(cpu.extendedEcx, bit_LZCNT);
  if (isa == "x86-64-v3")
    return v3;
  if (isa == "x86-64-v4")
    return v3 && hasAll(cpu.savedByOs, 0xe6) && // and opmask, zmm
           hasAll(cpu.leaf7Ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512CD |
                                    bit_AVX512DQ | bit_AVX512VL);
  return false;
}

#elif defined(__aarch64__)

const char *archFolder() { return "aarch64"; }

/// What the kernel tells of the CPU.
struct Features {
  unsigned long words[2] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
};

static bool supportsFeature(const Features &cpu, std::string_view,
                            std::string_view feature) {
  if (feature == "dotprod")
    return cpu.words[0] & HWCAP_ASIMDDP;
  if (feature == "i8mm")
    return cpu.words[1] & HWCAP2_I8MM;
  return feature == "bf16" && cpu.words[1] & HWCAP2_BF16;
}

static bool supportsBase(const Features &, std::string_view isa) {
  return isa == "aarch64";
}

#else
#error "the runtime knows x86-64 and AArch64"
#endif

bool supportsIsa(std::string_view isa) {
  static const Features cpu;
  std::string_view base = isa.substr(0, isa.find('+'));
  if (!supportsBase(cpu, base))
    return false;
  isa.remove_prefix(base.size());
  while (!isa.empty()) {
    isa.remove_prefix(1);
    std::string_view feature = isa.substr(0, isa.find('+'));
    if (!supportsFeature(cpu, base, feature))
      return false;
    isa.remove_prefix(feature.size());
  }
  return true;
}

int cpusOfQuota(std::string_view cpuMax) {
  int64_t quota = 0, period = 0;
  const char *begin = cpuMax.begin(), *end = cpuMax.end();
  auto first = std::from_chars(begin, end, quota);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ')
    return 0; // "max", or not a quota at all
  auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc() || quota <= 0 || period <= 0)
    return 0;
  return int(std::min<int64_t>((quota - 1) / period + 1, 1024));
}

static std::string readText(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

int cpusOfControlGroups(const std::string &root, std::string_view procCgroup) {
  // The line of version 2 is "0::/path/of/the/group".
  size_t at = procCgroup.starts_with("0::/") ? 0 : procCgroup.find("\n0::/");
  if (at == std::string_view::npos)
    return 0;
  at = procCgroup.find("0::/", at) + 3;
  std::string group(procCgroup.substr(at, procCgroup.find('\n', at) - at));
  int least = 0;
  while (true) {
    int cpus = cpusOfQuota(readText(root + group + "/cpu.max"));
    if (cpus && (!least || cpus < least))
      least = cpus;
    if (group.empty())
      return least;
    group.resize(group.rfind('/'));
  }
}

/// The CPUs of the affinity mask; 1 if the system does not tell.
static int cpusOfAffinity() {
  // The kernel refuses sets smaller than its own, so grow until one fits.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    std::vector<cpu_set_t> sets(CPU_ALLOC_SIZE(cpus) / sizeof(cpu_set_t));
    size_t bytes = sets.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, sets.data()) == 0)
      return std::max(1, CPU_COUNT_S(bytes, sets.data()));
  }
  return 1;
}

int usableCpus() {
  int cpus = std::min(cpusOfAffinity(), 1024);
  int granted =
      cpusOfControlGroups("/sys/fs/cgroup", readText("/proc/self/cgroup"));
  return granted ? std::min(cpus, granted) : cpus;
}

} // namespace vlmc::rt
