//===-- Product.cpp - the register tile that GEMM and attention share, and phases -------------------------------------------------------===//
#include "codegen/cpu/Generators.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

int64_t cpu::tileOf(vlm::KernelOp kernel, StringRef name) { return kernel.getTilesAttr().getAs<IntegerAttr>(name).getInt(); }

void cpu::addPhase(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code,
                   llvm::function_ref<void(Value, Value, Value)> run, llvm::function_ref<Value(DimFrame &)> tasks) {
  KernelCode::Phase phase;
  std::string stem = (prefix + kernel.getSymName() + "_p" + Twine(code.phases.size())).str();
  phase.run = stem;
  phase.tasks = stem + "_tasks";
  e.function(phase.run, {e.ptr, e.i64, e.i64}, {}, /*exported=*/true, [&](ValueRange a) {
    run(a[0], a[1], a[2]);
    return SmallVector<Value>();
  });
  e.function(phase.tasks, {e.ptr}, {e.i64}, /*exported=*/true, [&](ValueRange a) {
    DimFrame dims(e, kernel, a[0]);
    return SmallVector<Value>{tasks(dims)};
  });
  code.phases.push_back(phase);
}

void cpu::forRowsLeft(Emitter &e, Value left, int64_t mr, llvm::function_ref<void(int64_t rows, Value above)> body) {
  constexpr int64_t few = 8;
  if (mr == 1)
    return;
  if (mr <= few)
    return e.ifThen(e.less(e.constant(0), left), [&] {
      e.switchTo(left, mr - 1, [&](int64_t rows) { body(rows, e.constant(0)); });
    });
  for (int64_t rows = llvm::PowerOf2Ceil(mr) / 2; rows >= 1; rows /= 2)
    e.ifThen(e.equal(e.rem(e.div(left, rows), 2), e.constant(1)), [&] { body(rows, e.roundDown(left, 2 * rows)); });
}

/// One k. The fewer of the tile's rows and columns are held in registers, the
/// others pass by one after the other.
static void emitStep(Emitter &e, const ProductTile &tile, Value k, int64_t step, SmallVectorImpl<Value> &sums) {
  int64_t perPanel = panelColumns / e.lanes(), columns = tile.panels * perPanel;
  Value base = e.at(tile.right, e.mul(k, panelColumns));
  auto column = [&](int64_t c) {
    int64_t p = c / perPanel;
    Value panel = p ? e.at(base, e.mul(tile.panelStride, p)) : base;
    return e.load(e.vector, e.at(panel, step * panelColumns + c % perPanel * e.lanes()), e.lanes() * 4);
  };
  auto row = [&](int64_t i) { return e.broadcast(e.vector, e.load(e.f32, tile.left(i, k, step))); };
  bool holdRows = tile.rows < columns;
  SmallVector<Value> held;
  for (int64_t i = 0; i < (holdRows ? tile.rows : columns); ++i)
    held.push_back(holdRows ? row(i) : column(i));
  for (int64_t i = 0; i < (holdRows ? columns : tile.rows); ++i) {
    Value passing = holdRows ? column(i) : row(i);
    for (auto [j, value] : llvm::enumerate(held)) {
      Value &sum = sums[holdRows ? j * columns + i : i * columns + j];
      sum = holdRows ? e.fma(value, passing, sum) : e.fma(passing, value, sum);
    }
  }
}

SmallVector<Value> cpu::emitProduct(Emitter &e, const ProductTile &tile, ValueRange initial) {
  constexpr int64_t unroll = 4;
  Value main = e.roundDown(tile.count, unroll);
  SmallVector<Value> sums = e.loop(e.constant(0), main, unroll, initial, [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried);
    // The next panel is fetched while this one is multiplied: 16 floats, a cache line, every fourth k.
    if (tile.next)
      e.prefetch(e.at(tile.next, e.mul(k, panelColumns / unroll)), /*write=*/false, 2);
    for (int64_t step = 0; step < unroll; ++step)
      emitStep(e, tile, k, step, next);
    return next;
  });
  return e.loop(main, tile.count, 1, sums, [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried);
    emitStep(e, tile, k, 0, next);
    return next;
  });
}
