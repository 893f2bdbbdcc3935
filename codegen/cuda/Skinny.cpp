//===-- Skinny.cpp - products of few rows, as fast as memory is -----------===//
//
// Decoding multiplies one or a few rows with every weight, so the weights'
// bytes are what counts: they go from memory to registers, 16 bytes a lane, and
// are read once for up to 16 rows. A block makes 16 columns of the result; its
// warps take turns along the features. Tensor cores multiply, with the weight
// as their left side: which features an instruction adds up is free as long as
// both sides agree, so the 8 features of a lane's 16 bytes are those of two
// instructions as they lie. In the end the warps' sums are added through shared
// memory, in one order whatever the number of rows.
//
// A norm before the product is taken from memory as it is: the moments of each
// row by all threads, then every number where it is loaded.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Kernels.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

namespace {
class SkinnyEmitter {
public:
  SkinnyEmitter(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan)
      : e(e), g(e), frame(frame), plan(plan), tile(plan.skinny),
        product(plan.product), words(VectorType::get({4}, e.i32)),
        eight(VectorType::get({8}, e.f32)) {}
  void emit();

private:
  /// A row of the left side that this lane loads for.
  struct Row {
    Value isThere, offset;
    Value mean, inverse; ///< of a norm; the mean of a LayerNorm alone
  };
  using Sums = SmallVector<Value>;

  int64_t chunk() const { return tile.steps * 32; }
  /// This lane's features of a step of a chunk begin there.
  Value placeOf(Value first, int64_t step) {
    return e.add(first, e.add(e.mul(e.rem(lane, 4), 8), step * 32));
  }
  Value loadWords(Storage storage, Value base, Value offset);
  Value widen(Storage storage, Value stored);
  Value loadEight(Storage storage, Value base, Value offset);
  Value loadVector(Value argument, Value k);
  SmallVector<Value> split(Value words);
  SmallVector<Value> packEight(Value x);

  void storeMoments();
  void storePart(Value m, int64_t which, llvm::function_ref<Value(Value x)> f);
  Value moment(Value m, int64_t which);
  Value momentPlace(Value m, int64_t which, Value warp);
  Row findRow(Value m);
  Value normalised(const Row &row, Value x, Value k);
  SmallVector<Value> loadRow(const Row &row, Value k, Value isInside);

  SmallVector<Value> loadWeights(Value k, int64_t side);
  SmallVector<Value> loadChunk(Value first);
  void multiplyFor(int64_t rowTiles);
  Sums multiplyChunk(Value first, ArrayRef<Row> own, ValueRange weights,
                     Sums sums);
  void storeSums(const Sums &sums, int64_t rowTiles);
  void finish();

  Emitter &e;
  Gpu g;
  cpu::KernelFrame &frame;
  const KernelPlan &plan;
  SkinnyTile tile;
  const Product &product;
  VectorType words, eight;
  MemoryRows memory;
  Value rows, firstColumn, lane, warp;
  SmallVector<Value> begun; ///< the weights of a warp's first chunk
};
} // namespace

//===-- Eight numbers at once ---------------------------------------------===//

/// The 16 bytes of eight stored numbers.
Value SkinnyEmitter::loadWords(Storage storage, Value base, Value offset) {
  return g.load(words, e.at(base, offset, cpu::elementOf(e, storage)), 16);
}

Value SkinnyEmitter::widen(Storage storage, Value stored) {
  auto halves = VectorType::get({8}, storage == Storage::F16 ? Type(g.f16)
                                                             : Type(g.bf16));
  Value x = LLVM::BitcastOp::create(e.b, e.loc, halves, stored);
  return arith::ExtFOp::create(e.b, e.loc, eight, x);
}

/// Eight stored numbers as f32, that begin at a multiple of 8.
Value SkinnyEmitter::loadEight(Storage storage, Value base, Value offset) {
  if (storage == Storage::F32)
    return g.load(eight, e.at(base, offset), 16);
  return widen(storage, loadWords(storage, base, offset));
}

/// Of a norm's weight or bias.
Value SkinnyEmitter::loadVector(Value argument, Value k) {
  return loadEight(frame.form(argument).storage, frame.operand(argument), k);
}

