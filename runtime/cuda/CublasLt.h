//===- CublasLt.h - NVIDIA's library of products, where it is there -------===//
//
// Opened at run time, like the driver; nothing of it is needed to build. It
// multiplies matrices of 16 bits with sums in f32, adds a bias, applies ReLU or
// GELU, adds a residual.
//
//   std::string whyNot;
//   std::unique_ptr<CublasLt> library = CublasLt::open("", whyNot);
//   std::unique_ptr<CublasLt::Plan> plan = library->plan(shape);
//   if (plan) result = library->run(*plan, places, stream);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_CUBLASLT_H
#define VLMC_RUNTIME_CUDA_CUBLASLT_H

#include "runtime/cuda/Driver.h"

#include <array>
#include <compare>
#include <memory>
#include <string>

namespace vlmc::rt::cuda {

/// What a product is, but for where it lies: `vlm_abi_product` for so many
/// rows.
struct ProductShape {
  int64_t rows = 0, columns = 0, depth = 0, leftStride = 0;
  uint32_t dtype = VLM_ABI_F16, resultDtype = VLM_ABI_F16;
  uint32_t activation = VLM_ABI_PRODUCT_PLAIN;
  bool hasBias = false, hasResidual = false;

  auto operator<=>(const ProductShape &) const = default;
};

/// Addresses; `bias` is of the result's type, 0 where there is none.
struct ProductPlaces {
  Pointer left = 0, right = 0, bias = 0, residual = 0, result = 0;
  Pointer workspace = 0;
};

class CublasLt {
public:
  /// cublasLtMatmulAlgo_t
  using Algorithm = std::array<uint64_t, 8>;

  ~CublasLt();
  CublasLt(const CublasLt &) = delete;
  CublasLt &operator=(const CublasLt &) = delete;

  /// The library `path` ("": libcublasLt.so of CUDA 13 or 12). NULL and the
  /// reason where there is none that works. The device's context is current.
  static std::unique_ptr<CublasLt> open(const std::string &path,
                                        std::string &whyNot);

  /// 130100
  size_t version() const { return number; }

  /// The most working memory that a product may take.
  static constexpr size_t workspaceBytes = size_t{32} << 20;

  class Plan;
  /// How the library would make a product: by `algorithm`, or by what it thinks
  /// best. NULL: it does not make such products.
  std::unique_ptr<Plan> plan(const ProductShape &shape,
                             const Algorithm *algorithm = nullptr) const;

  /// Puts the product on the stream; false: the library refuses.
  bool run(const Plan &plan, const ProductPlaces &places, Stream *stream) const;

private:
  struct Functions;
  CublasLt();
  bool describe(const ProductShape &shape, Plan &plan) const;
  bool chooseAlgorithm(Plan &plan) const;

  void *library = nullptr;
  std::unique_ptr<Functions> api;
  void *handle = nullptr;
  size_t number = 0;
};

/// The library's descriptions of a product.
class CublasLt::Plan {
public:
  ~Plan();
  Plan(const Plan &) = delete;
  Plan &operator=(const Plan &) = delete;

  const Algorithm &algorithm() const { return chosen; }

private:
  friend class CublasLt;
  explicit Plan(const Functions &api) : api(api) {}

  const Functions &api;
  ProductShape shape;
  void *operation = nullptr;
  void *left = nullptr, *right = nullptr, *result = nullptr;
  Algorithm chosen{};
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_CUBLASLT_H
