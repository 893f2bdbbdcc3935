//===-- Widen.cpp - weights stored in 16 bits, read as f32 ----------------===//
#include "codegen/cpu/Widen.h"
#include "ir/Vlm/VlmDialect.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

WeightForm cpu::formOf(Type type) {
  auto layout = dyn_cast_or_null<vlm::LayoutAttr>(
      cast<RankedTensorType>(type).getEncoding());
  if (!layout)
    return {};
  return {llvm::StringSwitch<Storage>(layout.getStorage())
              .Case("bf16", Storage::BF16)
              .Case("f16", Storage::F16)
              .Default(Storage::F32),
          layout.getForm() == "panel16"};
}

StringRef cpu::storageName(Storage storage) {
  switch (storage) {
  case Storage::F32:
    return "f32";
  case Storage::BF16:
    return "bf16";
  case Storage::F16:
    return "f16";
  }
  llvm_unreachable("every storage is listed");
}

Type cpu::elementOf(Emitter &e, Storage storage) {
  switch (storage) {
  case Storage::F32:
    return e.f32;
  case Storage::BF16:
    return e.b.getI16Type();
  case Storage::F16:
    return e.b.getF16Type();
  }
  llvm_unreachable("every storage is listed");
}

int64_t cpu::storedDepth(Storage storage, int64_t k) {
  return storage == Storage::BF16 ? llvm::alignTo(k, 2) : k;
}

/// Stored values as f32 of the same shape.
static Value widen(Emitter &e, Storage storage, Type type, Value stored) {
  if (storage == Storage::F32)
    return stored;
  if (storage == Storage::F16)
    return arith::ExtFOp::create(e.b, e.loc, type, stored);
  Type bits = e.intTypeOf(type);
  Value low = arith::ExtUIOp::create(e.b, e.loc, bits, stored);
  return arith::BitcastOp::create(
      e.b, e.loc, type,
      arith::ShLIOp::create(e.b, e.loc, low, e.iconstant(bits, 16)));
}

Value cpu::loadStored(Emitter &e, Storage storage, Type type, Value pointer,
                      int64_t valid) {
  auto vectorType = dyn_cast<VectorType>(type);
  if (storage == Storage::F32)
    return vectorType ? e.loadMasked(vectorType, pointer, valid)
                      : e.load(type, pointer);
  Type element = elementOf(e, storage);
  if (!vectorType)
    return widen(e, storage, type, e.load(element, pointer, 2));
  if (valid < vectorType.getNumElements())
    return gatherStored(e, storage, type, valid, [&](int64_t lane) {
      return e.at(pointer, lane, element);
    });
  Type stored = VectorType::get(vectorType.getShape(), element);
  return widen(e, storage, type, e.load(stored, pointer, 2));
}

Value cpu::gatherStored(Emitter &e, Storage storage, Type type, int64_t valid,
                        llvm::function_ref<Value(int64_t lane)> address) {
  Type element = elementOf(e, storage);
  int64_t alignment = storage == Storage::F32 ? 4 : 2;
  auto vectorType = dyn_cast<VectorType>(type);
  if (!vectorType)
    return widen(e, storage, type, e.load(element, address(0), alignment));
  auto storedType = VectorType::get(vectorType.getShape(), element);
  Value stored = LLVM::ZeroOp::create(e.b, e.loc, storedType);
  for (int64_t lane = 0; lane < valid; ++lane)
    stored = LLVM::InsertElementOp::create(
        e.b, e.loc, stored, e.load(element, address(lane), alignment),
        e.constant(lane));
  return widen(e, storage, type, stored);
}

//===-- Pairs -------------------------------------------------------------===//

static Type floatsLike(Emitter &e, Value pairs) {
  return VectorType::get(cast<VectorType>(pairs.getType()).getShape(), e.f32);
}

Value cpu::evenOfPairs(Emitter &e, Value pairs) {
  Value high = arith::ShLIOp::create(e.b, e.loc, pairs,
                                     e.iconstant(pairs.getType(), 16));
  return arith::BitcastOp::create(e.b, e.loc, floatsLike(e, pairs), high);
}

Value cpu::oddOfPairs(Emitter &e, Value pairs) {
  Value mask = e.iconstant(pairs.getType(), -65536);
  Value high = arith::AndIOp::create(e.b, e.loc, pairs, mask);
  return arith::BitcastOp::create(e.b, e.loc, floatsLike(e, pairs), high);
}

Value cpu::oneOfPairs(Emitter &e, Value pairs, Value k) {
  Value isEven = e.equal(e.rem(k, 2), e.constant(0));
  return e.select(isEven, evenOfPairs(e, pairs), oddOfPairs(e, pairs));
}
