//===-- Wgmma.cpp - matrix products of sm_90a -----------------------------===//
//
// One group of warps has tiles of both sides brought into a ring of stages, by
// tensor maps; two others multiply them, 64 rows of the block's tile each. A
// stage's barrier `full` counts the bytes that come, `empty` the warps that are
// done with it. One group of products is always under way: a stage is given
// back a step later. At the end the sums go through the ring's memory and are
// finished by whatever the epilogue is, in pieces of 8 columns where rows of
// all operands allow it.
//
// Tile, ring and registers are those of the prototype of 2026: 168 registers at
// the start, 40 and 232 for the groups.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Hopper.h"
#include "codegen/cuda/Kernels.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

/// Registers of a thread that copies, and of one that multiplies: together as
/// many as 384 threads have when they begin.
static constexpr int64_t copyRegisters = 40, multiplyRegisters = 232;

/// The barrier of those that multiply, beside the block's.
static constexpr int64_t multiplyBarrier = 1;

/// Row tiles that go together, so that their columns' weights are read from
/// memory once.
static constexpr int64_t tilesAtOnce = 16;

namespace {
class WgmmaEmitter {
public:
  WgmmaEmitter(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan,
               ValueRange maps)
      : e(e), g(e), h(g), frame(frame), plan(plan), tile(plan.wgmma),
        product(plan.product), leftMap(maps[0]), rightMap(maps[1]) {}
  void emit();

private:
  void place();
  void initialise();
  void copy();
  void multiply();
  Value multiplyStage(Value stage, Value sums);
  void storeSums(Value sums, Value row);
  void finish();
  void finishPiece(Value i, Value column);

  Value full(Value stage) { return e.add(e.mul(stage, 8), tile.barriersAt()); }
  Value empty(Value stage) { return e.add(full(stage), tile.stages * 8); }
  Value stageAt(Value stage) { return e.mul(stage, tile.stageBytes()); }
  Value stageOf(Value step) { return e.rem(step, tile.stages); }
  /// Of the round that a step's stage is in.
  Value parityOf(Value step) { return e.rem(e.div(step, tile.stages), 2); }
  int64_t steps() const { return llvm::divideCeil(product.k, tile.depth); }
  /// Columns of the result: half of the tile's where the others gate them.
  int64_t resultColumns() const { return plan.resultColumns(); }

  Emitter &e;
  Gpu g;
  Hopper h;
  cpu::KernelFrame &frame;
  const KernelPlan &plan;
  const WgmmaTile &tile;
  const Product &product;
  Value leftMap, rightMap;
  Value rows, firstRow, firstColumn, thread, member;
};
} // namespace

//===-- Places ------------------------------------------------------------===//

/// Blocks follow each other down `tilesAtOnce` rows of tiles, then across.
void WgmmaEmitter::place() {
  int64_t across = llvm::divideCeil(product.columns, resultColumns());
  rows = frame.dims.rows(e, product.anchor->getResult(0));
  Value down = e.ceilDiv(rows, tile.rows);
  Value number = e.add(e.mul(g.block(gpu::Dimension::y), down),
                       g.block(gpu::Dimension::x));
  Value first = e.mul(e.div(number, tilesAtOnce * across), tilesAtOnce);
  Value inside = e.rem(number, tilesAtOnce * across);
  Value height = e.min(e.sub(down, first), e.constant(tilesAtOnce));
  firstRow = e.mul(e.add(first, e.rem(inside, height)), tile.rows);
  firstColumn = e.mul(e.div(inside, height), resultColumns());
  thread = g.thread();
}

void WgmmaEmitter::initialise() {
  e.ifThen(e.equal(thread, e.constant(0)), [&] {
    for (int64_t stage = 0; stage < tile.stages; ++stage) {
      h.initialise(full(e.constant(stage)), 1);
      h.initialise(empty(e.constant(stage)), tile.groups * 4);
    }
    h.publish();
  });
  g.barrier();
}

//===-- The group that copies ---------------------------------------------===//

void WgmmaEmitter::copy() {
  h.keepRegisters(copyRegisters, /*isMore=*/false);
  e.ifThen(e.equal(thread, e.constant(0)), [&] {
    e.loop(e.constant(0), e.constant(steps()), 1, [&](Value step) {
      Value stage = stageOf(step), at = stageAt(stage);
      Value column = e.mul(step, tile.depth);
      // In the first round nobody has to give stages back.
      h.wait(empty(stage), e.sub(e.constant(1), parityOf(step)));
      h.expect(full(stage), tile.stageBytes());
      h.copyTile(at, full(stage), leftMap, column, firstRow);
      Value right = e.add(at, tile.left());
      int64_t sides = product.isGated() ? 2 : 1;
      for (int64_t side = 0; side < sides; ++side)
        h.copyTile(e.add(right, side * tile.right() / sides), full(stage),
                   rightMap, column,
                   e.add(firstColumn, side * product.columns));
    });
  });
}

//===-- The groups that multiply ------------------------------------------===//

Value WgmmaEmitter::multiplyStage(Value stage, Value sums) {
  Value at = stageAt(stage);
  Value left = h.describe(
      e.add(at, e.mul(e.div(member, groupThreads), 64 * swizzledBytes)));
  Value right = h.describe(e.add(at, tile.left()));
  h.fence();
  for (int64_t depth = 0; depth < tile.depth; depth += 16)
    sums =
        h.multiply(plan.half, tile.columns, sums, e.add(left, depth * 2 / 16),
                   e.add(right, depth * 2 / 16));
  h.commit();
  return sums;
}

