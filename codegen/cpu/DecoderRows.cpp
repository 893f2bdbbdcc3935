//===- DecoderRows.cpp - the row-wise ops of decoders ---------------------===//
//
// RMSNorm, products, rotary positions and the merging of picture features, as
// parts of RowEmitter; and the kernel that makes a rotary table.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"
#include "codegen/cpu/VectorMath.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cfloat>
#include <numbers>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

Row RowEmitter::prepareSliceTokens(vlm::SliceTokensOp op, Value m) {
  Value all = frame.dims.dim(op.getInput(), 1);
  int64_t begin = op.getBegin(), kept = int64_t(op.getEnd()) - begin;
  Value batch = e.div(m, kept), token = e.rem(m, kept);
  return prepare(op.getInput(), e.add(e.add(e.mul(batch, all), token), begin));
}

/// Tokens that are not shown have a factor of 0: what is added is then 0, unless
/// the branch is not finite, so a selection decides.
Row RowEmitter::prepareGatedAdd(vlm::GatedAddOp op, Value m) {
  Row residual = prepare(op.getResidual(), m), branch = prepare(op.getBranch(), m);
  Row gate = prepare(op.getGate(), e.constant(0));
  bool isScalar = vlm::getFeatures(op.getGate()) == 1;
  Value factor, isHidden;
  if (isScalar)
    factor = emitTanh(e, gate(e.constant(0), e.f32, 1));
  if (op.getShown()) {
    Value shown = e.load(e.i32, e.at(frame.operand(op.getShown()), m, e.i32));
    shown = arith::ExtSIOp::create(e.b, e.loc, e.i64, shown);
    isHidden = e.equal(shown, e.constant(0));
  }
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    Value x = residual(k, type, valid);
    Value open = isScalar ? e.broadcast(type, factor)
                          : emitTanh(e, gate(k, type, valid));
    Value sum = e.fma(open, branch(k, type, valid), x);
    return isHidden ? e.select(isHidden, x, sum) : sum;
  };
}

Row RowEmitter::prepareReplaceTokens(vlm::ReplaceTokensOp op, Value m) {
  auto type = cast<RankedTensorType>(op.getTokens().getType());
  Value front = e.constant(type.getDimSize(type.getRank() - 2));
  Value all = frame.dims.dim(op.getInput(), 1);
  Value batch = e.div(m, all), token = e.rem(m, all);
  Value isFront = e.less(token, front);
  // Both rows are addressed within bounds; the selection decides.
  Value number = e.min(token, e.sub(front, e.constant(1)));
  if (type.getRank() == 3)
    number = e.add(e.mul(batch, front), number);
  Row tokens = prepare(op.getTokens(), number);
  Row input = prepare(op.getInput(), m);
  return [=, this](Value k, Type type, int64_t valid) {
    return e.select(isFront, tokens(k, type, valid), input(k, type, valid));
  };
}

/// Moments are read for each group, or lane by lane where groups are shorter
/// than vectors or cut by them.
Row RowEmitter::prepareGroupNorm(vlm::GroupNormOp op, Value m) {
  int64_t groups =
      cast<RankedTensorType>(op.getMoments().getType()).getDimSize(1);
  int64_t group = vlm::getFeatures(op.getInput()) / groups;
  Value first =
      e.mul(e.div(m, frame.dims.dim(op.getInput(), 1)), groups);
  Value moments = e.at(frame.operand(op.getMoments()), e.mul(first, 2));
  Row input = prepare(op.getInput(), m);
  Row weight = prepare(op.getWeight(), e.constant(0));
  Row bias = prepare(op.getBias(), e.constant(0));
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    auto moment = [&](int64_t which) {
      return lanewise(k, type, valid, group, [&](Value at, Type part, int64_t) {
        Value pair = e.mul(e.div(at, group), 2);
        return e.broadcast(
            part, e.load(e.f32, e.at(moments, e.add(pair, which))));
      });
    };
    Value centred = e.fsub(input(k, type, valid), moment(0));
    return e.fma(e.fmul(centred, moment(1)), weight(k, type, valid),
                 bias(k, type, valid));
  };
}

