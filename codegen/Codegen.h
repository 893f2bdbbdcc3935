//===-- Codegen.h - from planned kernels to objects -------------------------------------------------------------------------------------===//
//
// The border between the kernel generators (`codegen/cpu`) and the packager (`codegen/package`): a planned module goes in, one object per
// instruction-set level comes out, with the names of the functions that the package's tables point to.
//
//   std::vector<KernelCode> kernels;
//   llvm::LLVMContext context;
//   auto code = lowerKernels(module, target, prefix, context, kernels);   // failure: diagnostics on the module
//   auto object = emitObject(**code, target);
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CODEGEN_H
#define VLMC_CODEGEN_CODEGEN_H

#include "ir/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace vlmc {

/// The functions of one kernel, by their symbols in the object: per phase one that runs tasks (`vlm_phase_fn`) and one that counts them
/// (`vlm_tasks_fn`), see runtime/abi/vlm_abi.h.
struct KernelCode {
  std::string kernel; ///< the `vlm.kernel` symbol
  std::string strategy;
  struct Phase {
    std::string run;
    std::string tasks;
  };
  std::vector<Phase> phases;
  uint32_t buffers = 0; ///< operands, results, temporaries
  uint32_t dims = 0;    ///< dynamic dims of the operands in order
};

/// The functions of a GPU's kernels in one form: `kind` is a
/// VLM_ABI_CODE_*, `bytes` the text with its closing 0, the cubin or bitcode.
struct DeviceCode {
  uint32_t kind = 0;
  std::string bytes;
};

/// Generates the code of every `vlm.kernel` of a planned module, in the module's order, as ops of func, scf, arith and vector. All functions are named
/// `<prefix>...`. Errors are reported on the kernels.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> generateKernels(mlir::ModuleOp planned, const Target &target, llvm::StringRef prefix,
                                                                   std::vector<KernelCode> &kernels);

/// Turns what generateKernels() made into an LLVM module (not yet optimised); `code` is of no use afterwards. Threads may do so at once with several
/// modules of one context, if that is multithreaded.
mlir::FailureOr<std::unique_ptr<llvm::Module>> translateKernels(mlir::ModuleOp code, const Target &target, llvm::LLVMContext &context);

/// Both in one.
mlir::FailureOr<std::unique_ptr<llvm::Module>> lowerKernels(mlir::ModuleOp planned, const Target &target, llvm::StringRef prefix,
                                                            llvm::LLVMContext &context, std::vector<KernelCode> &kernels);

/// Optimises a module for the target.
llvm::Error optimizeModule(llvm::Module &module, const Target &target);

/// Emits a relocatable, position-independent ELF object, or assembly text.
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module, const Target &target, bool assembly = false);

/// The target of a name, `BASE[+FEATURE...]` or `cuda:CHIP`; it lives as long as
/// the program, and one target is one address however its name is written.
/// Errors: an unknown base or feature, one given twice; the message names those
/// there are.
llvm::Expected<const Target *> parseTarget(llvm::StringRef name);
/// The same, or null.
const Target *findTarget(llvm::StringRef name);
/// The names of all base targets, sorted.
std::vector<std::string> targetNames();
/// All base levels of this machine's architecture, best first; they may need
/// more than this CPU has. Empty: there are none.
std::vector<const Target *> hostTargets();
/// Sorts by architecture, then by level, then by the number of features.
void sortBestFirst(std::vector<const Target *> &targets);
/// A line for people: lanes, registers, tile, caches.
std::string describeTarget(const Target &target);

} // namespace vlmc

#endif // VLMC_CODEGEN_CODEGEN_H
