//===- ZipArchive.h - The members of a zip archive --------------*- C++ -*-===//
//
// Finds the members of a zip archive in memory whose bytes are stored as they
// are, as torch.save writes them. Nothing is copied.
//
//   std::map<std::string, ZipMember> members;
//   if (auto fault = listZip(map.text(), path, members))
//     return *fault;
//
// Source: APPNOTE.TXT of PKWARE, zip64 included.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_ZIPARCHIVE_H
#define VLMC_FRONTEND_CHECKPOINT_ZIPARCHIVE_H

#include "frontend/support/Result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace vlmc {

/// Where the bytes of a member lie in the archive.
struct ZipMember {
  uint64_t begin = 0;
  uint64_t bytes = 0;
};

/// Errors: no archive, a damaged one, members that are compressed or encrypted,
/// a name twice; `path` stands in messages.
std::optional<Failure> listZip(std::string_view archive,
                               const std::string &path,
                               std::map<std::string, ZipMember> &members);

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_ZIPARCHIVE_H