Row RowEmitter::prepareMaskFeatures(vlm::MaskFeaturesOp op, Value m) {
  Row input = prepare(op.getInput(), m);
  SmallVector<int64_t> ranges(op.getRanges());
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    Value x = input(k, type, valid);
    auto vectorType = dyn_cast<VectorType>(type);
    int64_t lanes = vectorType ? vectorType.getNumElements() : 1;
    Type ints = e.intTypeOf(type);
    Value number = arith::TruncIOp::create(e.b, e.loc, e.i32, k);
    if (vectorType) {
      SmallVector<int32_t> ascending = llvm::to_vector(
          llvm::map_range(llvm::seq<int64_t>(0, lanes),
                          [](int64_t i) { return static_cast<int32_t>(i); }));
      Value offsets = arith::ConstantOp::create(
          e.b, e.loc,
          DenseElementsAttr::get(cast<ShapedType>(ints),
                                 ArrayRef<int32_t>(ascending)));
      number = arith::AddIOp::create(e.b, e.loc, e.broadcast(ints, number),
                                     offsets);
    }
    auto compare = [&](arith::CmpIPredicate predicate, int64_t bound) -> Value {
      return arith::CmpIOp::create(e.b, e.loc, predicate, number,
                                   e.iconstant(ints, bound));
    };
    for (size_t i = 0; i < ranges.size(); i += 2) {
      Value isWithin = arith::AndIOp::create(
          e.b, e.loc, compare(arith::CmpIPredicate::sge, ranges[i]),
          compare(arith::CmpIPredicate::slt, ranges[i + 1]));
      x = e.select(isWithin, e.fconstant(type, -FLT_MAX), x);
    }
    return x;
  };
}

Row RowEmitter::prepareMultiply(vlm::MultiplyOp op, Value m) {
  Row lhs = prepare(op.getLhs(), m), rhs = prepare(op.getRhs(), m);
  return [this, lhs, rhs](Value k, Type type, int64_t valid) {
    return e.fmul(lhs(k, type, valid), rhs(k, type, valid));
  };
}

Row RowEmitter::prepareMergeTokens(vlm::MergeTokensOp op, Value m) {
  Value number = e.load(e.i32, e.at(frame.operand(op.getRow()), m, e.i32));
  number = arith::ExtSIOp::create(e.b, e.loc, e.i64, number);
  Value isOwn = e.less(number, e.constant(0));
  Row own = prepare(op.getInput(), m);
  Value features = op.getFeatures();
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    auto branch = scf::IfOp::create(e.b, e.loc, type, isOwn, true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(e.b, e.loc, own(k, type, valid));
    // Prepared here: where no feature is meant, there may be none to read.
    e.b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(e.b, e.loc, prepare(features, number)(k, type, valid));
    return branch.getResult(0);
  };
}

//===----------------------------------------------------------------------===//
// RMSNorm
//===----------------------------------------------------------------------===//

/// 1 / sqrt(mean of squares + epsilon) of a group that begins at `first`.
Value RowEmitter::inverseRms(const Row &input, Value first, int64_t group,
                             double epsilon) {
  Value squares = sumOver(group, [&](Value k, Type type, int64_t valid) {
    Value x = input(e.add(first, k), type, valid);
    return e.fmul(x, x);
  });
  Value mean = e.fdiv(squares, e.fconstant(e.f32, double(group)));
  return e.fdiv(e.fconstant(e.f32, 1),
                e.sqrt(e.fadd(mean, e.fconstant(e.f32, epsilon))));
}

Row RowEmitter::groupNorm(const Row &input, const Row &weight, const Row &bias,
                          int64_t group, double epsilon,
                          bool hasOwnWeights) {
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    return lanewise(k, type, valid, group, [&](Value at, Type part, int64_t n) {
      Value first = e.mul(e.div(at, group), group);
      Row inGroup = [&](Value d, Type type, int64_t valid) {
        return input(e.add(first, d), type, valid);
      };
      SmallVector<Value> sums = moments(inGroup, group, epsilon);
      Value centred = e.fsub(input(at, part, n), e.broadcast(part, sums[0]));
      Value d = hasOwnWeights ? at : e.sub(at, first);
      return e.fma(e.fmul(centred, e.broadcast(part, sums[1])),
                   weight(d, part, n), bias(d, part, n));
    });
  };
}

