//===- WeightsFile.h - The mapped weights of a model ----------------------===//
//
// Maps NAME.weights read-only and ties it to the library that it was compiled
// with (size and SHA-256 of the header). Nothing else of it is read.
//
//   WeightsFile weights;
//   if (vlm_status_t *status = weights.open(path, abi)) return status;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_WEIGHTSFILE_H
#define VLMC_RUNTIME_CORE_WEIGHTSFILE_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"

#include <cstddef>
#include <string>

namespace vlmc::rt {

class WeightsFile {
public:
  WeightsFile() = default;
  ~WeightsFile();
  WeightsFile(const WeightsFile &) = delete;
  WeightsFile &operator=(const WeightsFile &) = delete;

  /// Maps the file and checks that it belongs to `model`.
  vlm_status_t *open(const std::string &path, const vlm_abi_model &model);
  /// Compares every tensor with its checksum, on the threads of `pool`.
  vlm_status_t *verify(vlm_pool_t *pool) const;

  const unsigned char *data() const { return mapped; }
  size_t bytes() const { return size; }

private:
  vlm_status_t *map();
  vlm_status_t *check(const vlm_abi_model &model) const;

  std::string path;
  const unsigned char *mapped = nullptr;
  size_t size = 0;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_WEIGHTSFILE_H
