//===- CacheEntries.cpp - What lies in the cache of models ----------------===//
#include "tools/vlmc/CacheEntries.h"

#include "frontend/support/Json.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vlmc::tool {

namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Locks
//===----------------------------------------------------------------------===//

static Fault cannotUse(const fs::path &path, int error) {
  return Fault(path.string() +
               ": the cache of compiled models cannot be used: " +
               std::generic_category().message(error) +
               "; choose another folder with --cache-dir");
}

EntryLock::~EntryLock() {
  if (descriptor >= 0)
    ::close(descriptor);
}

bool EntryLock::isCurrent(const fs::path &entry) const {
  struct stat held{}, named{};
  return ::fstat(descriptor, &held) == 0 &&
         ::stat((entry / "lock").c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

void EntryLock::touch() const { (void)::futimens(descriptor, nullptr); }

Outcome<EntryLock> EntryLock::take(const fs::path &entry, Kind kind) {
  bool isTold = false;
  while (true) {
    std::error_code error;
    fs::create_directories(entry, error);
    if (error)
      return cannotUse(entry, error.value());
    EntryLock lock(
        ::open((entry / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (lock.descriptor < 0) {
      // Somebody removed the folder that was just made.
      if (errno == ENOENT)
        continue;
      return cannotUse(entry / "lock", errno);
    }
    int mode = kind == Shared ? LOCK_SH : LOCK_EX;
    if (::flock(lock.descriptor, mode | LOCK_NB) != 0) {
      if (!std::exchange(isTold, true))
        note(std::string("waiting for another vlmc, which ") +
             (kind == Shared ? "compiles" : "uses or compiles") +
             " the same model");
      while (::flock(lock.descriptor, mode) != 0)
        if (errno != EINTR)
          return cannotUse(entry / "lock", errno);
    }
    // The entry may have been removed between opening and locking.
    if (lock.isCurrent(entry))
      return lock;
  }
}

std::optional<EntryLock> EntryLock::tryTake(const fs::path &entry) {
  EntryLock lock(::open((entry / "lock").c_str(), O_RDWR | O_CLOEXEC));
  if (lock.descriptor < 0 || ::flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 ||
      !lock.isCurrent(entry))
    return std::nullopt;
  return lock;
}

//===----------------------------------------------------------------------===//
// Origins
//===----------------------------------------------------------------------===//

void writeOrigin(const fs::path &entry, const std::string &checkpoint,
                 const std::vector<std::string> &options) {
  Json origin{{"checkpoint", checkpoint}, {"options", options}};
  // It is for people; a cache without it works. Paths may be no UTF-8.
  std::ofstream(entry / "origin.json")
      << origin.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

static void readOrigin(const fs::path &entry, CacheEntry &into) {
  Result<Json> origin = readJsonFile((entry / "origin.json").string());
  if (!origin || !origin->is_object())
    return;
  if (auto it = origin->find("checkpoint");
      it != origin->end() && it->is_string())
    into.checkpoint = it->get<std::string>();
  if (auto it = origin->find("options"); it != origin->end() && it->is_array())
    for (const Json &option : *it)
      if (option.is_string())
        into.options.push_back(option.get<std::string>());
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static std::vector<fs::path> namesIn(const fs::path &folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    paths.push_back(it->path());
  return paths;
}

/// Whether a name is a key: anything else in the folder is somebody else's.
static bool isKey(const std::string &name) {
  return name.size() == 32 &&
         name.find_first_not_of("0123456789abcdef") == name.npos;
}

/// What a folder takes on disk.
static uint64_t diskBytes(const fs::path &folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    struct stat status{};
    if (::lstat(it->path().c_str(), &status) == 0)
      bytes += uint64_t(status.st_blocks) * 512;
  }
  return bytes;
}

static CacheEntry describe(const fs::path &path) {
  CacheEntry entry;
  entry.key = path.filename().string();
  entry.bytes = diskBytes(path);
  for (const fs::path &inside : namesIn(path))
    if (inside.extension() == ".vlm")
      entry.name = inside.stem().string();
  struct stat status{};
  if (::stat((path / "lock").c_str(), &status) == 0) {
    entry.lastUsed = status.st_mtim.tv_sec;
    entry.isInUse = !EntryLock::tryTake(path);
  }
  readOrigin(path, entry);
  return entry;
}

std::vector<CacheEntry> listCache(const std::string &cache) {
  std::vector<CacheEntry> entries;
  for (const fs::path &path : namesIn(cache))
    if (isKey(path.filename().string()))
      entries.push_back(describe(path));
  std::ranges::sort(entries, [](const CacheEntry &a, const CacheEntry &b) {
    return std::tie(a.lastUsed, a.key) < std::tie(b.lastUsed, b.key);
  });
  return entries;
}

//===----------------------------------------------------------------------===//
// Removing
//===----------------------------------------------------------------------===//

void removeLeftovers(const fs::path &entry) {
  std::error_code ignored;
  for (const fs::path &path : namesIn(entry))
    if (path.filename().string().starts_with("."))
      fs::remove_all(path, ignored);
}

/// Removes an entry of which the exclusive lock is held.
static bool removeEntry(const fs::path &entry) {
  std::error_code error;
  // Hidden at once, so that no part of it passes for the whole if this program
  // is killed.
  for (const fs::path &path : namesIn(entry))
    if (path.extension() == ".vlm") {
      fs::rename(path, entry / ("." + path.filename().string() + ".gone"),
                 error);
      if (error)
        return false;
    }
  for (const fs::path &path : namesIn(entry))
    if (path.filename() != "lock")
      fs::remove_all(path, error);
  // From here on nobody finds the lock that is held.
  fs::remove(entry / "lock", error);
  fs::remove(entry, error);
  return true;
}

uint64_t Trimmed::bytesOf(const std::vector<CacheEntry> &entries) {
  uint64_t bytes = 0;
  for (const CacheEntry &entry : entries)
    bytes += entry.bytes;
  return bytes;
}

Trimmed trimCache(const std::string &cache, uint64_t maxBytes) {
  Trimmed result;
  std::vector<CacheEntry> entries = listCache(cache);
  uint64_t bytes = Trimmed::bytesOf(entries);
  for (CacheEntry &entry : entries) {
    fs::path path = fs::path(cache) / entry.key;
    std::optional<EntryLock> lock;
    if (bytes > maxBytes)
      lock = EntryLock::tryTake(path);
    if (lock && removeEntry(path)) {
      bytes -= entry.bytes;
      result.removed.push_back(std::move(entry));
    } else {
      result.kept.push_back(std::move(entry));
    }
  }
  return result;
}

std::string describeBytes(uint64_t bytes) {
  static const std::array<const char *, 5> units = {"B", "KiB", "MiB", "GiB",
                                                    "TiB"};
  auto value = double(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit)
    value /= 1024;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit ? "%.1f %s" : "%.0f %s", value,
                units[unit]);
  return text.data();
}

} // namespace vlmc::tool
