//===-- DriverTest.cpp - the stand-in behaves as a driver -----------------===//
//
// As the runtime does, it opens the library and looks functions up by name.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Support.h"
#include "test/emulator/driver/CudaTypes.h"
#include <csignal>
#include <dlfcn.h>

using namespace vlmc::emulator;
using namespace vlmc::emulator::driver;

namespace {
class Driver : public testing::Test {
protected:
  void SetUp() override {
    library = dlopen(VLMC_EMULATED_CUDA, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
  }
  void TearDown() override {
    for (const char *name :
         {"VLMC_EMULATOR_FAIL", "VLMC_EMULATOR_CHECK", "VLMC_EMULATOR_MEMORY",
          "VLMC_EMULATOR_CHIP", "VLMC_EMULATOR_PROTECT"})
      unsetenv(name);
  }

  template <typename... T> Result call(const char *name, T... arguments) {
    auto function = reinterpret_cast<Result (*)(T...)>(dlsym(library, name));
    EXPECT_TRUE(function) << name;
    return function ? function(arguments...) : Unknown;
  }

  /// Begins with the environment as it is, a context and a stream.
  void start() {
    reinterpret_cast<void (*)()>(dlsym(library, "vlmc_emulated_reset"))();
    ASSERT_EQ(call("cuInit", 0U), Success);
    ASSERT_EQ(call("cuDevicePrimaryCtxRetain", &context, 0), Success);
    ASSERT_EQ(call("cuCtxSetCurrent", context), Success);
    ASSERT_EQ(call("cuStreamCreate", &stream, 1U), Success);
  }

  void *load(const std::string &file, const char *kernel) {
    std::string text = readInput(file);
    void *module = nullptr, *function = nullptr;
    EXPECT_EQ(call("cuModuleLoadData", &module,
                   static_cast<const void *>(text.c_str())),
              Success);
    EXPECT_EQ(call("cuModuleGetFunction", &function, module, kernel), Success);
    return function;
  }

  DevicePointer allocate(size_t bytes) {
    DevicePointer pointer = 0;
    EXPECT_EQ(call("cuMemAlloc_v2", &pointer, bytes), Success);
    return pointer;
  }

  /// y[i] = factor x[i], in the stream.
  Result scale(void *function, DevicePointer x, DevicePointer y, float factor,
               int64_t count) {
    void *arguments[] = {&x, &y, &factor, &count};
    Result result =
        call("cuLaunchKernel", function, static_cast<unsigned>(count + 63) / 64,
             1U, 1U, 64U, 1U, 1U, 0U, stream, static_cast<void **>(arguments),
             static_cast<void **>(nullptr));
    // Arguments are copied: what becomes of them does not matter.
    factor = 0;
    count = 0;
    return result;
  }

  std::string message() {
    return reinterpret_cast<const char *(*)()>(
        dlsym(library, "vlmc_emulated_error"))();
  }

  Result download(void *to, DevicePointer from, size_t bytes) {
    return call("cuMemcpyDtoHAsync_v2", to, from, bytes, stream);
  }
  Result upload(DevicePointer to, const void *from, size_t bytes) {
    return call("cuMemcpyHtoDAsync_v2", to, from, bytes, stream);
  }
  Result synchronize() { return call("cuStreamSynchronize", stream); }

  void *library = nullptr, *context = nullptr, *stream = nullptr;
};
} // namespace

TEST_F(Driver, NothingWorksBeforeItsTime) {
  reinterpret_cast<void (*)()>(dlsym(library, "vlmc_emulated_reset"))();
  int count = 0;
  DevicePointer pointer = 0;
  EXPECT_EQ(call("cuDeviceGetCount", &count), NotInitialized);
  EXPECT_EQ(call("cuInit", 0U), Success);
  EXPECT_EQ(call("cuDeviceGetCount", &count), Success);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, size_t{4}), InvalidContext);
}

