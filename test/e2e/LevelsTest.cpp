//===- LevelsTest.cpp - Every instruction-set level meets the goldens -----===//
//
// One package with all levels: x86-64-v3 and, where this machine has it,
// x86-64-v4 run here, AArch64 under qemu-user. Where AVX-512 is missing and
// where it is not, the kernels of x86-64-v4 are compiled for x86-64-v3 as well.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "runtime/core/Cpu.h"
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"
#include "test/e2e/Golden.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

using namespace vlmc;
using namespace vlmc::e2e;
namespace fs = std::filesystem;

/// Odd sizes, long rows, and head sizes that are no multiple of a vector.
static std::vector<Checkpoint> chosenCheckpoints() {
  std::vector<Checkpoint> chosen;
  for (const Checkpoint &checkpoint : findCheckpoints())
    if (checkpoint.family == "clip" &&
        (checkpoint.name == "v5-plain" || checkpoint.name == "heads-11"))
      chosen.push_back(checkpoint);
  return chosen;
}

using LevelsTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, LevelsTest,
                         testing::ValuesIn(chosenCheckpoints()), testName);

/// Compiles for targets; "" and a failed expectation if that fails.
static std::string compileFor(const Checkpoint &checkpoint,
                              const std::string &targets,
                              std::vector<std::string> more = {}) {
  std::string package = freshPath("levels") + "/m.vlm";
  fs::create_directories(fs::path(package).parent_path());
  std::vector<std::string> arguments{
      "compile", checkpoint.model(), "-o",       package,
      "--taps",  tapsOf(checkpoint), "--target", targets};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Ended ended = runVlmc(arguments);
  EXPECT_EQ(ended.code, 0) << ended;
  return ended.code == 0 ? package : "";
}

static std::optional<Tensors> openInputs(const Checkpoint &checkpoint) {
  std::string path = checkpoint.folder + "/inputs.safetensors";
  if (fs::exists(path))
    return Tensors(path);
  return std::nullopt;
}

static void expectGoldens(const Checkpoint &checkpoint,
                          const std::string &package, const std::string &isa) {
  std::optional<Tensors> inputs = openInputs(checkpoint);
  for (const Requests &requests : checkpoint.requests) {
    SCOPED_TRACE(package + ", " + isa + ", " + requests.path);
    Tensors out = runRequests(package, requests.path, {"--isa", isa});
    Comparison result = compareWithGolden(out, Tensors(requests.golden),
                                          inputs ? &*inputs : nullptr);
    EXPECT_EQ(result.faults, std::vector<std::string>());
  }
}

TEST_P(LevelsTest, MeetTheGoldens) {
  const Checkpoint &checkpoint = GetParam();
  // The order on the command line does not matter: the best level is first.
  std::string package = compileFor(checkpoint, "x86-64-v3,x86-64-v4");
  ASSERT_FALSE(package.empty());
  Ended told = runVlmc({"inspect", package, "--isa", "x86-64-v3"});
  EXPECT_NE(told.out.find("for x86-64-v4, x86-64-v3, runs as x86-64-v3\n"),
            std::string::npos)
      << told;
  expectGoldens(checkpoint, package, "x86-64-v3");
  if (rt::supportsIsa("x86-64-v4")) {
    EXPECT_NE(runVlmc({"inspect", package}).out.find("runs as x86-64-v4\n"),
              std::string::npos);
    expectGoldens(checkpoint, package, "x86-64-v4");
  }
  std::string narrow = compileFor(checkpoint, "x86-64-v4+as-v3");
  ASSERT_FALSE(narrow.empty());
  expectGoldens(checkpoint, narrow, "x86-64-v3");
}

TEST_P(LevelsTest, ShareOneCopyOfTheWeights) {
  const Checkpoint &checkpoint = GetParam();
  std::string one = compileFor(checkpoint, "x86-64-v3");
  std::string all = compileFor(checkpoint, "x86-64-v3,x86-64-v4,aarch64");
  ASSERT_FALSE(one.empty() || all.empty());
  std::string weights = readFile(one + "/m.weights");
  EXPECT_FALSE(weights.empty());
  EXPECT_TRUE(readFile(all + "/m.weights") == weights);
  EXPECT_TRUE(fs::exists(all + "/lib/x86_64/libm.so"));
  EXPECT_TRUE(fs::exists(all + "/lib/aarch64/libm.so"));
}

/// The same input and options give the same bytes, by any number of threads.
TEST_P(LevelsTest, AreCompiledToTheSameBytes) {
  const Checkpoint &checkpoint = GetParam();
  std::string targets = "x86-64-v3,x86-64-v4";
  std::string first = compileFor(checkpoint, targets, {"--threads", "1"});
  ASSERT_FALSE(first.empty());
  for (const char *threads : {"1", "2"}) {
    std::string again = compileFor(checkpoint, targets, {"--threads", threads});
    ASSERT_FALSE(again.empty());
    size_t files = 0;
    for (const auto &entry : fs::recursive_directory_iterator(first)) {
      if (!entry.is_regular_file())
        continue;
      std::string name = fs::relative(entry.path(), first).string();
      EXPECT_TRUE(readFile(entry.path().string()) ==
                  readFile(again + "/" + name))
          << name << " differs, threads: " << threads;
      ++files;
    }
    EXPECT_GE(files, 5U);
  }
}

