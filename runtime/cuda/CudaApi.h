//===- CudaApi.h - What is used of the CUDA driver's interface ------------===//
//
// Own declarations, so that nothing of CUDA is needed to build: the functions
// are looked up in the driver at run time by these names.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_CUDAAPI_H
#define VLMC_RUNTIME_CUDA_CUDAAPI_H

#include <cstddef>
#include <cstdint>

namespace vlmc::rt::cuda {

using Result = int;
using DeviceNumber = int;
using Pointer = uint64_t; ///< CUdeviceptr
struct Context;           ///< CUctx_st
struct Module;            ///< CUmod_st
struct Function;          ///< CUfunc_st
struct Stream;            ///< CUstream_st
struct Event;             ///< CUevent_st
struct Graph;             ///< CUgraph_st
struct GraphExec;         ///< CUgraphExec_st

inline constexpr Result success = 0;
inline constexpr Result outOfMemory = 2; ///< CUDA_ERROR_OUT_OF_MEMORY

/// CUdevice_attribute
inline constexpr int capabilityMajor = 75;
inline constexpr int capabilityMinor = 76;
inline constexpr int sharedBytesOfBlock = 97; ///< where a function asks for it
/// CUfunction_attribute
inline constexpr int dynamicSharedBytes = 8;
/// CU_STREAM_NON_BLOCKING: beside the null stream
inline constexpr unsigned besideNull = 1;
/// CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
inline constexpr int launchesEarly = 6;

/// CUlaunchAttribute; of its value's 64 bytes the first are used.
struct LaunchAttribute {
  int number;
  int reserved;
  int value[16];
};
/// CUlaunchConfig
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  Stream *stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};

/// CU_EVENT_DISABLE_TIMING
inline constexpr unsigned eventWithoutTime = 2;
/// CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: others may ask for what they like.
inline constexpr int captureOfThread = 1;
/// What a function may use without asking.
inline constexpr int sharedBytesUnasked = 48 << 10;

/// X(name of the member, name in the driver, parameters)
#define VLMC_CUDA_FUNCTIONS(X)                                                 \
  X(init, cuInit, (unsigned))                                                  \
  X(getErrorName, cuGetErrorName, (Result, const char **))                     \
  X(getErrorString, cuGetErrorString, (Result, const char **))                 \
  X(driverVersion, cuDriverGetVersion, (int *))                                \
  X(deviceCount, cuDeviceGetCount, (int *))                                    \
  X(deviceGet, cuDeviceGet, (DeviceNumber *, int))                             \
  X(deviceName, cuDeviceGetName, (char *, int, DeviceNumber))                  \
  X(deviceAttribute, cuDeviceGetAttribute, (int *, int, DeviceNumber))         \
  X(contextRetain, cuDevicePrimaryCtxRetain, (Context **, DeviceNumber))       \
  X(contextRelease, cuDevicePrimaryCtxRelease_v2, (DeviceNumber))              \
  X(contextPush, cuCtxPushCurrent_v2, (Context *))                             \
  X(contextPop, cuCtxPopCurrent_v2, (Context **))                              \
  X(moduleLoad, cuModuleLoadData, (Module **, const void *))                   \
  X(moduleUnload, cuModuleUnload, (Module *))                                  \
  X(moduleFunction, cuModuleGetFunction,                                       \
    (Function **, Module *, const char *))                                     \
  X(functionSet, cuFuncSetAttribute, (Function *, int, int))                   \
  X(allocate, cuMemAlloc_v2, (Pointer *, size_t))                              \
  X(free, cuMemFree_v2, (Pointer))                                             \
  X(upload, cuMemcpyHtoD_v2, (Pointer, const void *, size_t))                  \
  X(uploadAsync, cuMemcpyHtoDAsync_v2,                                         \
    (Pointer, const void *, size_t, Stream *))                                 \
  X(downloadAsync, cuMemcpyDtoHAsync_v2, (void *, Pointer, size_t, Stream *))  \
  X(copyAsync, cuMemcpyDtoDAsync_v2, (Pointer, Pointer, size_t, Stream *))     \
  X(fillAsync, cuMemsetD8Async, (Pointer, unsigned char, size_t, Stream *))    \
  X(streamCreate, cuStreamCreate, (Stream **, unsigned))                       \
  X(streamDestroy, cuStreamDestroy_v2, (Stream *))                             \
  X(streamWait, cuStreamSynchronize, (Stream *))                               \
  X(streamAwait, cuStreamWaitEvent, (Stream *, Event *, unsigned))             \
  X(allocateHost, cuMemAllocHost_v2, (void **, size_t))                        \
  X(freeHost, cuMemFreeHost, (void *))                                         \
  X(eventCreate, cuEventCreate, (Event **, unsigned))                          \
  X(eventDestroy, cuEventDestroy_v2, (Event *))                                \
  X(eventRecord, cuEventRecord, (Event *, Stream *))                           \
  X(eventWait, cuEventSynchronize, (Event *))                                  \
  X(captureBegin, cuStreamBeginCapture_v2, (Stream *, int))                    \
  X(captureEnd, cuStreamEndCapture, (Stream *, Graph **))                      \
  X(graphInstantiate, cuGraphInstantiateWithFlags,                             \
    (GraphExec **, Graph *, unsigned long long))                               \
  X(graphLaunch, cuGraphLaunch, (GraphExec *, Stream *))                       \
  X(graphDestroy, cuGraphExecDestroy, (GraphExec *))                           \
  X(graphForget, cuGraphDestroy, (Graph *))                                    \
  X(launch, cuLaunchKernel,                                                    \
    (Function *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
     unsigned, Stream *, void **, void **))                                    \
  X(launchEx, cuLaunchKernelEx,                                                \
    (const LaunchConfig *, Function *, void **, void **))

struct Functions {
#define VLMC_CUDA_MEMBER(member, name, parameters)                             \
  Result(*member) parameters = nullptr;
  VLMC_CUDA_FUNCTIONS(VLMC_CUDA_MEMBER)
#undef VLMC_CUDA_MEMBER
  /// vlmc_emulated_load: there only in the emulator's stand-in for the driver,
  /// which takes bitcode in the place of code.
  Result (*emulatedLoad)(Module **, const void *, size_t) = nullptr;
  /// cuTensorMapEncodeTiled: not there before CUDA 12.
  Result (*encodeTiled)(void *map, unsigned type, unsigned rank, Pointer,
                        const uint64_t *dims, const uint64_t *strides,
                        const unsigned *box, const unsigned *steps,
                        int interleave, int swizzle, int promotion,
                        int fill) = nullptr;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_CUDAAPI_H
