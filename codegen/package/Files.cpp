//===-- Files.cpp - files that are whole or not there ---------------------===//
#include "codegen/package/Files.h"
#include "codegen/package/Error.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace vlmc {

static Error systemError(const Twine &what, int code) {
  bool isFull = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return userError(what + ": " +
                   std::error_code(code, std::generic_category()).message() +
                   (isFull ? "; free some space or choose another place"
                           : "; choose a place that you may write to"));
}

//===-- OutputFile --------------------------------------------------------===//

Expected<OutputFile> OutputFile::create(std::string path, uint64_t bytes) {
  int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
  if (fd < 0)
    return systemError("cannot create '" + path + "'", errno);
  OutputFile file(std::move(path), fd);
  // Reserving tells of a full disk before the work instead of after it; file
  // systems that cannot reserve are written to as they are.
  if (bytes && ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0 &&
      (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
    return systemError("cannot reserve " + Twine(bytes) + " bytes for '" +
                           file.path + "'",
                       errno);
  return file;
}

Expected<OutputFile> OutputFile::open(std::string path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return systemError("cannot open '" + path + "'", errno);
  return OutputFile(std::move(path), fd);
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), fd(std::exchange(other.fd, -1)) {}

OutputFile::~OutputFile() {
  if (fd >= 0)
    ::close(fd);
}

Error OutputFile::write(uint64_t offset, ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t written =
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return systemError("cannot write '" + path + "'", errno);
    offset += written;
    bytes = bytes.drop_front(written);
  }
  return Error::success();
}

Error OutputFile::close() {
  int synced = ::fsync(fd);
  int code = errno;
  // EINVAL, EROFS: the file system has nothing to sync.
  if (synced != 0 && code != EINVAL && code != EROFS)
    return systemError("cannot write '" + path + "' to disk", code);
  if (::close(std::exchange(fd, -1)) != 0)
    return systemError("cannot write '" + path + "'", errno);
  return Error::success();
}

Error writeFile(std::string path, ArrayRef<uint8_t> bytes) {
  Expected<OutputFile> file = OutputFile::create(std::move(path), bytes.size());
  if (!file)
    return file.takeError();
  if (Error error = file->write(0, bytes))
    return error;
  return file->close();
}

Error writeFile(std::string path, StringRef text) {
  return writeFile(std::move(path), arrayRefFromStringRef(text));
}

Error appendToFile(std::string path, ArrayRef<uint8_t> bytes) {
  uint64_t size = 0;
  if (std::error_code code = fs::file_size(path, size))
    return systemError("cannot read '" + path + "'", code.value());
  Expected<OutputFile> file = OutputFile::open(std::move(path));
  if (!file)
    return file.takeError();
  if (Error error = file->write(size, bytes))
    return error;
  return file->close();
}

//===-- Directories -------------------------------------------------------===//

static Error syncDirectory(StringRef name) {
  int fd = ::open(name.str().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return systemError("cannot open '" + name + "'", errno);
  int synced = ::fsync(fd);
  int code = errno;
  ::close(fd);
  if (synced != 0 && code != EINVAL && code != EROFS)
    return systemError("cannot write '" + name + "' to disk", code);
  return Error::success();
}

/// Checks that what stands at `output`, if anything, may be replaced.
static Error checkReplaceable(StringRef full, StringRef output,
                              StringRef manifest) {
  fs::file_status status;
  if (fs::status(full, status) || !fs::exists(status))
    return Error::success();
  if (!fs::is_directory(status))
    return userError("cannot write '" + output +
                     "': a file of that name is in the way; remove it or "
                     "choose another output");
  SmallString<256> inside(full);
  path::append(inside, manifest);
  if (!fs::exists(inside))
    return userError("cannot write '" + output +
                     "': it is a directory without " + manifest +
                     ", so not a compiled model; remove it or choose another "
                     "output");
  return Error::success();
}

/// Opens a directory and locks it, unless another program has; -1 then.
static int lockDirectory(const std::string &name) {
  int fd = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  struct stat held{}, named{};
  // Between opening and locking it may have been removed as a leftover.
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &held) == 0 &&
      ::stat(name.c_str(), &named) == 0 && held.st_ino == named.st_ino)
    return fd;
  ::close(fd);
  return -1;
}

/// Removes the directories `prefix`XXXXXXXX in `parent` that no program holds.
static void removeLeftovers(StringRef parent, StringRef prefix) {
  std::error_code code;
  for (fs::directory_iterator it(parent, code), end; it != end && !code;
       it.increment(code)) {
    StringRef digits = path::filename(it->path());
    if (!digits.consume_front(prefix) || digits.size() != 8)
      continue;
    if (int fd = lockDirectory(it->path()); fd >= 0) {
      (void)fs::remove_directories(it->path());
      ::close(fd);
    }
  }
}

namespace {
struct Locked {
  std::string name;
  int lock = -1; ///< -1: it could not be made; `errno` tells why
};
} // namespace

/// Makes a directory `prefix`XXXXXXXX in `parent`, and removes those that
/// programs left which were killed.
static Locked makeLocked(StringRef parent, StringRef prefix, mode_t mode) {
  removeLeftovers(parent, prefix);
  SmallString<256> model(parent), name;
  path::append(model, prefix + "%%%%%%%%");
  for (int attempt = 0; attempt < 100; ++attempt) {
    fs::createUniquePath(model, name, /*MakeAbsolute=*/false);
    if (::mkdir(name.c_str(), mode) == 0) {
      int lock = lockDirectory(name.str().str());
      if (lock >= 0)
        return {name.str().str(), lock};
    } else if (errno != EEXIST) {
      break;
    }
  }
  return {};
}

