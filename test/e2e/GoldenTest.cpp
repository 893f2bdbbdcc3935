//===- GoldenTest.cpp - Compiled checkpoints answer as transformers -------===//
//
// Every value of every golden: of the optimised model, and of the one that is
// compiled with --reference, to which the optimised one is compared as well.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/Golden.h"
#include "test/e2e/Checkpoints.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace vlmc;
using namespace vlmc::e2e;

using GoldenTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, GoldenTest, testing::ValuesIn(findCheckpoints()),
                         testName);

/// Compares and tells what was compared.
static void expectGolden(const char *what, const Tensors &got,
                         const Tensors &golden, const Tensors *inputs) {
  Comparison result = compareWithGolden(got, golden, inputs);
  for (const std::string &fault : result.faults)
    ADD_FAILURE() << what << ": " << fault;
  std::cout << what << ": " << result.tensors << " tensors, at worst "
            << result.worst << " of the tolerance (" << result.worstName
            << ")\n";
}

/// The file of ready-made inputs, which holds masks, where there is one.
static std::optional<Tensors> openInputs(const Checkpoint &checkpoint) {
  std::string path = checkpoint.folder + "/inputs.safetensors";
  if (std::filesystem::exists(path))
    return Tensors(path);
  return std::nullopt;
}

TEST(Checkpoints, AreFound) {
  std::vector<Checkpoint> found = findCheckpoints();
  EXPECT_GE(found.size(), 10U);
  for (const Checkpoint &checkpoint : found)
    EXPECT_FALSE(checkpoint.requests.empty()) << checkpoint;
}

TEST_P(GoldenTest, IsMet) {
  const Checkpoint &checkpoint = GetParam();
  std::string taps = tapsOf(checkpoint);
  std::string optimised = compile(checkpoint, {.taps = taps});
  std::string reference =
      compile(checkpoint, {.isReference = true, .taps = taps});
  ASSERT_FALSE(optimised.empty() || reference.empty());
  std::optional<Tensors> opened = openInputs(checkpoint);
  const Tensors *inputs = opened ? &*opened : nullptr;
  for (const Requests &requests : checkpoint.requests) {
    SCOPED_TRACE(requests.path);
    Tensors golden(requests.golden);
    Tensors out = runRequests(optimised, requests.path);
    Tensors plain = runRequests(reference, requests.path, {"--reference"});
    expectGolden("optimised, golden", out, golden, inputs);
    expectGolden("reference, golden", plain, golden, inputs);
    expectGolden("optimised, reference", out, plain, inputs);
  }
}
