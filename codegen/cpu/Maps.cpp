//===- Maps.cpp - kernels over maps of places, channel by channel ---------===//
//
// Convolutions of each channel by itself with what follows them element by
// element, and means and maxima over all places of a picture. Vectors hold
// channels. Every sum runs over ascending places in an order that depends on
// the sizes of the map only.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

/// A task is a line of the result. Where all columns of the windows lie within
/// the picture, a few neighbouring places are computed together: their windows
/// share pixels and weights.
class DepthwiseGenerator {
public:
  DepthwiseGenerator(Emitter &e, vlm::KernelOp kernel) : e(e), kernel(kernel) {
    for (Operation &inner : kernel.getBody().front())
      if (auto found = dyn_cast<vlm::DepthwiseConv2dOp>(inner))
        op = found;
    ArrayRef<int64_t> weight =
        cast<RankedTensorType>(op.getWeight().getType()).getShape();
    down = weight[0];
    across = weight[1];
    channels = weight[2];
    height = op.getHeight();
    width = op.getWidth();
    stride = op.getStride();
    top = op.getPadding()[0];
    left = op.getPadding()[1];
    std::tie(lines, columns) = op.getResultSize();
  }

  void generate(StringRef prefix, KernelCode &code) {
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          KernelFrame frame(e, kernel, args);
          e.loop(begin, end, 1, [&](Value task) { emitLine(frame, task); });
        },
        [&](DimFrame &dims) {
          return e.mul(dims.dim(op.getInput(), 0), lines);
        });
  }

private:
  static constexpr int64_t places = 4; ///< computed together

  void emitLine(KernelFrame &frame, Value task);
  void emitPlaces(KernelFrame &frame, Value x, int64_t count, bool isInner);
  SmallVector<Value> emitSums(KernelFrame &frame, Value x, int64_t count,
                              bool isInner, Value k, int64_t valid);
  SmallVector<Value> emitTaps(KernelFrame &frame, Value pixel, Value tap,
                              ValueRange sums, Value k, int64_t valid);

  Emitter &e;
  vlm::KernelOp kernel;
  vlm::DepthwiseConv2dOp op;
  int64_t down, across, channels, height, width, stride, top, left;
  int64_t lines, columns;
  /// Of the line at work: the first row of the result, the first pixel of its
  /// picture, where windows begin, and the lines of them that there are.
  Value firstRow, picture, windowTop, firstTap, endTap;
};

} // namespace

void DepthwiseGenerator::emitLine(KernelFrame &frame, Value task) {
  Value line = e.rem(task, lines);
  firstRow = e.mul(task, columns);
  picture = e.mul(e.div(task, lines), height * width);
  windowTop = e.add(e.mul(line, stride), -top);
  firstTap = e.max(e.sub(e.constant(0), windowTop), e.constant(0));
  endTap = e.min(e.constant(down), e.sub(e.constant(height), windowTop));
  // Columns of the result whose windows lie within the picture.
  int64_t begin = std::min((left + stride - 1) / stride, columns);
  int64_t room = width - across + left;
  int64_t end =
      room < 0 ? begin : std::clamp(room / stride + 1, begin, columns);
  int64_t whole = begin + (end - begin) / places * places;
  auto loop = [&](int64_t from, int64_t to, int64_t count, bool isInner) {
    if (from < to)
      e.loop(e.constant(from), e.constant(to), count,
             [&](Value x) { emitPlaces(frame, x, count, isInner); });
  };
  loop(0, begin, 1, false);
  loop(begin, whole, places, true);
  loop(whole, end, 1, true);
  loop(end, columns, 1, false);
}

void DepthwiseGenerator::emitPlaces(KernelFrame &frame, Value x, int64_t count,
                                    bool isInner) {
  Value yielded = kernel.getYielded()[0];
  RowEmitter rows(e, frame);
  rows.forFeatures(channels, [&](Value k, Type type, int64_t valid) {
    SmallVector<Value> sums = emitSums(frame, x, count, isInner, k, valid);
    for (int64_t i = 0; i < count; ++i) {
      Value m = e.add(firstRow, e.add(x, i));
      rows.setAnchor(op.getResult(), [&](Value) -> Row {
        return [sum = sums[i]](Value, Type, int64_t) { return sum; };
      });
      Row row = rows.prepare(yielded, m);
      e.storeMasked(row(k, type, valid),
                    e.at(frame.result(0), e.add(e.mul(m, channels), k)), valid);
    }
  });
}

/// The sums of `count` places from `x` on, bias included.
SmallVector<Value> DepthwiseGenerator::emitSums(KernelFrame &frame, Value x,
                                                int64_t count, bool isInner,
                                                Value k, int64_t valid) {
  Value windowLeft = e.add(e.mul(x, stride), -left);
  SmallVector<Value> zeros(count, e.fconstant(e.vector, 0));
  SmallVector<Value> sums =
      e.loop(firstTap, endTap, 1, zeros, [&](Value y, ValueRange carried) {
        Value pixel = e.add(
            picture, e.add(e.mul(e.add(windowTop, y), width), windowLeft));
        Value tap = e.mul(y, across);
        if (isInner)
          return emitTaps(frame, pixel, tap, carried, k, valid);
        Value first = e.max(e.sub(e.constant(0), windowLeft), e.constant(0));
        Value end =
            e.min(e.constant(across), e.sub(e.constant(width), windowLeft));
        return e.loop(first, end, 1, carried, [&](Value i, ValueRange inner) {
          RowEmitter rows(e, frame);
          Value read =
              rows.prepare(op.getInput(), e.add(pixel, i))(k, e.vector, valid);
          Value factor =
              rows.prepare(op.getWeight(), e.add(tap, i))(k, e.vector, valid);
          return SmallVector<Value>{e.fma(read, factor, inner[0])};
        });
      });
  if (!op.getBias())
    return sums;
  Value bias = RowEmitter(e, frame).prepare(op.getBias(),
                                            e.constant(0))(k, e.vector, valid);
  for (Value &sum : sums)
    sum = e.fadd(sum, bias);
  return sums;
}

