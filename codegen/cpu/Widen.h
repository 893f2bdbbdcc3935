//===-- Widen.h - weights stored in 16 bits, read as f32 ------------------===//
//
// A weight's layout says how its values are stored; arithmetic is in f32
// throughout. bf16 becomes f32 by a shift, f16 by the machine's conversion;
// both are exact.
//
//   WeightForm form = formOf(argument.getType());
//   Value x = loadStored(e, form.storage, e.vector, pointer, e.lanes());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_WIDEN_H
#define VLMC_CODEGEN_CPU_WIDEN_H

#include "codegen/cpu/Emitter.h"

namespace vlmc::cpu {

enum class Storage { F32, BF16, F16 };

/// What `#vlm.layout` says; f32 and no panels where a type has none.
struct WeightForm {
  Storage storage = Storage::F32;
  bool panels = false;
};
WeightForm formOf(Type type);

/// "f32", "bf16", "f16"
llvm::StringRef storageName(Storage storage);
/// The type that offsets into such memory count in.
Type elementOf(Emitter &e, Storage storage);
/// Rows of 16 values that a panel of depth `k` takes: bf16 keeps pairs.
int64_t storedDepth(Storage storage, int64_t k);

/// Values one behind the other as f32, or a vector of it; lanes from `valid` on
/// are not read and become 0.
Value loadStored(Emitter &e, Storage storage, Type type, Value pointer,
                 int64_t valid);
/// The same of values that lie anywhere: `address(lane)` is where.
Value gatherStored(Emitter &e, Storage storage, Type type, int64_t valid,
                   llvm::function_ref<Value(int64_t lane)> address);

/// The first or second of the pairs in a vector of 32 bits each, as f32.
Value evenOfPairs(Emitter &e, Value pairs);
Value oddOfPairs(Emitter &e, Value pairs);
/// The first where `k` is even, else the second.
Value oneOfPairs(Emitter &e, Value pairs, Value k);

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_WIDEN_H
