//===-- OutputFile.cpp - files that appear whole --------------------------===//
#include "tools/driver/OutputFile.h"
#include "codegen/package/Error.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vlmc::tool {

namespace fs = std::filesystem;

static llvm::Error cannotWrite(const std::string &path, int error) {
  bool isFull = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return userError(
      path + ": cannot be written: " + std::generic_category().message(error) +
      (isFull ? "; free some space or choose another place"
              : "; choose a folder that exists and that you may write to"));
}

llvm::Expected<OutputFile> OutputFile::open(const std::string &path) {
  std::error_code ignored;
  fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status))
    return userError(path + ": cannot be written: it is a folder; name a file");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
      return cannotWrite(path, errno);
    return OutputFile(path, "", descriptor);
  }
  // A link is written through, not replaced.
  fs::path target =
      fs::exists(status) ? fs::canonical(path, ignored) : fs::path(path);
  std::string temporary =
      (target.parent_path() / ("." + target.filename().string() + ".XXXXXX"))
          .string();
  int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0)
    return cannotWrite(path, errno);
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(descriptor, 0666 & ~mask);
  return OutputFile(target.string(), temporary, descriptor);
}

OutputFile OutputFile::standardOutput() {
  // What was printed before comes first.
  std::fflush(stdout);
  return OutputFile("standard output", "",
                    ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)),
      temporary(std::exchange(other.temporary, std::string())),
      descriptor(std::exchange(other.descriptor, -1)) {}

OutputFile::~OutputFile() {
  if (descriptor >= 0)
    ::close(descriptor);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
}

llvm::Error OutputFile::write(const void *data, size_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes > 0) {
    ssize_t written = ::write(descriptor, from, bytes);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return cannotWrite(path, errno);
    from += written;
    bytes -= size_t(written);
  }
  return llvm::Error::success();
}

llvm::Error OutputFile::commit() {
  if (::close(std::exchange(descriptor, -1)) != 0)
    return cannotWrite(path, errno);
  if (!temporary.empty() && ::rename(temporary.c_str(), path.c_str()) != 0)
    return cannotWrite(path, errno);
  temporary.clear();
  return llvm::Error::success();
}

} // namespace vlmc::tool
