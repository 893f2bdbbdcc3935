//===-- LowerAccesses.cpp - accesses that check mode looks at -------------===//
#include "test/emulator/Lowering.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;
using namespace vlmc::emulator;

// The hooks that generated code calls beside the handlers.

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
