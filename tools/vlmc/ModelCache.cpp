//===- ModelCache.cpp - Compiled models of checkpoint folders -------------===//
#include "tools/vlmc/ModelCache.h"

#include "codegen/package/Version.h"
#include "frontend/Frontend.h"
#include "frontend/checkpoint/Safetensors.h"
#include "frontend/support/MappedFile.h"
#include "tools/driver/Compile.h"
#include "tools/vlmc/Progress.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <sys/stat.h>

namespace vlmc::tool {

namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Keys
//===----------------------------------------------------------------------===//

namespace {
/// Gathers what the key of an entry is made of; strings are told apart by their
/// lengths.
class KeyMaker {
public:
  void add(std::string_view text) {
    add(uint64_t(text.size()));
    hash.update(llvm::StringRef(text.data(), text.size()));
  }
  void add(uint64_t number) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; ++i)
      bytes[i] = uint8_t(number >> (8 * i));
    hash.update(bytes);
  }
  /// Size, time and inode of a file: what changes when it is written.
  void addIdentity(const fs::path &path);
  /// The header of a safetensors file.
  void addHeader(const fs::path &path);
  std::string take() {
    return llvm::toHex(hash.final(), /*LowerCase=*/true).substr(0, 32);
  }

private:
  llvm::SHA256 hash;
};
} // namespace

void KeyMaker::addIdentity(const fs::path &path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return add("absent");
  for (uint64_t number :
       {uint64_t(status.st_size), uint64_t(status.st_mtim.tv_sec),
        uint64_t(status.st_mtim.tv_nsec), uint64_t(status.st_ino),
        uint64_t(status.st_dev)})
    add(number);
}

void KeyMaker::addHeader(const fs::path &path) {
  Result<MappedFile> file = MappedFile::open(path.string());
  if (!file || file->size() < 8)
    return add("unreadable");
  uint64_t length = 0;
  for (int i = 0; i < 8; ++i)
    length |= uint64_t(file->data()[i]) << (8 * i);
  add(file->text().substr(0, 8 + std::min(length, maxSafetensorsHeader)));
}

/// Whether vlmc may read the file whole: configs, vocabularies.
static bool isSmallKind(const fs::path &path) {
  std::string suffix = path.extension().string();
  return suffix == ".json" || suffix == ".txt" || suffix == ".model" ||
         suffix == ".jinja";
}

/// What is in a folder and in those inside it. Returns whether it could be
/// listed.
static std::error_code addFolder(KeyMaker &key, const fs::path &folder) {
  std::error_code error, ignored;
  std::vector<fs::path> files;
  auto list = [&](const fs::path &from, std::error_code &problem) {
    for (fs::directory_iterator it(from, problem), end; !problem && it != end;
         it.increment(problem))
      files.push_back(it->path());
  };
  list(folder, error);
  for (const fs::path &inner : std::vector<fs::path>(files))
    if (fs::is_directory(inner, ignored))
      list(inner, ignored);
  std::ranges::sort(files);
  for (const fs::path &file : files) {
    bool isTensors = file.extension() == ".safetensors";
    if (isSmallKind(file)) {
      key.add(file.lexically_relative(folder).string());
      Result<MappedFile> contents = MappedFile::open(file.string());
      key.add(contents ? contents->text() : "unreadable");
    } else if (isTensors || file.extension() == ".bin") {
      key.add(file.lexically_relative(folder).string());
      key.addIdentity(file);
      if (isTensors)
        key.addHeader(file);
    }
  }
  return error;
}

