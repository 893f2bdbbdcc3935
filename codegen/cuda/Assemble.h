//===-- Assemble.h - PTX to a chip's code, and what it takes --------------===//
//
// NVIDIA's ptxas, a program of the CUDA toolkit, is the only thing that turns
// PTX into code before there is a GPU; and it tells what a kernel takes. Where
// it is missing a package has the PTX alone, which the driver assembles.
//
//   auto ptxas = findPtxas("");
//   auto code = assemble(*ptxas, ptx, "sm_80");
//   for (const std::string &line : describeKernels(code->kernels)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_ASSEMBLE_H
#define VLMC_CODEGEN_CUDA_ASSEMBLE_H

#include "ir/Target.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace vlmc::cuda {

/// What a kernel's code takes.
struct KernelUse {
  std::string kernel;
  std::string strategy;
  std::string note; ///< why so; "": it is not known to be a choice
  int64_t threads = 0;       ///< of a block
  int64_t dynamicShared = 0; ///< bytes
  int64_t tensorOps = 0;     ///< instructions of tensor cores in its text
  // Of the assembled code; registers are 0 where there is none.
  int64_t registers = 0;
  int64_t spilledBytes = 0; ///< stored and loaded again
  int64_t stackBytes = 0;
  int64_t staticShared = 0; ///< bytes
};

struct Assembled {
  std::string cubin;
  std::vector<KernelUse> kernels; ///< with what ptxas says
  std::string warnings;           ///< of what makes code slow
};

/// The program: `given`, or the one on PATH, of /usr/local/cuda, or of the
/// Python package nvidia-cuda-nvcc in VLMC_CACHE. "": there is none.
/// Errors: `given` cannot be run.
llvm::Expected<std::string> findPtxas(llvm::StringRef given);

/// Assembles for a chip, "sm_80".
/// Errors: ptxas refuses the text, which is a defect of vlmc, or cannot run.
llvm::Expected<Assembled> assemble(llvm::StringRef ptxas, llvm::StringRef ptx,
                                   llvm::StringRef chip);

/// Reads what `ptxas -v` prints.
std::vector<KernelUse> readUses(llvm::StringRef output);

/// The number of mma and wgmma instructions of each entry of a PTX text.
llvm::StringMap<int64_t> countTensorOps(llvm::StringRef ptx);

/// A table, line by line, its head first; behind it the notes.
std::vector<std::string> describeUses(llvm::ArrayRef<KernelUse> uses,
                                      llvm::StringRef chip);

/// What is wrong with a kernel's code on a chip: it spills registers, or a
/// block of it takes more registers or shared memory than there are. "" else.
std::string checkUse(const KernelUse &use, llvm::StringRef chip);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_ASSEMBLE_H
