//===- FuzzSafetensors.cpp - Weight files ---------------------------------===//
#include "frontend/checkpoint/Safetensors.h"
#include "test/fuzz/Fuzz.h"

using namespace vlmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  Result<SafetensorsFile> file =
      SafetensorsFile::open(folder.write("model.safetensors", data, size));
  if (file)
    fuzz::readTensors(*file);
  return 0;
}