static Outcome<std::string> makeKey(const fs::path &folder,
                                    const Variant &variant) {
  KeyMaker key;
  key.add(getVersion());
  // Another build of vlmc may compile to other code.
  std::error_code ignored;
  fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  key.addIdentity(self);
  key.addIdentity(self.parent_path() / "vlmc-halide");
  key.add(uint64_t(variant.reference));
  for (const std::string &tap : variant.taps)
    key.add(tap);
  key.add(folder.filename().string());
  if (std::error_code error = addFolder(key, folder))
    return Fault(folder.string() + ": cannot be listed: " + error.message() +
                 "; check its permissions");
  // Whether it can be listed is told when it is compiled.
  if (std::string other = otherFolder(folder.string(), variant.import);
      !other.empty())
    addFolder(key, other);
  return key.take();
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

Outcome<std::string> cacheFolder(const std::string &given) {
  if (!given.empty())
    return given;
  if (const char *folder = std::getenv("VLMC_CACHE_DIR"); folder && *folder)
    return std::string(folder);
  if (const char *folder = std::getenv("XDG_CACHE_HOME"); folder && *folder)
    return (fs::path(folder) / "vlmc/models").string();
  if (const char *home = std::getenv("HOME"); home && *home)
    return (fs::path(home) / ".cache/vlmc/models").string();
  return Fault("no cache folder for the compiled model: HOME is not set; give "
               "one with --cache-dir");
}

/// The taps wanted that this model has.
static Outcome<std::vector<std::string>>
knownTaps(const std::string &checkpoint, const Variant &variant) {
  std::vector<std::string> ignored, taps;
  if (variant.taps.empty())
    return taps;
  Result<spec::ModelSpec> model =
      importCheckpoint(checkpoint, ignored, variant.import);
  if (!model)
    return Fault(model.takeFailure());
  for (const std::string &tap : listTaps(*model))
    if (std::ranges::find(variant.taps, tap) != variant.taps.end())
      taps.push_back(tap);
  return taps;
}

static std::optional<Fault> compileInto(const std::string &package,
                                        const std::string &checkpoint,
                                        const Variant &variant) {
  Outcome<std::vector<std::string>> taps = knownTaps(checkpoint, variant);
  if (!taps)
    return taps.takeFault();
  Progress progress;
  CompileRequest request;
  request.model = checkpoint;
  request.output = package;
  request.reference = variant.reference;
  request.visionTower = variant.import.visionTower;
  request.taps = *taps;
  request.warn = [](llvm::StringRef message) { warn(message.str()); };
  request.progress = [&](llvm::StringRef what, uint64_t done, uint64_t total) {
    progress.show("compiling: " + what.str(), done, total);
  };
  return check(compileModel(request));
}

/// What a variant is compiled with, as on the command line.
static std::vector<std::string> describe(const Variant &variant) {
  std::vector<std::string> options;
  if (variant.reference)
    options.emplace_back("--reference");
  if (!variant.import.visionTower.empty())
    options.push_back("--vision-tower=" + variant.import.visionTower);
  std::string taps;
  for (const std::string &tap : variant.taps)
    taps += (taps.empty() ? "--taps=" : ",") + tap;
  if (!taps.empty())
    options.push_back(std::move(taps));
  return options;
}

/// Compiles into an entry of which the exclusive lock is held.
static std::optional<Fault> fillEntry(const fs::path &entry,
                                      const fs::path &package,
                                      const std::string &checkpoint,
                                      const Variant &variant) {
  std::error_code error;
  fs::path folder = fs::canonical(checkpoint, error);
  removeLeftovers(entry);
  fs::remove_all(package, error);
  writeOrigin(entry, folder.string(), describe(variant));
  if (std::optional<Fault> fault =
          compileInto(package.string(), checkpoint, variant))
    return *fault;
  Outcome<std::string> keyNow = makeKey(folder, variant);
  if (!keyNow)
    return keyNow.takeFault();
  if (*keyNow == entry.filename())
    return std::nullopt;
  fs::remove_all(package, error);
  return Fault(checkpoint + ": changed while it was being compiled; run the "
                            "command again");
}

/// Makes room. The model that was just compiled is in use, and stays.
static void enforceLimit(const CacheOptions &cache) {
  Trimmed trimmed = trimCache(cache.folder, cache.maxBytes);
  uint64_t bytes = Trimmed::bytesOf(trimmed.kept);
  if (bytes > cache.maxBytes)
    warn(cache.folder + ": the cache of compiled models holds " +
         describeBytes(bytes) + ", all in use, and may hold " +
         describeBytes(cache.maxBytes) + "; give more with --cache-size");
}

Outcome<CachedModel> findOrCompile(const std::string &checkpoint,
                                   const Variant &variant,
                                   const CacheOptions &cache, bool isDamaged) {
  std::error_code error;
  fs::path folder = fs::canonical(checkpoint, error);
  if (error)
    return Fault(checkpoint + ": " + error.message());
  Outcome<std::string> key = makeKey(folder, variant);
  if (!key)
    return key.takeFault();
  fs::path entry = fs::path(cache.folder) / *key;
  fs::path package = entry / (folder.filename().string() + ".vlm");
  bool isNew = false;
  while (true) {
    if (!isDamaged) {
      Outcome<EntryLock> lock = EntryLock::take(entry, EntryLock::Shared);
      if (!lock)
        return lock.takeFault();
      // It appears whole, and stays while the lock is held.
      if (fs::exists(package, error)) {
        lock->touch();
        if (isNew)
          enforceLimit(cache);
        return CachedModel{package.string(), std::move(*lock)};
      }
    }
    Outcome<EntryLock> lock = EntryLock::take(entry, EntryLock::Exclusive);
    if (!lock)
      return lock.takeFault();
    // Another one may have been first.
    if (isDamaged || !fs::exists(package, error)) {
      if (std::optional<Fault> fault =
              fillEntry(entry, package, checkpoint, variant))
        return *fault;
      isNew = true;
    }
    isDamaged = false;
  }
}

} // namespace vlmc::tool
