//===- Orientation.cpp - Turning pictures upright -------------------------===//
#include "runtime/image/Orientation.h"

#include "runtime/image/ImageInternal.h"

#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace vlmc::rt {

namespace {
/// Numbers out of a TIFF structure; 0 past its end.
struct Tiff {
  const uint8_t *data;
  size_t bytes;
  bool bigEndian;

  uint32_t number(size_t offset, int size) const {
    if (offset > bytes || bytes - offset < static_cast<size_t>(size))
      return 0;
    uint32_t value = 0;
    for (int i = 0; i < size; ++i) {
      int at = bigEndian ? i : size - 1 - i;
      value = value << 8 | data[offset + at];
    }
    return value;
  }
};
} // namespace

static constexpr uint32_t orientationTag = 0x0112;

/// Bytes in a whole number of a TIFF type; 0 for types that hold none.
static int bytesOfType(uint32_t type) {
  switch (type) {
  case 6:
    return 1;
  case 3:
  case 8:
    return 2;
  case 4:
  case 9:
  case 13:
    return 4;
  default:
    return 0;
  }
}

/// The two letters of the byte order, and the number 42 in any order, as Pillow
/// takes it.
static bool isTiff(const uint8_t *data, size_t bytes) {
  if (bytes < 8 || data[0] != data[1] || (data[0] != 'M' && data[0] != 'I'))
    return false;
  int number = data[2] << 8 | data[3];
  return number == 42 || number == 42 << 8;
}

/// The number in an entry; 0 if it holds none, nothing if it lies outside of
/// the file, where Pillow skips the entry.
static std::optional<uint32_t> valueOfEntry(const Tiff &tiff, size_t entry) {
  int size = bytesOfType(tiff.number(entry + 2, 2));
  uint64_t count = tiff.number(entry + 4, 4);
  if (size == 0 || count == 0)
    return 0;
  size_t at = entry + 8;
  if (count * size > 4) {
    at = tiff.number(entry + 8, 4);
    if (at > tiff.bytes || tiff.bytes - at < count * size)
      return std::nullopt;
  }
  return tiff.number(at, size);
}

/// Nothing if there is no such tag.
static std::optional<uint32_t> orientationInExif(const uint8_t *data,
                                                 size_t bytes) {
  // Some programs write the prefix that belongs to JPEG once more.
  constexpr size_t prefix = 6;
  for (int i = 0; i < 2; ++i)
    if (bytes >= prefix && std::memcmp(data, "Exif\0\0", prefix) == 0) {
      data += prefix;
      bytes -= prefix;
    }
  if (!isTiff(data, bytes))
    return std::nullopt;
  Tiff tiff{data, bytes, data[0] == 'M'};
  constexpr size_t entryBytes = 12;
  size_t entry = size_t(tiff.number(4, 4)) + 2;
  uint32_t entries = tiff.number(entry - 2, 2);
  for (uint32_t i = 0; i < entries && entry + entryBytes <= bytes;
       ++i, entry += entryBytes)
    if (tiff.number(entry, 2) == orientationTag)
      if (auto value = valueOfEntry(tiff, entry))
        return value;
  return std::nullopt;
}

/// The digit behind `tiff:Orientation="` or `tiff:Orientation>`; 0 if there is
/// none.
static uint32_t orientationInXmp(const uint8_t *data, size_t bytes) {
  std::string_view text(reinterpret_cast<const char *>(data), bytes);
  constexpr std::string_view key = "tiff:Orientation";
  for (size_t at = text.find(key); at != text.npos; at = text.find(key, at)) {
    at += key.size();
    std::string_view rest = text.substr(at);
    size_t skip = rest.starts_with("=\"") ? 2 : rest.starts_with(">") ? 1 : 0;
    if (skip && rest.size() > skip && rest[skip] >= '0' && rest[skip] <= '9')
      return rest[skip] - '0';
  }
  return 0;
}

int findOrientation(const uint8_t *exif, size_t exifBytes, const uint8_t *xmp,
                    size_t xmpBytes) {
  std::optional<uint32_t> inExif = orientationInExif(exif, exifBytes);
  uint32_t orientation = inExif ? *inExif : orientationInXmp(xmp, xmpBytes);
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation)
                                              : 1;
}

vlm_status_t *turnUpright(const char *name, int orientation,
                          std::unique_ptr<vlm_image_t> &image) {
  if (orientation == 1)
    return nullptr;
  // Each orientation is an exchange of the sides or none, then a mirror in each
  // direction or none.
  bool swaps = orientation >= 5;
  bool mirrorsRows = orientation == 3 || orientation == 4 || orientation == 7 ||
                     orientation == 8;
  bool mirrorsColumns = orientation == 2 || orientation == 3 ||
                        orientation == 6 || orientation == 7;
  std::unique_ptr<vlm_image_t> turned;
  if (vlm_status_t *status =
          makeImage(name, swaps ? image->width : image->height,
                    swaps ? image->height : image->width,
                    std::numeric_limits<int64_t>::max(), turned))
    return status;
  for (int64_t y = 0; y < turned->height; ++y) {
    uint8_t *out = turned->row(y);
    int64_t fromY = mirrorsRows ? turned->height - 1 - y : y;
    for (int64_t x = 0; x < turned->width; ++x, out += 3) {
      int64_t fromX = mirrorsColumns ? turned->width - 1 - x : x;
      const uint8_t *in =
          swaps ? image->row(fromX) + 3 * fromY : image->row(fromY) + 3 * fromX;
      out[0] = in[0];
      out[1] = in[1];
      out[2] = in[2];
    }
  }
  turned->key = image->key;
  image = std::move(turned);
  return nullptr;
}

} // namespace vlmc::rt
