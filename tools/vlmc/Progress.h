//===- Progress.h - A progress bar on a terminal ----------------*- C++ -*-===//
//
// Shows on standard error how far something long has come: only where that is
// a terminal, and only once a second has passed.
//
//   Progress progress;
//   progress.show("writing weights", done, total);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_PROGRESS_H
#define VLMC_TOOLS_VLMC_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace vlmc::tool {

/// Shows from any thread; one at a time in the program. The bar goes away with
/// the object.
class Progress {
public:
  Progress();
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// `total` is 0 where nothing is counted.
  void show(const std::string &what, uint64_t done, uint64_t total);

  /// Removes the bar, so that a message can be printed.
  static void clear();

private:
  using Clock = std::chrono::steady_clock;
  std::mutex mutex;
  Clock::time_point start, last;
  bool isTerminal;
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_PROGRESS_H
