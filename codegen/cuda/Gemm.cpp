//===-- Gemm.cpp - matrix products on a GPU's tensor cores ----------------===//
//
// A block makes a tile of the result. Tiles of both sides come through a ring
// of stages in shared memory, several copies ahead of the products; each warp
// multiplies its part by mma.sync. At the end the sums go through shared
// memory, row of warps by row of warps, and each is finished by whatever the
// epilogue is.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Kernels.h"
#include "codegen/cuda/Windows.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

namespace {
class GemmEmitter {
public:
  GemmEmitter(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan)
      : e(e), g(e), frame(frame), plan(plan), tile(plan.gemm), half(plan.half),
        product(plan.product), anchor(product.anchor), k(product.k) {}
  void emit();

private:
  TileSource leftSource();
  TileSource rightSource();
  SmallVector<Value> multiplyStage(Value stage, ValueRange sums);
  void finish(ValueRange sums);
  void storeSums(ValueRange sums);
  void finishElement(Value m, Value i, Value column);

  int64_t rowTiles() const { return tile.rows / tile.warpsDown / 16; }
  int64_t columnTiles() const { return tile.columns / tile.warpsAcross / 8; }

  Emitter &e;
  Gpu g;
  cpu::KernelFrame &frame;
  const KernelPlan &plan;
  GemmTile tile;
  Storage half;
  const Product &product;
  Operation *anchor;
  int64_t k;
  Value rows, firstRow, firstColumn, warpRow, warpColumn;
};
} // namespace

//===-- Both sides --------------------------------------------------------===//

TileSource GemmEmitter::leftSource() {
  TileSource source;
  source.columns = k;
  source.row = [this](Value i) {
    return e.min(e.add(firstRow, i), e.sub(rows, e.constant(1)));
  };
  source.isValid = [this](Value i) { return e.less(e.add(firstRow, i), rows); };
  if (auto patch = dyn_cast<vlm::PatchEmbedOp>(anchor)) {
    source.element = [this, patch](Value m, Value at) {
      return emitPatchElement(e, frame, patch, m, at);
    };
    return source;
  }
  if (auto conv = dyn_cast<vlm::Conv2dOp>(anchor)) {
    source.element = [this, conv](Value m, Value at) {
      return emitWindowElement(e, frame, conv, m, at);
    };
    return source;
  }
  if (product.norm) { // a pass of its own was before
    source.memory = MemoryRows{half, frame.temporary(0),
                               [this](Value m) { return e.mul(m, k); }, k};
    return source;
  }
  Value input = anchor->getOperand(0);
  source.memory = memoryRows(e, frame, input);
  source.element = [this, input](Value m, Value at) {
    return cpu::RowEmitter(e, frame).prepare(input, m)(at, e.f32, 1);
  };
  return source;
}

/// The weight's rows for the tile's columns; behind gates what they multiply.
TileSource GemmEmitter::rightSource() {
  TileSource source;
  source.columns = k;
  int64_t own = plan.resultColumns();
  auto columnOf = [this, own](Value i) {
    return e.add(firstColumn, product.isGated() ? e.rem(i, own) : i);
  };
  source.row = [this, own, columnOf](Value i) {
    Value n = e.min(columnOf(i), e.constant(product.columns - 1));
    if (product.isGated())
      n = e.add(n, e.mul(e.div(i, own), product.columns));
    return n;
  };
  source.isValid = [this, columnOf](Value i) {
    return e.less(columnOf(i), e.constant(product.columns));
  };
  Value weight = anchor->getOperand(1);
  source.memory = MemoryRows{half, frame.operand(weight),
                             [this](Value i) { return e.mul(i, k); }, k};
  return source;
}

//===-- Products ----------------------------------------------------------===//

/// Adds the products of the stage that begins at `stage` bytes.
SmallVector<Value> GemmEmitter::multiplyStage(Value stage, ValueRange sums) {
  SmallVector<Value> next(sums);
  Value lane = g.lane();
  Value right = e.add(stage, tile.left().bytes());
  for (int64_t depth = 0; depth < tile.depth; depth += 16) {
    Value chunk = e.constant(depth / 8);
    SmallVector<SmallVector<Value>> a, b;
    for (int64_t i = 0; i < rowTiles(); ++i)
      a.push_back(g.loadMatrices(
          half, matrixAddress(g, tile.left(), stage, lane,
                              e.add(warpRow, i * 16), chunk, true)));
    for (int64_t j = 0; j < columnTiles(); j += 2) {
      SmallVector<Value> both = g.loadMatrices(
          half, matrixAddress(g, tile.right(), right, lane,
                              e.add(warpColumn, j * 8), chunk, false));
      b.push_back({both[0], both[1]});
      b.push_back({both[2], both[3]});
    }
    for (int64_t i = 0; i < rowTiles(); ++i)
      for (int64_t j = 0; j < columnTiles(); ++j) {
        auto at = (i * columnTiles() + j) * 4;
        SmallVector<Value> made =
            g.multiply(half, a[i], b[j], ArrayRef(next).slice(at, 4));
        llvm::copy(made, next.begin() + at);
      }
  }
  return next;
}

