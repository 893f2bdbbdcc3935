//===- MappedFile.h - A file in memory --------------------------*- C++ -*-===//
//
// Maps a regular file read-only. Nothing is read until it is looked at, so that
// a checkpoint of any size costs address space only.
//
//   Result<MappedFile> file = MappedFile::open(path);
//   if (!file)
//     return file.takeFailure();
//   use(file->data(), file->size());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_SUPPORT_MAPPEDFILE_H
#define VLMC_FRONTEND_SUPPORT_MAPPEDFILE_H

#include "frontend/support/Result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace vlmc {

/// A mapped file; movable, unmapped when it goes. Its bytes stay at one address
/// when it is moved.
class MappedFile {
public:
  /// Errors: no such file, not readable, not a regular file (a folder, a
  /// device). An empty file is no error.
  static Result<MappedFile> open(const std::string &path);

  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const uint8_t *data() const { return begin; }
  uint64_t size() const { return bytes; }
  std::string_view text() const {
    return {reinterpret_cast<const char *>(begin), bytes};
  }

  /// Gives the memory of some bytes of a mapped file back, and that of their
  /// neighbours in the same pages; they are read from the file again when they
  /// are looked at. For bytes of a MappedFile alone: others would be lost.
  static void dropPages(const uint8_t *data, uint64_t bytes);

private:
  MappedFile() = default;
  const uint8_t *begin = nullptr;
  uint64_t bytes = 0;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_SUPPORT_MAPPEDFILE_H
