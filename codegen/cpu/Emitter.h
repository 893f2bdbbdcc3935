//===-- Emitter.h - a small language for writing kernel code --------------------------------------------------------------------------===//
//
// The kernel generators write loops, pointer arithmetic and vectors through this class instead of MLIR builders, so that a generator reads like the
// loop nest it makes. Integers are i64, floats f32 or vectors of f32; memory is `!llvm.ptr` (no memref descriptors).
//
//   Emitter e(module, target);
//   e.function("copy", {e.ptr, e.ptr, e.i64}, [&](ValueRange a) {
//     e.loop(e.constant(0), a[2], 1, [&](Value i) { e.store(e.load(e.f32, e.at(a[0], i)), e.at(a[1], i)); });
//   });
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_EMITTER_H
#define VLMC_CODEGEN_CPU_EMITTER_H

#include "ir/Target.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"
#include <functional>

namespace vlmc::cpu {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

class Emitter {
public:
  Emitter(mlir::ModuleOp module, const Target &target);

  mlir::OpBuilder b;
  mlir::Location loc;
  const Target &target;
  Type i1, i32, i64, f32, ptr;
  /// A full vector of the target, vector<lanes x f32>.
  mlir::VectorType vector;
  int64_t lanes() const { return vector.getNumElements(); }

  //===-- functions and control flow
  /// Makes a function of the given arguments and results and fills its body. Exported functions keep their name in the object.
  void function(llvm::StringRef name, llvm::ArrayRef<Type> arguments, llvm::ArrayRef<Type> results, bool exported,
                llvm::function_ref<llvm::SmallVector<Value>(ValueRange)> body);
  /// Makes a private function without results where it does not exist yet; its
  /// calls are not inlined.
  void ensure(llvm::StringRef name, llvm::ArrayRef<Type> arguments, llvm::function_ref<void(ValueRange)> body);
  Value call(llvm::StringRef name, llvm::ArrayRef<Value> arguments, Type result = {});
  /// A function without results as a value, and its call.
  Value address(llvm::StringRef name, llvm::ArrayRef<Type> arguments);
  void callAddress(Value function, llvm::ArrayRef<Value> arguments);
  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body);
  /// A loop that carries values; `body` gives the next ones.
  llvm::SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange init,
                                llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)> body);
  void ifThen(Value condition, llvm::function_ref<void()> then);
  void ifThenElse(Value condition, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise);
  /// Calls `body(c)` for the c in 1..count that equals `value`.
  void switchTo(Value value, int64_t count, llvm::function_ref<void(int64_t)> body);

  //===-- integers
  Value constant(int64_t value);
  Value add(Value x, Value y);
  Value add(Value x, int64_t y) { return y ? add(x, constant(y)) : x; }
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value mul(Value x, int64_t y) { return y == 1 ? x : mul(x, constant(y)); }
  Value div(Value x, Value y); ///< of non-negative values
  Value div(Value x, int64_t y) { return y == 1 ? x : div(x, constant(y)); }
  Value rem(Value x, Value y);
  Value rem(Value x, int64_t y) { return rem(x, constant(y)); }
  Value min(Value x, Value y);
  Value max(Value x, Value y);
  Value ceilDiv(Value x, int64_t y) { return div(add(x, y - 1), y); }
  Value roundUp(Value x, int64_t y) { return mul(ceilDiv(x, y), y); }
  /// x rounded down to a multiple of y.
  Value roundDown(Value x, int64_t y) { return mul(div(x, y), y); }
  Value less(Value x, Value y);
  Value equal(Value x, Value y);
  Value select(Value condition, Value x, Value y);

  //===-- memory: element offsets, not bytes
  Value at(Value pointer, Value offset, Type element = {}); ///< f32 elements unless told
  Value at(Value pointer, int64_t offset, Type element = {});
  Value load(Type type, Value pointer, int64_t alignment = 4);
  void store(Value value, Value pointer, int64_t alignment = 4);
  /// Lanes from `valid` on are neither read (they become 0) nor written.
  Value loadMasked(mlir::VectorType type, Value pointer, int64_t valid);
  void storeMasked(Value value, Value pointer, int64_t valid);
  /// The address of constant numbers, under a name of its own.
  Value table(llvm::StringRef name, llvm::ArrayRef<int32_t> numbers);
  void prefetch(Value pointer, bool write, int locality);

  //===-- floats and vectors of them; the type of the operands rules
  Value fconstant(Type type, double value);
  Value fadd(Value x, Value y);
  Value fsub(Value x, Value y);
  Value fmul(Value x, Value y);
  Value fdiv(Value x, Value y);
  Value fmax(Value x, Value y);
  Value fmin(Value x, Value y);
  Value fneg(Value x);
  Value fma(Value x, Value y, Value z); ///< x * y + z, one rounding
  Value sqrt(Value x);
  Value broadcast(Type type, Value scalar);
  /// The sum or maximum of all lanes, pairwise halves; a scalar is returned as it is.
  Value reduceAdd(Value vector);
  Value reduceMax(Value vector);
  Value shuffle(Value x, Value y, llvm::ArrayRef<int64_t> lanes);
  /// Transposes lanes() full vectors in place: vector i becomes lane i of all.
  void transpose(llvm::MutableArrayRef<Value> vectors);
  /// f32 or vector -> the same shape of i32.
  Type intTypeOf(Type floatType) const;
  Value iconstant(Type type, int64_t value);

private:
  mlir::ModuleOp module;
  llvm::StringSet<> ensured;
  void exchangeHalves(Value &x, Value &y, int64_t distance);
  void transposeFours(llvm::MutableArrayRef<Value> vectors);
  Value halves(Value vector, llvm::function_ref<Value(Value, Value)> join);
};

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_EMITTER_H
