//===- CublasLt.cpp - NVIDIA's library of products, where it is there -----===//
//
// The library's matrices lie column by column, so that what it calls A is the
// weight, taken transposed, B the left side, and D the result, all by their
// rows.
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/CublasLt.h"

#include <dlfcn.h>
#include <type_traits>

namespace vlmc::rt::cuda {

//===----------------------------------------------------------------------===//
// The library's names and numbers
//===----------------------------------------------------------------------===//

/// cublasStatus_t
using Status = int;
static constexpr Status kSuccess = 0;
/// cudaDataType_t
static constexpr int kFloat32 = 0, kFloat16 = 2, kBfloat16 = 14;
/// CUBLAS_COMPUTE_32F
static constexpr int kComputeFloat32 = 68;
/// cublasLtMatmulDescAttributes_t
static constexpr int kTransposeA = 3, kEpilogue = 7, kBiasPointer = 8;
/// CUBLAS_OP_T
static constexpr int kTransposed = 1;
/// cublasLtEpilogue_t
static constexpr unsigned kPlain = 1, kRelu = 2, kBias = 4, kGelu = 32;
/// CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
static constexpr int kMaxWorkspace = 1;
/// CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: of the left side, which may
/// begin within rows; all others begin at 256 bytes, as the library expects.
static constexpr int kAlignmentB = 6;
static constexpr uint32_t kLeftAlignment = 16;

/// cublasLtMatmulHeuristicResult_t
struct Heuristic {
  CublasLt::Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

/// X(name of the member, name behind "cublasLt", parameters)
#define VLMC_CUBLASLT_FUNCTIONS(X)                                             \
  X(create, Create, (void **))                                                 \
  X(destroy, Destroy, (void *))                                                \
  X(operationCreate, MatmulDescCreate, (void **, int, int))                    \
  X(operationDestroy, MatmulDescDestroy, (void *))                             \
  X(operationSet, MatmulDescSetAttribute, (void *, int, const void *, size_t)) \
  X(layoutCreate, MatrixLayoutCreate,                                          \
    (void **, int, uint64_t, uint64_t, int64_t))                               \
  X(layoutDestroy, MatrixLayoutDestroy, (void *))                              \
  X(preferenceCreate, MatmulPreferenceCreate, (void **))                       \
  X(preferenceDestroy, MatmulPreferenceDestroy, (void *))                      \
  X(preferenceSet, MatmulPreferenceSetAttribute,                               \
    (void *, int, const void *, size_t))                                       \
  X(find, MatmulAlgoGetHeuristic,                                              \
    (void *, void *, void *, void *, void *, void *, void *, int, Heuristic *, \
     int *))                                                                   \
  X(multiply, Matmul,                                                          \
    (void *, void *, const void *, const void *, void *, const void *, void *, \
     const void *, const void *, void *, void *, void *, const void *, void *, \
     size_t, Stream *))

struct CublasLt::Functions {
#define VLMC_CUBLASLT_MEMBER(member, name, parameters)                         \
  Status(*member) parameters = nullptr;
  VLMC_CUBLASLT_FUNCTIONS(VLMC_CUBLASLT_MEMBER)
#undef VLMC_CUBLASLT_MEMBER
  size_t (*version)() = nullptr;
};

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

CublasLt::CublasLt() : api(std::make_unique<Functions>()) {}

CublasLt::~CublasLt() {
  if (handle)
    api->destroy(handle);
  if (library)
    dlclose(library);
}

std::unique_ptr<CublasLt> CublasLt::open(const std::string &path,
                                         std::string &whyNot) {
  std::unique_ptr<CublasLt> made(new CublasLt);
  const char *usual[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  if (!path.empty())
    made->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  else
    for (const char *name : usual)
      if (!made->library)
        made->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!made->library) {
    whyNot = std::string("there is no cuBLASLt: ") + dlerror();
    return nullptr;
  }
  auto find = [&](auto &function, const char *symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        dlsym(made->library, symbol));
    if (!function && whyNot.empty())
      whyNot = "'" + path + "' has no " + symbol + "; it is no cuBLASLt";
  };
  whyNot.clear();
#define VLMC_CUBLASLT_FIND(member, name, parameters)                           \
  find(made->api->member, "cublasLt" #name);
  VLMC_CUBLASLT_FUNCTIONS(VLMC_CUBLASLT_FIND)
#undef VLMC_CUBLASLT_FIND
  find(made->api->version, "cublasLtGetVersion");
  if (!whyNot.empty())
    return nullptr;
  if (Status status = made->api->create(&made->handle)) {
    made->handle = nullptr;
    whyNot = "cuBLASLt does not start: error " + std::to_string(status);
    return nullptr;
  }
  made->number = made->api->version();
  return made;
}

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

CublasLt::Plan::~Plan() {
  if (operation)
    api.operationDestroy(operation);
  for (void *layout : {left, right, result})
    if (layout)
      api.layoutDestroy(layout);
}

static int typeOf(uint32_t dtype) {
  return dtype == VLM_ABI_F32    ? kFloat32
         : dtype == VLM_ABI_BF16 ? kBfloat16
                                 : kFloat16;
}

static unsigned epilogueOf(const ProductShape &shape) {
  unsigned epilogue = shape.activation == VLM_ABI_PRODUCT_RELU   ? kRelu
                      : shape.activation == VLM_ABI_PRODUCT_GELU ? kGelu
                                                                 : 0;
  epilogue |= shape.hasBias ? kBias : 0;
  return epilogue ? epilogue : kPlain;
}

bool CublasLt::describe(const ProductShape &shape, Plan &plan) const {
  plan.shape = shape;
  int half = typeOf(shape.dtype);
  unsigned epilogue = epilogueOf(shape);
  auto rows = uint64_t(shape.rows), columns = uint64_t(shape.columns),
       depth = uint64_t(shape.depth);
  return api->operationCreate(&plan.operation, kComputeFloat32, kFloat32) ==
             kSuccess &&
         api->operationSet(plan.operation, kTransposeA, &kTransposed,
                           sizeof kTransposed) == kSuccess &&
         api->operationSet(plan.operation, kEpilogue, &epilogue,
                           sizeof epilogue) == kSuccess &&
         api->layoutCreate(&plan.right, half, depth, columns, shape.depth) ==
             kSuccess &&
         api->layoutCreate(&plan.left, half, depth, rows, shape.leftStride) ==
             kSuccess &&
         api->layoutCreate(&plan.result, typeOf(shape.resultDtype), columns,
                           rows, shape.columns) == kSuccess;
}

bool CublasLt::chooseAlgorithm(Plan &plan) const {
  void *preference = nullptr;
  if (api->preferenceCreate(&preference) != kSuccess)
    return false;
  size_t most = workspaceBytes;
  Heuristic best{};
  int found = 0;
  bool isFound =
      api->preferenceSet(preference, kMaxWorkspace, &most, sizeof most) ==
          kSuccess &&
      api->preferenceSet(preference, kAlignmentB, &kLeftAlignment,
                         sizeof kLeftAlignment) == kSuccess &&
      api->find(handle, plan.operation, plan.right, plan.left, plan.result,
                plan.result, preference, 1, &best, &found) == kSuccess &&
      found > 0 && best.state == kSuccess;
  api->preferenceDestroy(preference);
  plan.chosen = best.algorithm;
  return isFound;
}

std::unique_ptr<CublasLt::Plan>
CublasLt::plan(const ProductShape &shape, const Algorithm *algorithm) const {
  std::unique_ptr<Plan> plan(new Plan(*api));
  if (!describe(shape, *plan))
    return nullptr;
  if (algorithm)
    plan->chosen = *algorithm;
  else if (!chooseAlgorithm(*plan))
    return nullptr;
  return plan;
}

static void *memory(Pointer pointer) {
  return reinterpret_cast<void *>(pointer);
}

bool CublasLt::run(const Plan &plan, const ProductPlaces &places,
                   Stream *stream) const {
  const float one = 1, beta = plan.shape.hasResidual ? 1 : 0;
  if (plan.shape.hasBias &&
      api->operationSet(plan.operation, kBiasPointer, &places.bias,
                        sizeof places.bias) != kSuccess)
    return false;
  Pointer added = plan.shape.hasResidual ? places.residual : places.result;
  return api->multiply(
             handle, plan.operation, &one, memory(places.right), plan.right,
             memory(places.left), plan.left, &beta, memory(added), plan.result,
             memory(places.result), plan.result, plan.chosen.data(),
             memory(places.workspace), workspaceBytes, stream) == kSuccess;
}

} // namespace vlmc::rt::cuda