/// Four times two numbers, as tensor cores take them.
SmallVector<Value> SkinnyEmitter::split(Value words) {
  SmallVector<Value> parts;
  for (int64_t i = 0; i < 4; ++i) {
    Value part = LLVM::ExtractElementOp::create(e.b, e.loc, words,
                                                e.iconstant(e.i32, i));
    if (plan.half == Storage::F16)
      part = LLVM::BitcastOp::create(e.b, e.loc, VectorType::get({2}, g.f16),
                                     part);
    parts.push_back(part);
  }
  return parts;
}

/// Rounded within range, as a tile's rows are.
SmallVector<Value> SkinnyEmitter::packEight(Value x) {
  x = g.clip(plan.half, x);
  SmallVector<Value> numbers, parts;
  for (int64_t i = 0; i < 8; ++i)
    numbers.push_back(
        LLVM::ExtractElementOp::create(e.b, e.loc, x, e.iconstant(e.i32, i)));
  for (int64_t i = 0; i < 8; i += 2)
    parts.push_back(g.pack(plan.half, numbers[i], numbers[i + 1]));
  return parts;
}

//===-- The norm before ---------------------------------------------------===//

/// Where a warp's part of a row's moment is, in bytes of shared memory.
Value SkinnyEmitter::momentPlace(Value m, int64_t which, Value warp) {
  Value row = e.add(m, which * SkinnyTile::maxRows);
  return e.mul(e.add(e.mul(row, tile.warps), warp), 4);
}

/// This warp's part of the sum of f(x) over row m.
void SkinnyEmitter::storePart(Value m, int64_t which,
                              llvm::function_ref<Value(Value)> f) {
  Value offset = memory.offset(m);
  Value own =
      e.loop(e.mul(g.thread(), 8), e.constant(product.k), tile.threads() * 8,
             {e.fconstant(e.f32, 0)}, [&](Value k, ValueRange carried) {
               Value x =
                   f(loadEight(memory.storage, memory.base, e.add(offset, k)));
               return SmallVector<Value>{e.fadd(carried[0], e.reduceAdd(x))};
             })[0];
  Value sum = g.sumOverWarp(own);
  e.ifThen(e.equal(lane, e.constant(0)),
           [&] { g.store(sum, g.sharedAt(momentPlace(m, which, warp)), 4); });
}

/// A row's sum over k of all warps' parts, over the number of features.
Value SkinnyEmitter::moment(Value m, int64_t which) {
  Value sum = e.fconstant(e.f32, 0);
  for (int64_t i = 0; i < tile.warps; ++i)
    sum = e.fadd(
        sum,
        g.load(e.f32, g.sharedAt(momentPlace(m, which, e.constant(i))), 4));
  return e.fdiv(sum, e.fconstant(e.f32, static_cast<double>(product.k)));
}

/// The means of squares, or the means and then the variances.
void SkinnyEmitter::storeMoments() {
  auto squared = [&](Value x) { return e.fmul(x, x); };
  if (isa<vlm::RmsNormOp>(product.norm)) {
    e.loop(e.constant(0), rows, 1, [&](Value m) { storePart(m, 0, squared); });
    g.barrier();
    return;
  }
  e.loop(e.constant(0), rows, 1,
         [&](Value m) { storePart(m, 1, [](Value x) { return x; }); });
  g.barrier();
  e.loop(e.constant(0), rows, 1, [&](Value m) {
    Value mean = e.broadcast(eight, moment(m, 1));
    storePart(m, 0, [&](Value x) { return squared(e.fsub(x, mean)); });
  });
  g.barrier();
}

SkinnyEmitter::Row SkinnyEmitter::findRow(Value m) {
  Row row;
  row.isThere = e.less(m, rows);
  Value inside = e.min(m, e.sub(rows, e.constant(1)));
  row.offset = memory.offset(inside);
  if (!product.norm)
    return row;
  auto rms = dyn_cast<vlm::RmsNormOp>(product.norm);
  double epsilon =
      rms ? rms.getEpsilon().convertToDouble()
          : cast<vlm::LayerNormOp>(product.norm).getEpsilon().convertToDouble();
  Value squares = e.fadd(moment(inside, 0), e.fconstant(e.f32, epsilon));
  row.inverse = e.fdiv(e.fconstant(e.f32, 1), e.sqrt(squares));
  if (!rms)
    row.mean = moment(inside, 1);
  return row;
}

