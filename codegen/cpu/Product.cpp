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

/// Vector `c` of the tile's columns at row k + step of the panels; `type` is
/// what is loaded. What is loaded `again` is not kept in a register meanwhile.
static Value loadColumns(Emitter &e, const ProductTile &tile, Value k, int64_t step, int64_t c, VectorType type, bool again = false) {
  int64_t perPanel = panelColumns / e.lanes(), p = c / perPanel;
  Type element = elementOf(e, tile.storage);
  Value base = e.at(tile.right, e.mul(k, panelColumns), element);
  Value panel = p ? e.at(base, e.mul(tile.panelStride, p), element) : base;
  // A vector of pairs holds twice as many elements as it has lanes.
  int64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  int64_t size = tile.storage == Storage::F32 ? 4 : 2;
  Value at = e.at(panel, step * panelColumns + c % perPanel * (bytes / size), element);
  return LLVM::LoadOp::create(e.b, e.loc, type, at, bytes, /*isVolatile=*/again);
}

/// Leaves vector `c` of row k + step where the tile says, and gives it.
static Value keepWidened(Emitter &e, const ProductTile &tile, Value k, int64_t step, int64_t c, Value vector) {
  if (!tile.widened)
    return vector;
  int64_t perPanel = panelColumns / e.lanes();
  Value panel = e.at(tile.widened, e.mul(tile.widenedStride, c / perPanel));
  e.store(vector, e.at(e.at(panel, e.mul(k, panelColumns)), step * panelColumns + c % perPanel * e.lanes()), e.lanes() * 4);
  return vector;
}

/// Adds the products of one k: `column(c)` gives vector c of the right side,
/// `row(i)` an element of the left one in all lanes. The fewer of the tile's
/// rows and columns are held in registers, the others pass by one after the
/// other.
static void addProducts(Emitter &e, const ProductTile &tile, SmallVectorImpl<Value> &sums, llvm::function_ref<Value(int64_t)> column,
                        llvm::function_ref<Value(int64_t)> row) {
  int64_t columns = tile.panels * (panelColumns / e.lanes());
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

static Value broadcastLeft(Emitter &e, const ProductTile &tile, int64_t i, Value k, int64_t step) {
  return e.broadcast(e.vector, e.load(e.f32, tile.left(i, k, step)));
}

/// One k, of any storage; k + step may be odd.
static void emitStep(Emitter &e, const ProductTile &tile, Value k, int64_t step, SmallVectorImpl<Value> &sums) {
  auto column = [&](int64_t c) -> Value {
    if (tile.storage == Storage::F32)
      return loadColumns(e, tile, k, step, c, e.vector);
    if (tile.storage == Storage::F16) {
      auto halves = VectorType::get(e.vector.getShape(), e.b.getF16Type());
      Value wide = arith::ExtFOp::create(e.b, e.loc, e.vector, loadColumns(e, tile, k, step, c, halves));
      return keepWidened(e, tile, k, step, c, wide);
    }
    auto type = cast<VectorType>(e.intTypeOf(e.vector));
    return keepWidened(e, tile, k, step, c, oneOfPairs(e, loadColumns(e, tile, e.roundDown(k, 2), 0, c, type), k));
  };
  addProducts(e, tile, sums, column, [&](int64_t i) { return broadcastLeft(e, tile, i, k, step); });
}

/// Two k of bf16 from one load; k + step is even. A column that passes by is
/// used for both at once, columns that are held are widened twice.
static void emitPair(Emitter &e, const ProductTile &tile, Value k, int64_t step, SmallVectorImpl<Value> &sums) {
  int64_t columns = tile.panels * (panelColumns / e.lanes());
  auto type = cast<VectorType>(e.intTypeOf(e.vector));
  auto pairs = [&](int64_t c) { return loadColumns(e, tile, k, step, c, type); };
  auto row = [&](int64_t half) { return [&, half](int64_t i) { return broadcastLeft(e, tile, i, k, step + half); }; };
  if (tile.rows >= columns) {
    // Accumulators, pairs, what they are widened to, an element of the left side.
    bool fits = tile.rows * columns + 2 * columns + 1 <= e.target.registers;
    SmallVector<Value> held = llvm::map_to_vector(llvm::seq(columns), pairs);
    addProducts(e, tile, sums, [&](int64_t c) { return keepWidened(e, tile, k, step, c, evenOfPairs(e, held[c])); }, row(0));
    auto odd = [&](int64_t c) {
      Value loaded = fits ? held[c] : loadColumns(e, tile, k, step, c, type, /*again=*/true);
      return keepWidened(e, tile, k, step + 1, c, oddOfPairs(e, loaded));
    };
    addProducts(e, tile, sums, odd, row(1));
    return;
  }
  SmallVector<Value> even = llvm::map_to_vector(llvm::seq(tile.rows), row(0)), odd = llvm::map_to_vector(llvm::seq(tile.rows), row(1));
  for (int64_t c = 0; c < columns; ++c) {
    Value loaded = pairs(c), first = keepWidened(e, tile, k, step, c, evenOfPairs(e, loaded)),
          second = keepWidened(e, tile, k, step + 1, c, oddOfPairs(e, loaded));
    for (auto [i, x, y] : llvm::zip_equal(llvm::seq(tile.rows), even, odd)) {
      Value &sum = sums[i * columns + c];
      sum = e.fma(y, second, e.fma(x, first, sum));
    }
  }
}

/// Few rows come from memory faster where the next panels are asked for
/// meanwhile: what stands there for the next `count` k.
static void prefetchNext(Emitter &e, const ProductTile &tile, Value k, int64_t count) {
  Type element = elementOf(e, tile.storage);
  int64_t line = tile.storage == Storage::F32 ? 16 : 32; // elements
  for (int64_t p = 0; p < tile.panels; ++p) {
    Value next = e.at(e.at(tile.next, e.mul(tile.nextStride, p)), e.mul(k, panelColumns), element);
    for (int64_t at = 0; at < count * panelColumns; at += line)
      e.prefetch(e.at(next, at, element), /*write=*/false, 2);
  }
}

SmallVector<Value> cpu::emitProduct(Emitter &e, const ProductTile &tile, ValueRange initial) {
  constexpr int64_t unroll = 4;
  Value main = e.roundDown(tile.count, unroll);
  SmallVector<Value> sums = e.loop(e.constant(0), main, unroll, initial, [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried);
    if (tile.next && tile.wholeNext)
      prefetchNext(e, tile, k, unroll);
    for (int64_t step = 0; step < unroll; ++step) {
      // The next panels are fetched while these are multiplied, of each 16
      // floats, a cache line, every fourth k: not all at once, or LLVM finds no
      // registers for them.
      if (int64_t every = std::max<int64_t>(1, unroll / tile.panels); tile.next && !tile.wholeNext && step % every == 0)
        e.prefetch(e.at(e.at(tile.next, e.mul(tile.nextStride, step / every)), e.mul(k, panelColumns / unroll)), /*write=*/false, 3);
      if (tile.storage != Storage::BF16)
        emitStep(e, tile, k, step, next);
      else if (step % 2 == 0)
        emitPair(e, tile, k, step, next);
    }
    return next;
  });
  return e.loop(main, tile.count, 1, sums, [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried);
    emitStep(e, tile, k, 0, next);
    return next;
  });
}
