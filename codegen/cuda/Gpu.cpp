//===-- Gpu.cpp - what a thread of a GPU can do beside arithmetic ---------===//
#include "codegen/cuda/Gpu.h"
#include "ir/Vlm/VlmOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

Gpu::Gpu(Emitter &e)
    : e(e), f16(e.b.getF16Type()), bf16(e.b.getBF16Type()),
      sharedPtr(LLVM::LLVMPointerType::get(e.b.getContext(), 3)),
      globalPtr(LLVM::LLVMPointerType::get(e.b.getContext(), 1)) {}

Value Gpu::intrinsic(StringRef name, Type result, ValueRange arguments) {
  auto full = e.b.getStringAttr("llvm." + name);
  if (!result) {
    LLVM::CallIntrinsicOp::create(e.b, e.loc, full, arguments);
    return Value();
  }
  return LLVM::CallIntrinsicOp::create(e.b, e.loc, result, full, arguments)
      ->getResult(0);
}

//===-- The grid ----------------------------------------------------------===//

Value Gpu::thread() {
  Value x = gpu::ThreadIdOp::create(e.b, e.loc, gpu::Dimension::x);
  return arith::IndexCastOp::create(e.b, e.loc, e.i64, x);
}

Value Gpu::block(gpu::Dimension dimension) {
  Value x = gpu::BlockIdOp::create(e.b, e.loc, dimension);
  return arith::IndexCastOp::create(e.b, e.loc, e.i64, x);
}

//===-- Warps -------------------------------------------------------------===//

Value Gpu::shuffleXor(Value x, int64_t mask) {
  return intrinsic("nvvm.shfl.sync.bfly.f32", e.f32,
                   {i32(-1), x, i32(mask), i32(warpThreads - 1)});
}

Value Gpu::sumOver(Value x, int64_t lanes) {
  for (int64_t mask = lanes / 2; mask >= 1; mask /= 2)
    x = e.fadd(x, shuffleXor(x, mask));
  return x;
}

Value Gpu::sumOverWarp(Value x) { return sumOver(x, warpThreads); }

Value Gpu::maxOver(Value x, int64_t lanes) {
  for (int64_t mask = lanes / 2; mask >= 1; mask /= 2)
    x = e.fmax(x, shuffleXor(x, mask));
  return x;
}

Value Gpu::fromLane(Value x, Value number) {
  Value lane = arith::TruncIOp::create(e.b, e.loc, e.i32, number);
  return intrinsic("nvvm.shfl.sync.idx.f32", e.f32,
                   {i32(-1), x, lane, i32(warpThreads - 1)});
}

void Gpu::barrier() {
  intrinsic("nvvm.barrier.cta.sync.aligned.all", {}, {i32(0)});
}

//===-- Shared memory -----------------------------------------------------===//

void Gpu::declareShared(Emitter &e, gpu::GPUModuleOp module) {
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(module.getBody());
  auto type = LLVM::LLVMArrayType::get(e.b.getI8Type(), 0);
  // Eight swizzled rows of a tile lie at a multiple of their bytes.
  LLVM::GlobalOp::create(e.b, e.loc, type, /*isConstant=*/false,
                         LLVM::Linkage::External, sharedName, Attribute(),
                         /*alignment=*/1024, /*addrSpace=*/3);
}

Value Gpu::sharedAt(Value bytes) {
  Value base = LLVM::AddressOfOp::create(e.b, e.loc, sharedPtr, sharedName);
  return LLVM::GEPOp::create(e.b, e.loc, sharedPtr, e.b.getI8Type(), base,
                             ValueRange{bytes});
}

Value Gpu::load(Type type, Value shared, int64_t alignment) {
  return LLVM::LoadOp::create(e.b, e.loc, type, shared, alignment);
}

void Gpu::store(Value value, Value shared, int64_t alignment) {
  LLVM::StoreOp::create(e.b, e.loc, value, shared, alignment);
}

Value Gpu::table(StringRef name, DenseElementsAttr numbers) {
  auto module =
      e.b.getBlock()->getParentOp()->getParentOfType<gpu::GPUModuleOp>();
  if (!SymbolTable::lookupSymbolIn(module, name)) {
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(module.getBody());
    auto type = LLVM::LLVMArrayType::get(numbers.getElementType(),
                                         numbers.getNumElements());
    LLVM::GlobalOp::create(e.b, e.loc, type, /*isConstant=*/true,
                           LLVM::Linkage::Internal, name, numbers);
  }
  return LLVM::AddressOfOp::create(e.b, e.loc, e.ptr, name);
}

//===-- Copies ------------------------------------------------------------===//