TEST_F(Driver, DescribesItsDevice) {
  setenv("VLMC_EMULATOR_CHIP", "90", 1);
  start();
  int major = 0, minor = -1, shared = 0, warp = 0;
  EXPECT_EQ(call("cuDeviceGetAttribute", &major, 75, 0), Success);
  EXPECT_EQ(call("cuDeviceGetAttribute", &minor, 76, 0), Success);
  EXPECT_EQ(call("cuDeviceGetAttribute", &shared, 97, 0), Success);
  EXPECT_EQ(call("cuDeviceGetAttribute", &warp, 10, 0), Success);
  EXPECT_EQ(major, 9);
  EXPECT_EQ(minor, 0);
  EXPECT_EQ(shared, 232448);
  EXPECT_EQ(warp, 32);
  char name[64] = {};
  EXPECT_EQ(call("cuDeviceGetName", static_cast<char *>(name), 64, 0), Success);
  EXPECT_STREQ(name, "vlmc emulator sm_90");
  const char *text = nullptr;
  EXPECT_EQ(call("cuGetErrorName", OutOfMemory, &text), Success);
  EXPECT_STREQ(text, "CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_EQ(call("cuGetErrorString", IllegalAddress, &text), Success);
  EXPECT_STREQ(text, "an illegal memory access was encountered");
}

TEST_F(Driver, LaunchesAreDoneWhenWaitedFor) {
  start();
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(400), y = allocate(400);
  void *pinned = nullptr;
  ASSERT_EQ(call("cuMemAllocHost_v2", &pinned, size_t{400}), Success);
  auto *result = static_cast<float *>(pinned);
  auto values = randomFloats(100, 1), kept = values;
  EXPECT_EQ(upload(x, values.data(), 400), Success);
  values.assign(100, 0.0F); // pageable memory was read at once
  EXPECT_EQ(scale(function, x, y, 3.0F, 100), Success);
  EXPECT_EQ(download(pinned, y, 400), Success);
  EXPECT_TRUE(std::isnan(result[0]));
  EXPECT_EQ(call("cuStreamQuery", stream), NotReady);
  EXPECT_EQ(synchronize(), Success);
  for (size_t i = 0; i < 100; ++i)
    EXPECT_EQ(result[i], kept[i] * 3.0F);
  // To pageable memory a copy is waited for.
  EXPECT_EQ(scale(function, x, y, 2.0F, 100), Success);
  EXPECT_EQ(download(values.data(), y, 400), Success);
  EXPECT_EQ(values[7], kept[7] * 2.0F);
}

TEST_F(Driver, EventsOrderStreams) {
  start();
  void *other = nullptr, *event = nullptr;
  ASSERT_EQ(call("cuStreamCreate", &other, 1U), Success);
  ASSERT_EQ(call("cuEventCreate", &event, 0U), Success);
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(4);
  EXPECT_EQ(call("cuMemsetD32_v2", x, 0x3f800000U, size_t{1}), Success);
  EXPECT_EQ(scale(function, x, x, 5.0F, 1), Success);
  EXPECT_EQ(call("cuEventQuery", event), Success);
  EXPECT_EQ(call("cuEventRecord", event, stream), Success);
  EXPECT_EQ(call("cuEventQuery", event), NotReady);
  EXPECT_EQ(scale(function, x, x, 7.0F, 1), Success);
  EXPECT_EQ(call("cuStreamWaitEvent", other, event, 0U), Success);
  float value = 0;
  EXPECT_EQ(call("cuMemcpyDtoHAsync_v2", static_cast<void *>(&value), x,
                 size_t{4}, other),
            Success);
  EXPECT_EQ(value, 5.0F); // the work behind the event is not done
  EXPECT_EQ(call("cuEventSynchronize", event), Success);
  EXPECT_EQ(synchronize(), Success);
  EXPECT_EQ(call("cuMemcpyDtoH_v2", static_cast<void *>(&value), x, size_t{4}),
            Success);
  EXPECT_EQ(value, 35.0F);
}

TEST_F(Driver, GraphsAreReplayedWithWhatMemoryHoldsThen) {
  start();
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(4);
  void *graph = nullptr, *executable = nullptr;
  EXPECT_EQ(call("cuStreamBeginCapture_v2", stream, 1), Success);
  EXPECT_EQ(scale(function, x, x, 2.0F, 1), Success);
  EXPECT_EQ(scale(function, x, x, 3.0F, 1), Success);
  EXPECT_EQ(call("cuStreamEndCapture", stream, &graph), Success);
  size_t nodes = 0;
  EXPECT_EQ(
      call("cuGraphGetNodes", graph, static_cast<void **>(nullptr), &nodes),
      Success);
  EXPECT_EQ(nodes, 2U);
  EXPECT_EQ(
      call("cuGraphInstantiateWithFlags", &executable, graph, uint64_t{0}),
      Success);
  EXPECT_EQ(call("cuGraphDestroy", graph), Success);
  for (float begin : {1.0F, 10.0F}) {
    EXPECT_EQ(upload(x, &begin, 4), Success);
    EXPECT_EQ(call("cuGraphLaunch", executable, stream), Success);
    EXPECT_EQ(call("cuGraphLaunch", executable, stream), Success);
    float value = 0;
    EXPECT_EQ(download(&value, x, 4), Success);
    EXPECT_EQ(value, begin * 36.0F);
  }
  EXPECT_EQ(call("cuGraphExecDestroy", executable), Success);
}

TEST_F(Driver, ACaptureForbidsToWait) {
  start();
  DevicePointer pointer = 0;
  void *graph = nullptr;
  EXPECT_EQ(call("cuStreamBeginCapture_v2", stream, 0), Success);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, size_t{4}), CaptureUnsupported);
  EXPECT_EQ(call("cuStreamEndCapture", stream, &graph), CaptureInvalidated);
  EXPECT_EQ(call("cuStreamBeginCapture_v2", stream, 1), Success);
  EXPECT_EQ(synchronize(), CaptureUnsupported);
  EXPECT_EQ(call("cuStreamEndCapture", stream, &graph), CaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(synchronize(), Success);
}

