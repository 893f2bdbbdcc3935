//===- CacheEntries.h - What lies in the cache of models --------*- C++ -*-===//
//
// An entry is a folder CACHE/KEY with a compiled model, the file `lock`, whose
// time is that of the last use, and `origin.json`, which tells what it was
// compiled from. Whoever uses the model holds a shared lock, whoever writes or
// removes it an exclusive one. Any number of programs may do so at once, and
// be killed at any moment.
//
//   Outcome<EntryLock> lock = EntryLock::take(entry, EntryLock::Shared);
//   trimCache(cache, maxBytes);        // the least recently used go first
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_CACHEENTRIES_H
#define VLMC_TOOLS_VLMC_CACHEENTRIES_H

#include "tools/vlmc/Report.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vlmc::tool {

/// Holds the lock of an entry until it goes.
class EntryLock {
public:
  enum Kind { Shared, Exclusive };
  /// Makes the entry's folder if need be, waits for the lock and tells that it
  /// waits.
  static Outcome<EntryLock> take(const std::filesystem::path &entry, Kind kind);
  /// The exclusive lock of an entry that nobody uses; nothing for one that is
  /// in use or is gone.
  static std::optional<EntryLock> tryTake(const std::filesystem::path &entry);

  EntryLock(EntryLock &&other) noexcept
      : descriptor(std::exchange(other.descriptor, -1)) {}
  EntryLock &operator=(EntryLock &&other) noexcept {
    std::swap(descriptor, other.descriptor);
    return *this;
  }
  ~EntryLock();

  /// Notes that the entry is used now.
  void touch() const;

private:
  explicit EntryLock(int descriptor) : descriptor(descriptor) {}
  /// Whether the file that is locked is still that of the entry.
  bool isCurrent(const std::filesystem::path &entry) const;
  int descriptor;
};

/// What is known of an entry.
struct CacheEntry {
  std::string key;
  std::string name; ///< of the model
  uint64_t bytes = 0;
  int64_t lastUsed = 0; ///< seconds since 1970
  bool isInUse = false;
  std::string checkpoint; ///< "" where nothing tells it
  std::vector<std::string> options;
};

/// The entries of a cache, least recently used first; none if there is no such
/// folder.
std::vector<CacheEntry> listCache(const std::string &cache);

/// Notes what an entry is compiled from.
void writeOrigin(const std::filesystem::path &entry,
                 const std::string &checkpoint,
                 const std::vector<std::string> &options);

/// Removes what a killed program left in an entry. Only with the exclusive
/// lock.
void removeLeftovers(const std::filesystem::path &entry);

/// What was removed and what is left.
struct Trimmed {
  std::vector<CacheEntry> removed, kept;
  static uint64_t bytesOf(const std::vector<CacheEntry> &entries);
};

/// Removes the least recently used entries until the cache holds at most
/// `maxBytes`; never one that is in use.
Trimmed trimCache(const std::string &cache, uint64_t maxBytes);

/// "1.5 GiB"
std::string describeBytes(uint64_t bytes);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_CACHEENTRIES_H
