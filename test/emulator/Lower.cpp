//===-- Lower.cpp - a GPU's LLVM IR becomes the host's --------------------===//
#include "test/emulator/Lowering.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace vlmc::emulator;

static constexpr unsigned sharedSpace = 3;

/// What generated code asks for the thread that it is.
static void *threadHook() { return currentThread(); }

Value *Lowering::pointer(IRBuilder<> &b, const void *host) {
  auto bits = b.getInt64(reinterpret_cast<uintptr_t>(host));
  return ConstantExpr::getIntToPtr(bits, b.getPtrTy());
}

Value *Lowering::threadOf(Function &function) {
  Value *&thread = threads[&function];
  if (thread)
    return thread;
  IRBuilder<> b(&*function.getEntryBlock().getFirstInsertionPt());
  auto *type = FunctionType::get(b.getPtrTy(), false);
  auto *call = b.CreateCall(
      type, pointer(b, reinterpret_cast<const void *>(&threadHook)));
  call->setDoesNotAccessMemory();
  call->setDoesNotThrow();
  return thread = call;
}

Site &Lowering::addSite(const Instruction &at, StringRef op) {
  Site &site = lowered.sites.emplace_back();
  site.op = op.str();
  site.id = static_cast<uint32_t>(lowered.sites.size());
  if (const DebugLoc &location = at.getDebugLoc())
    site.where = (cast<DIScope>(location.getScope())->getFilename() + ":" +
                  Twine(location.getLine()))
                     .str();
  return site;
}

void Lowering::callHook(IRBuilder<> &b, const void *hook,
                        ArrayRef<Value *> arguments) {
  SmallVector<Type *> types;
  for (Value *argument : arguments)
    types.push_back(argument->getType());
  b.CreateCall(FunctionType::get(b.getVoidTy(), types, false), pointer(b, hook),
               arguments)
      ->setConvergent();
}

//===-- Shared memory -----------------------------------------------------===//

/// Replaces the uses of a variable by its place behind the block's base.
void Lowering::placeShared(GlobalVariable &variable) {
  uint64_t bytes = layout.getTypeAllocSize(variable.getValueType());
  uint64_t alignment =
      std::max<uint64_t>(16, variable.getAlign().valueOrOne().value());
  uint64_t at = (lowered.staticShared + alignment - 1) / alignment * alignment;
  lowered.staticShared = at + bytes;
  DenseMap<Function *, Value *> places;
  while (!variable.use_empty()) {
    auto *user = cast<Instruction>(variable.user_back());
    Value *&place = places[user->getFunction()];
    if (!place) {
      auto *thread = cast<Instruction>(threadOf(*user->getFunction()));
      IRBuilder<> b(thread->getNextNode());
      Value *slot = b.CreateConstGEP1_64(b.getInt8Ty(), thread,
                                         offsetof(Registers, shared));
      Value *base = b.CreateLoad(b.getPtrTy(), slot);
      place = b.CreateAddrSpaceCast(
          b.CreateConstGEP1_64(b.getInt8Ty(), base, at), variable.getType());
    }
    user->replaceUsesOfWith(&variable, place);
  }
  variable.eraseFromParent();
}

void Lowering::lowerShared() {
  // Dynamic shared memory lies behind the static one.
  SmallVector<GlobalVariable *> variables, dynamic;
  for (GlobalVariable &global : module.globals())
    if (global.getAddressSpace() == sharedSpace)
      (layout.getTypeAllocSize(global.getValueType()) ? variables : dynamic)
          .push_back(&global);
  variables.append(dynamic);
  SmallVector<Constant *> constants(variables.begin(), variables.end());
  convertUsersOfConstantsToInstructions(constants);
  for (GlobalVariable *variable : variables)
    placeShared(*variable);
}

//===-- Functions of libdevice --------------------------------------------===//

std::optional<std::string> Lowering::lowerDeviceFunctions() {
  IRBuilder<> b(context);
  for (Function &function : module) {
    if (!function.isDeclaration() || function.isIntrinsic() ||
        function.use_empty())
      continue;
    const void *host = findDeviceFunction(function.getName());
    if (!host)
      return "@" + function.getName().str() +
             ": neither defined nor a function of libdevice that is emulated";
    function.replaceAllUsesWith(pointer(b, host));
  }
  return std::nullopt;
}

