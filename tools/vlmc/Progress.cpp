//===- Progress.cpp - A progress bar on a terminal ------------------------===//
#include "tools/vlmc/Progress.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include <unistd.h>

namespace vlmc::tool {

/// Whether a bar stands on the terminal's last line.
static std::atomic<bool> isShown{false};

Progress::Progress()
    : start(Clock::now()), last(start),
      isTerminal(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (isShown.exchange(false))
    std::fputs("\r\033[K", stderr);
}

void Progress::show(const std::string &what, uint64_t done, uint64_t total) {
  if (!isTerminal)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  Clock::time_point now = Clock::now();
  constexpr auto delay = std::chrono::seconds(1);
  constexpr auto interval = std::chrono::milliseconds(100);
  if (now - start < delay || (isShown && now - last < interval))
    return;
  last = now;
  constexpr int width = 30;
  std::string bar;
  if (total) {
    double share = double(std::min(done, total)) / double(total);
    int filled = int(share * width);
    bar = " [" + std::string(size_t(filled), '#') +
          std::string(size_t(width - filled), '.') + "] " +
          std::to_string(int(share * 100)) + " %";
  }
  std::fprintf(stderr, "\r\033[K%.48s%s", what.c_str(), bar.c_str());
  std::fflush(stderr);
  isShown = true;
}

} // namespace vlmc::tool