void WgmmaEmitter::multiply() {
  h.keepRegisters(multiplyRegisters, /*isMore=*/true);
  member = e.sub(thread, e.constant(groupThreads));
  Value isFirstLane = e.equal(g.lane(), e.constant(0));
  auto giveBack = [&](Value step) {
    e.ifThen(isFirstLane, [&] { h.arrive(empty(stageOf(step))); });
  };
  Value zeros = LLVM::ZeroOp::create(e.b, e.loc, h.sumsType(tile.columns));
  Value sums = e.loop(e.constant(0), e.constant(steps()), 1, {zeros},
                      [&](Value step, ValueRange carried) {
                        Value stage = stageOf(step);
                        h.wait(full(stage), parityOf(step));
                        Value next = multiplyStage(stage, carried[0]);
                        // What the step before has read is free now.
                        h.finish(1);
                        e.ifThen(e.less(e.constant(0), step),
                                 [&] { giveBack(e.sub(step, e.constant(1))); });
                        return SmallVector<Value>{next};
                      })[0];
  h.finish(0);
  // The other group may still read the stages where sums are put.
  h.barrier(multiplyBarrier, tile.groups * groupThreads);
  Value warp = e.div(member, warpThreads);
  storeSums(sums, e.add(e.mul(warp, 16), e.div(g.lane(), 4)));
  h.barrier(multiplyBarrier, tile.groups * groupThreads);
  finish();
}

//===-- The epilogue ------------------------------------------------------===//

/// This thread's sums, of two rows, as f32 in rows of `sumColumns`.
void WgmmaEmitter::storeSums(Value sums, Value row) {
  auto pair = VectorType::get({2}, e.f32);
  Value column = e.mul(e.rem(g.lane(), 4), 2);
  for (int64_t i = 0; i < tile.columns / 2; i += 2) {
    Value both = LLVM::PoisonOp::create(e.b, e.loc, pair);
    for (int64_t lane = 0; lane < 2; ++lane)
      both = LLVM::InsertElementOp::create(
          e.b, e.loc, both,
          LLVM::ExtractValueOp::create(e.b, e.loc, sums, i + lane),
          e.iconstant(e.i32, lane));
    Value line = e.add(row, i % 4 / 2 * 8);
    Value place =
        e.add(e.mul(line, tile.sumColumns()), e.add(column, i / 4 * 8));
    g.store(both, g.sharedAt(e.mul(place, 4)), 8);
  }
}

/// Vectors of a piece lie at multiples of 16 bytes in all rows.
static void alignVectors(Block &block) {
  block.walk([](Operation *op) {
    auto load = dyn_cast<LLVM::LoadOp>(op);
    auto store = dyn_cast<LLVM::StoreOp>(op);
    Type type = load    ? load.getType()
                : store ? store.getValue().getType()
                        : Type();
    auto vector = dyn_cast_or_null<VectorType>(type);
    if (!vector)
      return;
    auto bytes = static_cast<uint64_t>(vector.getNumElements() *
                                       vector.getElementTypeBitWidth() / 8);
    uint64_t alignment = std::min<uint64_t>(bytes, 16);
    load ? load.setAlignment(alignment) : store.setAlignment(alignment);
  });
}

/// Columns [column, column + pieceColumns) of the tile's row i.
void WgmmaEmitter::finishPiece(Value i, Value column) {
  Value m = e.add(firstRow, i), own = e.add(firstColumn, column);
  Value isInside = arith::AndIOp::create(
      e.b, e.loc, e.less(m, rows), e.less(own, e.constant(product.columns)));
  e.ifThen(isInside, [&] {
    Type type =
        tile.piece == 1 ? e.f32 : Type(VectorType::get({tile.piece}, e.f32));
    finishSum(
        e, frame, product, m, own,
        [&](Value n) -> Value {
          // Rows of the weight that follow the gates' are in the tile's
          // second half.
          Value at = e.sub(n, firstColumn);
          if (product.isGated())
            at = e.select(e.less(n, e.constant(product.columns)), at,
                          e.add(at, resultColumns() - product.columns));
          Value place = e.add(e.mul(i, tile.sumColumns()), at);
          return g.load(type, g.sharedAt(e.mul(place, 4)), 4);
        },
        tile.piece);
    if (tile.piece > 1)
      alignVectors(*e.b.getInsertionBlock());
  });
}

void WgmmaEmitter::finish() {
  int64_t perRow = resultColumns() / tile.piece;
  int64_t rowsAtOnce = tile.groups * groupThreads / perRow;
  Value column = e.mul(e.rem(member, perRow), tile.piece);
  e.loop(e.div(member, perRow), e.constant(tile.rows), rowsAtOnce,
         [&](Value i) { finishPiece(i, column); });
}

//===-- All of it ---------------------------------------------------------===//

void WgmmaEmitter::emit() {
  place();
  initialise();
  e.ifThenElse(
      e.less(thread, e.constant(groupThreads)), [&] { copy(); },
      [&] { multiply(); });
}

void cuda::emitWgmma(Emitter &e, cpu::KernelFrame &frame,
                     const KernelPlan &plan, ValueRange maps) {
  WgmmaEmitter(e, frame, plan, maps).emit();
}
