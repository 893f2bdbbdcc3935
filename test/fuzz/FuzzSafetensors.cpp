//===- FuzzSafetensors.cpp - Weight files ---------------------------------===//
#include "frontend/checkpoint/Safetensors.h"
#include "test/fuzz/Fuzz.h"

using namespace vlmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::ScratchFolder folder;
  Result<SafetensorsFile> file =
      SafetensorsFile::open(folder.write("model.safetensors", data, size));
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
