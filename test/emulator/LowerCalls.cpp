//===-- LowerCalls.cpp - special registers and operations -----------------===//
#include "test/emulator/Lowering.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;
using namespace vlmc::emulator;

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
