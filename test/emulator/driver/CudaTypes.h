//===-- CudaTypes.h - the part of the driver's interface that is here -----===//
//
// Names and numbers as NVIDIA's cuda.h (13.0) has them, so that programs made
// with that header run with the stand-in too. No header of CUDA is needed.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_DRIVER_CUDATYPES_H
#define VLMC_TEST_EMULATOR_DRIVER_CUDATYPES_H

#include <cstddef>
#include <cstdint>

namespace vlmc::emulator::driver {

enum Result : int {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  NotInitialized = 3,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidImage = 200,
  InvalidContext = 201,
  NoBinaryForGpu = 209,
  EccUncorrectable = 214,
  InvalidHandle = 400,
  NotFound = 500,
  NotReady = 600,
  IllegalAddress = 700,
  LaunchOutOfResources = 701,
  HostMemoryAlreadyRegistered = 712,
  HostMemoryNotRegistered = 713,
  MisalignedAddress = 716,
  LaunchFailed = 719,
  NotSupported = 801,
  CaptureUnsupported = 900,
  CaptureInvalidated = 901,
  CaptureUnmatched = 903,
  CaptureUnjoined = 904,
  CaptureImplicit = 906,
  CaptureWrongThread = 908,
  Unknown = 999,
};

using DevicePointer = uint64_t;

struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  void *stream;
  void *attributes; ///< cluster sizes, dependent launch: without effect here
  unsigned attributeCount;
};

} // namespace vlmc::emulator::driver

#endif // VLMC_TEST_EMULATOR_DRIVER_CUDATYPES_H
