// vlmc-halide writes objects without open symbols, and says what is wrong.
#include "codegen/halide/Halide.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

using namespace vlmc;

namespace {
class HalideTest : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "vlmc-halide-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::vector<std::string> generate(const std::string &target,
                                    const std::string &prefix) {
    auto objects =
        generateImagePipelines(target, prefix, folder, VLMC_HALIDE_PROGRAM);
    if (objects)
      return *objects;
    ADD_FAILURE() << llvm::toString(objects.takeError());
    return {};
  }
  std::string failure(const std::string &target, const std::string &prefix,
                      const std::string &outDir,
                      const std::string &program = VLMC_HALIDE_PROGRAM) {
    auto objects = generateImagePipelines(target, prefix, outDir, program);
    if (objects)
      return "no failure";
    return llvm::toString(objects.takeError());
  }

  std::string folder;
};
} // namespace

static std::string runNm(const std::string &options,
                         const std::string &object) {
  std::string command = VLMC_NM " " + options + " '" + object + "' 2>&1";
  std::unique_ptr<FILE, int (*)(FILE *)> pipe(popen(command.c_str(), "r"),
                                              pclose);
  std::string output;
  std::array<char, 256> line;
  while (pipe && std::fgets(line.data(), line.size(), pipe.get()))
    output += line.data();
  return output;
}

TEST_F(HalideTest, ObjectsHaveNoOpenSymbols) {
  for (const char *target : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64",
                             "x86-64-v3+avxvnni"}) {
    auto objects = generate(target, "net");
    ASSERT_EQ(objects.size(), 3U) << target;
    for (const std::string &object : objects)
      EXPECT_EQ(runNm("--undefined-only --no-sort", object), "")
          << target << " " << object;
  }
}

TEST_F(HalideTest, DefinesTheFunctionsOfTheTable) {
  auto objects = generate("x86-64-v3", "net");
  ASSERT_EQ(objects.size(), 3U);
  ImagePipelineSymbols symbols = imagePipelineSymbols("net");
  const std::string names[] = {symbols.resizeRows, symbols.resizeColumns,
                               symbols.finish};
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(runNm("--defined-only", objects[i]).find(" T " + names[i] + "\n"),
              std::string::npos)
        << names[i];
}

static std::string readWhole(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(HalideTest, SameBytesTwice) {
  auto objects = generate("x86-64-v3", "net");
  std::vector<std::string> bytes;
  for (const std::string &object : objects)
    bytes.push_back(readWhole(object));
  generate("x86-64-v3", "net");
  for (size_t i = 0; i < objects.size(); ++i)
    EXPECT_EQ(readWhole(objects[i]), bytes[i]) << objects[i];
}

TEST_F(HalideTest, SaysWhatIsWrong) {
  EXPECT_EQ(failure("x86-64-v9", "net", folder),
            "vlmc-halide for target x86-64-v9 failed: vlmc-halide: --target: "
            "expected x86-64-v2, x86-64-v3, x86-64-v4 or aarch64, found "
            "'x86-64-v9'");
  EXPECT_EQ(failure("x86-64-v3", "3d-net", folder),
            "vlmc-halide for target x86-64-v3 failed: vlmc-halide: --prefix: "
            "expected a C identifier, found '3d-net'");
  EXPECT_EQ(failure("x86-64-v3", "net", folder + "/none"),
            "image pipelines: expected a folder that exists, found '" + folder +
                "/none'");
  EXPECT_EQ(failure("x86-64-v3", "net", folder, folder + "/vlmc-halide"),
            folder + "/vlmc-halide: expected the program vlmc-halide, found "
                     "none; install it beside vlmc");
}
