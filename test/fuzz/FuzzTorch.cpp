//===- FuzzTorch.cpp - Weight files of torch.save -------------------------===//
#include "frontend/checkpoint/TorchFile.h"
#include "test/fuzz/Fuzz.h"

using namespace vlmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  Result<TorchFile> file =
      TorchFile::open(folder.write("pytorch_model.bin", data, size));
  if (!file)
    return 0;
  // What is accepted lies within the file.
  for (const SafetensorsEntry &entry : file->entries()) {
    unsigned sum = 0;
    for (uint8_t byte : file->bytesOf(entry))
      sum += byte;
    volatile unsigned used = sum;
    (void)used;
  }
  return 0;
}
