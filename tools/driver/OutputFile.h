//===-- OutputFile.h - files that appear whole ------------------*- C++ -*-===//
//
// What commands write for the user: a file that appears whole under its name or
// not at all. An output that cannot be written is told when it is opened,
// before the work.
//
//   Expected<OutputFile> file = OutputFile::open("out.safetensors");
//   ... // the work
//   if (Error error = file->write(bytes.data(), bytes.size()))
//     return error;
//   return file->commit();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_DRIVER_OUTPUTFILE_H
#define VLMC_TOOLS_DRIVER_OUTPUTFILE_H

#include "llvm/Support/Error.h"
#include <cstddef>
#include <string>

namespace vlmc::tool {

class OutputFile {
public:
  /// Devices and pipes are written in place, links are written through.
  /// Errors: a folder that is missing or cannot be written, a path that is a
  /// folder.
  static llvm::Expected<OutputFile> open(const std::string &path);
  /// Standard output, which stays open.
  static OutputFile standardOutput();

  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  llvm::Error write(const void *data, size_t bytes);
  /// Puts the file in its place.
  llvm::Error commit();

private:
  OutputFile(std::string path, std::string temporary, int descriptor)
      : path(std::move(path)), temporary(std::move(temporary)),
        descriptor(descriptor) {}

  std::string path;
  std::string temporary; ///< "" where the file is written in place
  int descriptor;        ///< -1: none is open
};

} // namespace vlmc::tool

#endif // VLMC_TOOLS_DRIVER_OUTPUTFILE_H
