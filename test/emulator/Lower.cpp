//===-- Lower.cpp - a GPU's LLVM IR becomes the host's --------------------===//
#include "test/emulator/Lower.h"
#include "test/emulator/Calls.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>

using namespace llvm;
using namespace vlmc::emulator;

static constexpr unsigned sharedSpace = 3;

// The hooks that generated code calls beside the handlers.

static void *threadHook() { return currentThread(); }

static void accessHook(Thread *thread, const Site *site, void *data,
                       uint64_t bytes) {
  thread->block->access(*thread, data, bytes, site->alignment, site->isWrite,
                        *site);
}

/// Before an atomic: threads that spin on one let others run.
static void atomicHook(Thread *thread, const Site *site) {
  if (++thread->atomics % 256 == 0)
    thread->block->poll(*thread, *site, /*isPatient=*/true);
}

namespace {
class Lowering {
public:
  Lowering(llvm::Module &module, const DataLayout &layout, bool check,
           Lowered &lowered)
      : module(module), context(module.getContext()), layout(layout),
        check(check), lowered(lowered) {}

  std::optional<std::string> run();

private:
  Value *threadOf(Function &function);
  Site &addSite(const Instruction &at, StringRef op);
  Value *pointer(IRBuilder<> &b, const void *host);
  void callHook(IRBuilder<> &b, const void *hook, ArrayRef<Value *> arguments);

  void placeShared(GlobalVariable &variable);
  void lowerShared();
  void checkAccesses();
  void checkAccess(Instruction *at, Value *data, Value *bytes, unsigned size,
                   uint64_t alignment, bool isWrite, StringRef op);
  void checkInstruction(Instruction &at);
  void relaxAlignment();
  std::optional<std::string> lowerCalls();
  std::optional<std::string> lowerCall(CallInst *call);
  bool lowerRegister(CallInst *call, StringRef name);
  void emitCall(CallInst *call, const Call &operation, const Site &site);
  std::optional<std::string> lowerDeviceFunctions();
  void lowerKernel(Function &kernel);
  void lowerFunctions();

  llvm::Module &module;
  LLVMContext &context;
  const DataLayout &layout;
  bool check;
  Lowered &lowered;
  DenseMap<Function *, Value *> threads;
};
} // namespace

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

//===-- Accesses ----------------------------------------------------------===//

void Lowering::checkAccess(Instruction *at, Value *data, Value *bytes,
                           unsigned size, uint64_t alignment, bool isWrite,
                           StringRef op) {
  if (isa<AllocaInst>(getUnderlyingObject(data)) ||
      data->getType()->getPointerAddressSpace() == 5)
    return;
  IRBuilder<> b(at);
  Site &site = addSite(*at, op);
  site.isWrite = isWrite;
  site.bytes = size;
  site.alignment = static_cast<uint32_t>(alignment);
  Value *thread = threadOf(*at->getFunction());
  callHook(b, reinterpret_cast<const void *>(&accessHook),
           {thread, pointer(b, &site),
            b.CreateAddrSpaceCast(data, b.getPtrTy()),
            bytes ? b.CreateZExt(bytes, b.getInt64Ty()) : b.getInt64(size)});
}

void Lowering::checkInstruction(Instruction &at) {
  auto sizeOf = [&](Type *type) {
    return static_cast<unsigned>(layout.getTypeStoreSize(type));
  };
  if (auto *load = dyn_cast<LoadInst>(&at))
    checkAccess(&at, load->getPointerOperand(), nullptr,
                sizeOf(load->getType()), load->getAlign().value(), false,
                "load");
  else if (auto *store = dyn_cast<StoreInst>(&at))
    checkAccess(&at, store->getPointerOperand(), nullptr,
                sizeOf(store->getValueOperand()->getType()),
                store->getAlign().value(), true, "store");
  else if (auto *copy = dyn_cast<MemTransferInst>(&at)) {
    checkAccess(&at, copy->getRawSource(), copy->getLength(), 0,
                copy->getSourceAlign().valueOrOne().value(), false, "memcpy");
    checkAccess(&at, copy->getRawDest(), copy->getLength(), 0,
                copy->getDestAlign().valueOrOne().value(), true, "memcpy");
  } else if (auto *set = dyn_cast<MemSetInst>(&at))
    checkAccess(&at, set->getRawDest(), set->getLength(), 0,
                set->getDestAlign().valueOrOne().value(), true, "memset");
}

