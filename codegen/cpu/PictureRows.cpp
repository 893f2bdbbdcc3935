//===- PictureRows.cpp - the row-wise ops of pictures ---------------------===//
//
// Convolutions of each channel by itself, the weighing of channels, and
// positions in pictures of their own size, as parts of RowEmitter.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/RowEmitter.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

Row RowEmitter::prepareScaleFeatures(vlm::ScaleFeaturesOp op, Value m) {
  Value sequence = e.div(m, frame.dims.dim(op.getInput(), 1));
  Row input = prepare(op.getInput(), m);
  Row factors = prepare(op.getFactors(), sequence);
  return [=, this](Value k, Type type, int64_t valid) {
    return e.fmul(input(k, type, valid), factors(k, type, valid));
  };
}

/// Taps that lie outside of the picture are no part of the loops.
Row RowEmitter::prepareDepthwise(vlm::DepthwiseConv2dOp op, Value m) {
  ArrayRef<int64_t> weight =
      cast<RankedTensorType>(op.getWeight().getType()).getShape();
  int64_t height = op.getHeight(), width = op.getWidth();
  int64_t stride = op.getStride(), taps = weight[1];
  auto [down, across] = op.getResultSize();
  int64_t places = down * across, wide = across;
  Value place = e.rem(m, places);
  Value top = e.add(e.mul(e.div(place, wide), stride), -op.getPadding()[0]);
  Value left = e.add(e.mul(e.rem(place, wide), stride), -op.getPadding()[1]);
  Value corner = e.add(e.mul(e.div(m, places), height * width),
                       e.add(e.mul(top, width), left));
  auto bounds = [&](Value start, int64_t length, int64_t size) {
    return std::pair(e.max(e.sub(e.constant(0), start), e.constant(0)),
                     e.min(e.constant(size), e.sub(e.constant(length), start)));
  };
  auto [firstLine, endLine] = bounds(top, height, weight[0]);
  auto [firstColumn, endColumn] = bounds(left, width, taps);
  Row bias;
  if (op.getBias())
    bias = prepare(op.getBias(), e.constant(0));
  return [=, this](Value k, Type type, int64_t valid) mutable -> Value {
    Value sum = e.loop(
        firstLine, endLine, 1, {e.fconstant(type, 0)},
        [&](Value y, ValueRange outer) {
          return e.loop(
              firstColumn, endColumn, 1, outer, [&](Value x, ValueRange sums) {
                Value pixel = e.add(corner, e.add(e.mul(y, width), x));
                Value tap = e.add(e.mul(y, taps), x);
                Value read = prepare(op.getInput(), pixel)(k, type, valid);
                Value factor = prepare(op.getWeight(), tap)(k, type, valid);
                return SmallVector<Value>{e.fma(read, factor, sums[0])};
              });
        })[0];
    return bias ? e.fadd(sum, bias(k, type, valid)) : sum;
  };
}

namespace {

/// What place `i` of the `n` along a side reads of a table's `side` places.
class ResizedPlace {
public:
  ResizedPlace(Emitter &e, Value i, Value n, int64_t side) : e(e) {
    auto real = [&](double x) { return e.fconstant(e.f32, x); };
    Value scale = e.fdiv(real(double(side)), toFloat(n));
    Value support = e.fmax(scale, real(1));
    center = e.fmul(scale, e.fadd(toFloat(i), real(0.5)));
    inverse = e.fdiv(real(1), support);
    auto whole = [&](Value x) -> Value {
      return arith::FPToSIOp::create(e.b, e.loc, e.i64, e.fadd(x, real(0.5)));
    };
    first = e.max(whole(e.fsub(center, support)), e.constant(0));
    end = e.min(whole(e.fadd(center, support)), e.constant(side));
    total = e.loop(first, end, 1, {real(0)}, [&](Value j, ValueRange carried) {
      return SmallVector<Value>{e.fadd(carried[0], triangle(j))};
    })[0];
  }
  Value weight(Value j) { return e.fdiv(triangle(j), total); }

