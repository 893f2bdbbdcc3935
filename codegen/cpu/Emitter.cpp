//===-- Emitter.cpp - a small language for writing kernel code ------------------------------------------------------------------------===//
#include "codegen/cpu/Emitter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

Emitter::Emitter(ModuleOp module, const Target &target)
    : b(module.getContext()), loc(UnknownLoc::get(module.getContext())), target(target), module(module) {
  i1 = b.getI1Type();
  i32 = b.getI32Type();
  i64 = b.getI64Type();
  f32 = b.getF32Type();
  ptr = LLVM::LLVMPointerType::get(b.getContext());
  vector = VectorType::get({target.lanes()}, f32);
}

//===-- Functions and control flow ----------------------------------------------------------------------------------------------------===//

void Emitter::function(StringRef name, ArrayRef<Type> arguments, ArrayRef<Type> results, bool exported,
                       llvm::function_ref<SmallVector<Value>(ValueRange)> body) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(module.getBody());
  auto function = func::FuncOp::create(b, loc, name, b.getFunctionType(arguments, results));
  if (!exported)
    function.setPrivate();
  b.setInsertionPointToStart(function.addEntryBlock());
  SmallVector<Value> values = body(function.getArguments());
  func::ReturnOp::create(b, loc, values);
}

void Emitter::ensure(StringRef name, ArrayRef<Type> arguments, llvm::function_ref<void(ValueRange)> body) {
  if (!ensured.insert(name).second)
    return;
  function(name, arguments, {}, /*exported=*/false, [&](ValueRange values) {
    body(values);
    return SmallVector<Value>();
  });
}

Value Emitter::call(StringRef name, ArrayRef<Value> arguments, Type result) {
  auto call = func::CallOp::create(b, loc, name, result ? TypeRange{result} : TypeRange{}, arguments);
  return result ? call.getResult(0) : Value();
}

Value Emitter::address(StringRef name, ArrayRef<Type> arguments) {
  return func::ConstantOp::create(b, loc, b.getFunctionType(arguments, {}), name);
}

void Emitter::callAddress(Value function, ArrayRef<Value> arguments) { func::CallIndirectOp::create(b, loc, function, arguments); }

void Emitter::loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

SmallVector<Value> Emitter::loop(Value begin, Value end, int64_t step, ValueRange init,
                                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, begin, end, constant(step), init);
  OpBuilder::InsertionGuard guard(b);
  Block *block = loop.getBody();
  // Without carried values the builder has put a terminator already.
  if (!block->empty() && block->back().hasTrait<OpTrait::IsTerminator>())
    block->back().erase();
  b.setInsertionPointToEnd(block);
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void Emitter::ifThen(Value condition, llvm::function_ref<void()> then) {
  auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  then();
}

void Emitter::ifThenElse(Value condition, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise) {
  auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  then();
  b.setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

void Emitter::switchTo(Value value, int64_t count, llvm::function_ref<void(int64_t)> body) {
  if (count == 1)
    return body(1);
  Value index = arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  SmallVector<int64_t> cases = llvm::to_vector(llvm::seq<int64_t>(1, count));
  auto branch = scf::IndexSwitchOp::create(b, loc, TypeRange{}, index, cases, cases.size());
  OpBuilder::InsertionGuard guard(b);
  auto fill = [&](Region &region, int64_t c) {
    b.setInsertionPointToEnd(&region.emplaceBlock());
    body(c);
    scf::YieldOp::create(b, loc);
  };
  for (auto [region, c] : llvm::zip_equal(branch.getCaseRegions(), cases))
    fill(region, c);
  fill(branch.getDefaultRegion(), count);
}

//===-- Integers ----------------------------------------------------------------------------------------------------------------------===//

Value Emitter::constant(int64_t value) { return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value)); }
Value Emitter::add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
Value Emitter::sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
Value Emitter::mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
Value Emitter::div(Value x, Value y) { return arith::DivUIOp::create(b, loc, x, y); }
Value Emitter::rem(Value x, Value y) { return arith::RemUIOp::create(b, loc, x, y); }
Value Emitter::min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
Value Emitter::max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
Value Emitter::less(Value x, Value y) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y); }
Value Emitter::equal(Value x, Value y) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, y); }
Value Emitter::select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, loc, condition, x, y); }

