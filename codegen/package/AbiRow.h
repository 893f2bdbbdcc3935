//===-- AbiRow.h - structs of vlm_abi.h as LLVM constants -----------------===//
//
// The C header is the only place that knows a struct's layout: fields are found
// by name and placed at their `offsetof`, and static assertions see to it that
// no field is forgotten.
//
//   AbiWriter writer(module);
//   llvm::Constant *row = AbiRow(writer, abi::range)
//                             .set("offset", 64).set("bytes", 128).build();
//   llvm::Constant *pointer = writer.array("ranges", {row});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_ABIROW_H
#define VLMC_CODEGEN_PACKAGE_ABIROW_H

#include "runtime/abi/vlm_abi.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include <cstddef>

namespace vlmc {

/// A field: where it lies, and the integers or pointers that it is made of.
struct AbiField {
  const char *name;
  size_t offset;
  size_t bytes;
  size_t element; ///< bytes of one integer; 0: a pointer
};

/// A struct of the header. `fields` covers it without gaps.
struct AbiStruct {
  const char *name;
  size_t bytes;
  llvm::ArrayRef<AbiField> fields;
};

namespace abi {
extern const AbiStruct generation, rotary, rules, phase, kernel, term, size,
    maxSize, buffer, map, launch, product, step, tensor, symbol, trim, entry, code, device,
    level, image, model;
} // namespace abi

/// Makes the globals of one module.
class AbiWriter {
public:
  explicit AbiWriter(llvm::Module &module) : module(module) {}

  /// A pointer to a zero-terminated string; equal strings share one.
  llvm::Constant *string(llvm::StringRef text);
  /// A pointer to a constant array of rows, aligned as the header's structs
  /// are; null for none.
  llvm::Constant *array(llvm::StringRef name,
                        llvm::ArrayRef<llvm::Constant *> rows);
  /// A pointer to floats.
  llvm::Constant *floats(llvm::StringRef name, llvm::ArrayRef<float> values);
  /// A pointer to integers; null for none.
  llvm::Constant *integers(llvm::StringRef name,
                           llvm::ArrayRef<int32_t> values);
  /// A pointer to bytes, aligned as code may have to be.
  llvm::Constant *bytes(llvm::StringRef name, llvm::StringRef values);
  /// A hidden function that another object defines, taken by its address.
  llvm::Constant *function(llvm::StringRef symbol);
  llvm::Constant *null() const;

  llvm::Module &module;

private:
  llvm::Constant *global(const llvm::Twine &name, llvm::Constant *value);
  llvm::StringMap<llvm::Constant *> strings;
};

/// One struct being filled in; fields that are not set are zero.
class AbiRow {
public:
  AbiRow(AbiWriter &writer, const AbiStruct &type);
  AbiRow &set(llvm::StringRef field, llvm::Constant *pointer);
  AbiRow &set(llvm::StringRef field, uint64_t value);
  /// Fills the first elements of an array field.
  AbiRow &set(llvm::StringRef field, llvm::ArrayRef<int64_t> values);
  llvm::Constant *build() const;

private:
  size_t find(llvm::StringRef field) const;
  AbiWriter &writer;
  const AbiStruct &type;
  llvm::SmallVector<llvm::Constant *> values;
};

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_ABIROW_H
