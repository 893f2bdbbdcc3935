//===- Products.h - Own products or a library's, whichever is faster ------===//
//
// The first time that a product of some shape is asked for, the model's own
// launches and the library both make it, on the run's own data: the results are
// compared and the times taken. What was found is kept in a file for the
// device, the driver, the library and the
// compiler that made the own launches, so that other processes need not
// measure.
//
//   Products products(device, Products::settingsOf(device, level.isa));
//   status = products.run(step, shape, places, stream, mayMeasure, launchOwn);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_PRODUCTS_H
#define VLMC_RUNTIME_CUDA_PRODUCTS_H

#include "runtime/cuda/CublasLt.h"

#include <functional>
#include <iosfwd>
#include <map>
#include <set>

namespace vlmc::rt::cuda {

/// How often things were done, for tests.
struct ProductCounters {
  uint64_t measured = 0, own = 0, library = 0;
};

class Products {
public:
  struct Settings {
    std::string library;      ///< a path; "": the usual one; "none": none
    std::string file;         ///< of choices; "": they are not kept
    std::string kernels = {}; ///< whose launches are the own ones
  };
  /// By VLMC_CUBLASLT and VLMC_GPU_CHOICES; in the emulator no library but the
  /// one that is named.
  static Settings settingsOf(const Device &device, const std::string &isa);

  /// Opens the library where it is there. The device's context is current.
  Products(const Device &device, const Settings &settings);
  ~Products();
  Products(const Products &) = delete;
  Products &operator=(const Products &) = delete;

  bool isOpen() const { return library != nullptr; }
  /// Why there is no library.
  const std::string &whyNot() const { return reason; }

  using Launch = std::function<vlm_status_t *()>;
  /// Puts a product on the stream: by `own`, which does so with the model's
  /// launches, or by the library. `places.bias` is of f32. Nothing is waited
  /// for, measured or allocated unless `mayMeasure`.
  vlm_status_t *run(const ProductShape &shape, ProductPlaces places,
                    Stream *stream, bool mayMeasure, const Launch &own);

  const ProductCounters &counters() const { return counts; }

private:
  struct Choice {
    bool isLibrary = false;
    double ownMicroseconds = 0, libraryMicroseconds = 0;
    CublasLt::Algorithm algorithm{};
    std::unique_ptr<CublasLt::Plan> plan;
  };

  void readFile();
  void writeFile() const;
  void writeChoices(std::ostream &out) const;
  std::string firstLine() const;
  Choice *find(const ProductShape &shape);
  bool prepare(const ProductShape &shape, ProductPlaces &places, Stream *stream,
               bool mayMake);
  bool narrowBias(const ProductShape &shape, Pointer &bias, Stream *stream,
                  bool mayMake);
  vlm_status_t *measure(const ProductShape &shape, const ProductPlaces &places,
                        Stream *stream, const Launch &own, Choice &choice);
  vlm_status_t *time(Stream *stream, const Launch &launch,
                     double &microseconds) const;
  vlm_status_t *sample(const ProductShape &shape, const ProductPlaces &places,
                       Stream *stream, std::vector<float> &out) const;

  const Device &device;
  std::unique_ptr<CublasLt> library;
  std::string reason, file, kernels;
  std::map<ProductShape, Choice> choices;
  Pointer workspace = 0;
  std::map<std::pair<Pointer, uint32_t>, Pointer> biases; ///< in 16 bits
  ProductCounters counts;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_PRODUCTS_H