Row RowEmitter::prepareRmsNorm(vlm::RmsNormOp op, Value m) {
  int64_t features = vlm::getFeatures(op.getInput());
  int64_t group = vlm::getFeatures(op.getWeight());
  double epsilon = op.getEpsilon().convertToDouble();
  Value offset = e.fconstant(e.f32, op.getOffset().convertToDouble());
  bool hasOffset = !op.getOffset().isZero();
  Row input = prepare(op.getInput(), m);
  Row weight = prepare(op.getWeight(), e.constant(0));
  auto scaled = [=, this](Value x, Value w, Value inverse, Type type) {
    if (hasOffset)
      w = e.fadd(w, e.broadcast(type, offset));
    return e.fmul(e.fmul(x, e.broadcast(type, inverse)), w);
  };
  if (group == features) {
    Value inverse = ofRow(op, m, [=](RowEmitter &rows, Value row) mutable {
      return SmallVector<Value>{rows.inverseRms(rows.prepare(op.getInput(), row),
                                                rows.e.constant(0), group,
                                                epsilon)};
    })[0];
    return [=](Value k, Type type, int64_t valid) {
      return scaled(input(k, type, valid), weight(k, type, valid), inverse,
                    type);
    };
  }
  // Group by group: what reads a whole group reads it in order, so that the
  // norm is taken anew with each vector only where groups are that short.
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    return lanewise(k, type, valid, group, [&](Value at, Type part, int64_t n) {
      Value first = e.mul(e.div(at, group), group);
      Value inverse = inverseRms(input, first, group, epsilon);
      return scaled(input(at, part, n), weight(e.sub(at, first), part, n),
                    inverse, part);
    });
  };
}

/// Features [k, k + lanes) by `body`, which may take stretches within a group
/// alone: whole vectors where they fit groups, else lane by lane.
Value RowEmitter::lanewise(
    Value k, Type type, int64_t valid, int64_t group,
    llvm::function_ref<Value(Value, Type, int64_t)> body) {
  auto vectorType = dyn_cast<VectorType>(type);
  if (!vectorType || (group % vectorType.getNumElements() == 0 &&
                      valid == vectorType.getNumElements()))
    return body(k, type, valid);
  Value x = e.fconstant(type, 0);
  for (int64_t lane = 0; lane < valid; ++lane)
    x = vector::InsertOp::create(e.b, e.loc, body(e.add(k, lane), e.f32, 1), x,
                                 lane);
  return x;
}

//===----------------------------------------------------------------------===//
// Rotary positions
//===----------------------------------------------------------------------===//

Row RowEmitter::prepareRope(vlm::RopeOp op, Value m) {
  int64_t head = vlm::getFeatures(op.getInput()) / int64_t(op.getNumHeads());
  int64_t half = vlm::getFeatures(op.getTable()) / 2;
  bool interleaved = op.getInterleaved();
  Row input = prepare(op.getInput(), m), table = prepare(op.getTable(), m);
  // Stretches within one half of a head go as vectors. Interleaved pairs go
  // lane by lane.
  int64_t group = interleaved ? 1 : head % half == 0 ? half : 1;
  return [=, this](Value k, Type type, int64_t valid) -> Value {
    return lanewise(k, type, valid, group, [&](Value at, Type part, int64_t n) {
      Value d = e.rem(at, head);
      Value isFirst, pair, partner;
      if (interleaved) {
        isFirst = e.equal(e.rem(d, 2), e.constant(0));
        pair = e.div(d, 2);
        partner = e.select(isFirst, e.add(at, 1), e.sub(at, e.constant(1)));
      } else {
        isFirst = e.less(d, e.constant(half));
        pair = e.select(isFirst, d, e.sub(d, e.constant(half)));
        partner =
            e.select(isFirst, e.add(at, half), e.sub(at, e.constant(half)));
      }
      Value isTurned = e.less(d, e.constant(2 * half));
      pair = e.select(isTurned, pair, e.constant(0));
      partner = e.select(isTurned, partner, at);
      Value cosine = table(pair, part, n),
            sine = table(e.add(pair, half), part, n);
      Value x = input(at, part, n), y = input(partner, part, n);
      Value turn = e.fmul(y, sine);
      Value turned =
          e.fadd(e.fmul(x, cosine), e.select(isFirst, e.fneg(turn), turn));
      return e.select(isTurned, turned, x);
    });
  };
}

namespace {

/// Sine and cosine of f32 vectors by arithmetic in f64, so that even angles of
/// a million are right to the last bit or so.
class SineCosine {
public:
  explicit SineCosine(Emitter &e) : e(e) {}