TEST_F(Driver, ABranchOfACaptureHasToBeJoined) {
  start();
  void *other = nullptr, *fork = nullptr, *join = nullptr, *graph = nullptr;
  ASSERT_EQ(call("cuStreamCreate", &other, 1U), Success);
  ASSERT_EQ(call("cuEventCreate", &fork, 0U), Success);
  ASSERT_EQ(call("cuEventCreate", &join, 0U), Success);
  for (bool joins : {false, true}) {
    EXPECT_EQ(call("cuStreamBeginCapture_v2", stream, 1), Success);
    EXPECT_EQ(call("cuEventRecord", fork, stream), Success);
    EXPECT_EQ(call("cuStreamWaitEvent", other, fork, 0U), Success);
    EXPECT_EQ(call("cuEventRecord", join, other), Success);
    if (joins)
      EXPECT_EQ(call("cuStreamWaitEvent", stream, join, 0U), Success);
    EXPECT_EQ(call("cuStreamEndCapture", stream, &graph),
              joins ? Success : CaptureUnjoined);
  }
}

TEST_F(Driver, SharedMemoryHasToBeAskedFor) {
  start();
  void *function = load("elements.ll", "count");
  DevicePointer y = allocate(8);
  EXPECT_EQ(call("cuMemsetD32_v2", y, 0U, size_t{2}), Success);
  auto launch = [&](unsigned shared) {
    LaunchConfig config{1, 1, 1, 32, 1, 1, shared, stream, nullptr, 0};
    void *arguments[] = {&y};
    return call("cuLaunchKernelEx", static_cast<const LaunchConfig *>(&config),
                function, static_cast<void **>(arguments),
                static_cast<void **>(nullptr));
  };
  EXPECT_EQ(launch(49153), InvalidValue);
  EXPECT_EQ(call("cuFuncSetAttribute", function, 8, 163 * 1024 + 1),
            InvalidValue);
  EXPECT_EQ(call("cuFuncSetAttribute", function, 8, 100000), Success);
  EXPECT_EQ(launch(100000), Success);
  uint32_t count = 0;
  EXPECT_EQ(download(&count, y, 4), Success);
  EXPECT_EQ(count, 32U);
}

