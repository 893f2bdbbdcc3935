//===- MappedFile.cpp - A file in memory ----------------------------------===//
#include "frontend/support/MappedFile.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vlmc {

static Failure failed(const std::string &path, const char *what, int error) {
  return Failure{path + ": " + what + ": " +
                 std::generic_category().message(error) +
                 "; check the path and its permissions"};
}

namespace {
/// Closes a descriptor at the end of its scope; the mapping outlives it.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0)
      ::close(number);
  }
};
} // namespace

Result<MappedFile> MappedFile::open(const std::string &path) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0)
    return failed(path, "cannot be opened", errno);
  struct stat status;
  if (::fstat(file.number, &status) != 0)
    return failed(path, "cannot be examined", errno);
  if (!S_ISREG(status.st_mode))
    return Failure{path + ": expected a regular file, found " +
                   (S_ISDIR(status.st_mode) ? "a folder" : "a special file") +
                   "; check the path"};
  MappedFile result;
  result.bytes = static_cast<uint64_t>(status.st_size);
  if (result.bytes == 0)
    return result;
  void *memory =
      ::mmap(nullptr, result.bytes, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (memory == MAP_FAILED) {
    result.bytes = 0;
    return failed(path, "cannot be mapped", errno);
  }
  result.begin = static_cast<const uint8_t *>(memory);
  return result;
}

void MappedFile::dropPages(const uint8_t *data, uint64_t bytes) {
  auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<uintptr_t>(data) & ~(page - 1);
  auto end = reinterpret_cast<uintptr_t>(data) + bytes;
  if (bytes)
    // A mapping that cannot be given back costs memory and nothing else.
    (void)::madvise(reinterpret_cast<void *>(begin), end - begin,
                    MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : begin(std::exchange(other.begin, nullptr)),
      bytes(std::exchange(other.bytes, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(begin, other.begin);
  std::swap(bytes, other.bytes);
  return *this;
}

MappedFile::~MappedFile() {
  if (begin)
    ::munmap(const_cast<uint8_t *>(begin), bytes);
}

} // namespace vlmc
