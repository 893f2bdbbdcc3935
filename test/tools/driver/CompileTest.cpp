//===-- CompileTest.cpp - the whole compilation ---------------------------===//
#include "tools/driver/Compile.h"
#include "codegen/package/manifest.pb.h"
#include "runtime/vlm.h"
#include "test/codegen/package/Support.h"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <google/protobuf/text_format.h>

using namespace vlmc;
using namespace vlmc::test;

namespace {
struct CompileTest : testing::Test {
  CompileTest() {
    request.model = checkpoint;
    request.output = folder.file("tiny.vlm");
    request.targets = {"x86-64-v3"};
    request.vlmcHalide = std::string(VLMC_BINARY_DIR) + "/bin/vlmc-halide";
    request.warn = [this](llvm::StringRef message) {
      warnings.push_back(message.str());
    };
  }
  /// Prints a stage into a file and returns its path.
  std::string printStage(EmitStage stage, const std::string &name) {
    CompileRequest printed = request;
    printed.stage = stage;
    printed.output = folder.file(name);
    EXPECT_EQ(messageOf(compileModel(printed)), "");
    return printed.output;
  }
  std::string file(const std::string &name) {
    return readFile(request.output + "/" + name);
  }
  const std::string checkpoint =
      std::string(VLMC_SOURCE_DIR) + "/test/e2e/goldens/clip/context-1/model";
  TemporaryFolder folder;
  CompileRequest request;
  std::vector<std::string> warnings;
};
} // namespace

/// Encodes a fixed pattern of pixels.
static std::vector<float> encodeImage(const std::string &package) {
  auto check = [](vlm_status_t *status) {
    EXPECT_FALSE(status) << vlm_status_message(status);
    bool failed = status;
    vlm_status_destroy(status);
    return !failed;
  };
  vlm_model_t *model = nullptr;
  const vlm_entry_t *entry = nullptr;
  std::vector<float> embeds;
  if (check(vlm_model_load(package.c_str(), nullptr, &model)) &&
      check(vlm_model_verify(model)) &&
      check(vlm_model_entry(model, "encode_image", &entry))) {
    vlm_tensor_t pixels{}, out{};
    check(vlm_entry_input(entry, 0, &pixels));
    check(vlm_entry_output(entry, 0, &out));
    pixels.dims[0] = out.dims[0] = 2;
    std::vector<float> values(2 * 3 * pixels.dims[2] * pixels.dims[3]);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
    embeds.resize(2 * out.dims[1]);
    pixels.data = values.data();
    pixels.bytes = values.size() * sizeof(float);
    out.data = embeds.data();
    out.bytes = embeds.size() * sizeof(float);
    check(vlm_entry_run(entry, &pixels, 1, &out, 1));
  }
  vlm_model_destroy(model);
  return embeds;
}

TEST_F(CompileTest, FusedEqualsReference) {
  std::vector<std::string> stages;
  request.progress = [&](llvm::StringRef what, uint64_t, uint64_t) {
    if (stages.empty() || stages.back() != what)
      stages.push_back(what.str());
  };
  ASSERT_EQ(messageOf(compileModel(request)), "");
  EXPECT_EQ(stages, (std::vector<std::string>{
                        "reading " + checkpoint, "reading the tokenizer",
                        "optimising for x86_64", "planning for x86-64-v3",
                        "generating code for x86-64-v3",
                        "generating image pipelines for x86-64-v3",
                        "writing weights"}));
  std::vector<float> fused = encodeImage(request.output);
  request.output = folder.file("reference.vlm");
  request.reference = true;
  ASSERT_EQ(messageOf(compileModel(request)), "");
  std::vector<float> reference = encodeImage(request.output);
  ASSERT_EQ(fused.size(), reference.size());
  ASSERT_FALSE(fused.empty());
  // Unit vectors; other summation orders only.
  for (size_t i = 0; i < fused.size(); ++i)
    EXPECT_NEAR(fused[i], reference[i], 1e-5) << i;
}

