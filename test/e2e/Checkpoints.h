//===- Checkpoints.h - The checkpoints of the goldens -----------*- C++ -*-===//
//
// The cases `goldens/FAMILY/CASE/` with a folder `model`, as they are found:
// a new one needs no code.
//
//   std::string model = compile(checkpoint, {.isReference = true});
//   Tensors out = runRequests(model, requests.path);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_E2E_CHECKPOINTS_H
#define VLMC_TEST_E2E_CHECKPOINTS_H

#include "test/e2e/Tensors.h"

#include <gtest/gtest.h>

#include <ostream>

namespace vlmc::e2e {

/// `requests-NAME.json` and `golden-NAME.safetensors`.
struct Requests {
  std::string name;
  std::string path, golden;
};

struct Checkpoint {
  std::string family, name;
  std::string folder;
  std::vector<Requests> requests;

  std::string model() const { return folder + "/model"; }
};
std::ostream &operator<<(std::ostream &stream, const Checkpoint &checkpoint);

/// `test/e2e/goldens`.
std::string goldensFolder();
/// The folders `goldens/FAMILY`, sorted.
std::vector<std::string> findFamilies();
/// The cases of all families, sorted.
std::vector<Checkpoint> findCheckpoints();

/// For a suite of tests that take a checkpoint.
class CheckpointTest : public testing::TestWithParam<Checkpoint> {};
/// "clip_v5_plain"
std::string testName(const testing::TestParamInfo<Checkpoint> &info);

/// What to compile with.
struct Variant {
  bool isReference = false;
  std::string taps;
};

/// The taps that the goldens of a checkpoint hold, separated by commas.
std::string tapsOf(const Checkpoint &checkpoint);

/// Compiles to a folder NAME.vlm and returns its path; a failed expectation and
/// "" if that fails.
std::string compile(const Checkpoint &checkpoint, const Variant &variant);

/// What `vlmc run` writes for a file of requests; a failed expectation if it
/// does not end well.
Tensors runRequests(const std::string &model, const std::string &requests,
                    const std::vector<std::string> &options = {});

} // namespace vlmc::e2e

#endif // VLMC_TEST_E2E_CHECKPOINTS_H
