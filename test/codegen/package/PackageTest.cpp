//===-- PackageTest.cpp - whole packages ----------------------------------===//
#include "codegen/package/Package.h"
#include "codegen/package/Interface.h"
#include "codegen/package/Plan.h"
#include "codegen/package/manifest.pb.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "test/codegen/package/Support.h"
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <google/protobuf/text_format.h>

using namespace vlmc;
using namespace vlmc::test;

static const char *const plannedText = R"mlir(
module attributes {vlm.model = "tiny"} {
  vlm.weight @w : tensor<8x4xf32, #vlm.layout<"f32.panel16">> =
      #vlm.recipe<pack "f32.panel16" (#vlm.recipe<read "w" : tensor<8x4xf32>>)
      : tensor<8x4xf32, #vlm.layout<"f32.panel16">>>
  vlm.weight @unused : tensor<4xf32> =
      #vlm.recipe<read "gone" : tensor<4xf32>>
  vlm.kernel @k(%x: tensor<?x4xf32>,
      %w: tensor<8x4xf32, #vlm.layout<"f32.panel16">>) -> tensor<?x8xf32>
      attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
    %0 = vlm.linear %x, %w : (tensor<?x4xf32>,
        tensor<8x4xf32, #vlm.layout<"f32.panel16">>) -> tensor<?x8xf32>
    vlm.yield %0 : tensor<?x8xf32>
  }
  vlm.kernel @n(%x: tensor<?x8xf32>) -> tensor<?x8xf32>
      attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows"} {
    %0 = vlm.l2_normalize %x : tensor<?x8xf32>
    vlm.yield %0 : tensor<?x8xf32>
  }
  func.func @encode(%x: tensor<?x4xf32> {vlm.name = "x", vlm.dims = ["B", ""]})
      -> (tensor<?x8xf32> {vlm.name = "y"})
      attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 64>],
                  vlm.slots = [[#vlm.size<32 * B>], [#vlm.size<64>]]} {
    %w = vlm.get_weight @w : tensor<8x4xf32, #vlm.layout<"f32.panel16">>
    %0 = vlm.call @k(%x, %w) {label = "proj", slots = array<i64: 0>,
        temps = array<i64: 1>, scratch = #vlm.size<128>}
        : (tensor<?x4xf32>, tensor<8x4xf32, #vlm.layout<"f32.panel16">>)
        -> tensor<?x8xf32>
    %1 = vlm.call @n(%0) {label = "norm", slots = array<i64: -1>,
        temps = array<i64>, scratch = #vlm.size<64>}
        : (tensor<?x8xf32>) -> tensor<?x8xf32>
    return %1 : tensor<?x8xf32>
  }
}
)mlir";

static const char *const kernelText = R"(
  define hidden void @t_k(ptr %a, i64 %b, i64 %e) { ret void }
  define hidden i64 @t_k_tasks(ptr %d) { ret i64 1 }
  define hidden void @t_n(ptr %a, i64 %b, i64 %e) { ret void }
  define hidden i64 @t_n_tasks(ptr %d) { ret i64 1 })";

namespace {
struct PackageTest : RecipeTest {
  void SetUp() override {
    context.loadDialect<mlir::func::FuncDialect>();
    source.add("w", StoredType::F32, {8, 4}, std::vector<float>(32, 0.5f));
    planned = mlir::parseSourceString<mlir::ModuleOp>(plannedText, &context);
    ASSERT_TRUE(planned);
    source.get("w").file = sources.file("model.safetensors");
    writeText(source.get("w").file, "12345");
    spec.set_family("clip");
    spec.mutable_text()->set_max_tokens(77);
    spec.mutable_text()->set_pad_token_id(3);
    inputs.name = "tiny";
    inputs.output = folder.file("tiny.vlm");
    inputs.spec = &spec;
    inputs.weights = &source;
    inputs.tokenizer = tokenizer;
    inputs.options = {"--target=x86-64-v3"};
    inputs.levels = {{findTarget("x86-64-v3"),
                      *planned,
                      kernels,
                      {"kernels", makeObject(kernelText)}}};
  }
  TestSource source;
  TemporaryFolder folder, sources;
  mlir::OwningOpRef<mlir::ModuleOp> planned;
  spec::ModelSpec spec;
  std::vector<uint8_t> tokenizer = {1, 2, 3};
  std::vector<KernelCode> kernels = {
      {"k", "gemm", {{"t_k", "t_k_tasks"}}, 4, 1},
      {"n", "rows", {{"t_n", "t_n_tasks"}}, 2, 1}};
  PackageInputs inputs;
};
} // namespace

/// The files of a package with their contents.
static std::map<std::string, std::string> readPackage(const std::string &path) {
  std::map<std::string, std::string> files;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), path).string()] =
          readFile(entry.path().string());
  return files;
}

