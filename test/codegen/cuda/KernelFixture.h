//===-- KernelFixture.h - one kernel on a GPU that is not there -----------===//
//
// Kernels are written as MLIR, planned for a GPU, executed by the emulator in
// check mode and compared with an interpreter in double precision.
//
//   std::string x = type({0, 64});
//   check(kernelText("rows", "%x: " + x, x, "%y = vlm.l2_normalize %x : " + x),
//         {{random({3, 64}, 1)}});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_CODEGEN_CUDA_KERNELFIXTURE_H
#define VLMC_TEST_CODEGEN_CUDA_KERNELFIXTURE_H

#include "codegen/cuda/Launch.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "test/codegen/conformance/Interpreter.h"
#include "test/codegen/cuda/KernelRecord.h"
#include "test/emulator/Emulator.h"
#include <optional>
#include <set>

namespace vlmc::test {

/// How values lie in memory that have no layout.
struct Memory {
  std::string half = "f16";
  /// Operands, and behind them the result, that are f32.
  std::set<size_t> wide = {};
  std::string chip = "sm_80";
};

/// One kernel on its way: planned, lowered, loaded into the emulator.
class Kernel {
public:
  explicit Kernel(const std::string &text, const Memory &memory = {});

  /// Runs on operands that are rounded to what memory holds, and gives the
  /// result, which has the shape of `expected`.
  std::vector<double> run(const std::vector<Tensor> &operands,
                          const Tensor &expected);
  /// Keeps the last run, which was right, where that is wished.
  void keep(const std::vector<Tensor> &operands, const Tensor &expected,
            double root, double tolerance);
  /// Keeps a product's code and launch for rows of `depth`.
  void writeProduct(const std::string &folder, int64_t depth);
  /// Launches all functions for a call: pointers to operands and the result,
  /// and their sizes. Temporaries are made here.
  void launch(std::vector<void *> buffers,
              const std::vector<std::vector<int64_t>> &shapes);
  /// Bytes of an operand or, behind them, of the result.
  std::vector<uint8_t> bytesOf(size_t number, const Tensor &tensor);
  Tensor valuesOf(size_t number, const std::vector<uint8_t> &bytes,
                  const std::vector<int64_t> &shape);
  /// The same values as memory holds them.
  Tensor rounded(size_t number, const Tensor &tensor);

  vlm::KernelOp op;
  std::unique_ptr<emulator::Module> machine;
  std::string error;

private:
  void chooseStorage(const Memory &memory);
  std::string formOf(size_t number);
  mlir::Type typeOf(size_t number);

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<KernelRecord> record;
};

/// What is compared, and how nearly: errors in the root of the mean square, or
/// in what is expected where that is more.
struct Nearness {
  double tolerance = 4e-3; ///< f16 has 11 binary digits; sums are in f32
  Memory memory = {};
};

/// Compares a kernel with the interpreter, for each list of operands.
void check(const std::string &text,
           const std::vector<std::vector<Tensor>> &cases,
           const Nearness &nearness = {});

/// Values that f16 holds.
Tensor random(std::vector<int64_t> shape, unsigned seed, double low = -1,
              double high = 1);
/// 1 for a part of all.
Tensor flags(std::vector<int64_t> shape, unsigned seed);
/// Whole numbers from `low` to `high`, both included.
Tensor integers(std::vector<int64_t> shape, unsigned seed, int64_t low,
                int64_t high);

/// "tensor<4x?xf32>"; 0 stands for "?".
std::string type(const std::vector<int64_t> &dims,
                 const std::string &rest = "f32");
/// Types of a product's weight and bias, behind the dims.
inline const std::string halfRows = R"(f32, #vlm.layout<"f16.rows">)";
inline const std::string vectorForm = R"(f32, #vlm.layout<"f32.vector">)";

/// A kernel that yields %y.
std::string kernelText(const std::string &anchor, const std::string &arguments,
                       const std::string &result, const std::string &body);

} // namespace vlmc::test

#endif // VLMC_TEST_CODEGEN_CUDA_KERNELFIXTURE_H