/// The norm of features [k, k + 8).
Value SkinnyEmitter::normalised(const Row &row, Value x, Value k) {
  Value inverse = e.broadcast(eight, row.inverse);
  if (auto rms = dyn_cast<vlm::RmsNormOp>(product.norm)) {
    Value weight = loadVector(rms.getWeight(), k);
    if (!rms.getOffset().isZero())
      weight =
          e.fadd(weight, e.fconstant(eight, rms.getOffset().convertToDouble()));
    return e.fmul(e.fmul(x, inverse), weight);
  }
  auto layer = cast<vlm::LayerNormOp>(product.norm);
  Value centred = e.fsub(x, e.broadcast(eight, row.mean));
  return e.fma(e.fmul(centred, inverse), loadVector(layer.getWeight(), k),
               loadVector(layer.getBias(), k));
}

/// Features [k, k + 8) of a row as tensor cores take them; 0 where there are
/// none.
SmallVector<Value> SkinnyEmitter::loadRow(const Row &row, Value k,
                                          Value isInside) {
  Value isThere = arith::AndIOp::create(e.b, e.loc, row.isThere, isInside);
  // Somewhere in memory where nothing is meant; nothing is branched around.
  Value place = e.select(isInside, k, e.constant(0));
  Value offset = e.add(row.offset, place);
  if (!product.norm && memory.storage == plan.half) {
    Value zero = LLVM::ZeroOp::create(e.b, e.loc, words);
    return split(e.select(
        isThere, loadWords(memory.storage, memory.base, offset), zero));
  }
  Value x = loadEight(memory.storage, memory.base, offset);
  if (product.norm)
    x = normalised(row, x, place);
  return packEight(e.select(isThere, x, e.fconstant(eight, 0)));
}

//===-- Products ----------------------------------------------------------===//

/// Features [k, k + 8) of two rows of the weight: this lane's, and the eighth
/// behind it.
SmallVector<Value> SkinnyEmitter::loadWeights(Value k, int64_t side) {
  SmallVector<Value> both;
  for (int64_t half = 0; half < 2; ++half) {
    Value column = e.add(firstColumn, e.add(e.div(lane, 4), half * 8));
    Value n = e.min(column, e.constant(product.columns - 1));
    Value row = e.add(n, side * product.columns);
    both.push_back(loadWords(plan.half, frame.operand(product.weight()),
                             e.add(e.mul(row, product.k), k)));
  }
  return both;
}

/// The weight's features [first, first + chunk()), and some place beyond the
/// last of them.
SmallVector<Value> SkinnyEmitter::loadChunk(Value first) {
  SmallVector<Value> weights;
  for (int64_t step = 0; step < tile.steps; ++step) {
    Value k = placeOf(first, step);
    Value inside = e.select(e.less(k, e.constant(product.k)), k, e.constant(0));
    for (int64_t side = 0; side < tile.sides; ++side)
      llvm::append_range(weights, loadWeights(inside, side));
  }
  return weights;
}

/// Adds the products of features [first, first + chunk()).
SkinnyEmitter::Sums SkinnyEmitter::multiplyChunk(Value first, ArrayRef<Row> own,
                                                 ValueRange weights,
                                                 Sums sums) {
  for (int64_t step = 0; step < tile.steps; ++step) {
    Value k = placeOf(first, step);
    Value isInside = e.less(k, e.constant(product.k));
    SmallVector<SmallVector<Value>> x;
    for (const Row &row : own)
      x.push_back(loadRow(row, k, isInside));
    for (int64_t side = 0; side < tile.sides; ++side) {
      ValueRange both = weights.slice((step * tile.sides + side) * 2, 2);
      SmallVector<Value> upper = split(both[0]), lower = split(both[1]);
      for (size_t t = 0; t < own.size(); ++t) {
        size_t at = (side * own.size() + t) * 4;
        for (int64_t i = 0; i < 4; i += 2) {
          SmallVector<Value> made = g.multiply(
              plan.half, {upper[i], lower[i], upper[i + 1], lower[i + 1]},
              {x[t][i], x[t][i + 1]}, ArrayRef(sums).slice(at, 4));
          llvm::copy(made, sums.begin() + at);
        }
      }
    }
  }
  return sums;
}

