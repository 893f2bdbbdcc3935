//===-- Cuda.cpp - NVIDIA GPUs --------------------------------------------===//
#include "codegen/target/Base.h"

namespace vlmc {

/// Code is written for one thread: one lane.
BaseTarget cuda() {
  Target target;
  target.name = "cuda";
  target.arch = "cuda";
  target.triple = "nvptx64-nvidia-cuda";
  target.features = "+ptx80";
  target.vectorBits = 32;
  target.registers = 255;
  target.tileRows = 1;
  target.tileVectors = 1;
  // The emulator of test/emulator takes what lies before PTX.
  return {target,
          {{"emulator", ""}},
          {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a"}};
}

} // namespace vlmc
