//===- Fuzz.h - What the fuzzers share --------------------------*- C++ -*-===//
//
// Readers take paths, fuzzers get bytes: ScratchFolder holds files in memory.
//
//   static ScratchFolder folder;
//   folder.write("config.json", data, size);
//   importFrom(folder.path());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_FUZZ_FUZZ_H
#define VLMC_TEST_FUZZ_FUZZ_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace vlmc::fuzz {

/// A folder of this process, in memory where the system has such a place.
class ScratchFolder {
public:
  ScratchFolder() {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::path parent = fs::is_directory("/dev/shm", error)
                          ? fs::path("/dev/shm")
                          : fs::temp_directory_path(error);
    folder = (parent / "vlmc-fuzz-XXXXXX").string();
    if (!::mkdtemp(folder.data())) {
      std::perror(folder.c_str());
      std::abort();
    }
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  const std::string &path() const { return folder; }
  std::string write(const std::string &name, const uint8_t *data,
                    size_t size) const {
    std::string file = folder + "/" + name;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char *>(data), std::streamsize(size));
    return file;
  }

private:
  std::string folder;
};

/// Reads all bytes of the tensors of a weight file: what a reader accepts must
/// lie within the file.
template <class WeightFile> void readTensors(const WeightFile &file) {
  for (const auto &entry : file.entries()) {
    unsigned sum = 0;
    for (uint8_t byte : file.bytesOf(entry))
      sum += byte;
    volatile unsigned used = sum;
    (void)used;
  }
}

} // namespace vlmc::fuzz

#endif // VLMC_TEST_FUZZ_FUZZ_H
