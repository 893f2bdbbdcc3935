//===- FuzzWeights.cpp - The weights file of a compiled model -------------===//
//
// The bytes as they are, against a model that knows other weights: the header
// is read for the message. And as the weights of a model that was compiled with
// this very header: then all checksums are compared.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/SafetensorsHeader.h"
#include "runtime/core/Sha256.h"
#include "runtime/core/WeightsFile.h"
#include "test/fuzz/Fuzz.h"

#include <algorithm>

using namespace vlmc;

/// A pool of one thread.
static vlm_pool_t *pool() {
  static vlm_pool_t *const one = [] {
    vlm_pool_t *made = nullptr;
    if (vlm_pool_create(1, &made) || !made)
      std::abort();
    return made;
  }();
  return one;
}

static void open(const std::string &path, const vlm_abi_model &model) {
  rt::WeightsFile weights;
  if (vlm_status_t *status = weights.open(path, model)) {
    vlm_status_destroy(status);
    return;
  }
  vlm_status_destroy(weights.verify(pool()));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  std::string path = folder.write("m.weights", data, size);
  vlm_abi_model model{};
  model.weights_bytes = size;
  model.weights_header_bytes = std::min<size_t>(size, 8);
  open(path, model);

  rt::SafetensorsHeader header;
  if (!rt::readSafetensorsHeader(data, size, header).empty())
    return 0;
  if (header.headerBytes > size)
    std::abort(); // it was read, so it is there
  model.weights_header_bytes = header.headerBytes;
  rt::Digest digest = rt::sha256(data, header.headerBytes);
  std::copy(digest.begin(), digest.end(), model.weights_header_sha256);
  open(path, model);
  return 0;
}
