//===- Tensors.cpp - A safetensors file, by name --------------------------===//
#include "test/e2e/Tensors.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace vlmc::e2e {

Tensors::Tensors(const std::string &path)
    : fileName(std::filesystem::path(path).filename().string()) {
  Result<SafetensorsFile> opened = SafetensorsFile::open(path);
  if (!opened) {
    ADD_FAILURE() << opened.message();
    return;
  }
  file = std::move(*opened);
  for (const SafetensorsEntry &entry : file->entries())
    byName[entry.name] = &entry;
}

const std::vector<SafetensorsEntry> &Tensors::entries() const {
  static const std::vector<SafetensorsEntry> none;
  return file ? file->entries() : none;
}

const SafetensorsEntry *Tensors::find(const std::string &name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : found->second;
}

const SafetensorsEntry *Tensors::require(const std::string &name) const {
  const SafetensorsEntry *entry = find(name);
  EXPECT_TRUE(entry) << fileName << ": no tensor '" << name << "'";
  return entry;
}

template <class T>
static double readAs(std::span<const uint8_t> bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

double elementOf(std::span<const uint8_t> bytes, const std::string &dtype,
                 size_t index) {
  if (dtype == "F32")
    return readAs<float>(bytes, index);
  if (dtype == "I64")
    return readAs<int64_t>(bytes, index);
  if (dtype == "I32")
    return readAs<int32_t>(bytes, index);
  if (dtype == "U16")
    return readAs<uint16_t>(bytes, index);
  EXPECT_TRUE(dtype == "U8" || dtype == "BOOL") << "unknown dtype " << dtype;
  return readAs<uint8_t>(bytes, index);
}

size_t elementBytes(const std::string &dtype) {
  if (dtype == "I64")
    return 8;
  if (dtype == "F32" || dtype == "I32")
    return 4;
  return dtype == "U16" ? 2 : 1;
}

std::string describeIndex(size_t index, const std::vector<int64_t> &shape) {
  std::vector<int64_t> position(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    position[i] = int64_t(index % size_t(shape[i]));
    index /= size_t(shape[i]);
  }
  return describeShape(position);
}

} // namespace vlmc::e2e