//===----------------------------------------------------------------------===//
// AArch64
//===----------------------------------------------------------------------===//

#ifdef VLMC_AARCH64_RUNNER
#include <sys/wait.h>

namespace {
/// What one request computes: an entry point, and its output's golden.
struct EntryRun {
  std::string entry;
  std::vector<std::string> inputs;
  std::string output;
};
const EntryRun entryRuns[] = {
    {"encode_image", {"pixel_values"}, "image_embeds"},
    {"encode_text", {"input_ids", "attention_mask"}, "text_embeds"}};
} // namespace

/// Appends a tensor as RunEntry.cpp reads it; masks are widened.
static void put(std::ofstream &file, const std::string &name,
                const Tensors &tensors, const SafetensorsEntry &entry) {
  bool isFloat = entry.dtype == "F32";
  file << name << " " << (isFloat ? 0 : 1) << " " << entry.shape.size();
  size_t count = 1;
  for (int64_t dim : entry.shape) {
    file << " " << dim;
    count *= size_t(dim);
  }
  file << "\n";
  std::span<const uint8_t> bytes = tensors.bytesOf(entry);
  if (isFloat) {
    file.write(reinterpret_cast<const char *>(bytes.data()),
               std::streamsize(bytes.size()));
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    auto value = int64_t(elementOf(bytes, entry.dtype, i));
    file.write(reinterpret_cast<const char *>(&value), sizeof value);
  }
}

/// Runs the entry under qemu; the output's floats.
static std::vector<float> runEmulated(const std::string &package,
                                      const std::string &entry,
                                      const std::string &inputs) {
  std::string outputs = freshPath("outputs");
  std::string command = std::string(VLMC_QEMU_AARCH64) + " -L " +
                        VLMC_AARCH64_ROOT + " " + VLMC_AARCH64_RUNNER + " '" +
                        package + "' " + entry + " '" + inputs + "' '" +
                        outputs + "'";
  int status = std::system(command.c_str());
  EXPECT_EQ(status, 0) << command;
  std::string text = status == 0 ? readFile(outputs) : "\n";
  text.erase(0, text.find('\n') + 1);
  std::vector<float> values(text.size() / sizeof(float));
  if (!values.empty())
    std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  return values;
}

/// One entry of one request; whether the request has it.
static bool checkEntry(const std::string &package, const EntryRun &run,
                       const Tensors &inputs, const Tensors &golden,
                       const std::string &prefix) {
  const SafetensorsEntry *want = golden.find(prefix + run.output);
  if (!want)
    return false;
  SCOPED_TRACE(prefix + run.output);
  std::string path = freshPath("inputs");
  std::ofstream file(path, std::ios::binary);
  for (const std::string &name : run.inputs)
    if (const SafetensorsEntry *entry = inputs.find(prefix + name))
      put(file, name, inputs, *entry);
  file << ">" << run.output << " 0 " << want->shape.size();
  for (int64_t dim : want->shape)
    file << " " << dim;
  file << "\n";
  file.close();
  std::vector<float> got = runEmulated(package, run.entry, path);
  std::vector<float> expected = golden.valuesOf<float>(*want);
  EXPECT_EQ(got.size(), expected.size());
  double mean = 0, squares = 0;
  for (float x : expected)
    mean += x / double(expected.size());
  for (float x : expected)
    squares += (x - mean) * (x - mean) / double(expected.size());
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i)
    EXPECT_NEAR(got[i], expected[i], embeddingTolerance * std::sqrt(squares))
        << i;
  return true;
}

TEST_P(LevelsTest, MeetTheGoldensOnAarch64) {
  const Checkpoint &checkpoint = GetParam();
  std::string package = compileFor(checkpoint, "aarch64");
  ASSERT_FALSE(package.empty());
  Tensors inputs(checkpoint.folder + "/inputs.safetensors");
  Tensors golden(checkpoint.folder + "/golden-tensors.safetensors");
  Result<Json> json =
      readJsonFile(checkpoint.folder + "/requests-tensors.json");
  ASSERT_TRUE(json) << json.message();
  size_t compared = 0;
  for (const Json &request : (*json)["cases"])
    for (const EntryRun &run : entryRuns)
      compared += checkEntry(package, run, inputs, golden,
                             request["prefix"].get<std::string>());
  EXPECT_GE(compared, 4U);
}

/// The package has no code for this machine.
TEST_P(LevelsTest, TellOfAnotherArchitecture) {
  std::string package = compileFor(GetParam(), "aarch64", {"--reference"});
  ASSERT_FALSE(package.empty());
  Ended ended = runVlmc({"inspect", package});
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.err.find("expected one library libNAME.so in lib/x86_64, "
                           "found only code for aarch64; compile with a "
                           "--target for this machine"),
            std::string::npos)
      << ended;
}
#endif
