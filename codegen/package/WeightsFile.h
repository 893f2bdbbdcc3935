//===-- WeightsFile.h - writes NAME.weights -------------------------------===//
//
// The weights file is a valid safetensors file. Its data start at a multiple of
// 64, and so does each tensor: safetensors allows no gaps, so the space behind
// a tensor whose length is not a multiple of 64 is a U8 tensor of its own,
// `__pad.N`, of zeros. `__metadata__` holds `vlmc.version`, `layout.NAME` for
// each packed weight and `sha256.NAME` for each tensor. Weights with equal
// recipes are stored once, under the first name.
//
//   auto plan = WeightsPlan::create(weights, blobs, source);
//   auto written = plan->write("clip.weights", options);
//   uint64_t offset = plan->find("vision.proj")->offset;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_WEIGHTSFILE_H
#define VLMC_CODEGEN_PACKAGE_WEIGHTSFILE_H

#include "codegen/package/Recipe.h"
#include "llvm/ADT/StringMap.h"
#include <array>
#include <functional>

namespace vlmc {

/// Told after each piece how many bytes of how many are written.
using WriteProgress = std::function<void(uint64_t done, uint64_t total)>;

/// A stretch of the file, from its first byte.
struct FileRange {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// A weight to be stored.
struct NamedRecipe {
  std::string name;
  vlm::RecipeAttr recipe;
};

/// Bytes to be stored as they are, as a U8 tensor; the caller's memory.
struct NamedBlob {
  std::string name;
  llvm::ArrayRef<uint8_t> bytes;
};

/// What the library has to know of the file it belongs to.
struct WeightsIdentity {
  uint64_t fileBytes = 0;
  uint64_t headerBytes = 0; ///< length field included
  std::array<uint8_t, 32> headerSha256{};
};

/// The places of all tensors, decided before anything is written.
class WeightsPlan {
public:
  /// Checks all recipes and places the tensors in the order given.
  static llvm::Expected<WeightsPlan> create(llvm::ArrayRef<NamedRecipe> weights,
                                            llvm::ArrayRef<NamedBlob> blobs,
                                            const WeightSource &source);
  /// Where a weight or blob lies, or null.
  const FileRange *find(llvm::StringRef name) const;
  uint64_t fileBytes() const { return headerBytes + dataBytes; }
  /// Stored tensors, padding left out.
  size_t tensorCount() const { return tensors.size() - paddings; }

  /// Evaluates all recipes on `jobs` threads into a new file.
  llvm::Expected<WeightsIdentity> write(const std::string &path, unsigned jobs,
                                        const WriteProgress &progress) const;

private:
  struct Tensor {
    std::string name;
    std::string dtype;
    std::string layout; ///< "" where there is none
    std::vector<int64_t> shape;
    FileRange range;              ///< from the start of the data
    vlm::RecipeAttr recipe;       ///< null: `blob`
    llvm::ArrayRef<uint8_t> blob; ///< empty for padding
  };
  using Digest = std::array<uint8_t, 32>;

  explicit WeightsPlan(const WeightSource &source) : source(&source) {}
  llvm::Error addWeight(const NamedRecipe &weight);
  llvm::Error addBlob(const NamedBlob &blob);
  llvm::Error addName(llvm::StringRef name, const FileRange &range);
  void addTensor(Tensor tensor);
  void addPadding();
  std::string header(llvm::ArrayRef<Digest> digests) const;
  llvm::Expected<Digest>
  writeTensor(const Tensor &tensor, class OutputFile &file,
              uint64_t releaseBytes,
              llvm::function_ref<void(uint64_t)> advance) const;

  const WeightSource *source;
  std::vector<Tensor> tensors;
  llvm::StringMap<FileRange> ranges;
  llvm::DenseMap<mlir::Attribute, FileRange> stored;
  uint64_t headerBytes = 0;
  uint64_t dataBytes = 0;
  unsigned paddings = 0;
};

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_WEIGHTSFILE_H
