//===-- Lowering.h - the way of one module to the host --------------------===//
//
// The parts of `lowerToHost`, one a file: shared memory and functions in
// Lower.cpp, accesses that are checked in LowerAccesses.cpp, special registers
// and operations in LowerCalls.cpp. A new part is a member here, called in
// `run`.
//
//   Lowering lowering(module, module.getDataLayout(), check, lowered);
//   std::optional<std::string> error = lowering.run();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_LOWERING_H
#define VLMC_TEST_EMULATOR_LOWERING_H

#include "test/emulator/Calls.h"
#include "test/emulator/Lower.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include <optional>

namespace vlmc::emulator {

class Lowering {
public:
  Lowering(llvm::Module &module, const llvm::DataLayout &layout, bool check,
           Lowered &lowered)
      : module(module), context(module.getContext()), layout(layout),
        check(check), lowered(lowered) {}

  std::optional<std::string> run();

private:
  llvm::Value *threadOf(llvm::Function &function);
  Site &addSite(const llvm::Instruction &at, llvm::StringRef op);
  llvm::Value *pointer(llvm::IRBuilder<> &b, const void *host);
  void callHook(llvm::IRBuilder<> &b, const void *hook,
                llvm::ArrayRef<llvm::Value *> arguments);

  void placeShared(llvm::GlobalVariable &variable);
  void lowerShared();
  void checkAccesses();
  void checkAccess(llvm::Instruction *at, llvm::Value *data, llvm::Value *bytes,
                   unsigned size, uint64_t alignment, bool isWrite,
                   llvm::StringRef op);
  void checkInstruction(llvm::Instruction &at);
  void relaxAlignment();
  std::optional<std::string> lowerCalls();
  std::optional<std::string> lowerCall(llvm::CallInst *call);
  bool lowerRegister(llvm::CallInst *call, llvm::StringRef name);
  void emitCall(llvm::CallInst *call, const Call &operation, const Site &site);
  std::optional<std::string> lowerDeviceFunctions();
  void lowerKernel(llvm::Function &kernel);
  void lowerFunctions();

  llvm::Module &module;
  llvm::LLVMContext &context;
  const llvm::DataLayout &layout;
  bool check;
  Lowered &lowered;
  llvm::DenseMap<llvm::Function *, llvm::Value *> threads;
};

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_LOWERING_H
