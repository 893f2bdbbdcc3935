//===- ZipArchive.cpp - The members of a zip archive ----------------------===//
#include "frontend/checkpoint/ZipArchive.h"

#include <algorithm>

namespace vlmc {

static constexpr uint32_t centralMagic = 0x02014b50, localMagic = 0x04034b50,
                          endMagic = 0x06054b50, end64Magic = 0x06064b50,
                          locatorMagic = 0x07064b50;
static constexpr uint64_t endBytes = 22, end64Bytes = 56, locatorBytes = 20,
                          centralBytes = 46, localBytes = 30;
static constexpr uint64_t in64 = 0xffffffff; // the number is in a zip64 field

namespace {
/// Reads the directory of one archive.
class ZipReader {
public:
  ZipReader(std::string_view archive, const std::string &path)
      : archive(archive), path(path) {}
  std::optional<Failure> read(std::map<std::string, ZipMember> &members);

private:
  bool has(uint64_t at, uint64_t bytes) const {
    return at <= archive.size() && bytes <= archive.size() - at;
  }
  /// A little-endian number; the caller knows that it is there.
  uint64_t number(uint64_t at, int bytes) const {
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
      value = value << 8 | static_cast<uint8_t>(archive[at + i]);
    return value;
  }
  Failure damaged(const std::string &what) const {
    return Failure{path + ": expected " + what +
                   "; the file is damaged or truncated, fetch or save it "
                   "again"};
  }
  std::optional<Failure> findDirectory(uint64_t &at, uint64_t &count) const;
  std::optional<Failure> readMember(uint64_t &at, std::string &name,
                                    ZipMember &member) const;
  void readZip64(uint64_t at, uint64_t bytes, ZipMember &member,
                 uint64_t &header, uint64_t unpacked) const;

  std::string_view archive;
  const std::string &path;
};
} // namespace

std::optional<Failure> ZipReader::findDirectory(uint64_t &at,
                                                uint64_t &count) const {
  // A comment of up to 64 KiB may follow.
  uint64_t last = archive.size() < endBytes ? 0 : archive.size() - endBytes;
  uint64_t first = last > 0xffff ? last - 0xffff : 0;
  uint64_t end = last + 1;
  while (end-- > first)
    if (has(end, endBytes) && number(end, 4) == endMagic)
      break;
  if (end + 1 == first || !has(end, endBytes) || number(end, 4) != endMagic)
    return damaged("the directory of a zip archive at its end, found none");
  count = number(end + 10, 2);
  at = number(end + 16, 4);
  if (end < locatorBytes || number(end - locatorBytes, 4) != locatorMagic)
    return std::nullopt;
  uint64_t end64 = number(end - locatorBytes + 8, 8);
  if (!has(end64, end64Bytes) || number(end64, 4) != end64Magic)
    return damaged("a zip64 directory where the archive says, found none");
  count = number(end64 + 32, 8);
  at = number(end64 + 48, 8);
  return std::nullopt;
}

/// Of the extra fields the one with the numbers that 32 bits do not hold.
void ZipReader::readZip64(uint64_t at, uint64_t bytes, ZipMember &member,
                          uint64_t &header, uint64_t unpacked) const {
  for (uint64_t end = at + bytes; at + 4 <= end;) {
    uint64_t id = number(at, 2), size = number(at + 2, 2);
    at += 4;
    if (size > end - at)
      return;
    if (id == 1) {
      uint64_t place = at, stop = at + size;
      auto next = [&](uint64_t &value) {
        if (place + 8 > stop)
          return;
        value = number(place, 8);
        place += 8;
      };
      uint64_t ignored = 0;
      if (unpacked == in64)
        next(ignored);
      if (member.bytes == in64)
        next(member.bytes);
      if (header == in64)
        next(header);
      return;
    }
    at += size;
  }
}

std::optional<Failure> ZipReader::readMember(uint64_t &at, std::string &name,
                                             ZipMember &member) const {
  if (!has(at, centralBytes) || number(at, 4) != centralMagic)
    return damaged("an entry of the zip directory, found none");
  uint64_t flags = number(at + 8, 2), method = number(at + 10, 2);
  uint64_t nameBytes = number(at + 28, 2), extraBytes = number(at + 30, 2),
           commentBytes = number(at + 32, 2);
  member.bytes = number(at + 20, 4);
  uint64_t unpacked = number(at + 24, 4), header = number(at + 42, 4);
  if (!has(at + centralBytes, nameBytes + extraBytes + commentBytes))
    return damaged("a whole entry of the zip directory, found a part");
  name = std::string(archive.substr(at + centralBytes, nameBytes));
  readZip64(at + centralBytes + nameBytes, extraBytes, member, header,
            unpacked);
  at += centralBytes + nameBytes + extraBytes + commentBytes;
  if (flags & 1 || method != 0)
    return Failure{path + ": member '" + name +
                   "': expected bytes that are stored as they are, found " +
                   (flags & 1 ? "encrypted" : "compressed") +
                   " ones; save the file with torch.save"};
  if (!has(header, localBytes) || number(header, 4) != localMagic)
    return damaged("member '" + name + "' where the directory says");
  member.begin =
      header + localBytes + number(header + 26, 2) + number(header + 28, 2);
  if (!has(member.begin, member.bytes))
    return damaged(std::to_string(member.bytes) + " bytes of member '" + name +
                   "', found fewer");
  return std::nullopt;
}

std::optional<Failure>
ZipReader::read(std::map<std::string, ZipMember> &members) {
  uint64_t at = 0, count = 0;
  if (auto fault = findDirectory(at, count))
    return fault;
  for (uint64_t i = 0; i < count; ++i) {
    std::string name;
    ZipMember member;
    if (auto fault = readMember(at, name, member))
      return fault;
    if (!members.emplace(name, member).second)
      return damaged("member '" + name + "' once, found it twice");
  }
  return std::nullopt;
}

std::optional<Failure> listZip(std::string_view archive,
                               const std::string &path,
                               std::map<std::string, ZipMember> &members) {
  return ZipReader(archive, path).read(members);
}

} // namespace vlmc