/// What a GPU would not do at an address that is not aligned must not end the
/// process; check mode reports it.
void Lowering::relaxAlignment() {
  for (Function &function : module)
    for (Instruction &at : instructions(function)) {
      if (auto *load = dyn_cast<LoadInst>(&at); load && !load->isAtomic())
        load->setAlignment(Align(1));
      if (auto *store = dyn_cast<StoreInst>(&at); store && !store->isAtomic())
        store->setAlignment(Align(1));
    }
}

void Lowering::checkAccesses() {
  SmallVector<Instruction *> accesses, atomics;
  for (Function &function : module)
    for (Instruction &at : instructions(function)) {
      if (isa<LoadInst, StoreInst, MemIntrinsic>(at))
        accesses.push_back(&at);
      if (isa<AtomicRMWInst, AtomicCmpXchgInst>(at) ||
          (isa<LoadInst>(at) && cast<LoadInst>(at).isAtomic()))
        atomics.push_back(&at);
      Type *type =
          isa<StoreInst>(at) ? at.getOperand(0)->getType() : at.getType();
      if (isa<LoadInst, StoreInst>(at) && layout.getTypeStoreSize(type) == 1)
        lowered.granule = 1;
    }
  if (check)
    for (Instruction *at : accesses)
      if (!at->isAtomic())
        checkInstruction(*at);
  for (Instruction *at : atomics) {
    IRBuilder<> b(at);
    Site &site = addSite(*at, "atomic");
    callHook(b, reinterpret_cast<const void *>(&atomicHook),
             {threadOf(*at->getFunction()), pointer(b, &site)});
  }
  relaxAlignment();
}

//===-- Special registers -------------------------------------------------===//

/// The word of Registers that holds a special register.
static int registerWord(StringRef name) {
  static const std::map<StringRef, int> words = {
      {"tid.x", 0},     {"tid.y", 1},
      {"tid.z", 2},     {"ctaid.x", 3},
      {"ctaid.y", 4},   {"ctaid.z", 5},
      {"ntid.x", 6},    {"ntid.y", 7},
      {"ntid.z", 8},    {"nctaid.x", 9},
      {"nctaid.y", 10}, {"nctaid.z", 11},
      {"laneid", 12},   {"warpid", 13},
      {"nwarpid", 14},  {"dynamic_smem_size", 15}};
  auto found = words.find(name);
  return found == words.end() ? -1 : found->second;
}

bool Lowering::lowerRegister(CallInst *call, StringRef name) {
  if (!name.consume_front("read.ptx.sreg."))
    return false;
  IRBuilder<> b(call);
  Value *thread = threadOf(*call->getFunction());
  auto word = [&](int index) {
    return b.CreateLoad(b.getInt32Ty(),
                        b.CreateConstGEP1_64(b.getInt8Ty(), thread, 4 * index));
  };
  Value *value = nullptr;
  if (int index = registerWord(name); index >= 0) {
    value = word(index);
  } else if (name == "warpsize") {
    value = b.getInt32(warpLanes);
  } else if (name.starts_with("lanemask.")) {
    Value *lane = b.CreateZExt(word(12), b.getInt64Ty());
    Value *bit = b.CreateShl(b.getInt64(1), lane);
    Value *below = b.CreateSub(bit, b.getInt64(1));
    Value *upTo = b.CreateOr(bit, below);
    Value *mask = StringSwitch<Value *>(name.substr(9))
                      .Case("eq", bit)
                      .Case("lt", below)
                      .Case("le", upTo)
                      .Case("ge", b.CreateNot(below))
                      .Case("gt", b.CreateNot(upTo))
                      .Default(nullptr);
    value = mask ? b.CreateTrunc(mask, b.getInt32Ty()) : nullptr;
  } else if (name.starts_with("cluster.nctaid") || name == "nclusterid.x" ||
             name == "nsmid" || name.starts_with("cluster.nctarank")) {
    value = b.getInt32(1);
  } else if (name.starts_with("clock") || name.starts_with("globaltimer")) {
    value = b.CreateIntrinsic(b.getInt64Ty(), Intrinsic::readcyclecounter, {});
    value = b.CreateZExtOrTrunc(value, call->getType());
  } else if (name.starts_with("cluster.") || name == "smid" ||
             name == "gridid") {
    value = ConstantInt::get(call->getType(), 0);
  }
  if (!value)
    return false;
  call->replaceAllUsesWith(value);
  call->eraseFromParent();
  return true;
}

