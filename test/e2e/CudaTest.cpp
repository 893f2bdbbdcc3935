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

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

using namespace vlmc;
using namespace vlmc::e2e;
namespace fs = std::filesystem;

static std::string setting(const char *name, const char *usual) {
  const char *given = std::getenv(name);
  return given && *given ? given : usual;
}

/// `tools/gpu-check` runs the goldens on a device, by its driver.
static const std::string level =
    setting("VLMC_E2E_CUDA_LEVEL", "cuda:sm_80+emulator");
static const std::string driver =
    setting("VLMC_E2E_CUDA_DRIVER", VLMC_EMULATED_CUDA);

/// Memory of the device is shut for the host in all of these tests.
static const int isProtected = setenv("VLMC_EMULATOR_PROTECT", "1", 1);

namespace {
/// A checkpoint, and what of its outputs is farther off than usual.
struct Chosen {
  const char *family, *name;
  Tolerances wider = {};
};
} // namespace

/// Values between kernels have 11 binary digits, and decoders' sums 24: errors
/// in a tensor's spread, against goldens of fp32.
static const Tolerances inF16 = {{"logits", 0.02}, {"", 0.015}};

/// One of each family and kind of part, the smallest there is.
static const std::vector<Chosen> &chosen() {
  static const std::vector<Chosen> list = {
      {"blip2", "instruct-opt"},
      {"blip2", "opt"},
      {"blip2", "retrieval-one"},
      {"blip2-t5", "instruct-plain"},
      {"blip2-t5", "unscaled", {{"encoder_features", 0.03}, {"logits", 0.04}}},
      {"chameleon", "plain"},
      {"clip", "v5-plain"},
      {"fuyu", "plain-heads"},
      {"idefics", "scalar"},
      {"internvl", "qwen2"},
      {"llava", "next-tensors", {{"hidden_states", 0.025}}},
      {"llava", "qwen2"},
      {"llava", "vip", {{"hidden_states", 0.03}}},
      {"mllama", "one-tile"},
      {"open-flamingo", "third"},
      {"open_clip", "resnet"},
      {"paligemma", "gemma"},
      {"paligemma", "gemma2-types"},
      {"siglip", "heads-11"},
      {"siglip", "siglip2"},
  };
  return list;
}

static std::vector<Checkpoint> chosenCheckpoints() {
  std::vector<Checkpoint> found;
  for (const Checkpoint &checkpoint : findCheckpoints())
    for (const Chosen &one : chosen())
      if (checkpoint.family == one.family && checkpoint.name == one.name)
        found.push_back(checkpoint);
  EXPECT_EQ(found.size(), chosen().size());
  return found;
}

static Tolerances tolerancesOf(const Checkpoint &checkpoint) {
  Tolerances tolerances = inF16;
  for (const Chosen &one : chosen())
    if (checkpoint.family == one.family && checkpoint.name == one.name)
      for (const auto &[output, tolerance] : one.wider)
        tolerances[output] = tolerance;
  return tolerances;
}

using CudaTest = CheckpointTest;
INSTANTIATE_TEST_SUITE_P(E2E, CudaTest, testing::ValuesIn(chosenCheckpoints()),
                         testName);

static std::string compileFor(const std::string &model, const std::string &taps,
                              const std::string &weights = "f16",
                              const std::string &isa = level) {
  std::string package = freshPath("cuda") + "/m.vlm";
  fs::create_directories(fs::path(package).parent_path());
  Ended ended = runVlmc({"compile", model, "-o", package, "--taps", taps,
                         "--weights", weights, "--target", "x86-64-v3," + isa});
  EXPECT_EQ(ended.code, 0) << ended;
  return ended.code == 0 ? package : "";
}

