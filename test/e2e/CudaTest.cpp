//===- CudaTest.cpp - Compiled models on a GPU that is not there ----------===//
//
// Packages with code for a GPU, run through the runtime and a stand-in for the
// CUDA driver that executes the kernels' own LLVM IR on the CPU. The answers
// are held to the goldens; and without a driver the CPU's are given.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/Checkpoints.h"
#include "test/e2e/Command.h"
#include "test/e2e/Golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

using namespace vlmc;
using namespace vlmc::e2e;
namespace fs = std::filesystem;

/// Where values between kernels have 11 binary digits, errors of 0.1 to 1 % of
/// a tensor's spread were seen after a few layers; of goldens of fp32.
static constexpr double looserInF16 = 150;

static constexpr const char *level = "cuda:sm_80+emulator";

/// Vision and text towers, a decoder with its cache.
static std::vector<Checkpoint> chosenCheckpoints() {
  const std::pair<const char *, const char *> names[] = {
      {"clip", "v5-plain"}, {"siglip", "heads-11"}, {"llava", "qwen2"}};
  std::vector<Checkpoint> chosen;
  for (const Checkpoint &checkpoint : findCheckpoints())
    for (auto [family, name] : names)
      if (checkpoint.family == family && checkpoint.name == name)
        chosen.push_back(checkpoint);
  EXPECT_EQ(chosen.size(), std::size(names));
  return chosen;
}

using CudaTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, CudaTest, testing::ValuesIn(chosenCheckpoints()),
                         testName);

static std::string compileFor(const Checkpoint &checkpoint) {
  std::string package = freshPath("cuda") + "/m.vlm";
  fs::create_directories(fs::path(package).parent_path());
  Ended ended = runVlmc({"compile", checkpoint.model(), "-o", package, "--taps",
                         tapsOf(checkpoint), "--weights", "f16", "--target",
                         std::string("x86-64-v3,") + level});
  EXPECT_EQ(ended.code, 0) << ended;
  return ended.code == 0 ? package : "";
}

TEST_P(CudaTest, MeetTheGoldens) {
  const Checkpoint &checkpoint = GetParam();
  std::string package = compileFor(checkpoint);
  ASSERT_FALSE(package.empty());
  std::string path = checkpoint.folder + "/inputs.safetensors";
  std::optional<Tensors> inputs;
  if (fs::exists(path))
    inputs.emplace(path);
  for (const Requests &requests : checkpoint.requests) {
    SCOPED_TRACE(requests.path);
    Tensors out =
        runRequests(package, requests.path,
                    {"--isa", level, "--cuda-driver", VLMC_EMULATED_CUDA});
    Comparison result =
        compareWithGolden(out, Tensors(requests.golden),
                          inputs ? &*inputs : nullptr, looserInF16);
    EXPECT_EQ(result.faults, std::vector<std::string>());
    // fp32 would be nearer: it was the GPU's code that ran.
    EXPECT_GT(result.worst * looserInF16, 1);
  }
}

/// The same package where there is no driver: on the CPU, and it says why.
TEST(CudaDevices, TellWhatRunsAModel) {
  std::string package = compileFor(chosenCheckpoints().front());
  ASSERT_FALSE(package.empty());
  Ended here =
      runVlmc({"inspect", package, "--cuda-driver", VLMC_EMULATED_CUDA});
  EXPECT_EQ(here.code, 0) << here;
  EXPECT_NE(here.out.find("runs as cuda:sm_80+emulator ("), std::string::npos)
      << here;
  Ended none = runVlmc({"inspect", package, "--cuda-driver", "libnone.so"});
  EXPECT_EQ(none.code, 0) << none;
  EXPECT_NE(none.out.find("runs as x86-64-v3 (CPU, since there is no CUDA "
                          "driver: libnone.so: cannot open shared object"),
            std::string::npos)
      << none;
  Ended wrong = runVlmc({"inspect", package, "--cuda-driver", "libm.so.6"});
  EXPECT_NE(wrong.out.find("(CPU, since the CUDA driver 'libm.so.6' has no "
                           "cuInit; it is no driver, or one too old)"),
            std::string::npos)
      << wrong;
  Ended asked = runVlmc(
      {"inspect", package, "--isa", level, "--cuda-driver", "libnone.so"});
  EXPECT_NE(asked.code, 0);
  EXPECT_NE(asked.err.find("cannot run the code for 'cuda:sm_80+emulator', as "
                           "the load options ask: there is no CUDA driver: "),
            std::string::npos)
      << asked;
  Ended unknown = runVlmc({"inspect", package, "--isa", "cuda:sm_90",
                           "--cuda-driver", VLMC_EMULATED_CUDA});
  EXPECT_NE(unknown.err.find("expected code for 'cuda:sm_90', as the load "
                             "options ask, found x86-64-v3, "
                             "cuda:sm_80+emulator"),
            std::string::npos)
      << unknown;
}

/// A driver that fails at one call: on the CPU where it has not begun, else
/// with a status that says what was being done and the driver's words.
TEST(CudaDevices, TellWhatFailed) {
  Checkpoint checkpoint = chosenCheckpoints().front();
  std::string package = compileFor(checkpoint);
  ASSERT_FALSE(package.empty());
  const std::pair<const char *, const char *> faults[] = {
      {"cuMemAlloc:1",
       " bytes of weights failed with CUDA_ERROR_OUT_OF_MEMORY"},
      {"cuMemAlloc:2", " bytes of working memory (send less at once) failed "
                       "with CUDA_ERROR_OUT_OF_MEMORY"},
      {"cuModuleGetFunction:1", "looking up the function "},
      {"cuLaunchKernel:2", "launching '"},
      {"launch:3:719", "failed with CUDA_ERROR_LAUNCH_FAILED"}};
  for (auto [fault, words] : faults) {
    SCOPED_TRACE(fault);
    setenv("VLMC_EMULATOR_FAIL", fault, 1);
    Ended ended = runVlmc({"run", "--model", package, "--inputs",
                           checkpoint.requests.front().path, "--outputs",
                           freshPath("out.safetensors"), "--isa", level,
                           "--cuda-driver", VLMC_EMULATED_CUDA});
    unsetenv("VLMC_EMULATOR_FAIL");
    EXPECT_NE(ended.code, 0);
    EXPECT_NE(ended.err.find(words), std::string::npos) << ended;
  }
  setenv("VLMC_EMULATOR_FAIL", "cuInit:1", 1);
  Ended told =
      runVlmc({"inspect", package, "--cuda-driver", VLMC_EMULATED_CUDA});
  unsetenv("VLMC_EMULATOR_FAIL");
  EXPECT_NE(told.out.find("(CPU, since the CUDA driver does not start: CUDA_"),
            std::string::npos)
      << told;
}
