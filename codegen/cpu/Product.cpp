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

/// One k: the panels' vectors, then row by row a broadcast and its multiply-adds.
static void emitStep(Emitter &e, const ProductTile &tile, Value k, int64_t step, SmallVectorImpl<Value> &sums) {
  int64_t perPanel = panelColumns / e.lanes();
  SmallVector<Value> columns;
  Value base = e.at(tile.right, e.mul(k, panelColumns));
  for (int64_t p = 0; p < tile.panels; ++p) {
    Value panel = p ? e.at(base, e.mul(tile.panelStride, p)) : base;
    for (int64_t v = 0; v < perPanel; ++v)
      columns.push_back(e.load(e.vector, e.at(panel, step * panelColumns + v * e.lanes()), e.lanes() * 4));
  }
  for (int64_t row = 0; row < tile.rows; ++row) {
    Value left = e.broadcast(e.vector, e.load(e.f32, tile.left(row, k, step)));
    for (auto [c, column] : llvm::enumerate(columns)) {
      Value &sum = sums[row * columns.size() + c];
      sum = e.fma(left, column, sum);
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
