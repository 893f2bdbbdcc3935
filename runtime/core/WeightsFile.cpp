//===- WeightsFile.cpp - The mapped weights of a model --------------------===//

#include "runtime/core/WeightsFile.h"

#include "runtime/core/PoolInternal.h"
#include "runtime/core/SafetensorsHeader.h"
#include "runtime/core/Sha256.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace vlmc::rt {

static std::string named(const std::string &path) {
  return "weights file '" + path + "': ";
}

static vlm_status_t *systemError(const std::string &path, const char *call) {
  return makeStatus(VLM_IO, named(path) + call + ": " + strerror(errno) +
                                "; check its permissions");
}

WeightsFile::~WeightsFile() {
  if (mapped)
    munmap(const_cast<unsigned char *>(mapped), size);
}

vlm_status_t *WeightsFile::map() {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT)
    return makeStatus(VLM_NOT_FOUND, named(path) +
                                         "no such file; copy the whole .vlm "
                                         "directory, or compile the model "
                                         "again");
  if (file < 0)
    return systemError(path, "open");
  struct stat info;
  vlm_status_t *status = nullptr;
  if (fstat(file, &info) != 0)
    status = systemError(path, "stat");
  else if (!S_ISREG(info.st_mode))
    status =
        makeStatus(VLM_IO, named(path) + "expected a regular file; copy it "
                                         "again, or compile the model "
                                         "again");
  else if (info.st_size > 0) {
    void *address =
        mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (address == MAP_FAILED) {
      status = systemError(path, "mmap");
    } else {
      mapped = static_cast<const unsigned char *>(address);
      size = info.st_size;
    }
  }
  ::close(file);
  return status;
}

/// Whether the file is the one the library was compiled with. What another
/// compilation wrote is told from damage by the header alone: a whole header
/// that says how long the file is.
vlm_status_t *WeightsFile::check(const vlm_abi_model &model) const {
  Digest expected;
  std::copy_n(model.weights_header_sha256, expected.size(), expected.begin());
  uint64_t headerBytes = model.weights_header_bytes;
  if (size == model.weights_bytes && headerBytes <= size &&
      sha256(mapped, headerBytes) == expected)
    return nullptr;

  SafetensorsHeader header;
  std::string error = readSafetensorsHeader(mapped, size, header);
  if (error.empty() && header.fileBytes == size)
    return makeStatus(
        VLM_INCOMPATIBLE,
        named(path) +
            "is damaged or belongs to another compilation: expected " +
            std::to_string(model.weights_bytes) +
            " bytes with header SHA-256 " + toHex(expected) + ", found " +
            std::to_string(size) + " bytes with " +
            toHex(sha256(mapped, header.headerBytes)) +
            "; keep library and weights of one compilation together, or "
            "compile the model again");
  if (size != model.weights_bytes)
    return makeStatus(VLM_CORRUPT,
                      named(path) + "expected " +
                          std::to_string(model.weights_bytes) +
                          " bytes, found " + std::to_string(size) +
                          "; copy it again, or compile the model again");
  return makeStatus(VLM_CORRUPT,
                    named(path) + "the header is damaged: " +
                        (error.empty() ? "expected tensors up to byte " +
                                             std::to_string(size) + ", found " +
                                             std::to_string(header.fileBytes)
                                       : error) +
                        "; copy the file again, or compile the model again");
}

vlm_status_t *WeightsFile::open(const std::string &newPath,
                                const vlm_abi_model &model) {
  path = newPath;
  if (vlm_status_t *status = map())
    return status;
  return check(model);
}

/// What is wrong with one tensor, or "".
static std::string verifyTensor(const SafetensorsHeader &header,
                                const SafetensorsHeader::Tensor &tensor,
                                const unsigned char *data, size_t size) {
  std::string where = "tensor '" + tensor.name + "': ";
  if (tensor.offset > size || tensor.bytes > size - tensor.offset)
    return where + "ends beyond the file";
  auto recorded = header.metadata.find("sha256." + tensor.name);
  if (recorded == header.metadata.end())
    return where + "no checksum is recorded (metadata 'sha256." + tensor.name +
           "')";
  std::string found = toHex(sha256(data + tensor.offset, tensor.bytes));
  if (found == recorded->second)
    return "";
  return where + "expected SHA-256 " + recorded->second + ", found " + found;
}

vlm_status_t *WeightsFile::verify(vlm_pool_t *pool) const {
  SafetensorsHeader header;
  std::string error = readSafetensorsHeader(mapped, size, header);
  if (!error.empty())
    return makeStatus(VLM_CORRUPT, named(path) + error);

  // The first in the header's order is named, whichever thread finds it.
  int64_t count = int64_t(header.tensors.size());
  std::atomic<int64_t> first{count};
  std::atomic<bool> exhausted{false};
  parallelFor(pool, count, [&](int64_t i) {
    try {
      if (verifyTensor(header, header.tensors[i], mapped, size).empty())
        return;
      int64_t seen = first.load();
      while (i < seen && !first.compare_exchange_weak(seen, i))
        ;
    } catch (...) {
      exhausted.store(true);
    }
  });
  if (exhausted.load())
    return outOfMemory("verifying the weights");
  if (first.load() == count)
    return nullptr;
  return makeStatus(
      VLM_CORRUPT,
      named(path) +
          verifyTensor(header, header.tensors[first.load()], mapped, size) +
          "; copy the file again, or compile the model again");
}

} // namespace vlmc::rt