//===-- The epilogue ------------------------------------------------------===//

/// This warp's sums as f32 in shared memory, rows of `sumColumns`.
void GemmEmitter::storeSums(ValueRange sums) {
  Value lane = g.lane();
  Value row = e.div(lane, 4);
  Value column = e.add(warpColumn, e.mul(e.rem(lane, 4), 2));
  auto pair = VectorType::get({2}, e.f32);
  for (int64_t i = 0; i < rowTiles(); ++i)
    for (int64_t j = 0; j < columnTiles(); ++j)
      for (int64_t part = 0; part < 2; ++part) {
        auto at = (i * columnTiles() + j) * 4 + part * 2;
        Value both = LLVM::PoisonOp::create(e.b, e.loc, pair);
        for (int64_t lane = 0; lane < 2; ++lane)
          both = LLVM::InsertElementOp::create(
              e.b, e.loc, both, sums[at + lane], e.iconstant(e.i32, lane));
        Value line = e.add(row, i * 16 + part * 8);
        Value place =
            e.add(e.mul(line, tile.sumColumns()), e.add(column, j * 8));
        g.store(both, g.sharedAt(e.mul(place, 4)), 8);
      }
}

/// Column `column` of row m, of a block's row i in shared memory.
void GemmEmitter::finishElement(Value m, Value i, Value column) {
  finishSum(e, frame, product, m, column, [&](Value n) {
    Value own = e.sub(column, firstColumn);
    if (product.isGated())
      own = e.add(own, e.mul(e.div(n, product.columns), plan.resultColumns()));
    Value at = e.add(e.mul(i, tile.sumColumns()), own);
    return g.load(e.f32, g.sharedAt(e.mul(at, 4)), 4);
  });
}

void GemmEmitter::finish(ValueRange sums) {
  int64_t band = tile.rows / tile.warpsDown;
  int64_t columns = plan.resultColumns();
  int64_t rowsAtOnce = tile.threads() / columns;
  Value thread = g.thread();
  Value column = e.add(firstColumn, e.rem(thread, columns));
  g.waitFor(0);
  for (int64_t part = 0; part < tile.warpsDown; ++part) {
    g.barrier();
    e.ifThen(e.equal(warpRow, e.constant(part * band)),
             [&] { storeSums(sums); });
    g.barrier();
    Value first = e.div(thread, columns);
    e.loop(first, e.constant(band), rowsAtOnce, [&](Value i) {
      Value m = e.add(firstRow, e.add(i, part * band));
      Value isInside =
          arith::AndIOp::create(e.b, e.loc, e.less(m, rows),
                                e.less(column, e.constant(product.columns)));
      e.ifThen(isInside, [&] { finishElement(m, i, column); });
    });
  }
}

//===-- All of it ---------------------------------------------------------===//

void GemmEmitter::emit() {
  rows = frame.dims.rows(e, anchor->getResult(0));
  firstRow = e.mul(g.block(gpu::Dimension::x), tile.rows);
  firstColumn = e.mul(g.block(gpu::Dimension::y), plan.resultColumns());
  Value warp = g.warp();
  warpRow = e.mul(e.div(warp, tile.warpsAcross), tile.rows / tile.warpsDown);
  warpColumn =
      e.mul(e.rem(warp, tile.warpsAcross), tile.columns / tile.warpsAcross);
  TileLoader left(g, tile.left(), tile.threads(), half, leftSource());
  TileLoader right(g, tile.right(), tile.threads(), half, rightSource());
  auto load = [&](Value stage, Value first) {
    Value base = e.mul(stage, tile.stageBytes());
    left.load(base, first);
    right.load(e.add(base, tile.left().bytes()), first);
    g.commit();
  };
  for (int64_t stage = 0; stage + 1 < tile.stages; ++stage)
    load(e.constant(stage), e.constant(stage * tile.depth));
  SmallVector<Value> zeros(rowTiles() * columnTiles() * 4,
                           e.fconstant(e.f32, 0));
  int64_t steps = (k + tile.depth - 1) / tile.depth;
  SmallVector<Value> sums =
      e.loop(e.constant(0), e.constant(steps), 1, zeros,
             [&](Value step, ValueRange carried) {
               // What was copied for this step is there, and nobody reads what
               // the step before has read.
               g.waitFor(tile.stages - 2);
               g.barrier();
               Value ahead = e.add(step, tile.stages - 1);
               load(e.rem(ahead, tile.stages), e.mul(ahead, tile.depth));
               return multiplyStage(
                   e.mul(e.rem(step, tile.stages), tile.stageBytes()), carried);
             });
  finish(sums);
}

void cuda::emitGemm(Emitter &e, cpu::KernelFrame &frame,
                    const KernelPlan &plan) {
  GemmEmitter(e, frame, plan).emit();
}
