//===-- Files.h - files that are whole or not there -----------------------===//
//
// `OutputFile` writes one file by offset and syncs it; `PackageDirectory` is
// the directory that a package is written into: a hidden one beside the
// output, exchanged with it on commit, and removed if that never comes;
// `ScratchDirectory` holds what other programs write for this one.
//
//   auto directory = PackageDirectory::create("clip.vlm",
//   "manifest.textproto"); writeFile(directory->path("clip.h"), text); return
//   directory->commit();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_FILES_H
#define VLMC_CODEGEN_PACKAGE_FILES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace vlmc {

/// A new file, written at any offset from any thread.
class OutputFile {
public:
  /// Makes the file, which must not exist, and reserves `bytes` bytes for it.
  static llvm::Expected<OutputFile> create(std::string path, uint64_t bytes);
  /// Opens a file that is there.
  static llvm::Expected<OutputFile> open(std::string path);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  /// Waits until the data are on disk, and closes.
  llvm::Error close();

private:
  OutputFile(std::string path, int fd) : path(std::move(path)), fd(fd) {}
  std::string path;
  int fd;
};

/// Writes a whole new file and syncs it.
llvm::Error writeFile(std::string path, llvm::ArrayRef<uint8_t> bytes);
llvm::Error writeFile(std::string path, llvm::StringRef text);
/// Writes to the end of a file that is there, and syncs all of it.
llvm::Error appendToFile(std::string path, llvm::ArrayRef<uint8_t> bytes);

/// A directory of this process among the system's temporary ones (TMPDIR), gone
/// with the object. Those of programs that were killed are removed when the
/// next one is made.
class ScratchDirectory {
public:
  static llvm::Expected<ScratchDirectory> create();
  ScratchDirectory(ScratchDirectory &&other) noexcept;
  ScratchDirectory &operator=(ScratchDirectory &&) = delete;
  ~ScratchDirectory();

  const std::string &path() const { return name; }

private:
  ScratchDirectory(std::string name, int lock)
      : name(std::move(name)), lock(lock) {}
  std::string name;
  int lock;
};

/// A directory that takes the place of `output` as a whole or not at all.
class PackageDirectory {
public:
  /// Checks that `output` can be written (its parent is there, and what stands
  /// there now, if anything, is a package: a directory that holds `manifest`)
  /// and makes the directory beside it. Directories of programs that were
  /// killed are removed.
  static llvm::Expected<PackageDirectory> create(llvm::StringRef output,
                                                 llvm::StringRef manifest);
  PackageDirectory(PackageDirectory &&other) noexcept;
  PackageDirectory &operator=(PackageDirectory &&) = delete;
  ~PackageDirectory();

  /// The path of a file in it while it is being written.
  std::string path(llvm::StringRef name) const;
  /// Makes a directory in it, parents included.
  llvm::Error makeDirectory(llvm::StringRef name);
  /// Removes a file or directory in it.
  llvm::Error remove(llvm::StringRef name);
  /// Puts it in the place of `output`, and removes what stood there.
  llvm::Error commit();

private:
  PackageDirectory(std::string output, std::string temporary, int lock)
      : output(std::move(output)), temporary(std::move(temporary)), lock(lock) {
  }
  llvm::Error replaceWithoutExchange();
  std::string output;
  std::string temporary;
  /// Of the directory, locked while it is being written.
  int lock;
};

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_FILES_H