TEST_F(CompileTest, GoesOnFromEveryPrintedStage) {
  // From each stage to the planned one, which is the same text.
  std::string planned = printStage(EmitStage::Planned, "m.planned.mlir");
  for (auto [stage, name] : {std::pair(EmitStage::Spec, "m.spec.textproto"),
                             std::pair(EmitStage::Graph, "m.graph.mlir"),
                             std::pair(EmitStage::Kernels, "m.kernels.mlir"),
                             std::pair(EmitStage::Planned, "m.again.mlir")}) {
    CompileRequest resumed = request;
    resumed.model = printStage(stage, name);
    resumed.checkpoint = checkpoint;
    resumed.stage = EmitStage::Planned;
    resumed.output = folder.file("resumed.mlir");
    ASSERT_EQ(messageOf(compileModel(resumed)), "") << name;
    EXPECT_TRUE(readFile(resumed.output) == readFile(planned)) << name;
  }
  // And from there to the same package.
  ASSERT_EQ(messageOf(compileModel(request)), "");
  std::string library = file("lib/x86_64/libtiny.so");
  std::string weights = file("tiny.weights");
  request.model = planned;
  request.checkpoint = checkpoint;
  ASSERT_EQ(messageOf(compileModel(request)), "");
  EXPECT_TRUE(file("lib/x86_64/libtiny.so") == library);
  EXPECT_TRUE(file("tiny.weights") == weights);
}

TEST_F(CompileTest, PrintsCode) {
  EXPECT_NE(readFile(printStage(EmitStage::Llvm, "m.ll")).find("define "),
            std::string::npos);
  EXPECT_NE(readFile(printStage(EmitStage::Asm, "m.s")).find("vfmadd"),
            std::string::npos);
  EXPECT_EQ(readFile(printStage(EmitStage::Obj, "m.o")).substr(0, 4), "\x7f"
                                                                      "ELF");
  EXPECT_EQ(emitStageNames(),
            (std::vector<std::string>{"spec", "graph", "kernels", "planned",
                                      "llvm", "asm", "obj", "ptx"}));
  EXPECT_EQ(findEmitStage("planned"), EmitStage::Planned);
  EXPECT_FALSE(findEmitStage("package"));
}

TEST_F(CompileTest, ExplainsWhatPassesDid) {
  std::vector<std::string> lines;
  request.explain = [&](llvm::StringRef line) { lines.push_back(line.str()); };
  printStage(EmitStage::Kernels, "m.kernels.mlir");
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const auto &line) {
    return line.find("fuse-qkv: done: ") == 0;
  })) << (lines.empty() ? "no lines" : lines.front());
}

TEST_F(CompileTest, RandomWeightsAndTaps) {
  request.randomSeed = 7;
  request.taps = {"all"};
  request.reference = true;
  ASSERT_EQ(messageOf(compileModel(request)), "");
  manifest::Manifest manifest;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      file("manifest.textproto"), &manifest));
  EXPECT_EQ(manifest.sources_size(), 0);
  EXPECT_EQ(manifest.taps(0), "all");
  EXPECT_EQ(manifest.options(0), "--target=x86-64-v3");
  EXPECT_EQ(manifest.options(1), "--random-weights=7");
  EXPECT_EQ(manifest.options(2), "--reference");
  EXPECT_TRUE(manifest.reference());
  EXPECT_GT(manifest.entries(0).outputs_size(), 1);
}

