//===-- Machines.h - where the kernels of a target run --------------------===//
//
// Runs the code of one kernel: in this process where the CPU can, under
// qemu-user for another architecture, thread by thread for a GPU.
//
//   std::unique_ptr<Machine> machine = makeMachine("aarch64", module);
//   machine->run(jobs);                       // buffers are changed in place
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_CODEGEN_CONFORMANCE_MACHINES_H
#define VLMC_TEST_CODEGEN_CONFORMANCE_MACHINES_H

#include "codegen/Codegen.h"
#include <memory>
#include <string>
#include <vector>

namespace vlmc::test {

/// One call of the kernel.
struct Job {
  /// Operands, results, temporaries.
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<int64_t> dims;
  std::vector<uint8_t> scratch;
  int64_t grain = 1; ///< tasks are run in pieces of so many
};

class Machine {
public:
  virtual ~Machine() = default;
  /// Runs the jobs one after the other, on memory aligned to 64 bytes.
  virtual void run(std::vector<Job> &jobs) = 0;

  /// The kernel's functions; `strategy` is "" on a GPU.
  KernelCode code;
  /// Elements of the (only) result, for a GPU's grid.
  virtual bool isGpu() const { return false; }
};

/// The targets whose code can run here, and why others cannot.
std::vector<std::string> runnableTargets();

/// Compiles the only kernel of a module: tiled for a CPU, at the kernels border
/// for a GPU. A failed expectation and null if that fails.
std::unique_ptr<Machine> makeMachine(const Target &target,
                                     mlir::ModuleOp module);

} // namespace vlmc::test

#endif // VLMC_TEST_CODEGEN_CONFORMANCE_MACHINES_H