TEST_F(PackageTest, HoldsWhatTheRuntimeAndProgramsNeed) {
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  std::map<std::string, std::string> files = readPackage(inputs.output);
  std::vector<std::string> names;
  for (const auto &[name, bytes] : files)
    names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "lib/x86_64/libtiny.so", "manifest.textproto", "tiny.h",
                       "tiny.weights", "tinyConfig.cmake"}));
  EXPECT_EQ(folder.list(), std::vector<std::string>{"tiny.vlm"});

  std::string library = inputs.output + "/lib/x86_64/libtiny.so";
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_TRUE(handle) << dlerror();
  auto *model =
      static_cast<const vlm_abi_model *>(dlsym(handle, "tiny_vlm_model"));
  ASSERT_TRUE(model);
  EXPECT_EQ(model->weights_bytes, files["tiny.weights"].size());
  EXPECT_EQ(model->tokenizer.bytes, 3u);
  EXPECT_EQ(files["tiny.weights"].substr(model->tokenizer.offset, 3), "\1\2\3");
  EXPECT_EQ(model->text_max_tokens, 77u);
  EXPECT_EQ(model->pad_token_id, 3);
  EXPECT_FALSE(model->image);
  const vlm_abi_entry &entry = model->levels[0].entries[0];
  ASSERT_EQ(entry.n_steps, 2u);
  const vlm_abi_buffer *buffers = entry.steps[0].buffers;
  EXPECT_EQ(buffers[0].kind, uint32_t(VLM_ABI_INPUT));
  EXPECT_EQ(buffers[1].kind, uint32_t(VLM_ABI_WEIGHT));
  float weight;
  std::memcpy(&weight, &files["tiny.weights"][buffers[1].offset], 4);
  EXPECT_EQ(weight, 0.5f);
  EXPECT_EQ(buffers[2].kind, uint32_t(VLM_ABI_SLOT));
  EXPECT_EQ(buffers[2].index, 0u);
  EXPECT_EQ(buffers[3].kind, uint32_t(VLM_ABI_SLOT));
  EXPECT_EQ(buffers[3].index, 1u);
  EXPECT_EQ(entry.steps[1].buffers[1].kind, uint32_t(VLM_ABI_OUTPUT));
  ASSERT_EQ(entry.scratch.n_sizes, 1u);
  EXPECT_EQ(entry.scratch.sizes[0].terms[0].coefficient, 128);
  dlclose(handle);
}

TEST_F(PackageTest, ManifestTellsWhatWasCompiled) {
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  manifest::Manifest manifest;
  std::string text = readFile(inputs.output + "/manifest.textproto");
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &manifest));
  EXPECT_EQ(manifest.vlmc_version(), VLMC_VERSION);
  EXPECT_EQ(manifest.family(), "clip");
  EXPECT_EQ(manifest.sources(0).name(), "model.safetensors");
  EXPECT_EQ(manifest.sources(0).bytes(), 5u);
  EXPECT_EQ(manifest.libraries(0).levels(0).target(), "x86-64-v3");
  EXPECT_EQ(manifest.libraries(0).levels(0).kernels(), 2u);
  EXPECT_EQ(manifest.weights().tensors(), 2u);
  EXPECT_EQ(manifest.entries(0).inputs(0), "x f32 [B, 4]");
  EXPECT_EQ(manifest.entries(0).outputs(0), "y f32 [B, 8]");
  EXPECT_EQ(text.find(folder.path), std::string::npos);
  EXPECT_EQ(text.find(sources.path), std::string::npos);
}