/// One line of the windows of several places, each pixel read once.
SmallVector<Value> DepthwiseGenerator::emitTaps(KernelFrame &frame, Value pixel,
                                                Value tap, ValueRange sums,
                                                Value k, int64_t valid) {
  RowEmitter rows(e, frame);
  SmallVector<Value> results(sums), factors;
  for (int64_t i = 0; i < across; ++i)
    factors.push_back(
        rows.prepare(op.getWeight(), e.add(tap, i))(k, e.vector, valid));
  auto count = static_cast<int64_t>(sums.size());
  for (int64_t at = 0; at < (count - 1) * stride + across; ++at) {
    Value read;
    for (int64_t place = 0; place < count; ++place) {
      int64_t column = at - place * stride;
      if (column < 0 || column >= across)
        continue;
      if (!read)
        read =
            rows.prepare(op.getInput(), e.add(pixel, at))(k, e.vector, valid);
      results[place] = e.fma(read, factors[column], results[place]);
    }
  }
  return results;
}

void cpu::generateDepthwise(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                            KernelCode &code) {
  DepthwiseGenerator(e, kernel).generate(prefix, code);
}

//===-- All places
//------------------------------------------------------------------------------------------------------------------------===//

namespace {

/// A task is a stretch of channels of one picture.
class TokenPoolGenerator {
public:
  TokenPoolGenerator(Emitter &e, vlm::KernelOp kernel) : e(e), kernel(kernel) {
    op = kernel.getYielded()[0].getDefiningOp();
    isMean = isa<vlm::MeanTokensOp>(op);
    input = op->getOperand(0);
    features = vlm::getFeatures(input);
    stretch = vectors * e.lanes();
    stretches = llvm::divideCeil(features, stretch);
  }

  void generate(StringRef prefix, KernelCode &code) {
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          KernelFrame frame(e, kernel, args);
          e.loop(begin, end, 1, [&](Value task) {
            Value sequence = e.div(task, stretches);
            Value first = e.mul(e.rem(task, stretches), stretch);
            int64_t left = features - (stretches - 1) * stretch;
            if (left == stretch)
              return emitStretch(frame, sequence, first, stretch);
            e.ifThenElse(
                e.less(first, e.constant(features - left)),
                [&] { emitStretch(frame, sequence, first, stretch); },
                [&] { emitStretch(frame, sequence, first, left); });
          });
        },
        [&](DimFrame &dims) { return e.mul(dims.dim(input, 0), stretches); });
  }

private:
  static constexpr int64_t vectors = 4;

  int64_t validOf(int64_t vector, int64_t count) const {
    return std::min(e.lanes(), count - vector * e.lanes());
  }
  void emitStretch(KernelFrame &frame, Value sequence, Value first,
                   int64_t count);

  Emitter &e;
  vlm::KernelOp kernel;
  Operation *op;
  bool isMean;
  Value input;
  int64_t features, stretch, stretches;
};

} // namespace

/// Channels [first, first + count) of a sequence; means are summed in f64.
void TokenPoolGenerator::emitStretch(KernelFrame &frame, Value sequence,
                                     Value first, int64_t count) {
  Value tokens = frame.dims.dim(input, 1);
  Value row = e.mul(sequence, tokens);
  Type wide = isMean ? Type(e.vector.clone(e.b.getF64Type())) : Type(e.vector);
  double start = isMean ? 0 : -std::numeric_limits<double>::infinity();
  Value init = arith::ConstantOp::create(
      e.b, e.loc,
      DenseElementsAttr::get(
          cast<ShapedType>(wide),
          e.b.getFloatAttr(cast<ShapedType>(wide).getElementType(), start)));
  int64_t used = llvm::divideCeil(count, e.lanes());
  SmallVector<Value> sums = e.loop(
      e.constant(0), tokens, 1, SmallVector<Value>(used, init),
      [&](Value t, ValueRange carried) {
        RowEmitter rows(e, frame); // which its rows point to
        Row read = rows.prepare(input, e.add(row, t));
        SmallVector<Value> next;
        for (int64_t i = 0; i < used; ++i) {
          Value x =
              read(e.add(first, i * e.lanes()), e.vector, validOf(i, count));
          next.push_back(isMean ? e.fadd(carried[i], arith::ExtFOp::create(
                                                         e.b, e.loc, wide, x))
                                : e.fmax(carried[i], x));
        }
        return next;
      });
  Value divisor;
  if (isMean)
    divisor = vector::BroadcastOp::create(
        e.b, e.loc, wide,
        arith::SIToFPOp::create(e.b, e.loc, e.b.getF64Type(), tokens));
  for (int64_t i = 0; i < used; ++i) {
    Value x = sums[i];
    if (isMean)
      x = arith::TruncFOp::create(
          e.b, e.loc, e.vector, arith::DivFOp::create(e.b, e.loc, x, divisor));
    Value at = e.add(e.mul(sequence, features), e.add(first, i * e.lanes()));
    e.storeMasked(x, e.at(frame.result(0), at), validOf(i, count));
  }
}

void cpu::generateTokenPool(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                            KernelCode &code) {
  TokenPoolGenerator(e, kernel).generate(prefix, code);
}
