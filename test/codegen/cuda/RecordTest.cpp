//===-- RecordTest.cpp - kernels that are kept for a device ---------------===//
#include "codegen/cuda/Launch.h"
#include "test/codegen/cuda/KernelFixture.h"
#include "test/codegen/cuda/KernelRecord.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstdlib>
#include <gtest/gtest.h>

using namespace vlmc;
using namespace vlmc::test;

namespace {

std::string productText(int64_t size) {
  std::string x = type({0, size}), w = type({size, size}, halfRows);
  return kernelText("gemm", "%x: " + x + ", %w: " + w, x,
                    "%y = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + x);
}

llvm::json::Value readJson(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  return file ? llvm::cantFail(llvm::json::parse((*file)->getBuffer()))
              : llvm::json::Value(nullptr);
}

/// A folder that is named while this lives.
struct NamedFolder {
  explicit NamedFolder(const std::string &path) : path(path) {
    if (const char *before = std::getenv("VLMC_RECORD_KERNELS"))
      old = before;
    setenv("VLMC_RECORD_KERNELS", path.c_str(), 1);
  }
  ~NamedFolder() {
    old.empty() ? unsetenv("VLMC_RECORD_KERNELS")
                : setenv("VLMC_RECORD_KERNELS", old.c_str(), 1);
  }
  std::string path, old;
};

TEST(CudaRecord, KeepsACallForADevice) {
  NamedFolder named(testing::TempDir() + "/vlmc-record");
  std::string &folder = named.path;
  llvm::sys::fs::remove_directories(folder);
  std::string x = type({0, 64});
  check(kernelText("rows", "%x: " + x, x, "%y = vlm.l2_normalize %x : " + x),
        {{random({3, 64}, 1)}});
  std::error_code error;
  std::string stem;
  for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end;
       it.increment(error))
    if (llvm::StringRef(it->path()).ends_with(".json"))
      stem = it->path().substr(0, it->path().size() - 5);
  ASSERT_FALSE(stem.empty());
  llvm::json::Value about = readJson(stem + ".json");
  const llvm::json::Object &call = *about.getAsObject();
  EXPECT_TRUE(
      call.getString("name")->ends_with("CudaRecord.KeepsACallForADevice"));
  EXPECT_EQ(call.getString("form"), "f16");
  EXPECT_EQ(call.getInteger("count"), 192);
  EXPECT_EQ(*call.getArray("buffers"), (llvm::json::Array{384, 384}));
  EXPECT_EQ(*call.getArray("dims"), llvm::json::Array{3});
  ASSERT_EQ(call.getArray("launches")->size(), 1U);
  uint64_t bytes = 0;
  EXPECT_FALSE(llvm::sys::fs::file_size(stem + ".bin", bytes));
  EXPECT_EQ(bytes, 384U + 384 + 192 * 4);
  for (const char *ending : {".ptx", ".bc"})
    EXPECT_TRUE(llvm::sys::fs::exists(stem + ending));
}

/// The large product whose rate tools/gpu-check takes, for both generations.
TEST(CudaRecord, ALargeProduct) {
  const char *wanted = std::getenv("VLMC_RECORD_PRODUCT");
  int64_t size = wanted ? std::atoll(wanted) : 64;
  const char *given = std::getenv("VLMC_RECORD_KERNELS");
  NamedFolder named(given ? given : testing::TempDir() + "/vlmc-product");
  for (const char *chip : {"sm_80", "sm_90a"}) {
    Kernel kernel(productText(size), {.chip = chip});
    ASSERT_TRUE(kernel.op);
    std::string folder = named.path + "/product-" + chip;
    kernel.writeProduct(folder, size);
    llvm::json::Value about = readJson(folder + "/product.json");
    ASSERT_TRUE(about.getAsObject());
    EXPECT_EQ(about.getAsObject()->getInteger("depth"), size);
    EXPECT_EQ(about.getAsObject()->getBoolean("maps"),
              std::string(chip) == "sm_90a");
  }
}

} // namespace
