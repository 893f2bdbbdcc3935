//===- Tensors.cpp - Named tensors in memory and in files -----------------===//
#include "tools/vlmc/Tensors.h"

#include "frontend/support/Json.h"

#include <algorithm>

namespace vlmc::tool {

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

size_t elementBytes(vlm_dtype_t dtype) {
  switch (dtype) {
  case VLM_I64:
    return 8;
  case VLM_F32:
  case VLM_I32:
    return 4;
  case VLM_F16:
  case VLM_BF16:
    return 2;
  case VLM_U8:
    return 1;
  case VLM_CACHE:
    return 0;
  }
  return 0;
}

const char *dtypeName(vlm_dtype_t dtype) {
  static constexpr const char *names[] = {"f32", "i64",  "i32",  "u8",
                                          "f16", "bf16", "cache"};
  return names[dtype];
}

std::string describeShape(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t size : shape)
    text.append(text.empty() ? "" : ", ").append(std::to_string(size));
  return "[" + text + "]";
}

/// The name in safetensors headers.
static const char *storedName(vlm_dtype_t dtype) {
  static constexpr const char *names[] = {"F32", "I64", "I32",
                                          "U8",  "F16", "BF16"};
  return names[dtype];
}

HostTensor HostTensor::zeros(vlm_dtype_t dtype, std::vector<int64_t> shape) {
  HostTensor tensor;
  tensor.dtype = dtype;
  size_t bytes = elementBytes(dtype);
  for (int64_t size : shape)
    bytes *= size_t(size);
  tensor.shape = std::move(shape);
  tensor.bytes.resize(bytes);
  return tensor;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Widens stored integers to 64 bits.
template <class T>
static void widen(std::span<const uint8_t> bytes, int64_t *out) {
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = int64_t(value);
  }
}

Outcome<HostTensor> readTensor(const SafetensorsFile &file,
                               const SafetensorsEntry &entry,
                               vlm_dtype_t wanted) {
  HostTensor tensor = HostTensor::zeros(wanted, entry.shape);
  std::span<const uint8_t> bytes = file.bytesOf(entry);
  if (entry.dtype == storedName(wanted)) {
    if (!bytes.empty())
      std::memcpy(tensor.bytes.data(), bytes.data(), bytes.size());
    return tensor;
  }
  std::string expected = storedName(wanted);
  if (wanted == VLM_I64) {
    expected = "I64, I32, U8 or BOOL";
    int64_t *out = tensor.data<int64_t>();
    if (entry.dtype == "I32")
      return widen<int32_t>(bytes, out), tensor;
    if (entry.dtype == "U8" || entry.dtype == "BOOL")
      return widen<uint8_t>(bytes, out), tensor;
  }
  return Fault(file.path() + ": tensor '" + entry.name + "': expected " +
               expected + ", found " + entry.dtype + "; store it as that type");
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

Outcome<OutputFile> openOutput(const std::string &path) {
  llvm::Expected<OutputFile> file = OutputFile::open(path);
  if (!file)
    return *check(file.takeError());
  return std::move(*file);
}

Outcome<std::optional<OutputFile>> openOptional(const std::string &path) {
  std::optional<OutputFile> result;
  if (path.empty())
    return result;
  Outcome<OutputFile> file = openOutput(path);
  if (!file)
    return file.takeFault();
  result.emplace(std::move(*file));
  return result;
}

/// Wide elements first, so that each tensor is aligned; then by name.
static std::vector<const TensorMap::value_type *>
orderOf(const TensorMap &tensors) {
  std::vector<const TensorMap::value_type *> order;
  for (const auto &entry : tensors)
    order.push_back(&entry);
  std::ranges::stable_sort(order, [](const auto *a, const auto *b) {
    return elementBytes(a->second.dtype) > elementBytes(b->second.dtype);
  });
  return order;
}

/// The header, padded so that the data begin at a multiple of 8.
static std::string
makeHeader(const std::vector<const TensorMap::value_type *> &order) {
  Json header = Json::object();
  uint64_t offset = 0;
  for (const auto *entry : order) {
    const auto &[name, tensor] = *entry;
    header[name] = {{"dtype", storedName(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text =
      header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i)
    prefix[size_t(i)] = char(length >> (8 * i));
  return prefix + text;
}

std::optional<Fault> writeTensors(OutputFile &file, const TensorMap &tensors) {
  std::vector<const TensorMap::value_type *> order = orderOf(tensors);
  std::string header = makeHeader(order);
  if (llvm::Error error = file.write(header.data(), header.size()))
    return check(std::move(error));
  for (const auto *entry : order)
    if (llvm::Error error =
            file.write(entry->second.bytes.data(), entry->second.bytes.size()))
      return check(std::move(error));
  return check(file.commit());
}

} // namespace vlmc::tool