//===-- Memory ------------------------------------------------------------------------------------------------------------------------===//

Value Emitter::at(Value pointer, Value offset, Type element) {
  return LLVM::GEPOp::create(b, loc, ptr, element ? element : f32, pointer, ValueRange{offset});
}

Value Emitter::at(Value pointer, int64_t offset, Type element) {
  if (offset == 0)
    return pointer;
  return LLVM::GEPOp::create(b, loc, ptr, element ? element : f32, pointer, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
}

Value Emitter::load(Type type, Value pointer, int64_t alignment) { return LLVM::LoadOp::create(b, loc, type, pointer, alignment); }

void Emitter::store(Value value, Value pointer, int64_t alignment) { LLVM::StoreOp::create(b, loc, value, pointer, alignment); }

static Value maskOf(Emitter &e, int64_t lanes, int64_t valid) {
  SmallVector<bool> bits(lanes, false);
  std::fill_n(bits.begin(), valid, true);
  auto type = VectorType::get({lanes}, e.i1);
  return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, ArrayRef<bool>(bits)));
}

Value Emitter::loadMasked(VectorType type, Value pointer, int64_t valid) {
  if (valid >= type.getNumElements())
    return load(type, pointer);
  if (valid <= 0)
    return fconstant(type, 0);
  return LLVM::MaskedLoadOp::create(b, loc, type, pointer, maskOf(*this, type.getNumElements(), valid), fconstant(type, 0), 4, false);
}

void Emitter::storeMasked(Value value, Value pointer, int64_t valid) {
  auto type = cast<VectorType>(value.getType());
  if (valid >= type.getNumElements())
    return store(value, pointer);
  if (valid <= 0)
    return;
  // Before AVX-512 a masked store may be slow (microcode on AMD's processors):
  // pieces of 4, 2 and 1 lanes instead.
  if (type.getNumElements() <= 8) {
    for (int64_t at = 0, piece = 4; piece >= 1; piece /= 2)
      if (valid & piece) {
        SmallVector<int64_t> part =
            llvm::to_vector(llvm::seq<int64_t>(at, at + piece));
        store(shuffle(value, value, part), this->at(pointer, at));
        at += piece;
      }
    return;
  }
  LLVM::MaskedStoreOp::create(b, loc, value, pointer, maskOf(*this, type.getNumElements(), valid), 4);
}

Value Emitter::table(StringRef name, ArrayRef<int32_t> numbers) {
  auto count = static_cast<int64_t>(numbers.size());
  auto type = LLVM::LLVMArrayType::get(i32, count);
  if (ensured.insert(name).second) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    auto values = DenseElementsAttr::get(RankedTensorType::get({count}, i32),
                                         numbers);
    LLVM::GlobalOp::create(b, loc, type, /*isConstant=*/true,
                           LLVM::Linkage::Private, name, values);
  }
  return LLVM::AddressOfOp::create(b, loc, ptr, name);
}

void Emitter::prefetch(Value pointer, bool write, int locality) {
  LLVM::Prefetch::create(b, loc, pointer, write ? 1 : 0, locality, /*cache=*/1);
}

//===-- Floats ------------------------------------------------------------------------------------------------------------------------===//

Value Emitter::fconstant(Type type, double value) {
  auto scalar = b.getF32FloatAttr(static_cast<float>(value));
  if (auto vectorType = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vectorType, static_cast<Attribute>(scalar)));
  return arith::ConstantOp::create(b, loc, scalar);
}

Value Emitter::fadd(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
Value Emitter::fsub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
Value Emitter::fmul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
Value Emitter::fdiv(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
Value Emitter::fneg(Value x) { return arith::NegFOp::create(b, loc, x); }
Value Emitter::fma(Value x, Value y, Value z) { return math::FmaOp::create(b, loc, x, y, z); }
Value Emitter::sqrt(Value x) { return math::SqrtOp::create(b, loc, x); }

// A comparison and a selection become one instruction (maxps); NaN in `x` gives `y`.
Value Emitter::fmax(Value x, Value y) {
  return arith::SelectOp::create(b, loc, arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, y), x, y);
}
Value Emitter::fmin(Value x, Value y) {
  return arith::SelectOp::create(b, loc, arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, y), x, y);
}

