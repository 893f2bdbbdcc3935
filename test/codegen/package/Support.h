//===-- Support.h - what the packager's tests share -----------------------===//
//
// A checkpoint in memory, a folder that goes away, and objects made of LLVM IR.
//
//   TestSource source;
//   source.add("w", StoredType::F32, {2, 2}, std::vector<float>{1, 2, 3, 4});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_CODEGEN_PACKAGE_SUPPORT_H
#define VLMC_TEST_CODEGEN_PACKAGE_SUPPORT_H

#include "codegen/package/Error.h"
#include "ir/Vlm/VlmDialect.h"
#include "ir/WeightSource.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/IR/Module.h"
#include <cstring>
#include <gtest/gtest.h>
#include <map>

namespace vlmc::test {

/// A checkpoint in memory.
class TestSource : public WeightSource {
public:
  template <typename T>
  void add(const std::string &name, StoredType type, std::vector<int64_t> shape,
           const std::vector<T> &values) {
    std::vector<uint8_t> &bytes = storage[name];
    // One byte off: nothing promises that tensors in a file are aligned.
    bytes.resize(1 + values.size() * sizeof(T));
    std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
    tensors[name] = {name,
                     type,
                     std::move(shape),
                     bytes.data() + 1,
                     values.size() * sizeof(T),
                     "model.safetensors",
                     0};
  }
  const WeightTensor *find(std::string_view name) const override {
    auto it = tensors.find(std::string(name));
    return it == tensors.end() ? nullptr : &it->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &[name, tensor] : tensors)
      result.push_back(name);
    return result;
  }
  WeightTensor &get(const std::string &name) { return tensors[name]; }

private:
  std::map<std::string, std::vector<uint8_t>> storage;
  std::map<std::string, WeightTensor> tensors;
};

/// A new folder, removed with all that is in it.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string file(const std::string &name) const { return path + "/" + name; }
  /// The names in it, hidden ones too, sorted.
  std::vector<std::string> list() const;
  std::string path;
};

std::string readFile(const std::string &path);
void writeText(const std::string &path, const std::string &text);

/// An object of this machine made of LLVM IR text.
std::string makeObject(const std::string &ir);
/// The same of a module.
std::string makeObject(llvm::Module &module);

/// The message of an error, "" for none.
template <typename T> std::string messageOf(llvm::Expected<T> value) {
  return value ? "" : takeMessage(value.takeError());
}
inline std::string messageOf(llvm::Error error) {
  return error ? takeMessage(std::move(error)) : "";
}

/// Types and recipes.
struct RecipeTest : testing::Test {
  RecipeTest() { context.loadDialect<vlm::VlmDialect>(); }
  mlir::Type f32() { return mlir::Float32Type::get(&context); }
  mlir::Type f16() { return mlir::Float16Type::get(&context); }
  mlir::Type bf16() { return mlir::BFloat16Type::get(&context); }
  vlm::RecipeAttr read(const std::string &name, std::vector<int64_t> shape,
                       mlir::Type type) {
    return vlm::RecipeAttr::read(mlir::StringAttr::get(&context, name),
                                 mlir::RankedTensorType::get(shape, type));
  }
  vlm::RecipeAttr read(const std::string &name, std::vector<int64_t> shape) {
    return read(name, std::move(shape), f32());
  }
  mlir::MLIRContext context;
};

} // namespace vlmc::test

#endif // VLMC_TEST_CODEGEN_PACKAGE_SUPPORT_H