//===-- Kernels and functions ---------------------------------------------===//

static bool isKernel(const Function &function) {
  return !function.isDeclaration() &&
         (function.getCallingConv() == CallingConv::PTX_Kernel ||
          function.hasFnAttribute("nvvm.kernel"));
}

static uint64_t maxThreads(const Function &kernel) {
  uint64_t all = 1;
  for (StringRef name : {"nvvm.maxntid", "nvvm.reqntid"}) {
    if (!kernel.hasFnAttribute(name))
      continue;
    all = 1;
    SmallVector<StringRef> sides;
    kernel.getFnAttribute(name).getValueAsString().split(sides, ',');
    for (StringRef side : sides) {
      uint64_t threads = 1;
      side.trim().getAsInteger(10, threads);
      all *= threads;
    }
    return all;
  }
  return 1024;
}

/// Adds the function that reads a kernel's arguments and calls it.
void Lowering::lowerKernel(Function &kernel) {
  Kernel &known = lowered.kernels[kernel.getName().str()];
  known.maxThreads = maxThreads(kernel);
  auto *pointerType = PointerType::get(context, 0);
  auto *type =
      FunctionType::get(Type::getVoidTy(context), {pointerType}, false);
  auto *entry = Function::Create(type, Function::ExternalLinkage,
                                 entryPrefix + kernel.getName(), module);
  IRBuilder<> b(BasicBlock::Create(context, "", entry));
  SmallVector<Value *> arguments;
  for (Argument &argument : kernel.args()) {
    Value *slot = b.CreateLoad(
        pointerType, b.CreateConstGEP1_32(
                         pointerType, entry->getArg(0),
                         static_cast<unsigned>(known.argumentBytes.size())));
    if (Type *whole = argument.getParamByValType()) {
      known.argumentBytes.push_back(layout.getTypeAllocSize(whole));
      argument.removeAttr(Attribute::ByVal);
      if (!argument.hasAttribute("nvvm.grid_constant")) {
        Value *own = b.CreateAlloca(whole);
        b.CreateMemCpy(own, Align(1), slot, Align(1),
                       known.argumentBytes.back());
        slot = own;
      }
      arguments.push_back(b.CreateAddrSpaceCast(slot, argument.getType()));
    } else {
      known.argumentBytes.push_back(
          layout.getTypeStoreSize(argument.getType()));
      arguments.push_back(
          b.CreateAlignedLoad(argument.getType(), slot, Align(1)));
    }
  }
  b.CreateCall(&kernel, arguments);
  b.CreateRetVoid();
}

void Lowering::lowerFunctions() {
  SmallVector<Function *> kernels;
  for (Function &function : module)
    if (isKernel(function))
      kernels.push_back(&function);
  for (Function *kernel : kernels)
    lowerKernel(*kernel);
  for (Function &function : module) {
    function.setCallingConv(CallingConv::C);
    function.removeFnAttr("target-cpu");
    function.removeFnAttr("target-features");
    for (Instruction &at : instructions(function))
      if (auto *call = dyn_cast<CallBase>(&at))
        call->setCallingConv(CallingConv::C);
  }
}

std::optional<std::string> Lowering::run() {
  checkAccesses();
  lowerShared();
  if (auto error = lowerCalls())
    return error;
  if (auto error = lowerDeviceFunctions())
    return error;
  lowerFunctions();
  std::string text;
  raw_string_ostream os(text);
  if (verifyModule(module, &os))
    return "the lowered kernels are broken: " + text;
  return std::nullopt;
}

bool vlmc::emulator::lowerToHost(llvm::Module &module, const DataLayout &layout,
                                 const Triple &triple, bool check,
                                 Lowered &lowered, std::string &error) {
  module.setDataLayout(layout);
  module.setTargetTriple(triple);
  auto failed = Lowering(module, module.getDataLayout(), check, lowered).run();
  if (failed)
    error = *failed;
  return !failed;
}