static void expectGoldens(const Checkpoint &checkpoint,
                          const std::string &package,
                          const Tolerances &tolerances,
                          const std::string &isa = level,
                          const std::vector<std::string> &more = {}) {
  std::vector<std::string> options = {"--isa", isa, "--cuda-driver", driver};
  options.insert(options.end(), more.begin(), more.end());
  std::string path = checkpoint.folder + "/inputs.safetensors";
  std::optional<Tensors> inputs;
  if (fs::exists(path))
    inputs.emplace(path);
  // Pictures are read from files by the CPU, whatever runs the model.
  bool hasTensors = std::ranges::any_of(
      checkpoint.requests, [](auto &one) { return one.name == "tensors"; });
  for (const Requests &requests : checkpoint.requests) {
    if (hasTensors && requests.name != "tensors")
      continue;
    SCOPED_TRACE(requests.path);
    Tensors out = runRequests(package, requests.path, options);
    Comparison result = compareWithGolden(
        out, Tensors(requests.golden), inputs ? &*inputs : nullptr, tolerances);
    EXPECT_EQ(result.faults, std::vector<std::string>());
    double largest = 0;
    for (const auto &[output, error] : result.errors) {
      testing::Test::RecordProperty(output, std::to_string(error));
      largest = std::max(largest, error);
    }
    // fp32 would be nearer: it was the GPU's code that ran.
    EXPECT_GT(largest, embeddingTolerance);
  }
}

TEST_P(CudaTest, MeetTheGoldens) {
  const Checkpoint &checkpoint = GetParam();
  std::string package = compileFor(checkpoint.model(), tapsOf(checkpoint));
  ASSERT_FALSE(package.empty());
  expectGoldens(checkpoint, package, tolerancesOf(checkpoint));
}

static Checkpoint checkpointNamed(const std::string &family,
                                  const std::string &name) {
  for (const Checkpoint &checkpoint : findCheckpoints())
    if (checkpoint.family == family && checkpoint.name == name)
      return checkpoint;
  ADD_FAILURE() << "no " << family << "/" << name;
  return {};
}

/// Products by tensor maps and groups of warps where they fit; then a library
/// makes those that it is faster at.
TEST(CudaHopper, MeetsTheGoldensAloneAndWithALibrary) {
  const std::string isa = "cuda:sm_90a+emulator";
  setenv("VLMC_EMULATOR_CHIP", "90", 1);
  setenv("VLMC_FAKE_CUBLASLT_DRIVER", VLMC_EMULATED_CUDA, 1);
  std::string choices = freshPath("choices.txt");
  setenv("VLMC_GPU_CHOICES", choices.c_str(), 1);
  for (auto [family, name] :
       {std::pair("clip", "v5-plain"), {"llava", "qwen2"}}) {
    SCOPED_TRACE(family);
    Checkpoint checkpoint = checkpointNamed(family, name);
    std::string package =
        compileFor(checkpoint.model(), tapsOf(checkpoint), "f16", isa);
    ASSERT_FALSE(package.empty());
    expectGoldens(checkpoint, package, tolerancesOf(checkpoint), isa);
    EXPECT_FALSE(fs::exists(choices));
    expectGoldens(checkpoint, package, tolerancesOf(checkpoint), isa,
                  {"--cublaslt", VLMC_FAKE_CUBLASLT});
    // CLIP's products have a norm before them, or a residual in f16: none is a
    // library's.
    if (family == std::string("clip"))
      EXPECT_FALSE(fs::exists(choices));
    else
      EXPECT_TRUE(readFile(choices).starts_with("vlmc-gpu-products 2 "));
    fs::remove(choices);
  }
  for (const char *name :
       {"VLMC_EMULATOR_CHIP", "VLMC_FAKE_CUBLASLT_DRIVER", "VLMC_GPU_CHOICES"})
    unsetenv(name);
}

/// bf16 has 8 binary digits.
TEST(CudaRanges, Bf16BetweenKernels) {
  Checkpoint checkpoint = checkpointNamed("clip", "v5-plain");
  std::string package =
      compileFor(checkpoint.model(), tapsOf(checkpoint), "bf16");
  ASSERT_FALSE(package.empty());
  expectGoldens(checkpoint, package, {{"logits", 0.12}, {"", 0.12}});
}