Value Emitter::broadcast(Type type, Value scalar) {
  if (!isa<VectorType>(type))
    return scalar;
  return vector::BroadcastOp::create(b, loc, type, scalar);
}

Value Emitter::halves(Value vector, llvm::function_ref<Value(Value, Value)> join) {
  if (!isa<VectorType>(vector.getType()))
    return vector;
  for (int64_t width = cast<VectorType>(vector.getType()).getNumElements() / 2; width >= 1; width /= 2) {
    SmallVector<int64_t> low = llvm::to_vector(llvm::seq<int64_t>(0, width));
    SmallVector<int64_t> high = llvm::to_vector(llvm::seq<int64_t>(width, 2 * width));
    vector = join(shuffle(vector, vector, low), shuffle(vector, vector, high));
  }
  return vector::ExtractOp::create(b, loc, vector, int64_t(0));
}

Value Emitter::reduceAdd(Value vector) {
  return halves(vector, [&](Value x, Value y) { return fadd(x, y); });
}
Value Emitter::reduceMax(Value vector) {
  return halves(vector, [&](Value x, Value y) { return fmax(x, y); });
}

Value Emitter::shuffle(Value x, Value y, ArrayRef<int64_t> lanes) { return vector::ShuffleOp::create(b, loc, x, y, lanes); }

/// Exchanges the lanes of `x` whose bit `distance` is set with those of `y`
/// whose bit is not.
void Emitter::exchangeHalves(Value &x, Value &y, int64_t distance) {
  SmallVector<int64_t> low, high;
  for (int64_t lane = 0; lane < lanes(); ++lane) {
    bool upper = lane & distance;
    low.push_back(upper ? lanes() + lane - distance : lane);
    high.push_back(upper ? lanes() + lane : lane + distance);
  }
  Value first = shuffle(x, y, low);
  y = shuffle(x, y, high);
  x = first;
}

/// Transposes four vectors, every group of four lanes for itself.
void Emitter::transposeFours(MutableArrayRef<Value> v) {
  // Of each group two lanes of both: alternating, or x's and then y's.
  auto alternate = [&](Value x, Value y, int64_t from) {
    SmallVector<int64_t> order;
    for (int64_t at = from; at < lanes(); at += 4)
      order.append({at, at + lanes(), at + 1, at + 1 + lanes()});
    return shuffle(x, y, order);
  };
  auto join = [&](Value x, Value y, int64_t from) {
    SmallVector<int64_t> order;
    for (int64_t at = from; at < lanes(); at += 4)
      order.append({at, at + 1, at + lanes(), at + 1 + lanes()});
    return shuffle(x, y, order);
  };
  Value a = alternate(v[0], v[1], 0), b = alternate(v[0], v[1], 2);
  Value c = alternate(v[2], v[3], 0), d = alternate(v[2], v[3], 2);
  v[0] = join(a, c, 0);
  v[1] = join(a, c, 2);
  v[2] = join(b, d, 0);
  v[3] = join(b, d, 2);
}

void Emitter::transpose(MutableArrayRef<Value> vectors) {
  // Halves are exchanged down to groups of four lanes, in which four vectors
  // are transposed: shuffles that stay within 128 bits are cheap.
  for (int64_t distance = lanes() / 2; distance >= 4; distance /= 2)
    for (int64_t i = 0; i < lanes(); ++i)
      if (!(i & distance))
        exchangeHalves(vectors[i], vectors[i + distance], distance);
  for (int64_t i = 0; i < lanes(); i += 4)
    transposeFours(vectors.slice(i, 4));
}

Type Emitter::intTypeOf(Type floatType) const {
  if (auto vectorType = dyn_cast<VectorType>(floatType))
    return VectorType::get(vectorType.getShape(), i32);
  return i32;
}

Value Emitter::iconstant(Type type, int64_t value) {
  auto scalar = b.getI32IntegerAttr(static_cast<int32_t>(value));
  if (auto vectorType = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vectorType, static_cast<Attribute>(scalar)));
  return arith::ConstantOp::create(b, loc, scalar);
}