  /// The pair for a vector of angles.
  std::pair<Value, Value> emit(Value angle) {
    wide = cast<VectorType>(angle.getType()).clone(e.b.getF64Type());
    Value x = arith::ExtFOp::create(e.b, e.loc, wide, angle);
    Value turns = math::RoundEvenOp::create(
        e.b, e.loc, e.fmul(x, constant(2 / std::numbers::pi)));
    // pi / 2 in two parts: the product is exact enough for every f32 position.
    Value r = e.fma(turns, constant(-1.5707963267948966), x);
    r = e.fma(turns, constant(-6.123233995736766e-17), r);
    Value square = e.fmul(r, r);
    Value sine = e.fma(e.fmul(r, square), polynomial(square, sineTerms), r);
    Value cosine = e.fma(square, polynomial(square, cosineTerms), constant(1));
    return quadrant(turns, sine, cosine, angle.getType());
  }

private:
  Emitter &e;
  VectorType wide;
  // Taylor's; on [-pi/4, pi/4] the first term left out is below 1e-13.
  static constexpr std::array<double, 6> sineTerms = {
      -1.0 / 6,     1.0 / 120,       -1.0 / 5040,
      1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800};
  static constexpr std::array<double, 7> cosineTerms = {
      -1.0 / 2,       1.0 / 24,        -1.0 / 720,        1.0 / 40320,
      -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200};

  Value constant(double x) {
    return arith::ConstantOp::create(e.b, e.loc,
                                     DenseElementsAttr::get(wide, x));
  }
  Value polynomial(Value x, ArrayRef<double> terms) {
    Value sum = constant(terms.back());
    for (double term : llvm::reverse(terms.drop_back()))
      sum = e.fma(sum, x, constant(term));
    return sum;
  }
  std::pair<Value, Value> quadrant(Value turns, Value sine, Value cosine,
                                   Type narrow) {
    Type ints = wide.clone(e.i32);
    Value number = arith::FPToSIOp::create(e.b, e.loc, ints, turns);
    auto bit = [&](Value n, int64_t mask) -> Value {
      Value masked =
          arith::AndIOp::create(e.b, e.loc, n, e.iconstant(ints, mask));
      return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, masked,
                                   e.iconstant(ints, 0));
    };
    Value isOdd = bit(number, 1);
    Value next =
        arith::AddIOp::create(e.b, e.loc, number, e.iconstant(ints, 1));
    Value s = e.select(isOdd, cosine, sine), c = e.select(isOdd, sine, cosine);
    s = e.select(bit(number, 2), e.fneg(s), s);
    c = e.select(bit(next, 2), e.fneg(c), c);
    return {arith::TruncFOp::create(e.b, e.loc, narrow, s),
            arith::TruncFOp::create(e.b, e.loc, narrow, c)};
  }
};

} // namespace

std::pair<Value, Value> cpu::emitSineCosine(Emitter &e, Value angle) {
  return SineCosine(e).emit(angle);
}

void cpu::generateRopeTable(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                            KernelCode &code) {
  auto op = kernel.getYielded()[0].getDefiningOp<vlm::RopeTableOp>();
  ArrayRef<float> frequencies = op.getFrequencies();
  int64_t half = frequencies.size();
  auto emitRow = [&](KernelFrame &frame, Value m) {
    Value position =
        e.load(e.i32, e.at(frame.operand(op.getPosition()), m, e.i32));
    Value angle = e.broadcast(
        e.vector, arith::SIToFPOp::create(e.b, e.loc, e.f32, position));
    Value out = e.at(frame.result(0), e.mul(m, 2 * half));
    Value scale = e.fconstant(e.vector, op.getScale().convertToDouble());
    for (int64_t i = 0; i < half; i += e.lanes()) {
      SmallVector<float> lanes(e.lanes(), 0);
      int64_t valid = std::min(e.lanes(), half - i);
      std::copy_n(frequencies.begin() + i, valid, lanes.begin());
      Value factor = arith::ConstantOp::create(
          e.b, e.loc, DenseElementsAttr::get(e.vector, ArrayRef<float>(lanes)));
      auto [sine, cosine] = SineCosine(e).emit(e.fmul(angle, factor));
      e.storeMasked(e.fmul(cosine, scale), e.at(out, i), valid);
      e.storeMasked(e.fmul(sine, scale), e.at(out, half + i), valid);
    }
  };
  addPhase(
      e, kernel, prefix, code,
      [&](Value args, Value begin, Value end) {
        KernelFrame frame(e, kernel, args);
        e.loop(begin, end, 1, [&](Value m) { emitRow(frame, m); });
      },
      [&](DimFrame &dims) { return dims.rows(e, op.getResult()); });
}