/// This warp's sums: element (column, row) at row * 16 + column of its part of
/// a side.
void SkinnyEmitter::storeSums(const Sums &sums, int64_t rowTiles) {
  for (int64_t side = 0; side < tile.sides; ++side)
    for (int64_t t = 0; t < rowTiles; ++t)
      for (int64_t i = 0; i < 4; ++i) {
        Value column = e.add(e.div(lane, 4), i / 2 * 8);
        Value row = e.add(e.mul(e.rem(lane, 4), 2), t * 8 + i % 2);
        Value part = e.add(e.mul(warp, tile.sides), side);
        Value place = e.add(e.mul(part, SkinnyTile::maxRows), row);
        place = e.add(e.mul(place, SkinnyTile::columns), column);
        g.store(sums[(side * rowTiles + t) * 4 + i],
                g.sharedAt(e.mul(place, 4)), 4);
      }
}

/// For up to 8 rows for each of `rowTiles`.
void SkinnyEmitter::multiplyFor(int64_t rowTiles) {
  SmallVector<Row> own;
  for (int64_t t = 0; t < rowTiles; ++t)
    own.push_back(findRow(e.add(e.div(lane, 4), t * 8)));
  // Moments lie where sums will.
  if (product.norm)
    g.barrier();
  SmallVector<Value> carried(tile.sides * rowTiles * 4, e.fconstant(e.f32, 0));
  size_t count = carried.size();
  llvm::append_range(carried, begun);
  int64_t stride = tile.warps * chunk();
  carried = e.loop(e.mul(warp, chunk()), e.constant(product.k), stride, carried,
                   [&](Value first, ValueRange now) {
                     // While these are multiplied the next ones come.
                     SmallVector<Value> next = loadChunk(e.add(first, stride));
                     Sums sums =
                         multiplyChunk(first, own, now.drop_front(count),
                                       Sums(now.take_front(count)));
                     llvm::append_range(sums, next);
                     return sums;
                   });
  storeSums(Sums(ArrayRef(carried).take_front(count)), rowTiles);
}

//===-- The epilogue ------------------------------------------------------===//

/// Each element by a thread: its sums of all warps, then what follows.
void SkinnyEmitter::finish() {
  int64_t elements = SkinnyTile::maxRows * SkinnyTile::columns;
  auto sumOf = [&](Value row, Value ownColumn, Value side) {
    Value sum = e.fconstant(e.f32, 0);
    for (int64_t i = 0; i < tile.warps; ++i) {
      Value part = e.add(side, i * tile.sides);
      Value place = e.add(e.mul(part, SkinnyTile::maxRows), row);
      place = e.add(e.mul(place, SkinnyTile::columns), ownColumn);
      sum = e.fadd(sum, g.load(e.f32, g.sharedAt(e.mul(place, 4)), 4));
    }
    return sum;
  };
  e.loop(g.thread(), e.constant(elements), tile.threads(), [&](Value i) {
    Value row = e.div(i, SkinnyTile::columns);
    Value ownColumn = e.rem(i, SkinnyTile::columns);
    Value column = e.add(firstColumn, ownColumn);
    Value isInside =
        arith::AndIOp::create(e.b, e.loc, e.less(row, rows),
                              e.less(column, e.constant(product.columns)));
    e.ifThen(isInside, [&] {
      finishSum(e, frame, product, row, column, [&](Value n) {
        return sumOf(row, ownColumn, e.div(n, product.columns));
      });
    });
  });
}

//===-- All of it ---------------------------------------------------------===//

void SkinnyEmitter::emit() {
  rows = frame.dims.rows(e, product.anchor->getResult(0));
  memory = *product.memory(e, frame);
  firstColumn = e.mul(g.block(gpu::Dimension::y), SkinnyTile::columns);
  lane = g.lane();
  warp = g.warp();
  // Weights are there before the launch before this one ends; rows are not.
  if (tile.startsEarly)
    g.intrinsic("nvvm.griddepcontrol.launch.dependents", {}, {});
  begun = loadChunk(e.mul(warp, chunk()));
  if (tile.startsEarly)
    g.intrinsic("nvvm.griddepcontrol.wait", {}, {});
  if (product.norm)
    storeMoments();
  // The second eight rows cost registers and loads where there are none.
  e.ifThenElse(
      e.less(rows, e.constant(9)), [&] { multiplyFor(1); },
      [&] { multiplyFor(2); });
  g.barrier();
  finish();
}

void cuda::emitSkinny(Emitter &e, cpu::KernelFrame &frame,
                      const KernelPlan &plan) {
  SkinnyEmitter(e, frame, plan).emit();
}