/// Multiplies bf16 weights, those whose names end so, by a power of two.
static void scaleWeights(const std::string &path, const std::string &ending,
                         int power) {
  std::string file = readFile(path);
  for (const SafetensorsEntry &entry : Tensors(path).entries()) {
    if (!entry.name.ends_with(ending))
      continue;
    ASSERT_EQ(entry.dtype, "BF16");
    for (uint64_t at = entry.begin; at < entry.end; at += 2) {
      uint16_t bits = 0;
      std::memcpy(&bits, file.data() + at, 2);
      bits = uint16_t(bits + (bits & 0x7f80 ? power << 7 : 0));
      std::memcpy(file.data() + at, &bits, 2);
    }
  }
  std::ofstream(path, std::ios::binary) << file;
}

/// A decoder whose layers add up to more than 65504, as a T5 of billions of
/// weights: with f16 it is as near to fp32 as any.
TEST(CudaRanges, SumsBeyondF16) {
  std::string folder = freshPath("scaled");
  fs::path from = goldensFolder() + "/blip2-t5/v1-1";
  fs::copy(from / "model", folder);
  fs::permissions(folder + "/model.safetensors", fs::perms::owner_write,
                  fs::perm_options::add);
  scaleWeights(folder + "/model.safetensors", "DenseReluDense.wi_1.weight", 4);
  scaleWeights(folder + "/model.safetensors", "DenseReluDense.wo.weight", 16);
  std::string package = compileFor(folder, "inputs_embeds");
  ASSERT_FALSE(package.empty());
  std::string requests = (from / "requests-tensors.json").string();
  Tensors there = runRequests(
      package, requests, {"--isa", level, "--cuda-driver", VLMC_EMULATED_CUDA});
  Tensors here = runRequests(package, requests, {"--isa", "x86-64-v3"});
  Tolerances tolerances = inF16;
  tolerances["encoder_features"] = 0.05;
  Comparison result = compareWithGolden(there, here, nullptr, tolerances);
  EXPECT_EQ(result.faults, std::vector<std::string>());
  EXPECT_GT(result.errors["logits"], logitTolerance);
}

/// The same package where there is no driver: on the CPU, and it says why.
TEST(CudaDevices, TellWhatRunsAModel) {
  Checkpoint checkpoint = checkpointNamed("clip", "v5-plain");
  std::string package = compileFor(checkpoint.model(), tapsOf(checkpoint));
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
  Checkpoint checkpoint = checkpointNamed("clip", "v5-plain");
  std::string package = compileFor(checkpoint.model(), tapsOf(checkpoint));
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

/// A driver that fails while a model is loaded for a GPU that nobody asked for:
/// the model runs on the CPU, as if there were none, and says why.
TEST(CudaDevices, FallBackToTheCpu) {
  Checkpoint checkpoint = checkpointNamed("clip", "v5-plain");
  std::string package = compileFor(checkpoint.model(), tapsOf(checkpoint));
  ASSERT_FALSE(package.empty());
  const Requests &requests = checkpoint.requests.back();
  std::string path = checkpoint.folder + "/inputs.safetensors";
  Tensors inputs(path);
  const std::pair<const char *, const char *> faults[] = {
      {"cuMemAlloc:1",
       " bytes of weights failed with CUDA_ERROR_OUT_OF_MEMORY"},
      {"cuModuleLoadData:1:222", "loading the code for cuda:sm_80+emulator "
                                 "failed with "},
      {"cuModuleGetFunction:1", "looking up the function "}};
  for (auto [fault, words] : faults) {
    SCOPED_TRACE(fault);
    setenv("VLMC_EMULATOR_FAIL", fault, 1);
    std::string path = freshPath("out.safetensors");
    Ended ended = runVlmc({"run", "--model", package, "--inputs", requests.path,
                           "--outputs", path, "--image-backend", "pil",
                           "--cuda-driver", VLMC_EMULATED_CUDA});
    unsetenv("VLMC_EMULATOR_FAIL");
    EXPECT_EQ(ended.code, 0) << ended;
    EXPECT_NE(ended.err.find("note: the model runs on the CPU, since GPU '"),
              std::string::npos)
        << ended;
    EXPECT_NE(ended.err.find(words), std::string::npos) << ended;
    // The weights are f16, all else is fp32.
    Comparison result =
        compareWithGolden(Tensors(path), Tensors(requests.golden), &inputs,
                          tolerancesOf(checkpoint));
    EXPECT_EQ(result.faults, std::vector<std::string>());
  }
}
