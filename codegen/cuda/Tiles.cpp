//===-- Tiles.cpp - tiles of 16-bit values in shared memory ---------------===//
#include "codegen/cuda/Tiles.h"
#include <numeric>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

Value SharedTile::offset(Emitter &e, Value row, Value chunk) const {
  int64_t count = chunks();
  Value line = e.mul(row, rowBytes());
  if (!isSwizzled() || count == 1)
    return e.add(line, e.mul(chunk, 16));
  // Short rows share the 128 bytes of all banks with their neighbours.
  Value key = count >= 8 ? e.rem(row, 8) : e.rem(e.div(row, 8 / count), count);
  Value place = arith::XOrIOp::create(e.b, e.loc, chunk, key);
  return e.add(line, e.mul(place, 16));
}

Value cuda::matrixAddress(Gpu &g, const SharedTile &tile, Value base,
                          Value lane, Value row, Value chunk, bool rowsFirst) {
  Emitter &e = g.e;
  Value inside = e.rem(lane, 8);
  Value fast = e.rem(e.div(lane, 8), 2), slow = e.div(lane, 16);
  Value down = rowsFirst ? fast : slow, across = rowsFirst ? slow : fast;
  Value at = tile.offset(e, e.add(e.add(row, inside), e.mul(down, 8)),
                         e.add(chunk, across));
  return g.sharedAt(e.add(base, at));
}

//===-- Where rows are ----------------------------------------------------===//

std::optional<MemoryRows> cuda::memoryRows(Emitter &e,
                                           const cpu::KernelFrame &frame,
                                           Value value, Operation *passed) {
  if (isa<BlockArgument>(value)) {
    cpu::WeightForm form = frame.form(value);
    if (form.panels)
      return std::nullopt;
    int64_t features = vlm::getFeatures(value);
    return MemoryRows{form.storage, frame.operand(value),
                      [&e, features](Value m) { return e.mul(m, features); },
                      features};
  }
  Operation *op = value.getDefiningOp();
  if (op == passed)
    return memoryRows(e, frame, op->getOperand(0));
  if (auto squeeze = dyn_cast<vlm::SqueezeOp>(op))
    return memoryRows(e, frame, squeeze.getInput(), passed);
  if (auto slice = dyn_cast<vlm::SliceFeaturesOp>(op)) {
    auto rows = memoryRows(e, frame, slice.getInput(), passed);
    if (!rows)
      return rows;
    int64_t begin = slice.getBegin(), length = vlm::getFeatures(value);
    rows->offset = [&e, begin, inner = rows->offset](Value m) {
      return e.add(inner(m), begin);
    };
    rows->alignment = std::gcd(rows->alignment, std::gcd(begin, length));
    return rows;
  }
  auto take = dyn_cast<vlm::TakeTokensOp>(op);
  if (!take)
    return std::nullopt;
  auto rows = memoryRows(e, frame, take.getInput(), passed);
  if (!rows)
    return rows;
  Value tokens = frame.dims.dim(take.getInput(), 1);
  if (!take.getIndex()) {
    int64_t position = *take.getPosition();
    rows->offset = [&e, tokens, position, inner = rows->offset](Value m) {
      Value begin = e.mul(position < 0 ? e.add(m, 1) : m, tokens);
      return inner(e.add(begin, position));
    };
    return rows;
  }
  Value index = frame.operand(take.getIndex());
  Value count = frame.dims.dim(take.getResult(), 1);
  rows->offset = [&e, tokens, index, count, inner = rows->offset](Value m) {
    Value token = arith::ExtSIOp::create(e.b, e.loc, e.i64,
                                         e.load(e.i32, e.at(index, m, e.i32)));
    return inner(e.add(e.mul(e.div(m, count), tokens), token));
  };
  return rows;
}

//===-- Loading -----------------------------------------------------------===//

/// The widest copy that rows allow; 0: none does.
int64_t TileLoader::copyBytes() const {
  if (!source.memory || source.memory->storage != storage)
    return 0;
  int64_t bytes = std::gcd(source.memory->alignment, source.columns) * 2;
  for (int64_t width : {16, 8, 4})
    if (bytes % width == 0)
      return width;
  return 0;
}

void TileLoader::copyUnit(Value base, Value first, Value unit, int64_t bytes) {
  int64_t elements = bytes / 2, perRow = tile.columns / elements;
  Value row = e.div(unit, perRow),
        column = e.mul(e.rem(unit, perRow), elements);
  Value k = e.add(first, column);
  Value isInside = arith::AndIOp::create(e.b, e.loc, source.isValid(row),
                                         e.less(k, e.constant(source.columns)));
  Value from = e.at(source.memory->base,
                    e.add(source.memory->offset(source.row(row)), k),
                    cpu::elementOf(e, storage));
  Value chunk = tile.offset(e, row, e.div(column, 8));
  Value to = e.add(base, e.add(chunk, e.mul(e.rem(column, 8), 2)));
  g.copyAsync(g.sharedAt(to), from, bytes, isInside);
}

/// One element, converted.
void TileLoader::writeElement(Value base, Value first, Value unit) {
  Value row = e.div(unit, tile.columns), column = e.rem(unit, tile.columns);
  Value k = e.add(first, column);
  Value isInside = arith::AndIOp::create(e.b, e.loc, source.isValid(row),
                                         e.less(k, e.constant(source.columns)));
  auto branch = scf::IfOp::create(e.b, e.loc, e.f32, isInside, true);
  {
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    Value m = source.row(row), x;
    if (source.memory) {
      Type element = cpu::elementOf(e, source.memory->storage);
      x = cpu::loadStored(e, source.memory->storage, e.f32,
                          e.at(source.memory->base,
                               e.add(source.memory->offset(m), k), element),
                          1);
    } else {
      x = source.element(m, k);
    }
    scf::YieldOp::create(e.b, e.loc, x);
    e.b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(e.b, e.loc, e.fconstant(e.f32, 0));
  }
  Value to = e.add(base, e.add(tile.offset(e, row, e.div(column, 8)),
                               e.mul(e.rem(column, 8), 2)));
  g.store(g.narrowWithin(storage, branch.getResult(0)), g.sharedAt(to), 2);
}

void TileLoader::load(Value base, Value first) {
  int64_t bytes = copyBytes();
  int64_t units = tile.rows * tile.columns / (bytes ? bytes / 2 : 1);
  int64_t rounds = (units + threads - 1) / threads;
  Value thread = g.thread();
  auto one = [&](Value round) {
    Value unit = e.add(e.mul(round, threads), thread);
    auto body = [&] {
      bytes ? copyUnit(base, first, unit, bytes)
            : writeElement(base, first, unit);
    };
    units % threads ? e.ifThen(e.less(unit, e.constant(units)), body) : body();
  };
  // Wide copies are few, and their addresses are computed once outside of the
  // loop around; others are written as a loop.
  if (rounds <= 8 && bytes) {
    for (int64_t round = 0; round < rounds; ++round)
      one(e.constant(round));
    return;
  }
  e.loop(e.constant(0), e.constant(rounds), 1, one);
}
