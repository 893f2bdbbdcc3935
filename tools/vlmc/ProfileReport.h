//===- ProfileReport.h - Where the time of a run went -----------*- C++ -*-===//
//
// Turns the pieces of work of one run into times of steps and kernels, held
// against the roofline, and writes them as a table, as JSON, as a trace that
// Perfetto opens, and as a picture.
//
//   ProfileReport report(*entry, level, profile, roof);
//   report.printTable();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_PROFILEREPORT_H
#define VLMC_TOOLS_VLMC_PROFILEREPORT_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"
#include "tools/bench/Roofline.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace vlmc::tool {

class ProfileReport {
public:
  /// `profile` is of a run of `entry`; both must outlive the report.
  ProfileReport(const vlm_abi_entry &entry, const vlm_abi_level &level,
                const vlm_profile_t *profile, const bench::Roofline &roof);

  /// Seconds from the first piece of work to the end of the last.
  double seconds() const { return total; }

  /// Kernels, the one that takes longest first.
  void printTable() const;
  nlohmann::ordered_json json() const;
  /// The format of Chrome's about:tracing, which ui.perfetto.dev opens.
  nlohmann::ordered_json trace() const;
  /// Each kernel as a point below the roof.
  std::string svg() const;

private:
  /// Work and time of a step, or of all steps of a kernel.
  struct Cost {
    std::string name, strategy;
    int64_t calls = 0;
    double seconds = 0; ///< on the wall: the next begins when all have ended
    double busy = 0;    ///< of all threads together
    double flops = 0, bytes = 0;

    void add(const Cost &other);
  };

  void addSpans();
  std::vector<Cost> costsOfKernels() const;
  double ofLimit(const Cost &cost) const;
  double idle(const Cost &cost) const;
  nlohmann::ordered_json describe(const Cost &cost) const;
  std::string point(const Cost &cost) const;

  const vlm_abi_entry &entry;
  const vlm_abi_level &level;
  const vlm_profile_t *profile;
  bench::Roofline roof;
  int threads;
  double total = 0;
  std::vector<Cost> steps;
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_PROFILEREPORT_H