TEST_F(PackageTest, IsTheSameBytesEachTime) {
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  std::map<std::string, std::string> first = readPackage(inputs.output);
  // Over the old one, and elsewhere with other threads.
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  EXPECT_TRUE(readPackage(inputs.output) == first);
  TemporaryFolder other;
  inputs.output = other.file("else.vlm");
  inputs.jobs = 5;
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  EXPECT_TRUE(readPackage(inputs.output) == first);
}

TEST_F(PackageTest, KeepsTheOldPackageWhenItFails) {
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  std::map<std::string, std::string> first = readPackage(inputs.output);
  inputs.levels[0].kernels[1].phases[0].run = "t_missing";
  EXPECT_EQ(messageOf(writePackage(inputs)),
            "cannot link 'libtiny.so': no object defines 't_missing' of object "
            "'tables'");
  EXPECT_TRUE(readPackage(inputs.output) == first);
  EXPECT_EQ(folder.list(), std::vector<std::string>{"tiny.vlm"});
}

TEST_F(PackageTest, TellsOfPlansThatDoNotFit) {
  inputs.levels[0].kernels[0].buffers = 3;
  EXPECT_EQ(messageOf(writePackage(inputs)),
            "entry 'encode': step 'proj' has 4 buffers and 1 dims, but its "
            "kernel 'k' takes 3 and 1");
  inputs.levels[0].kernels.erase(inputs.levels[0].kernels.begin());
  EXPECT_EQ(messageOf(writePackage(inputs)),
            "entry 'encode': no code was made for kernel 'k'");
  planned->walk(
      [](mlir::func::FuncOp entry) { entry->removeAttr(vlm::names::slots); });
  EXPECT_EQ(messageOf(writePackage(inputs)),
            "entry 'encode': it is not planned (no vlm.slots)");
  inputs.levels.clear();
  EXPECT_EQ(messageOf(writePackage(inputs)),
            "a package needs code for at least one target");
  EXPECT_TRUE(folder.list().empty());
}

TEST_F(PackageTest, HeaderCompilesAsCAndCxx) {
  spec.mutable_text();
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  std::string header = inputs.output + "/tiny.h";
  EXPECT_NE(readFile(header).find("/* x f32 [B, 4]\n *   -> y f32 [B, 8]"),
            std::string::npos);
  for (const char *language : {"c -std=c11", "c++ -std=c++17"}) {
    std::string command = std::string(VLMC_C_COMPILER) +
                          " -fsyntax-only -Wall -Wextra -Werror -pedantic -I " +
                          VLMC_SOURCE_DIR + "/runtime -x " + language + " -";
    std::string program =
        "#include \"" + header +
        "\"\nint main(void) { vlm_model_t *m = 0; float x[4], y[8];\n"
        "vlm_status_t *s = tiny_load(\"p\", 0, &m);\n"
        "if (!s) s = tiny_encode(m, 1, x, y);\n"
        "return s ? 1 : 0; }\n";
    std::string file = folder.file("main.txt");
    writeText(file, program);
    EXPECT_EQ(std::system((command + " < " + file).c_str()), 0) << language;
  }
}

TEST_F(PackageTest, CMakeConfigNamesTargetsAndPaths) {
  ASSERT_EQ(messageOf(writePackage(inputs)), "");
  std::string text = readFile(inputs.output + "/tinyConfig.cmake");
  for (const char *part :
       {"find_dependency(vlmc)", "add_library(tiny::tiny INTERFACE IMPORTED)",
        "set(tiny_PACKAGE \"${CMAKE_CURRENT_LIST_DIR}\")",
        "add_library(tiny::linked SHARED IMPORTED)",
        "\"${CMAKE_CURRENT_LIST_DIR}/lib/x86_64/libtiny.so\"",
        "INTERFACE_LINK_LIBRARIES vlmc::runtime"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_EQ(text.find(folder.path), std::string::npos);
}

TEST(Package, NamesModelsByTheirOutput) {
  EXPECT_EQ(getPackageName("a/b/vit-b-32.vlm"), "vit_b_32");
  EXPECT_EQ(getPackageName("clip.vlm/"), "clip");
  EXPECT_EQ(getPackageName("x"), "x");
}
