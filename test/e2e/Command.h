//===- Command.h - Running vlmc as a user does ------------------*- C++ -*-===//
//
// Runs the program `vlmc` of this build in a process of its own. Whatever it
// writes goes to a temporary folder, its cache of compiled models too.
//
//   Ended ended = runVlmc({"compile", folder, "-o", workPath("m.vlm")});
//   EXPECT_EQ(ended.code, 0) << ended;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_E2E_COMMAND_H
#define VLMC_TEST_E2E_COMMAND_H

#include <ostream>
#include <string>
#include <vector>

namespace vlmc::e2e {

/// A path in this process's own folder, which is removed when it ends.
std::string workPath(const std::string &name);
/// The same with a number in front, so that no two calls give the same path.
std::string freshPath(const std::string &name);

/// How a command ended.
struct Ended {
  std::string command; ///< as it was given, blanks between
  int code = -1;       ///< exit code; 128 + the signal that killed it
  std::string out, err;
};
std::ostream &operator<<(std::ostream &stream, const Ended &ended);

/// Runs vlmc to its end.
Ended runVlmc(const std::vector<std::string> &arguments);

/// A file's whole content; a failed expectation and "" if it cannot be read.
std::string readFile(const std::string &path);

} // namespace vlmc::e2e

#endif // VLMC_TEST_E2E_COMMAND_H
