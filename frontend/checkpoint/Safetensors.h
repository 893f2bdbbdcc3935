//===- Safetensors.h - One safetensors file ---------------------*- C++ -*-===//
//
// Maps a safetensors file and checks all of its header before any tensor is
// handed out: what the header says lies inside the file and nothing overlaps.
//
//   Result<SafetensorsFile> file = SafetensorsFile::open(path);
//   if (!file)
//     return file.takeFailure();
//   for (const SafetensorsEntry &entry : file->entries())
//     use(entry.name, file->bytesOf(entry));
//
// Source: the format's description in the safetensors repository. Beyond it,
// nothing; as there, the data must be without holes.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_SAFETENSORS_H
#define VLMC_FRONTEND_CHECKPOINT_SAFETENSORS_H

#include "frontend/support/MappedFile.h"
#include "ir/WeightSource.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

/// The header of the file holds at most this many bytes, as the format demands.
inline constexpr uint64_t maxSafetensorsHeader = 100'000'000;

/// One tensor of a file.
struct SafetensorsEntry {
  std::string name;
  /// As in the file: "F32", "F8_E4M3", ...
  std::string dtype;
  std::vector<int64_t> shape;
  /// Bytes of the file, from its start.
  uint64_t begin = 0;
  uint64_t end = 0;

  /// The type, where vlmc can read values of it.
  std::optional<StoredType> storedType() const;
};

/// A mapped safetensors file with a checked header.
class SafetensorsFile {
public:
  /// Errors: a file that cannot be mapped; a header that is too long for the
  /// file or the format, no JSON object, or has a field of the wrong type; an
  /// unknown dtype; a shape whose size overflows; offsets outside the file, of
  /// another length than dtype and shape give, overlapping or with holes.
  static Result<SafetensorsFile> open(const std::string &path);

  const std::string &path() const { return file; }
  /// In the order of their offsets.
  const std::vector<SafetensorsEntry> &entries() const { return list; }
  std::span<const uint8_t> bytesOf(const SafetensorsEntry &entry) const {
    return {map.data() + entry.begin, entry.end - entry.begin};
  }

private:
  SafetensorsFile(std::string path, MappedFile map,
                  std::vector<SafetensorsEntry> list)
      : file(std::move(path)), map(std::move(map)), list(std::move(list)) {}

  std::string file;
  MappedFile map;
  std::vector<SafetensorsEntry> list;
};

/// A shape as it stands in messages: "[96, 42]".
std::string describeShape(std::span<const int64_t> shape);

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_SAFETENSORS_H