TEST_F(Driver, MemoryEndsAndIsChecked) {
  setenv("VLMC_EMULATOR_MEMORY", "1000", 1);
  start();
  DevicePointer x = allocate(600), y = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &y, size_t{401}), OutOfMemory);
  size_t free = 0, total = 0;
  EXPECT_EQ(call("cuMemGetInfo_v2", &free, &total), Success);
  EXPECT_EQ(free, 400U);
  char bytes[601] = {};
  EXPECT_EQ(upload(x, bytes, 601), InvalidValue);
  EXPECT_EQ(call("cuMemFree_v2", x + 1), InvalidValue);
  EXPECT_EQ(call("cuMemFree_v2", x), Success);
  EXPECT_EQ(call("cuMemFree_v2", x), InvalidValue);
  EXPECT_EQ(call("cuMemAlloc_v2", &y, size_t{1000}), Success);
}

TEST_F(Driver, AFaultOfAKernelStays) {
  setenv("VLMC_EMULATOR_CHECK", "1", 1);
  start();
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(256), y = 0;
  EXPECT_EQ(scale(function, x, x, 2.0F, 65), Success);
  EXPECT_EQ(synchronize(), IllegalAddress);
  EXPECT_EQ(message(),
            "kernel @scale, block (1,0,0), thread (0,0,0): load: 4-byte read "
            "outside of every buffer, 256 bytes behind the begin of a buffer "
            "of 256");
  EXPECT_EQ(synchronize(), IllegalAddress);
  EXPECT_EQ(call("cuMemAlloc_v2", &y, size_t{4}), IllegalAddress);
  EXPECT_EQ(call("cuDevicePrimaryCtxRelease_v2", 0), Success);
  EXPECT_EQ(call("cuDevicePrimaryCtxRetain", &context, 0), Success);
  EXPECT_EQ(call("cuMemAlloc_v2", &y, size_t{4}), Success);
}

TEST_F(Driver, FailsByWish) {
  setenv("VLMC_EMULATOR_FAIL", "cuMemAlloc:2,launch:2,cuMemcpyHtoDAsync:3:1",
         1);
  start();
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(4), y = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &y, size_t{4}), OutOfMemory);
  float value = 1;
  EXPECT_EQ(upload(x, &value, 4), Success);
  EXPECT_EQ(upload(x, &value, 4), Success);
  EXPECT_EQ(upload(x, &value, 4), InvalidValue);
  EXPECT_EQ(scale(function, x, x, 2.0F, 1), Success);
  EXPECT_EQ(scale(function, x, x, 2.0F, 1), Success);
  EXPECT_EQ(synchronize(), LaunchFailed);
  EXPECT_EQ(scale(function, x, x, 2.0F, 1), LaunchFailed);
  setenv("VLMC_EMULATOR_FAIL", "cuInit:1", 1);
  reinterpret_cast<void (*)()>(dlsym(library, "vlmc_emulated_reset"))();
  EXPECT_EQ(call("cuInit", 0U), NoDevice);
}

TEST_F(Driver, CodeOfAGpuIsRefused) {
  start();
  void *module = nullptr, *function = nullptr;
  EXPECT_EQ(call("cuModuleLoadData", &module,
                 static_cast<const void *>("//\n.version 8.0\n.target sm_80")),
            NoBinaryForGpu);
  EXPECT_EQ(call("cuModuleLoadData", &module,
                 static_cast<const void *>("define nonsense")),
            InvalidImage);
  std::string text = readInput("elements.ll");
  EXPECT_EQ(call("vlmc_emulated_load", &module,
                 static_cast<const void *>(text.data()), text.size()),
            Success);
  EXPECT_EQ(call("cuModuleGetFunction", &function, module, "scales"), NotFound);
  DevicePointer table = 0;
  size_t bytes = 0;
  EXPECT_EQ(call("cuModuleGetGlobal_v2", &table, &bytes, module, "table"),
            Success);
  EXPECT_EQ(bytes, 16U);
  EXPECT_EQ(call("cuModuleUnload", module), Success);
  EXPECT_EQ(call("cuModuleUnload", module), InvalidHandle);
}