//===-- ScratchDirectory --------------------------------------------------===//

Expected<ScratchDirectory> ScratchDirectory::create() {
  SmallString<128> parent;
  path::system_temp_directory(/*ErasedOnReboot=*/true, parent);
  Locked made = makeLocked(parent, "vlmc-scratch-", 0700);
  if (made.lock < 0)
    return systemError("cannot make a temporary directory in '" + parent +
                           "' (TMPDIR names another)",
                       errno);
  return ScratchDirectory(std::move(made.name), made.lock);
}

ScratchDirectory::ScratchDirectory(ScratchDirectory &&other) noexcept
    : name(std::exchange(other.name, std::string())),
      lock(std::exchange(other.lock, -1)) {}

ScratchDirectory::~ScratchDirectory() {
  if (lock < 0)
    return;
  (void)fs::remove_directories(name);
  ::close(lock);
}

//===-- PackageDirectory --------------------------------------------------===//

Expected<PackageDirectory> PackageDirectory::create(StringRef output,
                                                    StringRef manifest) {
  SmallString<256> full(output);
  if (std::error_code code = fs::make_absolute(full))
    return userError("cannot write '" + output + "': " + code.message());
  path::remove_dots(full, /*remove_dot_dot=*/false);
  while (full.size() > 1 && path::is_separator(full.back()))
    full.pop_back();
  if (Error error = checkReplaceable(full, output, manifest))
    return std::move(error);
  // A link to a package: the package is replaced, not the link.
  SmallString<256> real;
  if (fs::exists(full) && !fs::real_path(full, real))
    full = real;

  StringRef parent = path::parent_path(full);
  if (!fs::is_directory(parent))
    return userError("cannot write '" + output + "': there is no directory '" +
                     parent + "'; make it or choose another output");
  std::string prefix = ("." + path::filename(full) + ".tmp-").str();
  Locked made = makeLocked(parent, prefix, 0777);
  if (made.lock < 0)
    return systemError("cannot write '" + output +
                           "': cannot make a directory "
                           "in '" +
                           parent + "'",
                       errno);
  return PackageDirectory(full.str().str(), std::move(made.name), made.lock);
}

PackageDirectory::PackageDirectory(PackageDirectory &&other) noexcept
    : output(std::move(other.output)),
      temporary(std::exchange(other.temporary, std::string())),
      lock(std::exchange(other.lock, -1)) {}

PackageDirectory::~PackageDirectory() {
  if (!temporary.empty())
    (void)fs::remove_directories(temporary);
  if (lock >= 0)
    ::close(lock);
}

std::string PackageDirectory::path(StringRef name) const {
  SmallString<256> full(temporary);
  path::append(full, name);
  return full.str().str();
}

Error PackageDirectory::makeDirectory(StringRef name) {
  if (std::error_code code = fs::create_directories(
          path(name), /*IgnoreExisting=*/true, fs::perms::all_all))
    return userError("cannot create '" + path(name) + "': " + code.message());
  return Error::success();
}

Error PackageDirectory::remove(StringRef name) {
  std::string full = path(name);
  std::error_code code = fs::is_directory(full)
                             ? fs::remove_directories(full, false)
                             : fs::remove(full, false);
  if (code)
    return userError("cannot remove '" + full + "': " + code.message());
  return Error::success();
}

/// Syncs a directory and those in it.
static Error syncTree(StringRef root) {
  std::error_code code;
  for (fs::recursive_directory_iterator it(root, code), end; it != end && !code;
       it.increment(code))
    if (it->type() == fs::file_type::directory_file)
      if (Error error = syncDirectory(it->path()))
        return error;
  if (code)
    return userError("cannot read '" + root + "': " + code.message());
  return syncDirectory(root);
}

Error PackageDirectory::replaceWithoutExchange() {
  // The file system cannot exchange: between the two renames the output is
  // absent, but never in parts; if the second fails, the first is taken back.
  std::string aside = temporary + ".old";
  if (::rename(output.c_str(), aside.c_str()) != 0)
    return systemError("cannot replace '" + output + "'", errno);
  if (::rename(temporary.c_str(), output.c_str()) != 0) {
    int code = errno;
    (void)::rename(aside.c_str(), output.c_str());
    return systemError("cannot replace '" + output + "'", code);
  }
  temporary = aside;
  return Error::success();
}

Error PackageDirectory::commit() {
  if (Error error = syncTree(temporary))
    return error;
  if (!fs::exists(output)) {
    if (::rename(temporary.c_str(), output.c_str()) != 0)
      return systemError("cannot write '" + output + "'", errno);
    temporary.clear();
  } else if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, output.c_str(),
                         RENAME_EXCHANGE) != 0) {
    if (errno != ENOSYS && errno != EINVAL)
      return systemError("cannot replace '" + output + "'", errno);
    if (Error error = replaceWithoutExchange())
      return error;
  }
  // Now `temporary`, if any, is what was replaced.
  if (!temporary.empty())
    (void)fs::remove_directories(temporary);
  temporary.clear();
  return syncDirectory(path::parent_path(output));
}

} // namespace vlmc