//===-- Operations --------------------------------------------------------===//

/// What a handler sees of an operand: bits of vectors, bytes of i1.
static Type *packedType(Type *type) {
  if (type->isVectorTy())
    return Type::getIntNTy(type->getContext(),
                           type->getPrimitiveSizeInBits().getFixedValue());
  if (type->isPointerTy())
    return PointerType::get(type->getContext(), 0);
  if (type->isIntegerTy(1))
    return Type::getInt8Ty(type->getContext());
  return type;
}

static Value *pack(IRBuilder<> &b, Value *value) {
  Type *type = packedType(value->getType());
  if (value->getType()->isPointerTy())
    return b.CreateAddrSpaceCast(value, type);
  if (value->getType()->isIntegerTy(1))
    return b.CreateZExt(value, type);
  return b.CreateBitCast(value, type);
}

static Value *unpack(IRBuilder<> &b, Value *value, Type *type) {
  if (type->isPointerTy())
    return b.CreateAddrSpaceCast(value, type);
  if (type->isIntegerTy(1))
    return b.CreateTrunc(value, type);
  return b.CreateBitCast(value, type);
}

/// Reads the results of a handler.
static Value *unpackResults(IRBuilder<> &b, StructType *packed, Value *memory,
                            Type *type) {
  auto get = [&](unsigned i, Type *wanted) {
    Value *slot = b.CreateStructGEP(packed, memory, i);
    return unpack(b, b.CreateLoad(packed->getElementType(i), slot), wanted);
  };
  auto *all = dyn_cast<StructType>(type);
  if (!all)
    return get(0, type);
  Value *results = PoisonValue::get(type);
  for (unsigned i = 0; i < all->getNumElements(); ++i)
    results = b.CreateInsertValue(results, get(i, all->getElementType(i)), i);
  return results;
}

void Lowering::emitCall(CallInst *call, const Call &operation,
                        const Site &site) {
  Function &function = *call->getFunction();
  IRBuilder<> b(call);
  IRBuilder<> entry(&function.getEntryBlock(),
                    function.getEntryBlock().getFirstInsertionPt());
  Value *in = ConstantPointerNull::get(b.getPtrTy()), *out = in;
  SmallVector<Value *> operands;
  SmallVector<Type *> types;
  for (Value *argument : call->args()) {
    operands.push_back(pack(b, argument));
    types.push_back(operands.back()->getType());
  }
  if (!types.empty()) {
    auto *packed = StructType::get(context, types);
    in = entry.CreateAlloca(packed);
    for (auto [i, operand] : llvm::enumerate(operands))
      b.CreateStore(operand,
                    b.CreateStructGEP(packed, in, static_cast<unsigned>(i)));
  }
  StructType *results = nullptr;
  if (!call->getType()->isVoidTy()) {
    SmallVector<Type *> kinds;
    if (auto *all = dyn_cast<StructType>(call->getType()))
      for (Type *type : all->elements())
        kinds.push_back(packedType(type));
    else
      kinds.push_back(packedType(call->getType()));
    results = StructType::get(context, kinds);
    out = entry.CreateAlloca(results);
  }
  callHook(b, reinterpret_cast<const void *>(operation.handler),
           {threadOf(function), pointer(b, &site), out, in});
  if (results)
    call->replaceAllUsesWith(unpackResults(b, results, out, call->getType()));
  call->eraseFromParent();
}

