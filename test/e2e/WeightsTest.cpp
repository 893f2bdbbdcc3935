//===- WeightsTest.cpp - 16-bit weights give the bits of f32 --------------===//
//
// Checkpoints stored in bf16 and f16 are compiled as they are and with all
// weights in f32: the same bits come out, on every level, of about half the
// bytes.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/Cpu.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"
#include "test/e2e/Golden.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace vlmc;
using namespace vlmc::e2e;
namespace fs = std::filesystem;

/// A dual encoder and a decoder of each type at least.
static std::vector<Checkpoint> chosenCheckpoints() {
  const std::pair<const char *, const char *> names[] = {
      {"clip", "relu-silu"},
      {"clip", "heads-11"},
      {"siglip", "heads-11"},
      {"llava", "qwen2"},
      {"llava", "mistral-window"}};
  std::vector<Checkpoint> chosen;
  for (const Checkpoint &checkpoint : findCheckpoints())
    for (auto [family, name] : names)
      if (checkpoint.family == family && checkpoint.name == name)
        chosen.push_back(checkpoint);
  EXPECT_EQ(chosen.size(), std::size(names));
  return chosen;
}

using WeightsTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, WeightsTest,
                         testing::ValuesIn(chosenCheckpoints()), testName);

static std::string compileAs(const Checkpoint &checkpoint,
                             std::vector<std::string> more) {
  std::string package = freshPath("weights") + "/m.vlm";
  fs::create_directories(fs::path(package).parent_path());
  std::vector<std::string> arguments{"compile",  checkpoint.model(),
                                     "-o",       package,
                                     "--target", "x86-64-v3,x86-64-v4"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Ended ended = runVlmc(arguments);
  EXPECT_EQ(ended.code, 0) << ended;
  return ended.code == 0 ? package : "";
}

TEST_P(WeightsTest, GiveTheBitsOfF32FromHalfTheBytes) {
  const Checkpoint &checkpoint = GetParam();
  std::string narrow = compileAs(checkpoint, {});
  std::string wide = compileAs(checkpoint, {"--weights", "f32"});
  ASSERT_FALSE(narrow.empty() || wide.empty());
  // Vectors, tables of positions and the header do not shrink.
  auto narrowBytes = double(fs::file_size(narrow + "/m.weights"));
  auto wideBytes = double(fs::file_size(wide + "/m.weights"));
  EXPECT_LT(narrowBytes / wideBytes, 0.62);
  std::vector<std::string> levels{"x86-64-v3"};
  if (rt::supportsIsa("x86-64-v4"))
    levels.emplace_back("x86-64-v4");
  for (const std::string &level : levels)
    for (const Requests &requests : checkpoint.requests) {
      SCOPED_TRACE(level + ", " + requests.path);
      Tensors got = runRequests(narrow, requests.path, {"--isa", level});
      Tensors want = runRequests(wide, requests.path, {"--isa", level});
      EXPECT_FALSE(want.entries().empty());
      EXPECT_EQ(got.entries().size(), want.entries().size());
      for (const std::string &fault : compareBits(got, want).faults)
        ADD_FAILURE() << fault;
    }
}
