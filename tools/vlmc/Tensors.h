//===- Tensors.h - Named tensors in memory and in files ---------*- C++ -*-===//
//
// What the commands read and write: safetensors files of f32, i64 and u8.
//
//   TensorMap tensors;
//   tensors["a.ids"] = HostTensor::of<int64_t>(VLM_I64, {3}, ids);
//   Outcome<OutputFile> file = openOutput("out.safetensors");
//   ... // the work: an output that cannot be written is told before it
//   if (std::optional<Fault> fault = writeTensors(*file, tensors))
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_TENSORS_H
#define VLMC_TOOLS_VLMC_TENSORS_H

#include "frontend/checkpoint/Safetensors.h"
#include "tools/driver/OutputFile.h"
#include "tools/vlmc/Report.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace vlmc::tool {

/// A dense row-major tensor that owns its values.
struct HostTensor {
  vlm_dtype_t dtype = VLM_F32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  /// A tensor of zeros.
  static HostTensor zeros(vlm_dtype_t dtype, std::vector<int64_t> shape);
  /// A tensor of given values, as many as the shape says.
  template <class T>
  static HostTensor of(vlm_dtype_t dtype, std::vector<int64_t> shape,
                       const T *values) {
    HostTensor tensor = zeros(dtype, std::move(shape));
    if (!tensor.bytes.empty())
      std::memcpy(tensor.bytes.data(), values, tensor.bytes.size());
    return tensor;
  }

  template <class T> T *data() { return reinterpret_cast<T *>(bytes.data()); }
  template <class T> const T *data() const {
    return reinterpret_cast<const T *>(bytes.data());
  }
  int64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  size_t rowBytes() const { return rows() ? bytes.size() / rows() : 0; }
};

/// By name.
using TensorMap = std::map<std::string, HostTensor>;

/// Bytes of one element.
size_t elementBytes(vlm_dtype_t dtype);
/// "f32"
const char *dtypeName(vlm_dtype_t dtype);
/// "[2, 3]"
std::string describeShape(const std::vector<int64_t> &shape);

/// A tensor of a file as the type that is wanted: integers of any width and
/// bytes become 64-bit integers; all else must be what it is to be.
/// Errors: another type, told with file and tensor.
Outcome<HostTensor> readTensor(const SafetensorsFile &file,
                               const SafetensorsEntry &entry,
                               vlm_dtype_t wanted);

/// Opens what a command writes.
/// Errors: those of OutputFile::open.
Outcome<OutputFile> openOutput(const std::string &path);
/// The same for an output that need not be: nothing for "".
Outcome<std::optional<OutputFile>> openOptional(const std::string &path);

/// Writes a safetensors file and commits it.
std::optional<Fault> writeTensors(OutputFile &file, const TensorMap &tensors);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_TENSORS_H
