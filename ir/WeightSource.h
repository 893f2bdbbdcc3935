//===-- WeightSource.h - where a recipe's tensors come from ----------------------------------------------------------------------------===//
//
// Implemented in `frontend/checkpoint` (a mapped safetensors checkpoint) and for random weights; used by passes that must look at values and
// by the packager. Tensors are never copied here: the bytes are those of the mapped file.
//
//   const vlmc::WeightTensor *t = source.find("visual_projection.weight");
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_IR_WEIGHTSOURCE_H
#define VLMC_IR_WEIGHTSOURCE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

/// Stored element types, named as safetensors names them.
enum class StoredType { F32, F16, BF16, F64, I64, I32, I16, I8, U8, Bool };
/// Bytes of one element.
int64_t storedTypeBytes(StoredType type);
/// "F32", ...
std::string_view storedTypeName(StoredType type);

/// One tensor of a checkpoint; `data` points into the mapped file and has exactly `bytes` bytes, in no particular alignment. It is null where
/// the source makes the elements as they are read (WeightSource::make); they are F32 then.
struct WeightTensor {
  std::string name;
  StoredType type = StoredType::F32;
  std::vector<int64_t> shape;
  const uint8_t *data = nullptr;
  uint64_t bytes = 0;
  /// The file and the offset of the tensor in it, for messages and manifests.
  std::string file;
  uint64_t offset = 0;
};

/// A set of named tensors. Immutable and usable from several threads.
class WeightSource {
public:
  virtual ~WeightSource() = default;
  /// The tensor of that name, or null.
  virtual const WeightTensor *find(std::string_view name) const = 0;
  /// All names, sorted.
  virtual std::vector<std::string> names() const = 0;
  /// Tells that the bytes of a tensor are not needed for now; they stay readable. A mapped file gives its memory back.
  virtual void release(const WeightTensor &tensor) const {}
  /// Writes elements [first, first + count) of a tensor of this source whose `data` is null.
  virtual void make(const WeightTensor &tensor, int64_t first, int64_t count, float *out) const {}
};

inline int64_t storedTypeBytes(StoredType type) {
  switch (type) {
  case StoredType::F64:
  case StoredType::I64:
    return 8;
  case StoredType::F32:
  case StoredType::I32:
    return 4;
  case StoredType::F16:
  case StoredType::BF16:
  case StoredType::I16:
    return 2;
  case StoredType::I8:
  case StoredType::U8:
  case StoredType::Bool:
    return 1;
  }
  return 0;
}

inline std::string_view storedTypeName(StoredType type) {
  constexpr std::string_view names[] = {"F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL"};
  return names[static_cast<int>(type)];
}

} // namespace vlmc

#endif // VLMC_IR_WEIGHTSOURCE_H