void Gpu::copyAsync(Value shared, Value source, int64_t bytes, Value isValid) {
  Value global = LLVM::AddrSpaceCastOp::create(e.b, e.loc, globalPtr, source);
  Value read = e.select(isValid, i32(bytes), i32(0));
  // The whole line goes by the first-level cache where it can.
  std::string name = "nvvm.cp.async." + std::string(bytes == 16 ? "cg" : "ca") +
                     ".shared.global." + std::to_string(bytes) + ".s";
  intrinsic(name, {}, {shared, global, read});
}

void Gpu::commit() { intrinsic("nvvm.cp.async.commit.group", {}, {}); }

void Gpu::waitFor(int64_t left) {
  intrinsic("nvvm.cp.async.wait.group", {}, {i32(left)});
}

//===-- Tensor cores ------------------------------------------------------===//

Type Gpu::pairOf(Storage storage) {
  return storage == Storage::F16 ? Type(VectorType::get({2}, f16)) : e.i32;
}

SmallVector<Value> Gpu::loadMatrices(Storage storage, Value shared,
                                     bool isTransposed) {
  auto four = LLVM::LLVMStructType::getLiteral(e.b.getContext(),
                                               SmallVector<Type>(4, e.i32));
  std::string name = "nvvm.ldmatrix.sync.aligned.m8n8.x4.";
  Value all =
      intrinsic(name + (isTransposed ? "trans.b16" : "b16"), four, {shared});
  SmallVector<Value> values;
  for (int64_t i = 0; i < 4; ++i) {
    Value bits = LLVM::ExtractValueOp::create(e.b, e.loc, all, i);
    values.push_back(
        storage == Storage::F16
            ? Value(LLVM::BitcastOp::create(e.b, e.loc, pairOf(storage), bits))
            : bits);
  }
  return values;
}

SmallVector<Value> Gpu::multiply(Storage storage, ValueRange a, ValueRange b,
                                 ValueRange sums) {
  SmallVector<Value> arguments(a);
  arguments.append(b.begin(), b.end());
  arguments.append(sums.begin(), sums.end());
  auto four = LLVM::LLVMStructType::getLiteral(e.b.getContext(),
                                               SmallVector<Type>(4, e.f32));
  Value all =
      intrinsic(storage == Storage::F16 ? "nvvm.mma.m16n8k16.row.col.f32.f32"
                                        : "nvvm.mma.m16n8k16.row.col.bf16",
                four, arguments);
  SmallVector<Value> next;
  for (int64_t i = 0; i < 4; ++i)
    next.push_back(LLVM::ExtractValueOp::create(e.b, e.loc, all, i));
  return next;
}

Value Gpu::pack(Storage storage, Value low, Value high) {
  Type element = storage == Storage::F16 ? f16 : bf16;
  Value pair =
      LLVM::PoisonOp::create(e.b, e.loc, VectorType::get({2}, element));
  for (auto [i, x] : llvm::enumerate(ValueRange{low, high}))
    pair = LLVM::InsertElementOp::create(e.b, e.loc, pair, narrow(storage, x),
                                         i32(static_cast<int64_t>(i)));
  if (storage == Storage::F16)
    return pair;
  return LLVM::BitcastOp::create(e.b, e.loc, e.i32, pair);
}

//===-- Numbers -----------------------------------------------------------===//

Value Gpu::narrow(Storage storage, Value x) {
  if (storage == Storage::F32)
    return x;
  Type type = storage == Storage::F16 ? f16 : bf16;
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    type = VectorType::get(vector.getShape(), type);
  return arith::TruncFOp::create(e.b, e.loc, type, x);
}

Value Gpu::clip(Storage storage, Value x) {
  if (storage != Storage::F16)
    return x;
  constexpr double most = 65504;
  Type type = x.getType();
  x = arith::MinimumFOp::create(e.b, e.loc, x, e.fconstant(type, most));
  return arith::MaximumFOp::create(e.b, e.loc, x, e.fconstant(type, -most));
}

Value Gpu::narrowWithin(Storage storage, Value x) {
  return narrow(storage, clip(storage, x));
}

void Gpu::storeAs(Storage storage, Value x, Value base, Value offset) {
  if (!isa<FloatType>(getElementTypeOrSelf(x.getType()))) {
    e.store(x, e.at(base, offset, x.getType()));
    return;
  }
  Value rounded = narrowWithin(storage, x);
  e.store(rounded,
          e.at(base, offset, getElementTypeOrSelf(rounded.getType())),
          bytesOf(storage));
}

Value Gpu::biasPlace(Value table, Value head, Value distance) {
  const int64_t count = vlm::getFeatures(table);
  Value place = e.add(distance, count / 2);
  place = e.max(e.min(place, e.constant(count - 1)), e.constant(0));
  return e.add(e.mul(head, count), place);
}

Value Gpu::exp2(Value x) { return intrinsic("nvvm.ex2.approx", e.f32, {x}); }
