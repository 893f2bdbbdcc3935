//===- SafetensorsHeader.h - Reads the header of a weights file -----------===//
//
// Loading and running a model parses nothing; this is for vlm_model_verify and
// for telling a damaged weights file from one of another compilation. Any bytes
// may be given: what is not a header is an error, never a crash.
//
//   SafetensorsHeader header;
//   std::string error = readSafetensorsHeader(data, bytes, header);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_SAFETENSORSHEADER_H
#define VLMC_RUNTIME_CORE_SAFETENSORSHEADER_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vlmc::rt {

struct SafetensorsHeader {
  struct Tensor {
    std::string name;
    uint64_t offset; ///< from the start of the file
    uint64_t bytes;
  };
  std::vector<Tensor> tensors; ///< in the order of the header
  std::map<std::string, std::string> metadata;
  uint64_t headerBytes = 0; ///< length field included
  uint64_t fileBytes = 0;   ///< what the header says the file has
};

/// Reads the header of the file whose first `bytes` bytes are at `data`;
/// tensors may end beyond them. Returns "" or what is wrong.
std::string readSafetensorsHeader(const void *data, size_t bytes,
                                  SafetensorsHeader &header);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_SAFETENSORSHEADER_H
