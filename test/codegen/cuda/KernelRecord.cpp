//===-- KernelRecord.cpp - what the emulator ran, for a device ------------===//
#include "test/codegen/cuda/KernelRecord.h"
#include "codegen/cuda/Ptx.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

using namespace vlmc;
using namespace vlmc::test;

KernelRecord::KernelRecord(mlir::ModuleOp planned, const std::string &chip,
                           const std::string &bitcode)
    : chip(chip), bitcode(bitcode) {
  const char *wanted = std::getenv("VLMC_RECORD_KERNELS");
  if (!wanted || !*wanted)
    return;
  auto text = cuda::emitPtx(planned, *findTarget("cuda:" + chip));
  if (failed(text))
    return;
  folder = wanted;
  ptx = *text;
  llvm::sys::fs::create_directories(folder);
}

void KernelRecord::write(const std::string &ending,
                         llvm::StringRef text) const {
  std::error_code error;
  llvm::raw_fd_ostream os(folder + "/" + name + ending, error);
  os << text;
  EXPECT_FALSE(error) << error.message();
}

void KernelRecord::beginCall(llvm::ArrayRef<int64_t> sizes,
                             llvm::ArrayRef<size_t> bytes) {
  if (!isWanted())
    return;
  dims = llvm::json::Array(sizes);
  temps.clear();
  for (size_t one : bytes)
    temps.push_back(static_cast<int64_t>(one));
  launches.clear();
}

void KernelRecord::addLaunch(const cuda::KernelLaunch &launch,
                             const uint32_t (&grid)[3]) {
  if (!isWanted())
    return;
  llvm::json::Array maps;
  for (const cuda::LaunchMap &map : launch.maps)
    maps.push_back(llvm::json::Object{
        {"buffer", map.buffer},
        {"offset", map.offset},
        {"stride", map.stride},
        {"columns", map.columns},
        {"rows", map.rows.evaluate({})},
        {"box", llvm::json::Array{map.boxColumns, map.boxRows}},
        {"brain", map.isBrain}});
  launches.push_back(
      llvm::json::Object{{"function", launch.function},
                         {"grid", llvm::json::Array{grid[0], grid[1], grid[2]}},
                         {"threads", launch.threads},
                         {"shared", launch.sharedBytes},
                         {"maps", std::move(maps)}});
}

void KernelRecord::endCall(llvm::ArrayRef<std::vector<uint8_t>> buffers,
                           const std::string &form,
                           llvm::ArrayRef<double> expected, double root,
                           double tolerance) {
  if (!isWanted() || launches.empty())
    return;
  static int number = 0;
  const auto *test = testing::UnitTest::GetInstance()->current_test_info();
  char digits[8];
  std::snprintf(digits, sizeof digits, "%04d", number++);
  name =
      std::string(digits) + "-" + test->test_suite_name() + "." + test->name();
  // A kernel's calls share its code.
  if (code.empty())
    code = name;
  std::string data;
  llvm::json::Array sizes;
  for (const std::vector<uint8_t> &buffer : buffers) {
    data.append(buffer.begin(), buffer.end());
    sizes.push_back(static_cast<int64_t>(buffer.size()));
  }
  for (double value : expected) {
    auto narrow = static_cast<float>(value);
    data.append(reinterpret_cast<const char *>(&narrow), sizeof narrow);
  }
  llvm::json::Value about =
      llvm::json::Object{{"name", name},
                         {"chip", chip},
                         {"form", form},
                         {"count", static_cast<int64_t>(expected.size())},
                         {"root", root},
                         {"tolerance", tolerance},
                         {"buffers", std::move(sizes)},
                         {"temps", llvm::json::Array(temps)},
                         {"dims", llvm::json::Array(dims)},
                         {"launches", llvm::json::Array(launches)},
                         {"ptx", code + ".ptx"},
                         {"bitcode", code + ".bc"},
                         {"data", name + ".bin"}};
  write(".bin", data);
  write(".json", llvm::formatv("{0:2}\n", about).str());
  if (code == name) {
    write(".ptx", ptx);
    write(".bc", bitcode);
  }
}

void KernelRecord::writeProduct(const std::string &to,
                                const cuda::KernelLaunch &launch,
                                int64_t depth) {
  folder = to;
  name = "product";
  llvm::sys::fs::create_directories(folder);
  llvm::StringRef number = llvm::StringRef(chip).drop_front(strlen("sm_"));
  bool isExact = number.consume_back("a");
  int value = 0;
  number.getAsInteger(10, value);
  llvm::json::Value about = llvm::json::Object{
      {"chip", chip},
      {"capability", llvm::json::Array{value / 10, value % 10}},
      {"exact", isExact},
      {"depth", depth},
      {"columns", depth},
      {"function", launch.function},
      {"threads", launch.threads},
      {"shared", launch.sharedBytes},
      {"tile", llvm::json::Array{launch.units[0], launch.units[1]}},
      {"maps", !launch.maps.empty()}};
  write(".ptx", ptx);
  write(".bc", bitcode);
  write(".json", llvm::formatv("{0:2}\n", about).str());
}