/// Operations that order or hint only, and mean nothing here.
static bool isHint(StringRef name) {
  static const StringRef prefixes[] = {"fence.",
                                       "membar.",
                                       "setmaxnreg.",
                                       "griddepcontrol.",
                                       "prefetch",
                                       "wgmma.fence.",
                                       "discard.",
                                       "applypriority.",
                                       "cp.async.bulk.prefetch.",
                                       "cp.async.bulk.tensor.prefetch."};
  return llvm::any_of(
      prefixes, [&](StringRef prefix) { return name.starts_with(prefix); });
}

/// Barriers' names without what a block alone has no use for.
static std::string plainBarrier(StringRef name) {
  std::string plain = name.str();
  for (StringRef part : {".relaxed", ".acquire", ".release"})
    if (size_t at = plain.find(part.str()); at != std::string::npos)
      plain.erase(at, part.size());
  StringRef cluster = ".scope.cluster.";
  if (size_t at = plain.find(cluster.str()); at != std::string::npos)
    plain.replace(at, cluster.size(), ".scope.cta.");
  return plain;
}

/// The operation of a name, which may have the types of its operands behind.
static const Call *findOverloaded(StringRef name) {
  std::string plain;
  if (name.starts_with("mbarrier."))
    name = plain = plainBarrier(name);
  while (true) {
    if (const Call *call = findCall(std::string_view(name.data(), name.size())))
      return call;
    auto [front, back] = name.rsplit('.');
    bool isType = back.size() > 1 && StringRef("pif").contains(back[0]) &&
                  llvm::all_of(back.drop_front(), isDigit);
    if (!isType)
      return nullptr;
    name = front;
  }
}

std::optional<std::string> Lowering::lowerCall(CallInst *call) {
  std::string kernel = call->getFunction()->getName().str();
  if (auto *text = dyn_cast<InlineAsm>(call->getCalledOperand())) {
    Site &site = addSite(*call, "");
    site.op = recognisePtx(text->getAsmString(), site);
    if (site.op == "hint" && call->getType()->isVoidTy()) {
      call->eraseFromParent();
      return std::nullopt;
    }
    const Call *operation = findCall(site.op);
    if (!operation)
      return "@" + kernel +
             ": inline PTX that is not emulated: " + text->getAsmString().str();
    site.isAligned = operation->isAligned;
    emitCall(call, *operation, site);
    return std::nullopt;
  }
  StringRef name = call->getCalledFunction()->getName();
  name.consume_front("llvm.nvvm.");
  if (lowerRegister(call, name))
    return std::nullopt;
  if (isHint(name) && call->getType()->isVoidTy()) {
    call->eraseFromParent();
    return std::nullopt;
  }
  if (Value *value = lowerMath(call, name)) {
    call->replaceAllUsesWith(value);
    call->eraseFromParent();
    return std::nullopt;
  }
  const Call *operation = findOverloaded(name);
  if (!operation)
    return "@" + kernel + ": llvm.nvvm." + name.str() + " is not emulated";
  Site &site = addSite(*call, operation->name);
  site.isAligned = operation->isAligned;
  emitCall(call, *operation, site);
  return std::nullopt;
}

std::optional<std::string> Lowering::lowerCalls() {
  SmallVector<CallInst *> calls;
  for (Function &function : module)
    for (Instruction &at : instructions(function))
      if (auto *call = dyn_cast<CallInst>(&at)) {
        Function *callee = call->getCalledFunction();
        if (call->isInlineAsm() ||
            (callee && callee->getName().starts_with("llvm.nvvm.")))
          calls.push_back(call);
      }
  for (CallInst *call : calls)
    if (auto error = lowerCall(call))
      return error;
  return std::nullopt;
}

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
