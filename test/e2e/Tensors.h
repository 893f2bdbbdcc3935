//===- Tensors.h - A safetensors file, by name ------------------*- C++ -*-===//
//
// What the tests compare: the outputs of `vlmc run` and the goldens.
//
//   Tensors golden(folder + "/golden-files.safetensors");
//   for (const SafetensorsEntry &entry : golden.entries())
//     use(golden.valuesOf<float>(entry));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_E2E_TENSORS_H
#define VLMC_TEST_E2E_TENSORS_H

#include "frontend/checkpoint/Safetensors.h"

#include <cstring>
#include <map>

namespace vlmc::e2e {

class Tensors {
public:
  /// Opens the file; a failed expectation and no tensors if that fails.
  explicit Tensors(const std::string &path);

  /// The file's name without its folder, as it stands in messages.
  const std::string &name() const { return fileName; }
  const std::vector<SafetensorsEntry> &entries() const;
  /// Null if there is no such tensor.
  const SafetensorsEntry *find(const std::string &name) const;
  std::span<const uint8_t> bytesOf(const SafetensorsEntry &entry) const {
    return file->bytesOf(entry);
  }
  /// The values of a tensor whose dtype is `T`.
  template <class T>
  std::vector<T> valuesOf(const SafetensorsEntry &entry) const {
    std::span<const uint8_t> bytes = bytesOf(entry);
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty())
      std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }
  /// The same by name; a failed expectation and no values if it is absent.
  template <class T> std::vector<T> values(const std::string &name) const {
    const SafetensorsEntry *entry = require(name);
    return entry ? valuesOf<T>(*entry) : std::vector<T>();
  }

private:
  const SafetensorsEntry *require(const std::string &name) const;

  std::string fileName;
  std::optional<SafetensorsFile> file;
  std::map<std::string, const SafetensorsEntry *> byName;
};

/// One element, whatever its dtype.
double elementOf(std::span<const uint8_t> bytes, const std::string &dtype,
                 size_t index);
/// Bytes of one element.
size_t elementBytes(const std::string &dtype);
/// Where a flat index lies in a shape: "[1, 0, 7]".
std::string describeIndex(size_t index, const std::vector<int64_t> &shape);

} // namespace vlmc::e2e

#endif // VLMC_TEST_E2E_TENSORS_H
