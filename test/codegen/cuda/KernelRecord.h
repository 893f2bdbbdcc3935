//===-- KernelRecord.h - what the emulator ran, for a device --------------===//
//
// Where VLMC_RECORD_KERNELS names a folder, each call of a kernel that a test
// has found right is written there, for `tools/gpu-check` to run on a device:
// NAME.json with what follows, NAME.bin (operands, the result's memory as it
// was, then the expected numbers in f32), and once for a kernel's calls its
// code as .ptx and, for the emulator, as .bc.
//
//   name, chip, form (of the result), count, root, tolerance
//   buffers, temps: bytes; dims
//   launches: function, grid, threads, shared, maps
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_CODEGEN_CUDA_KERNELRECORD_H
#define VLMC_TEST_CODEGEN_CUDA_KERNELRECORD_H

#include "codegen/cuda/Launch.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"
#include <string>
#include <vector>

namespace vlmc::test {

class KernelRecord {
public:
  /// Makes the code's files; nothing where no folder is named.
  KernelRecord(mlir::ModuleOp planned, const std::string &chip,
               const std::string &bitcode);

  bool isWanted() const { return !folder.empty(); }

  /// What a call consists of, in the order in which it is told.
  void beginCall(llvm::ArrayRef<int64_t> dims, llvm::ArrayRef<size_t> temps);
  void addLaunch(const cuda::KernelLaunch &launch, const uint32_t (&grid)[3]);
  /// Writes the call, whose last buffer is the result's.
  void endCall(llvm::ArrayRef<std::vector<uint8_t>> buffers,
               const std::string &form, llvm::ArrayRef<double> expected,
               double root, double tolerance);

  /// product.json, .ptx and .bc of a large product in a folder of their own:
  /// any number of rows of `depth` features with a weight of that side.
  void writeProduct(const std::string &to, const cuda::KernelLaunch &launch,
                    int64_t depth);

private:
  void write(const std::string &ending, llvm::StringRef text) const;

  std::string folder, name, chip, ptx, bitcode;
  std::string code; ///< the name of the call that was kept first
  llvm::json::Array dims, temps, launches;
};

} // namespace vlmc::test

#endif // VLMC_TEST_CODEGEN_CUDA_KERNELRECORD_H
