//===-- Hopper.cpp - what sm_90a can do beside other chips ----------------===//
#include "codegen/cuda/Hopper.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

/// A constant of any type of integer.
static Value integer(Emitter &e, Type type, int64_t value) {
  return arith::ConstantOp::create(e.b, e.loc, e.b.getIntegerAttr(type, value));
}

Value Hopper::i32(Value x) {
  return arith::TruncIOp::create(e.b, e.loc, e.i32, x);
}

//===-- Barriers ----------------------------------------------------------===//

void Hopper::initialise(Value barrier, int64_t arrivals) {
  g.intrinsic("nvvm.mbarrier.init.shared", {},
              {g.sharedAt(barrier), e.iconstant(e.i32, arrivals)});
}

void Hopper::publish() {
  g.intrinsic("nvvm.fence.mbarrier_init.release.cluster", {}, {});
}

void Hopper::arrive(Value barrier) {
  g.intrinsic("nvvm.mbarrier.arrive.shared", e.i64, {g.sharedAt(barrier)});
}

void Hopper::expect(Value barrier, int64_t bytes) {
  g.intrinsic("nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", e.i64,
              {g.sharedAt(barrier), e.iconstant(e.i32, bytes)});
}

void Hopper::wait(Value barrier, Value parity) {
  Value at = g.sharedAt(barrier), phase = i32(parity);
  auto loop = scf::WhileOp::create(e.b, e.loc, TypeRange{}, ValueRange{});
  OpBuilder::InsertionGuard guard(e.b);
  e.b.createBlock(&loop.getBefore());
  Value isOver = g.intrinsic(
      "nvvm.mbarrier.try.wait.parity.scope.cta.space.cta", e.i1, {at, phase});
  Value again = arith::XOrIOp::create(e.b, e.loc, isOver, integer(e, e.i1, 1));
  scf::ConditionOp::create(e.b, e.loc, again, ValueRange{});
  e.b.createBlock(&loop.getAfter());
  scf::YieldOp::create(e.b, e.loc);
}

void Hopper::barrier(int64_t number, int64_t threads) {
  g.intrinsic("nvvm.barrier.cta.sync.aligned.count", {},
              {e.iconstant(e.i32, number), e.iconstant(e.i32, threads)});
}

//===-- Tiles -------------------------------------------------------------===//

void Hopper::copyTile(Value shared, Value barrier, Value map, Value column,
                      Value row) {
  auto cluster = LLVM::LLVMPointerType::get(e.b.getContext(), 7);
  Value to =
      LLVM::AddrSpaceCastOp::create(e.b, e.loc, cluster, g.sharedAt(shared));
  Value none = integer(e, e.i1, 0);
  g.intrinsic("nvvm.cp.async.bulk.tensor.g2s.tile.2d", {},
              {to, g.sharedAt(barrier), map, i32(column), i32(row),
               integer(e, e.b.getI16Type(), 0), e.constant(0), none, none,
               e.iconstant(e.i32, 0)});
}

//===-- Products ----------------------------------------------------------===//

Value Hopper::describe(Value shared) {
  // Address, leading and stride offsets in units of 16 bytes; rows of 128
  // bytes, swizzled. Eight rows are 1024 bytes; the leading offset is unused.
  constexpr int64_t rest =
      int64_t{1} << 62 | int64_t{1024 >> 4} << 32 | int64_t{1} << 16;
  Value at = LLVM::PtrToIntOp::create(e.b, e.loc, e.i64, g.sharedAt(shared));
  Value units = e.rem(e.div(at, 16), int64_t{1} << 14);
  return arith::OrIOp::create(e.b, e.loc, units, e.constant(rest));
}

Type Hopper::sumsType(int64_t columns) {
  SmallVector<Type> floats(static_cast<size_t>(columns / 2), e.f32);
  return LLVM::LLVMStructType::getLiteral(e.b.getContext(), floats);
}

Value Hopper::multiply(Storage storage, int64_t columns, Value sums, Value left,
                       Value right) {
  NVVM::WGMMATypes type =
      storage == Storage::F16 ? NVVM::WGMMATypes::f16 : NVVM::WGMMATypes::bf16;
  auto shape = NVVM::MMAShapeAttr::get(e.b.getContext(), 64,
                                       static_cast<int>(columns), 16);
  return NVVM::WgmmaMmaAsyncOp::create(
      e.b, e.loc, sums.getType(), sums, left, right, shape, type, type,
      NVVM::WGMMATypes::f32, NVVM::WGMMAScaleOut::one, NVVM::WGMMAScaleIn::one,
      NVVM::WGMMAScaleIn::one, NVVM::MMALayout::row, NVVM::MMALayout::col,
      NVVM::MMAIntOverflowAttr());
}

void Hopper::fence() { g.intrinsic("nvvm.wgmma.fence.sync.aligned", {}, {}); }

void Hopper::commit() {
  g.intrinsic("nvvm.wgmma.commit_group.sync.aligned", {}, {});
}

void Hopper::finish(int64_t left) {
  g.intrinsic("nvvm.wgmma.wait_group.sync.aligned", {}, {e.constant(left)});
}

void Hopper::keepRegisters(int64_t count, bool isMore) {
  g.intrinsic(std::string("nvvm.setmaxnreg.") + (isMore ? "inc" : "dec") +
                  ".sync.aligned.u32",
              {}, {e.iconstant(e.i32, count)});
}
