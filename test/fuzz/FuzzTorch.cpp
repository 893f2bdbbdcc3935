//===- FuzzTorch.cpp - Weight files of torch.save -------------------------===//
#include "frontend/checkpoint/TorchFile.h"
#include "test/fuzz/Fuzz.h"

using namespace vlmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  Result<TorchFile> file =
      TorchFile::open(folder.write("pytorch_model.bin", data, size));
  if (file)
    fuzz::readTensors(*file);
  return 0;
}