/// Copies and kernels go as ever, but the host's own hand is burnt.
TEST_F(Driver, MemoryOfTheDeviceIsNotTheHosts) {
  setenv("VLMC_EMULATOR_PROTECT", "1", 1);
  start();
  void *function = load("elements.ll", "scale");
  DevicePointer x = allocate(400), managed = 0;
  EXPECT_EQ(call("cuMemAllocManaged", &managed, size_t{400}, 1U), Success);
  std::vector<float> values = randomFloats(100, 1), result(100);
  EXPECT_EQ(upload(x, values.data(), 400), Success);
  EXPECT_EQ(scale(function, x, managed, 2, 100), Success);
  for (DevicePointer memory : {x, managed})
    EXPECT_EXIT(*reinterpret_cast<volatile float *>(memory) = 1,
                testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EQ(download(result.data(), managed, 400), Success);
  EXPECT_EQ(result[7], 2 * values[7]);
  EXPECT_EXIT(*reinterpret_cast<volatile float *>(managed) = 1,
              testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(Driver, TensorMapsAreGridConstants) {
  start();
  void *function = load("hopper.ll", "move_tile");
  DevicePointer x = allocate(12 * 20 * 4), y = allocate(256);
  auto values = randomFloats(12 * 20, 1);
  EXPECT_EQ(upload(x, values.data(), 960), Success);
  struct alignas(64) Map {
    char bytes[128];
  } from, to;
  auto encode = [&](Map &map, DevicePointer memory, uint64_t columns,
                    uint64_t rows, unsigned boxColumns) {
    uint64_t dims[] = {columns, rows}, strides[] = {columns * 4};
    unsigned box[] = {boxColumns, 8}, steps[] = {1, 1};
    return call("cuTensorMapEncodeTiled", static_cast<void *>(&map), 7U, 2U,
                reinterpret_cast<void *>(memory),
                static_cast<const uint64_t *>(dims),
                static_cast<const uint64_t *>(strides),
                static_cast<const unsigned *>(box),
                static_cast<const unsigned *>(steps), 0, 3, 0, 0);
  };
  EXPECT_EQ(encode(from, x, 20, 12, 257), InvalidValue);
  EXPECT_EQ(encode(from, x, 21, 12, 8), InvalidValue); // rows of 84 bytes
  EXPECT_EQ(encode(from, x, 20, 12, 8), Success);
  EXPECT_EQ(encode(to, y, 8, 8, 8), Success);
  int32_t column = 3, row = 2, bytes = 256;
  void *arguments[] = {&from, &to, &column, &row, &bytes};
  EXPECT_EQ(call("cuLaunchKernel", function, 1U, 1U, 1U, 1U, 1U, 1U, 0U, stream,
                 static_cast<void **>(arguments),
                 static_cast<void **>(nullptr)),
            Success);
  memset(&from, 0, sizeof from); // the launch has its own copy
  std::vector<float> tile(64);
  EXPECT_EQ(download(tile.data(), y, 256), Success);
  for (size_t i = 0; i < 64; ++i)
    EXPECT_EQ(tile[i], values[(i / 8 + 2) * 20 + i % 8 + 3]);
}

TEST_F(Driver, FindsEntryPointsByName) {
  start();
  void *found = nullptr;
  int status = -1;
  EXPECT_EQ(call("cuGetProcAddress_v2", "cuMemAlloc", &found, 13000,
                 uint64_t{0}, &status),
            Success);
  EXPECT_EQ(found, dlsym(library, "cuMemAlloc_v2"));
  EXPECT_EQ(call("cuGetProcAddress_v2", "cuMemGuess", &found, 13000,
                 uint64_t{0}, &status),
            NotFound);
}