  Value first, end;

private:
  Value toFloat(Value x) {
    return arith::SIToFPOp::create(e.b, e.loc, e.f32, x);
  }
  Value triangle(Value j) {
    Value distance = e.fmul(
        e.fadd(e.fsub(toFloat(j), center), e.fconstant(e.f32, 0.5)), inverse);
    Value height =
        e.fsub(e.fconstant(e.f32, 1), e.fmax(distance, e.fneg(distance)));
    return e.fmax(height, e.fconstant(e.f32, 0));
  }

  Emitter &e;
  Value center, inverse, total;
};

} // namespace

/// The bucket of place `i` of the `n` along a side.
static Value emitBucket(Emitter &e, Value i, Value n,
                        ArrayRef<float> boundaries) {
  auto toFloat = [&](Value x) -> Value {
    return arith::SIToFPOp::create(e.b, e.loc, e.f32, x);
  };
  Value step = e.fdiv(e.fconstant(e.f32, 1), toFloat(n));
  Value place = e.fmin(e.fmul(toFloat(i), step),
                       e.fconstant(e.f32, double(float(1.0 - 1e-6))));
  Value bucket = e.constant(0);
  for (float boundary : boundaries) {
    Value isBehind =
        arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLE,
                              e.fconstant(e.f32, boundary), place);
    bucket = e.add(bucket, e.select(isBehind, e.constant(1), e.constant(0)));
  }
  return bucket;
}

Row RowEmitter::prepareGridPositions(vlm::AddGridPositionsOp op, Value m) {
  Value tokens = frame.dims.dim(op.getInput(), 1);
  Value number = e.mul(e.div(m, tokens), 2);
  auto side = [&](int64_t which) {
    Value at = e.at(frame.operand(op.getGrid()), e.add(number, which), e.i64);
    return e.max(e.load(e.i64, at, 8), e.constant(1));
  };
  Value lines = side(0), columns = side(1), token = e.rem(m, tokens);
  Value isThere = e.less(token, e.mul(lines, columns));
  token = e.select(isThere, token, e.constant(0));
  Value line = e.div(token, columns), column = e.rem(token, columns);
  int64_t size = op.getSide();
  Row input = prepare(op.getInput(), m);
  if (std::optional<ArrayRef<float>> boundaries = op.getBoundaries()) {
    Value row = e.add(e.mul(emitBucket(e, line, lines, *boundaries), size),
                      emitBucket(e, column, columns, *boundaries));
    Row position = prepare(op.getTable(), row);
    return [=, this](Value k, Type type, int64_t valid) {
      return e.fadd(input(k, type, valid), position(k, type, valid));
    };
  }
  // A single column is read as the op's description says.
  Value isNarrow = arith::AndIOp::create(
      e.b, e.loc, e.equal(columns, e.constant(1)),
      arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, lines,
                            e.constant(size)));
  line = e.select(isNarrow, e.constant(0), line);
  ResizedPlace y(e, line, lines, size), x(e, column, columns, size);
  return [=, this](Value k, Type type, int64_t valid) mutable -> Value {
    Value zero = e.fconstant(type, 0);
    auto add = [&](Value weight, Value value, Value sum) {
      return SmallVector<Value>{e.fma(e.broadcast(type, weight), value, sum)};
    };
    Value sum =
        e.loop(y.first, y.end, 1, {zero}, [&](Value i, ValueRange carried) {
          Value along =
              e.loop(x.first, x.end, 1, {zero}, [&](Value j, ValueRange inner) {
                Row row = prepare(op.getTable(), e.add(e.mul(i, size), j));
                return add(x.weight(j), row(k, type, valid), inner[0]);
              })[0];
          return add(y.weight(i), along, carried[0]);
        })[0];
    return e.fadd(input(k, type, valid), sum);
  };
}