TEST_F(CompileTest, TellsOfWrongRequests) {
  auto expect = [](const CompileRequest &wrong, const std::string &want) {
    bool isUser = false;
    llvm::Error error = compileModel(wrong);
    ASSERT_TRUE(bool(error));
    EXPECT_EQ(takeMessage(std::move(error), &isUser), want);
    EXPECT_TRUE(isUser);
  };
  CompileRequest wrong = request;
  wrong.targets = {"z80"};
  expect(wrong, "target 'z80': unknown base 'z80'; expected one of aarch64, "
                "cuda:sm_80, cuda:sm_86, cuda:sm_89, cuda:sm_90, cuda:sm_90a, "
                "x86-64-v3, x86-64-v4, where a CPU's may be followed by "
                "+FEATURE");
  wrong.targets = {"x86-64-v3", "x86-64-v3"};
  expect(wrong, "target 'x86-64-v3' is given twice");
  wrong = request;
  wrong.output.clear();
  expect(wrong, "no output is named; give -o NAME.vlm");
  wrong = request;
  wrong.checkpoint = "a";
  wrong.randomSeed = 1;
  expect(wrong, "weights are either a checkpoint's (a) or random (seed 1), not "
                "both");
  wrong = request;
  wrong.model = folder.file("no.mlir");
  expect(wrong, wrong.model + ": no such file; check the path");
  writeText(wrong.model, "module {}");
  expect(wrong, wrong.model +
                    ": expected the module attribute 'vlm.spec', found none; "
                    "print the stage with vlmc compile --emit");
  writeText(wrong.model, "module {");
  std::string message = messageOf(compileModel(wrong));
  EXPECT_EQ(message.find(wrong.model + ":1:"), 0u) << message;
  wrong.model = printStage(EmitStage::Spec, "m.textproto");
  expect(wrong, wrong.model + " has no weights; give --checkpoint DIR or "
                              "--random-weights SEED");
  wrong.model = printStage(EmitStage::Planned, "m.planned.mlir");
  wrong.stage = EmitStage::Graph;
  expect(wrong, wrong.model + " is at stage 'planned', behind 'graph'; "
                              "start from an earlier stage");
  wrong.stage = EmitStage::Planned;
  wrong.taps = {"all"};
  expect(wrong, wrong.model + ": taps are chosen when the graph is made; give "
                              "them with --emit graph");
  wrong = request;
  wrong.stage = EmitStage::Spec;
  wrong.output = folder.file("no/m.textproto");
  expect(wrong, wrong.output +
                    ": cannot be written: No such file or directory; choose a "
                    "folder that exists and that you may write to");
  EXPECT_FALSE(std::filesystem::exists(request.output));
}

TEST_F(CompileTest, TellsOfAPlaceThatCannotBeWrittenBeforeItWorks) {
  writeText(request.output, "mine");
  bool worked = false;
  request.progress = [&](llvm::StringRef, uint64_t, uint64_t) {
    worked = true;
  };
  EXPECT_NE(messageOf(compileModel(request)), "");
  EXPECT_FALSE(worked);
  EXPECT_EQ(readFile(request.output), "mine");
}

TEST_F(CompileTest, PrintsIntoADeviceInItsPlace) {
  // A link, so that a fault here does not put a file in the device's place.
  request.stage = EmitStage::Graph;
  request.output = folder.file("full");
  std::filesystem::create_symlink("/dev/full", request.output);
  EXPECT_EQ(messageOf(compileModel(request)),
            request.output + ": cannot be written: No space left on device; "
                             "free some space or choose another place");
  EXPECT_TRUE(std::filesystem::is_symlink(request.output));
}

TEST_F(CompileTest, WarnsWhereThereIsNoTokenizer) {
  std::string bare = folder.file("bare");
  std::filesystem::create_directory(bare);
  for (const char *name : {"config.json", "model.safetensors"})
    std::filesystem::copy(checkpoint + "/" + name, bare + "/" + name);
  request.model = bare;
  request.reference = true;
  ASSERT_EQ(messageOf(compileModel(request)), "");
  EXPECT_TRUE(std::any_of(
      warnings.begin(), warnings.end(), [&](const std::string &warning) {
        return warning ==
               bare +
                   ": it has neither tokenizer.json nor "
                   "vocab.json nor spiece.model, so the compiled model takes "
                   "token ids but no text";
      }));
}
