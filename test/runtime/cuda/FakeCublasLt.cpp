//===- FakeCublasLt.cpp - A stand-in for cuBLASLt over the emulator -------===//
//
// Multiplies on the CPU, when the stream of the stand-in for the driver comes
// to it. What goes wrong is told by variables that are read at each call:
//
//   VLMC_FAKE_CUBLASLT_DRIVER  the stand-in for the driver
//   VLMC_FAKE_CUBLASLT_FAIL    create, heuristic or multiply: returns an error;
//                              wrong: gives another result; nan: gives NaNs;
//                              slow: takes 50 ms
//
//===----------------------------------------------------------------------===//
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <thread>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
using Status = int;
constexpr Status success = 0, notInitialised = 1, executionFailed = 13,
                 notSupported = 15;
constexpr int float32 = 0, float16 = 2;
constexpr unsigned relu = 2, bias = 4, gelu = 32;

bool fails(const char *what) {
  const char *wish = std::getenv("VLMC_FAKE_CUBLASLT_FAIL");
  return wish && !std::strcmp(wish, what);
}

struct Operation {
  int transposeA = 0;
  unsigned epilogue = 1;
  uint64_t biasPointer = 0;
};
struct Layout {
  int type = 0;
  uint64_t rows = 0, columns = 0;
  int64_t stride = 0;
};
struct Preference {
  size_t workspace = 0;
  uint32_t alignmentB = 256;
};
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

float load(const void *base, int type, size_t i) {
  if (type == float32)
    return static_cast<const float *>(base)[i];
  uint16_t bits = static_cast<const uint16_t *>(base)[i];
  if (type == float16) {
    _Float16 half = 0;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
  }
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x = 0;
  std::memcpy(&x, &wide, sizeof x);
  return x;
}

void store(void *base, int type, size_t i, float x) {
  if (type == float32) {
    static_cast<float *>(base)[i] = x;
    return;
  }
  uint16_t bits = 0;
  if (type == float16) {
    auto half = static_cast<_Float16>(x);
    std::memcpy(&bits, &half, sizeof bits);
  } else {
    uint32_t wide = 0;
    std::memcpy(&wide, &x, sizeof wide);
    bits = static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }
  static_cast<uint16_t *>(base)[i] = bits;
}

/// A product on its way to the stream's turn.
struct Job {
  Operation operation;
  Layout a, b, d;
  const void *left, *right, *added;
  void *result;
  float alpha, beta;

  float finish(float x, size_t row) const {
    if (operation.epilogue & bias)
      x += load(reinterpret_cast<const void *>(operation.biasPointer), d.type,
                row);
    if (operation.epilogue & relu)
      x = x < 0 ? 0 : x;
    if (operation.epilogue & gelu)
      x = 0.5F * x * (1 + std::tanh(0.79788456F * (x + 0.044715F * x * x * x)));
    return x;
  }
  void run() const {
    for (uint64_t column = 0; column < d.columns; ++column)
      for (uint64_t row = 0; row < d.rows; ++row) {
        float sum = 0;
        for (uint64_t k = 0; k < a.rows; ++k)
          sum +=
              load(left, a.type, row * static_cast<size_t>(a.stride) + k) *
              load(right, b.type, column * static_cast<size_t>(b.stride) + k);
        size_t at = column * static_cast<size_t>(d.stride) + row;
        float x = alpha * sum;
        if (beta != 0)
          x += beta * load(added, d.type, at);
        x = finish(x, row);
        if (fails("nan"))
          x = NAN;
        store(result, d.type, at, fails("wrong") ? x + 1 : x);
      }
    if (fails("slow"))
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
};
} // namespace

EXPORT size_t cublasLtGetVersion() { return 139999; }
EXPORT Status cublasLtCreate(void **out) {
  *out = new int(0);
  return fails("create") ? notInitialised : success;
}
EXPORT Status cublasLtDestroy(void *handle) {
  delete static_cast<int *>(handle);
  return success;
}

EXPORT Status cublasLtMatmulDescCreate(void **out, int /*compute*/,
                                       int /*scale*/) {
  *out = new Operation();
  return success;
}
EXPORT Status cublasLtMatmulDescDestroy(void *operation) {
  delete static_cast<Operation *>(operation);
  return success;
}
EXPORT Status cublasLtMatmulDescSetAttribute(void *operation, int attribute,
                                             const void *value, size_t bytes) {
  auto &known = *static_cast<Operation *>(operation);
  if (attribute == 3)
    std::memcpy(&known.transposeA, value, bytes);
  else if (attribute == 7)
    std::memcpy(&known.epilogue, value, bytes);
  else if (attribute == 8)
    std::memcpy(&known.biasPointer, value, bytes);
  else
    return notSupported;
  return success;
}

EXPORT Status cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows,
                                         uint64_t columns, int64_t stride) {
  *out = new Layout{type, rows, columns, stride};
  return success;
}
EXPORT Status cublasLtMatrixLayoutDestroy(void *layout) {
  delete static_cast<Layout *>(layout);
  return success;
}

EXPORT Status cublasLtMatmulPreferenceCreate(void **out) {
  *out = new Preference;
  return success;
}
EXPORT Status cublasLtMatmulPreferenceDestroy(void *preference) {
  delete static_cast<Preference *>(preference);
  return success;
}
EXPORT Status cublasLtMatmulPreferenceSetAttribute(void *preference,
                                                   int attribute,
                                                   const void *value,
                                                   size_t bytes) {
  auto &known = *static_cast<Preference *>(preference);
  if (attribute == 1)
    std::memcpy(&known.workspace, value, bytes);
  else if (attribute == 6)
    std::memcpy(&known.alignmentB, value, bytes);
  else
    return notSupported;
  return success;
}

EXPORT Status cublasLtMatmulAlgoGetHeuristic(void * /*handle*/,
                                             void * /*operation*/, void * /*a*/,
                                             void * /*b*/, void * /*c*/,
                                             void * /*d*/, void *preference,
                                             int /*most*/, Heuristic *out,
                                             int *found) {
  *found = fails("heuristic") ? 0 : 1;
  auto alignmentB = static_cast<Preference *>(preference)->alignmentB;
  if (*found)
    *out = Heuristic{{1, 2, 3, alignmentB}, 0, success, 1, {}};
  return *found ? success : notSupported;
}

EXPORT Status cublasLtMatmul(void * /*handle*/, void *operation,
                             const float *alpha, const void *left, void *a,
                             const void *right, void *b, const float *beta,
                             const void *added, void * /*c*/, void *result,
                             void *d, const uint64_t *algorithm,
                             void * /*workspace*/, size_t /*bytes*/,
                             void *stream) {
  const auto &known = *static_cast<Operation *>(operation);
  if (fails("multiply") || known.transposeA != 1 || algorithm[0] != 1)
    return executionFailed;
  if (reinterpret_cast<uintptr_t>(right) % algorithm[3])
    return notSupported;
  static void *driver =
      dlopen(std::getenv("VLMC_FAKE_CUBLASLT_DRIVER"), RTLD_NOW | RTLD_NOLOAD);
  using Submit = int (*)(void *, void (*)(void *), void *);
  static auto submit =
      reinterpret_cast<Submit>(dlsym(driver, "cuLaunchHostFunc"));
  // Graphs run it more than once: it is never given back.
  auto *job = new Job{known,
                      *static_cast<Layout *>(a),
                      *static_cast<Layout *>(b),
                      *static_cast<Layout *>(d),
                      left,
                      right,
                      added,
                      result,
                      *alpha,
                      *beta};
  auto run = [](void *data) { static_cast<Job *>(data)->run(); };
  return submit(stream, run, job) == 0 ? success : executionFailed;
}
