//===-- Reference.cpp - the reference strategy: every op as the loops of its definition ---------------------------------------------------===//
//
// The second opinion for every optimised path. Each op of a kernel's region is a phase of its own over rows of its result; sums are in f64, exp, tanh and
// erf are the C library's, nothing is packed, fused or vectorised. Values between ops lie in the kernel's temporaries (planned by `tile` like all memory).
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cfloat>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

class ReferenceOp {
public:
  ReferenceOp(Emitter &e, KernelFrame &frame, Operation *op) : e(e), frame(frame), op(op), f64(e.b.getF64Type()) {}

  /// Writes key and value of token `m` to the cache.
  void emitAppend(vlm::CachedAttentionOp a, Value m) {
    Cache cache = cacheOf(a);
    Value sequence = getIndex(a.getSequence(), m);
    Value position = getIndex(a.getPosition(), m);
    e.loop(zero(), e.constant(cache.heads * cache.size), 1, [&](Value n) {
      Value head = e.div(n, cache.size), d = e.rem(n, cache.size);
      e.store(get(a.getKey(), m, n),
              keyAt(a, cache, sequence, position, head, d));
      e.store(get(a.getValue(), m, n),
              valueAt(a, cache, sequence, position, head, d));
    });
  }

  /// Emits row `m` of the op's result.
  void emitRow(Value m) {
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](vlm::LinearOp linear) { emitLinear(linear, m); })
        .Case([&](vlm::PatchEmbedOp patch) { emitPatchEmbed(patch, m); })
        .Case([&](vlm::Conv2dOp conv) { emitConv2d(conv, m); })
        .Case([&](vlm::AttentionOp attention) { emitAttention(attention, m); })
        .Case([&](vlm::ContrastiveLogitsOp logits) { emitContrast(logits, m); })
        .Case([&](vlm::LayerNormOp norm) { emitLayerNorm(norm, m); })
        .Case([&](vlm::L2NormalizeOp norm) { emitL2Normalize(norm, m); })
        .Case([&](vlm::GroupMomentsOp moments) { emitMoments(moments, m); })
        .Case([&](vlm::LeastFeatureOp least) { emitLeastFeature(least, m); })
        .Case([&](vlm::TokenIndexOp index) { emitTokenIndex(index, m); })
        .Case([&](vlm::RmsNormOp norm) { emitRmsNorm(norm, m); })
        .Case([&](vlm::RopeTableOp table) { emitRopeTable(table, m); })
        .Case([&](vlm::CachedAttentionOp attention) {
          emitCachedAttention(attention, m);
        })
        .Default([&](Operation *) {
          features([&](Value n) { set(m, n, elementwise(m, n)); });
        });
  }

private:
  Emitter &e;
  KernelFrame &frame;
  Operation *op;
  Type f64;

  //===-- Elements --------------------------------------------------------------------------------------------------------------------===//

  /// The buffer of a value: an operand, a result of the kernel, or the temporary of a value in between.
  Value bufferOf(Value value) {
    if (isa<BlockArgument>(value))
      return frame.operand(value);
    auto yielded = frame.kernel.getYielded();
    if (auto it = llvm::find(yielded, value); it != yielded.end())
      return frame.result(std::distance(yielded.begin(), it));
    unsigned number = 0;
    for (Operation &inner : frame.kernel.getBody().front().without_terminator()) {
      if (inner.getResult(0) == value)
        break;
      number += !llvm::is_contained(yielded, inner.getResult(0));
    }
    return frame.temporary(number);
  }
  static int64_t width(Value value) { return vlm::getFeatures(value); }
  Value rowLength(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return type.isDynamicDim(type.getRank() - 1) ? frame.dims.dim(value, type.getRank() - 1) : e.constant(width(value));
  }
  Value get(Value value, Value m, Value n) {
    Type element = cast<RankedTensorType>(value.getType()).getElementType();
    return e.load(element, e.at(bufferOf(value), e.add(e.mul(m, rowLength(value)), n), element));
  }
  Value getWide(Value value, Value m, Value n) { return widen(get(value, m, n)); }
  void set(Value m, Value n, Value x) {
    Value result = op->getResult(0);
    if (x.getType() == f64)
      x = arith::TruncFOp::create(e.b, e.loc, e.f32, x);
    e.store(x, e.at(bufferOf(result), e.add(e.mul(m, rowLength(result)), n), x.getType()));
  }
  Value widen(Value x) { return arith::ExtFOp::create(e.b, e.loc, f64, x); }
  Value wide(double value) { return arith::ConstantOp::create(e.b, e.loc, e.b.getF64FloatAttr(value)); }
  Value zero() { return e.constant(0); }
  void features(llvm::function_ref<void(Value n)> body) { e.loop(zero(), rowLength(op->getResult(0)), 1, body); }
  Value sum(Value count, llvm::function_ref<Value(Value)> term, Value start = {}) {
    return e.loop(zero(), count, 1, {start ? start : wide(0)}, [&](Value i, ValueRange carried) {
      return SmallVector<Value>{e.fadd(carried[0], term(i))};
    })[0];
  }

  //===-- Element by element --------------------------------------------------------------------------------------------------------------===//

  Value elementwise(Value m, Value n) {
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case([&](vlm::AddOp add) { return e.fadd(get(add.getLhs(), m, n), get(add.getRhs(), addRow(add, m), n)); })
        .Case([&](vlm::ActivationOp activation) { return activate(activation.getKind(), getWide(activation.getInput(), m, n)); })
        .Case([&](vlm::SliceTokensOp slice) {
          int64_t begin = slice.getBegin();
          int64_t kept = int64_t(slice.getEnd()) - begin;
          Value all = frame.dims.dim(slice.getInput(), 1);
          Value row = e.add(e.mul(e.div(m, kept), all),
                            e.add(e.rem(m, kept), begin));
          return get(slice.getInput(), row, n);
        })
        .Case([&](vlm::MultiplyOp multiply) {
          return e.fmul(get(multiply.getLhs(), m, n),
                        get(multiply.getRhs(), m, n));
        })
        .Case([&](vlm::ScaleFeaturesOp scale) {
          Value sequence = e.div(m, frame.dims.dim(scale.getInput(), 1));
          return e.fmul(get(scale.getInput(), m, n),
                        get(scale.getFactors(), sequence, n));
        })
        .Case([&](vlm::MaxTokensOp most) {
          Value tokens = frame.dims.dim(most.getInput(), 1);
          return e.loop(zero(), tokens, 1, {e.fconstant(e.f32, -INFINITY)},
                        [&](Value t, ValueRange carried) {
                          Value row = e.add(e.mul(m, tokens), t);
                          return SmallVector<Value>{larger(
                              carried[0], get(most.getInput(), row, n))};
                        })[0];
        })
        .Case([&](vlm::DepthwiseConv2dOp conv) { return ownChannel(conv, m, n); })
        .Case([&](vlm::AddGridPositionsOp add) { return placed(add, m, n); })
        .Case([&](vlm::ScaleOp scale) {
          return e.fmul(get(scale.getInput(), m, n),
                        e.fconstant(e.f32,
                                    scale.getFactor().convertToDouble()));
        })
        .Case([&](vlm::PixelUnshuffleOp op) { return unshuffled(op, m, n); })
        .Case([&](vlm::GatedAddOp add) { return gated(add, m, n); })
        .Case([&](vlm::RopeOp rope) { return rotated(rope, m, n); })
        .Case([&](vlm::MergeTokensOp merge) { return merged(merge, m, n); })
        .Case([&](vlm::EmbeddingOp embedding) {
          Value ids = embedding.getIds();
          Type type = cast<RankedTensorType>(ids.getType()).getElementType();
          Value id = e.load(type, e.at(bufferOf(ids), m, type));
          return get(embedding.getTable(), type == e.i64 ? id : Value(arith::ExtSIOp::create(e.b, e.loc, e.i64, id)), n);
        })
        .Case([&](vlm::PrependTokensOp prepend) { return prepended(prepend, m, n); })
        .Case([&](vlm::TakeTokensOp take) {
          Value rows = frame.dims.dim(take.getResult(), 1), tokens = frame.dims.dim(take.getInput(), 1);
          Value token = take.getIndex() ? widenIndex(e.load(e.i32, e.at(bufferOf(take.getIndex()), m, e.i32)))
                                        : e.constant(static_cast<int64_t>(*take.getPosition()));
          if (!take.getIndex() && static_cast<int64_t>(*take.getPosition()) < 0)
            token = e.add(token, tokens);
          return get(take.getInput(), e.add(e.mul(e.div(m, rows), tokens), token), n);
        })
        .Case([&](vlm::ReplaceTokensOp replace) {
          return replaced(replace, m, n);
        })
        .Case([&](vlm::MeanTokensOp mean) {
          Value tokens = frame.dims.dim(mean.getInput(), 1);
          Value total = sum(tokens, [&](Value t) {
            return getWide(mean.getInput(), e.add(e.mul(m, tokens), t), n);
          });
          return e.fdiv(total,
                        arith::SIToFPOp::create(e.b, e.loc, f64, tokens));
        })
        .Case([&](vlm::AveragePoolOp pool) { return averaged(pool, m, n); })
        .Case([&](vlm::GroupNormOp norm) { return groupNormed(norm, m, n); })
        .Case([&](vlm::MaskFeaturesOp mask) { return masked(mask, m, n); })
        .Case([&](vlm::SqueezeOp squeeze) { return get(squeeze.getInput(), m, n); })
        .Case([&](vlm::ConcatFeaturesOp concat) { return concatenated(concat, m, n); })
        .Case([&](vlm::SliceFeaturesOp slice) { return get(slice.getInput(), m, e.add(n, static_cast<int64_t>(slice.getBegin()))); });
  }

  Value widenIndex(Value index) { return arith::ExtSIOp::create(e.b, e.loc, e.i64, index); }

  Value addRow(vlm::AddOp add, Value m) {
    auto lhs = cast<RankedTensorType>(add.getLhs().getType());
    int64_t rank = cast<RankedTensorType>(add.getRhs().getType()).getRank();
    Value period = e.constant(1);
    for (int64_t i = lhs.getRank() - rank; i < lhs.getRank() - 1; ++i)
      period = e.mul(period, frame.dims.dim(add.getLhs(), i));
    return rank == lhs.getRank() ? m : e.rem(m, period);
  }

  /// All are read, within their rows, and one is taken.
  Value concatenated(vlm::ConcatFeaturesOp concat, Value m, Value n) {
    Value result;
    int64_t begin = 0;
    for (Value input : concat.getInputs()) {
      int64_t size = vlm::getFeatures(input);
      Value at = e.min(e.max(e.sub(n, e.constant(begin)), zero()), e.constant(size - 1));
      Value value = get(input, m, at);
      result = result ? Value(arith::SelectOp::create(e.b, e.loc, e.less(n, e.constant(begin)), result, value)) : value;
      begin += size;
    }
    return result;
  }

  Value prepended(vlm::PrependTokensOp prepend, Value m, Value n) {
    auto type = cast<RankedTensorType>(prepend.getTokens().getType());
    int64_t front = type.getDimSize(type.getRank() - 2);
    int64_t rest = cast<RankedTensorType>(prepend.getInput().getType()).getDimSize(1);
    Value batch = e.div(m, front + rest), token = e.rem(m, front + rest);
    Value row = e.min(token, e.constant(front - 1));
    if (type.getRank() == 3)
      row = e.add(e.mul(batch, front), row);
    Value inFront = get(prepend.getTokens(), row, n);
    Value behind = get(prepend.getInput(), e.add(e.mul(batch, rest), e.max(e.sub(token, e.constant(front)), zero())), n);
    return e.select(e.less(token, e.constant(front)), inFront, behind);
  }

  Value unshuffled(vlm::PixelUnshuffleOp op, Value m, Value n) {
    int64_t size = op.getSize(), width = op.getWidth(), height = op.getHeight();
    int64_t channels = vlm::getFeatures(op.getInput());
    int64_t down = height / size, across = width / size;
    Value batch = e.div(m, down * across), square = e.rem(m, down * across);
    int64_t line = op.getTransposed() ? down : across;
    Value row = e.div(square, line), column = e.rem(square, line);
    if (op.getTransposed())
      std::swap(row, column);
    Value pixel = e.div(n, channels);
    Value y = e.add(e.mul(row, size), e.div(pixel, size));
    Value x = e.add(e.mul(column, size), e.rem(pixel, size));
    Value token = e.add(e.mul(y, width), x);
    return get(op.getInput(), e.add(e.mul(batch, height * width), token),
               e.rem(n, channels));
  }

  Value averaged(vlm::AveragePoolOp pool, Value m, Value n) {
    int64_t width = pool.getWidth(), size = pool.getSize();
    int64_t height = pool.getHeight(), across = width / size;
    int64_t places = height / size * across;
    Value picture = e.mul(e.div(m, places), height * width);
    Value place = e.rem(m, places);
    Value top = e.mul(e.div(place, across), size);
    Value left = e.mul(e.rem(place, across), size);
    Value total = sum(e.constant(size * size), [&](Value i) {
      Value row = e.mul(e.add(top, e.div(i, size)), width);
      Value column = e.add(left, e.rem(i, size));
      return getWide(pool.getInput(), e.add(picture, e.add(row, column)), n);
    });
    return e.fdiv(total, wide(static_cast<double>(size * size)));
  }

  Value isWithin(Value x, int64_t size) {
    return arith::AndIOp::create(e.b, e.loc, e.less(e.constant(-1), x),
                                 e.less(x, e.constant(size)));
  }

  /// A channel's window; what lies outside of the picture is not read.
  Value ownChannel(vlm::DepthwiseConv2dOp conv, Value m, Value n) {
    ArrayRef<int64_t> weight =
        cast<RankedTensorType>(conv.getWeight().getType()).getShape();
    int64_t height = conv.getHeight(), width = conv.getWidth();
    int64_t stride = conv.getStride(), across = weight[1];
    auto [lines, columns] = conv.getResultSize();
    Value picture = e.mul(e.div(m, lines * columns), height * width);
    Value place = e.rem(m, lines * columns);
    Value top = e.add(e.mul(e.div(place, columns), stride),
                      -conv.getPadding()[0]);
    Value left = e.add(e.mul(e.rem(place, columns), stride),
                       -conv.getPadding()[1]);
    Value total = sum(e.constant(weight[0] * across), [&](Value tap) {
      Value y = e.add(top, e.div(tap, across));
      Value x = e.add(left, e.rem(tap, across));
      Value isThere = arith::AndIOp::create(e.b, e.loc, isWithin(y, height),
                                            isWithin(x, width));
      auto branch = scf::IfOp::create(e.b, e.loc, TypeRange{f64}, isThere,
                                      /*withElse=*/true);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(e.b, e.loc, wide(0));
      e.b.setInsertionPointToStart(branch.thenBlock());
      Value pixel = e.add(picture, e.add(e.mul(y, width), x));
      scf::YieldOp::create(e.b, e.loc,
                           e.fmul(getWide(conv.getInput(), pixel, n),
                                  getWide(conv.getWeight(), tap, n)));
      return branch.getResult(0);
    });
    return conv.getBias() ? e.fadd(total, getWide(conv.getBias(), zero(), n))
                          : total;
  }

  /// How much place `j` of a table's `side` is read for place `i` of `n`, not
  /// yet normalised.
  Value triangle(Value i, Value n, int64_t side, Value j) {
    auto real = [&](Value x) -> Value {
      return arith::SIToFPOp::create(e.b, e.loc, f64, x);
    };
    Value scale = e.fdiv(wide(double(side)), real(n));
    Value center = e.fmul(scale, e.fadd(real(i), wide(0.5)));
    Value distance = e.fdiv(e.fsub(e.fadd(real(j), wide(0.5)), center),
                            larger(scale, wide(1)));
    Value height =
        e.fsub(wide(1), larger(distance, e.fneg(distance)));
    return larger(height, wide(0));
  }

  /// The bucket of place `i` of `n`, in f32 as the definition says.
  Value bucketOf(Value i, Value n, ArrayRef<float> boundaries) {
    auto real = [&](Value x) -> Value {
      return arith::SIToFPOp::create(e.b, e.loc, e.f32, x);
    };
    Value place = e.fmul(real(i), e.fdiv(e.fconstant(e.f32, 1), real(n)));
    place = e.fmin(place, e.fconstant(e.f32, double(float(1.0 - 1e-6))));
    Value bucket = zero();
    for (float boundary : boundaries) {
      Value isBehind = arith::CmpFOp::create(
          e.b, e.loc, arith::CmpFPredicate::OLE,
          e.fconstant(e.f32, boundary), place);
      bucket = e.add(bucket, e.select(isBehind, e.constant(1), zero()));
    }
    return bucket;
  }

  Value placed(vlm::AddGridPositionsOp add, Value m, Value n) {
    Value tokens = frame.dims.dim(add.getInput(), 1);
    Value picture = e.div(m, tokens), token = e.rem(m, tokens);
    auto sizeOf = [&](int64_t which) {
      return e.max(get(add.getGrid(), picture, e.constant(which)),
                   e.constant(1));
    };
    Value lines = sizeOf(0), columns = sizeOf(1);
    token = e.select(e.less(token, e.mul(lines, columns)), token, zero());
    Value y = e.div(token, columns), x = e.rem(token, columns);
    Value input = getWide(add.getInput(), m, n);
    int64_t side = add.getSide();
    if (std::optional<ArrayRef<float>> boundaries = add.getBoundaries()) {
      Value row = e.add(e.mul(bucketOf(y, lines, *boundaries), side),
                        bucketOf(x, columns, *boundaries));
      return e.fadd(input, getWide(add.getTable(), row, n));
    }
    Value isNarrow = arith::AndIOp::create(
        e.b, e.loc, e.equal(columns, e.constant(1)),
        arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, lines,
                              e.constant(side)));
    y = e.select(isNarrow, zero(), y);
    auto weightOf = [&](Value row) {
      return e.fmul(triangle(y, lines, side, e.div(row, side)),
                    triangle(x, columns, side, e.rem(row, side)));
    };
    Value rows = e.constant(side * side);
    Value total = sum(rows, weightOf);
    Value read = sum(rows, [&](Value row) {
      return e.fmul(weightOf(row), getWide(add.getTable(), row, n));
    });
    return e.fadd(input, e.fdiv(read, total));
  }

  Value groupNormed(vlm::GroupNormOp norm, Value m, Value n) {
    int64_t groups =
        cast<RankedTensorType>(norm.getMoments().getType()).getDimSize(1);
    Value picture = e.div(m, frame.dims.dim(norm.getInput(), 1));
    Value group = e.div(n, width(norm.getInput()) / groups);
    Value row = e.add(e.mul(picture, groups), group);
    Value mean = getWide(norm.getMoments(), row, zero());
    Value inverse = getWide(norm.getMoments(), row, e.constant(1));
    Value x = e.fmul(e.fsub(getWide(norm.getInput(), m, n), mean), inverse);
    return e.fadd(e.fmul(x, getWide(norm.getWeight(), zero(), n)),
                  getWide(norm.getBias(), zero(), n));
  }

  Value masked(vlm::MaskFeaturesOp mask, Value m, Value n) {
    Value x = get(mask.getInput(), m, n);
    ArrayRef<int64_t> ranges = mask.getRanges();
    for (size_t i = 0; i < ranges.size(); i += 2) {
      Value isBefore = e.less(n, e.constant(ranges[i]));
      Value isWithin = e.less(n, e.constant(ranges[i + 1]));
      Value hidden = e.select(isWithin, e.fconstant(e.f32, -FLT_MAX), x);
      x = e.select(isBefore, x, hidden);
    }
    return x;
  }

  Value gated(vlm::GatedAddOp add, Value m, Value n) {
    Value column = width(add.getGate()) == 1 ? zero() : n;
    Value gate = math::TanhOp::create(e.b, e.loc,
                                      getWide(add.getGate(), zero(), column));
    Value residual = getWide(add.getResidual(), m, n);
    Value sum =
        e.fadd(residual, e.fmul(gate, getWide(add.getBranch(), m, n)));
    if (!add.getShown())
      return sum;
    Value isHidden = e.equal(getIndex(add.getShown(), m), zero());
    return e.select(isHidden, residual, sum);
  }

  Value replaced(vlm::ReplaceTokensOp replace, Value m, Value n) {
    auto type = cast<RankedTensorType>(replace.getTokens().getType());
    Value front = e.constant(type.getDimSize(type.getRank() - 2));
    Value all = frame.dims.dim(replace.getInput(), 1);
    Value batch = e.div(m, all), token = e.rem(m, all);
    Value row = e.min(token, e.sub(front, e.constant(1)));
    if (type.getRank() == 3)
      row = e.add(e.mul(batch, front), row);
    return e.select(e.less(token, front), get(replace.getTokens(), row, n),
                    get(replace.getInput(), m, n));
  }

  Value sigmoid(Value x) {
    return e.fdiv(wide(1), e.fadd(wide(1), math::ExpOp::create(e.b, e.loc, e.fneg(x))));
  }
  Value larger(Value x, Value y) { return arith::MaximumFOp::create(e.b, e.loc, x, y); }

  Value activate(vlm::ActivationKind kind, Value x) {
    using Kind = vlm::ActivationKind;
    switch (kind) {
    case Kind::Identity:
      return x;
    case Kind::Relu:
      return larger(x, wide(0));
    case Kind::Relu2: {
      Value positive = larger(x, wide(0));
      return e.fmul(positive, positive);
    }
    case Kind::Relu6:
      return arith::MinimumFOp::create(e.b, e.loc, larger(x, wide(0)), wide(6));
    case Kind::LeakyRelu:
      return larger(x, e.fmul(x, wide(0.01)));
    case Kind::QuickGelu:
      return e.fmul(x, sigmoid(e.fmul(x, wide(1.702))));
    case Kind::Gelu:
      return e.fmul(e.fmul(x, wide(0.5)), e.fadd(wide(1), math::ErfOp::create(e.b, e.loc, e.fmul(x, wide(0.70710678118654752)))));
    case Kind::GeluTanh: {
      Value cubic = e.fadd(x, e.fmul(wide(0.044715), e.fmul(x, e.fmul(x, x))));
      Value t = math::TanhOp::create(e.b, e.loc, e.fmul(cubic, wide(0.79788456080286536)));
      return e.fmul(e.fmul(x, wide(0.5)), e.fadd(wide(1), t));
    }
    case Kind::Silu:
      return e.fmul(x, sigmoid(x));
    case Kind::Sigmoid:
      return sigmoid(x);
    case Kind::Tanh:
      return math::TanhOp::create(e.b, e.loc, x);
    case Kind::Mish:
      return e.fmul(x, math::TanhOp::create(e.b, e.loc, math::Log1pOp::create(e.b, e.loc, math::ExpOp::create(e.b, e.loc, x))));
    case Kind::HardTanh:
      return arith::MinimumFOp::create(e.b, e.loc, larger(x, wide(-1)), wide(1));
    }
    llvm_unreachable("every activation is listed");
  }

  //===-- Sums ------------------------------------------------------------------------------------------------------------------------===//

  void emitLinear(vlm::LinearOp linear, Value m) {
    features([&](Value n) {
      Value total = sum(e.constant(width(linear.getInput())), [&](Value k) {
        return e.fmul(getWide(linear.getInput(), m, k), getWide(linear.getWeight(), n, k));
      });
      set(m, n, linear.getBias() ? e.fadd(total, getWide(linear.getBias(), zero(), n)) : total);
    });
  }

  void emitPatchEmbed(vlm::PatchEmbedOp patch, Value m) {
    ArrayRef<int64_t> pixels = cast<RankedTensorType>(patch.getPixels().getType()).getShape();
    int64_t side = cast<RankedTensorType>(patch.getWeight().getType()).getDimSize(2), across = pixels[3] / side;
    int64_t count = across * (pixels[2] / side);
    Value batch = e.div(m, count), number = e.rem(m, count);
    Value top = e.mul(e.div(number, across), side), left = e.mul(e.rem(number, across), side);
    features([&](Value n) {
      // k counts the window's pixels as (channel, y, x), the order of the weight.
      Value total = sum(e.constant(pixels[1] * side * side), [&](Value k) {
        Value channel = e.div(k, side * side), y = e.rem(e.div(k, side), side), x = e.rem(k, side);
        Value row = e.add(e.mul(e.add(e.mul(batch, pixels[1]), channel), pixels[2]), e.add(top, y));
        Value weight = e.load(e.f32, e.at(bufferOf(patch.getWeight()), e.add(e.mul(n, pixels[1] * side * side), k)));
        return e.fmul(getWide(patch.getPixels(), row, e.add(left, x)), widen(weight));
      });
      set(m, n, patch.getBias() ? e.fadd(total, getWide(patch.getBias(), zero(), n)) : total);
    });
  }

  void emitConv2d(vlm::Conv2dOp conv, Value m) {
    ArrayRef<int64_t> weight =
        cast<RankedTensorType>(conv.getWeight().getType()).getShape();
    int64_t channels = weight[3], stride = conv.getStride();
    int64_t height = conv.getHeight(), width = conv.getWidth();
    int64_t above = conv.getPadding()[0], before = conv.getPadding()[1];
    auto [down, across] = conv.getResultSize();
    Value batch = e.div(m, down * across), place = e.rem(m, down * across);
    Value top = e.mul(e.div(place, across), stride);
    Value left = e.mul(e.rem(place, across), stride);
    features([&](Value n) {
      // k counts (ky, kx, channel), the order of the weight.
      int64_t count = weight[1] * weight[2] * channels;
      Value total = sum(e.constant(count), [&](Value k) {
        Value channel = e.rem(k, channels), window = e.div(k, channels);
        Value y = e.add(e.add(top, e.div(window, weight[2])), -above);
        Value x = e.add(e.add(left, e.rem(window, weight[2])), -before);
        Value isThere = arith::AndIOp::create(
            e.b, e.loc, isWithin(y, height), isWithin(x, width));
        auto branch = scf::IfOp::create(e.b, e.loc, TypeRange{f64}, isThere,
                                        /*withElse=*/true);
        OpBuilder::InsertionGuard guard(e.b);
        e.b.setInsertionPointToStart(branch.elseBlock());
        scf::YieldOp::create(e.b, e.loc, wide(0));
        e.b.setInsertionPointToStart(branch.thenBlock());
        Value pixel = e.add(e.mul(y, width), x);
        Value from =
            conv.readsPlanes()
                ? e.add(e.mul(e.add(e.mul(batch, channels), channel),
                              height * width),
                        pixel)
                : e.add(e.mul(e.add(e.mul(batch, height * width), pixel),
                              channels),
                        channel);
        Value factor = e.load(e.f32, e.at(bufferOf(conv.getWeight()),
                                          e.add(e.mul(n, count), k)));
        Value read = e.load(e.f32, e.at(bufferOf(conv.getInput()), from));
        scf::YieldOp::create(e.b, e.loc, e.fmul(widen(read), widen(factor)));
        return branch.getResult(0);
      });
      set(m, n,
          conv.getBias() ? e.fadd(total, getWide(conv.getBias(), zero(), n))
                         : total);
    });
  }

  void emitContrast(vlm::ContrastiveLogitsOp logits, Value m) {
    Value scale = getWide(logits.getLogScale(), zero(), zero());
    scale = logits.getDivides() ? e.fdiv(wide(1), scale) : Value(math::ExpOp::create(e.b, e.loc, scale));
    features([&](Value n) {
      Value total = sum(e.constant(width(logits.getImage())), [&](Value k) {
        return e.fmul(getWide(logits.getImage(), m, k), getWide(logits.getText(), n, k));
      });
      total = e.fmul(total, scale);
      set(m, n, logits.getBias() ? e.fadd(total, getWide(logits.getBias(), zero(), zero())) : total);
    });
  }

  void emitLayerNorm(vlm::LayerNormOp norm, Value m) {
    Value input = norm.getInput();
    int64_t group = norm.getGroupSize();
    Value length = e.constant(group), count = wide(static_cast<double>(group));
    Value epsilon = wide(norm.getEpsilon().convertToDouble());
    e.loop(zero(), e.constant(width(input)), group, [&](Value first) {
      Value mean = e.fdiv(sum(length,
                              [&](Value k) {
                                return getWide(input, m, e.add(first, k));
                              }),
                          count);
      Value squares = sum(length, [&](Value k) {
        Value difference = e.fsub(getWide(input, m, e.add(first, k)), mean);
        return e.fmul(difference, difference);
      });
      Value deviation = e.sqrt(e.fadd(e.fdiv(squares, count), epsilon));
      e.loop(zero(), length, 1, [&](Value k) {
        Value n = e.add(first, k);
        Value x = e.fdiv(e.fsub(getWide(input, m, n), mean), deviation);
        Value own = norm.getGroup() ? n : k;
        set(m, n,
            e.fadd(e.fmul(x, getWide(norm.getWeight(), zero(), own)),
                   getWide(norm.getBias(), zero(), own)));
      });
    });
  }

  /// Row `m` is a group of a picture.
  void emitMoments(vlm::GroupMomentsOp moments, Value m) {
    Value input = moments.getInput();
    auto groups = static_cast<int64_t>(moments.getGroups());
    int64_t channels = width(input) / groups;
    Value pixels = frame.dims.dim(input, 1);
    Value first = e.mul(e.div(m, groups), pixels);
    Value begin = e.mul(e.rem(m, groups), channels);
    Value count = arith::SIToFPOp::create(e.b, e.loc, f64,
                                          e.mul(pixels, channels));
    auto sumOfAll = [&](llvm::function_ref<Value(Value)> term) {
      Value total = e.loop(
          zero(), pixels, 1, {wide(0)}, [&](Value t, ValueRange carried) {
            Value pixel = sum(
                e.constant(channels),
                [&](Value c) {
                  return term(
                      getWide(input, e.add(first, t), e.add(begin, c)));
                },
                carried[0]);
            return SmallVector<Value>{pixel};
          })[0];
      return e.fdiv(total, count);
    };
    Value mean = sumOfAll([](Value x) { return x; });
    Value variance = sumOfAll([&](Value x) {
      Value difference = e.fsub(x, mean);
      return e.fmul(difference, difference);
    });
    Value epsilon = wide(moments.getEpsilon().convertToDouble());
    set(m, zero(), mean);
    set(m, e.constant(1),
        e.fdiv(wide(1), e.sqrt(e.fadd(variance, epsilon))));
  }

  void emitLeastFeature(vlm::LeastFeatureOp least, Value m) {
    SmallVector<Value> found = e.loop(
        zero(), e.constant(width(least.getInput())), 1,
        {zero(), get(least.getInput(), m, zero())},
        [&](Value n, ValueRange carried) {
          Value x = get(least.getInput(), m, n);
          Value isLess = arith::CmpFOp::create(
              e.b, e.loc, arith::CmpFPredicate::OLT, x, carried[1]);
          return SmallVector<Value>{e.select(isLess, n, carried[0]),
                                    e.select(isLess, x, carried[1])};
        });
    Value id = arith::TruncIOp::create(e.b, e.loc, e.i32, found[0]);
    if (std::optional<ArrayRef<int32_t>> ids = least.getIds()) {
      Value table =
          e.table((frame.kernel.getSymName() + "_ids").str(), *ids);
      id = e.load(e.i32, e.at(table, found[0], e.i32));
    }
    e.store(id, e.at(bufferOf(least.getResult()), m, e.i32));
  }

  void emitL2Normalize(vlm::L2NormalizeOp norm, Value m) {
    Value length = e.sqrt(sum(e.constant(width(norm.getInput())), [&](Value k) {
      Value x = getWide(norm.getInput(), m, k);
      return e.fmul(x, x);
    }));
    features([&](Value n) { set(m, n, e.fdiv(getWide(norm.getInput(), m, n), length)); });
  }

  void emitTokenIndex(vlm::TokenIndexOp index, Value m) {
    Value tokens = frame.dims.dim(index.getIds(), 1);
    bool largest = index.getKind() == vlm::TokenIndexKind::ArgMax;
    // Carries the position found and its id; a position counts when nothing has been found yet (first_equal) or its id is larger.
    SmallVector<Value> found = e.loop(zero(), tokens, 1, {tokens, e.constant(INT64_MIN)}, [&](Value t, ValueRange carried) {
      Value id = get(index.getIds(), m, t);
      Value better = largest ? e.less(carried[1], id)
                             : Value(arith::AndIOp::create(e.b, e.loc, e.equal(carried[0], tokens), e.equal(id, e.constant(index.getId()))));
      return SmallVector<Value>{e.select(better, t, carried[0]), e.select(better, id, carried[1])};
    });
    Value position = e.select(e.equal(found[0], tokens), zero(), found[0]);
    e.store(arith::TruncIOp::create(e.b, e.loc, e.i32, position), e.at(bufferOf(index.getResult()), m, e.i32));
  }

  //===-- Decoders
  void emitRmsNorm(vlm::RmsNormOp norm, Value m) {
    Value input = norm.getInput();
    int64_t group = width(norm.getWeight());
    Value epsilon = wide(norm.getEpsilon().convertToDouble());
    Value offset = wide(norm.getOffset().convertToDouble());
    e.loop(zero(), e.constant(width(input)), group, [&](Value first) {
      Value squares = sum(e.constant(group), [&](Value k) {
        Value x = getWide(input, m, e.add(first, k));
        return e.fmul(x, x);
      });
      Value mean = e.fdiv(squares, wide(static_cast<double>(group)));
      Value root = e.sqrt(e.fadd(mean, epsilon));
      e.loop(zero(), e.constant(group), 1, [&](Value k) {
        Value n = e.add(first, k);
        Value weight = e.fadd(getWide(norm.getWeight(), zero(), k), offset);
        set(m, n, e.fmul(e.fdiv(getWide(input, m, n), root), weight));
      });
    });
  }

  void emitRopeTable(vlm::RopeTableOp table, Value m) {
    Value position = arith::SIToFPOp::create(
        e.b, e.loc, e.f32,
        e.load(e.i32, e.at(bufferOf(table.getPosition()), m, e.i32)));
    Value scale = wide(table.getScale().convertToDouble());
    int64_t half = table.getFrequencies().size();
    for (auto [i, frequency] : llvm::enumerate(table.getFrequencies())) {
      Value angle = widen(e.fmul(position, e.fconstant(e.f32, frequency)));
      Value n = e.constant(i);
      set(m, n, e.fmul(math::CosOp::create(e.b, e.loc, angle), scale));
      set(m, e.add(n, half),
          e.fmul(math::SinOp::create(e.b, e.loc, angle), scale));
    }
  }

  Value rotated(vlm::RopeOp rope, Value m, Value n) {
    int64_t head = width(rope.getInput()) / int64_t(rope.getNumHeads());
    int64_t half = width(rope.getTable()) / 2;
    Value d = e.rem(n, head), isFirst, pair, distance;
    if (rope.getInterleaved()) {
      isFirst = e.equal(e.rem(d, 2), zero());
      pair = e.div(d, 2);
      distance = e.constant(1);
    } else {
      isFirst = e.less(d, e.constant(half));
      pair = e.rem(d, half);
      distance = e.constant(half);
    }
    Value isTurned = e.less(d, e.constant(2 * half));
    pair = e.select(isTurned, pair, zero());
    Value partner = e.select(isFirst, e.add(n, distance), e.sub(n, distance));
    partner = e.select(isTurned, partner, n);
    Value x = get(rope.getInput(), m, n), y = get(rope.getInput(), m, partner);
    Value turn = e.fmul(y, get(rope.getTable(), m, e.add(pair, half)));
    turn = e.select(isFirst, e.fneg(turn), turn);
    Value turned = e.fadd(e.fmul(x, get(rope.getTable(), m, pair)), turn);
    return e.select(isTurned, turned, x);
  }

  Value merged(vlm::MergeTokensOp merge, Value m, Value n) {
    Value row = getIndex(merge.getRow(), m);
    auto branch = scf::IfOp::create(e.b, e.loc, TypeRange{e.f32},
                                    e.less(row, zero()), true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(e.b, e.loc, get(merge.getInput(), m, n));
    e.b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(e.b, e.loc, get(merge.getFeatures(), row, n));
    return branch.getResult(0);
  }

  /// A column of i32, widened.
  Value getIndex(Value column, Value m) {
    return widenIndex(e.load(e.i32, e.at(bufferOf(column), m, e.i32)));
  }

  struct Cache {
    int64_t heads, size, padded;
  };
  static Cache cacheOf(vlm::CachedAttentionOp a) {
    auto type = cast<RankedTensorType>(a.getCache().getType());
    int64_t size = type.getDimSize(2);
    return {type.getDimSize(1), size,
            static_cast<int64_t>(llvm::alignTo(size, panelColumns))};
  }
  Value pageAt(vlm::CachedAttentionOp a, Value sequence, Value position) {
    Value layer = bufferOf(a.getCache());
    Value number = e.add(
        e.mul(sequence, e.load(e.i64, e.at(layer, 1, e.i64), 8)),
        e.div(position, vlm::pageTokens));
    Value page =
        e.load(e.ptr, e.at(e.load(e.ptr, layer, 8), number, e.ptr), 8);
    return e.at(page, e.load(e.i64, e.at(layer, 2, e.i64), 8),
                e.b.getI8Type());
  }
  Value keyAt(vlm::CachedAttentionOp a, const Cache &cache, Value sequence,
              Value position, Value head, Value d) {
    Value place = e.rem(position, vlm::pageTokens);
    Value offset = e.mul(head, vlm::pageTokens * cache.size);
    offset = e.add(offset, e.mul(e.div(place, panelColumns),
                                 cache.size * panelColumns));
    offset = e.add(offset, e.add(e.mul(d, panelColumns),
                                 e.rem(place, panelColumns)));
    return e.at(pageAt(a, sequence, position), offset);
  }
  Value valueAt(vlm::CachedAttentionOp a, const Cache &cache, Value sequence,
                Value position, Value head, Value d) {
    Value place = e.rem(position, vlm::pageTokens);
    Value offset = e.constant(cache.heads * vlm::pageTokens * cache.size);
    offset = e.add(offset, e.mul(head, vlm::pageTokens * cache.padded));
    offset = e.add(offset, e.mul(e.div(d, panelColumns),
                                 vlm::pageTokens * panelColumns));
    offset = e.add(offset,
                   e.add(e.mul(place, panelColumns), e.rem(d, panelColumns)));
    return e.at(pageAt(a, sequence, position), offset);
  }

  /// Element `distance` of a head's biases; the outermost beyond them.
  Value biasAt(Value bias, Value head, Value distance) {
    int64_t reach = width(bias) / 2;
    Value element =
        e.max(zero(), e.min(e.add(distance, reach), e.constant(2 * reach)));
    return getWide(bias, head, element);
  }

  void emitCachedAttention(vlm::CachedAttentionOp a, Value m) {
    Cache cache = cacheOf(a);
    int64_t heads = a.getNumHeads(), group = heads / cache.heads;
    Value token = a.getQueryToken() ? getIndex(a.getQueryToken(), m) : m;
    Value sequence = getIndex(
        a.hasOwnQueries() ? a.getQuerySequence() : a.getSequence(), token);
    Value begin = zero();
    Value end = a.hasOwnQueries()
                    ? getIndex(a.getLast(), token)
                    : e.add(getIndex(a.getPosition(), token), 1);
    if (a.hasOwnQueries())
      begin = getIndex(a.getFirst(), token);
    if (int64_t window = a.getWindow())
      begin = e.max(e.sub(end, e.constant(window)), zero());
    if (a.getFirst() && !a.hasOwnQueries()) {
      Value first = getIndex(a.getFirst(), token);
      Value last = getIndex(a.getLast(), token);
      Value adds = e.less(first, last);
      begin = e.select(adds, e.min(begin, first), begin);
      end = e.select(adds, e.max(end, last), end);
    }
    double cap = a.getSoftcap().convertToDouble();
    auto score = [&](Value head, Value j) {
      Value s = sum(e.constant(cache.size), [&](Value d) {
        Value q = getWide(a.getQuery(), m, e.add(e.mul(head, cache.size), d));
        Value key = keyAt(a, cache, sequence, j, e.div(head, group), d);
        return e.fmul(q, widen(e.load(e.f32, key)));
      });
      s = e.fmul(s, wide(a.getScale().convertToDouble()));
      if (cap != 0)
        s = e.fmul(math::TanhOp::create(e.b, e.loc, e.fmul(s, wide(1 / cap))),
                   wide(cap));
      if (Value bias = a.getDistanceBias())
        s = e.fadd(s, biasAt(bias, head,
                             e.sub(j, getIndex(a.getPosition(), token))));
      return s;
    };
    e.loop(zero(), e.constant(heads), 1, [&](Value head) {
      Value maximum = e.loop(begin, end, 1, {wide(-DBL_MAX)},
                             [&](Value j, ValueRange carried) {
                               return SmallVector<Value>{
                                   larger(carried[0], score(head, j))};
                             })[0];
      auto sumAt = [&](Value d) { return e.at(frame.scratch, d, f64); };
      e.loop(zero(), e.constant(cache.size), 1,
             [&](Value d) { e.store(wide(0), sumAt(d), 8); });
      Value total = e.loop(
          begin, end, 1, {wide(0)}, [&](Value j, ValueRange carried) {
            Value weight = math::ExpOp::create(e.b, e.loc,
                                               e.fsub(score(head, j), maximum));
            e.loop(zero(), e.constant(cache.size), 1, [&](Value d) {
              Value value = widen(e.load(
                  e.f32,
                  valueAt(a, cache, sequence, j, e.div(head, group), d)));
              e.store(e.fadd(e.load(f64, sumAt(d), 8), e.fmul(weight, value)),
                      sumAt(d), 8);
            });
            return SmallVector<Value>{e.fadd(carried[0], weight)};
          })[0];
      if (a.hasOwnQueries()) // where there is no key, the sums are 0
        total = e.select(e.less(begin, end), total, wide(1));
      e.loop(zero(), e.constant(cache.size), 1, [&](Value d) {
        set(m, e.add(e.mul(head, cache.size), d),
            e.fdiv(e.load(f64, sumAt(d), 8), total));
      });
    });
  }

  //===-- Attention -------------------------------------------------------------------------------------------------------------------===//

  void emitAttention(vlm::AttentionOp a, Value m) {
    Value queries = frame.dims.dim(a.getQuery(), 1), keys = frame.dims.dim(a.getKey(), 1);
    Value batch = e.div(m, queries), position = e.rem(m, queries), query = a.isQueryShared() ? position : m;
    if (a.getQueryPosition())
      position = widenIndex(e.load(e.i32, e.at(bufferOf(a.getQueryPosition()), m, e.i32)));
    int64_t heads = a.getNumHeads(), size = width(a.getQuery()) / heads, group = heads / static_cast<int64_t>(a.getNumKvHeads());
    // The score of key j for a head, or the lowest finite f32 where it is masked.
    auto score = [&](Value head, Value keyHead, Value j) {
      Value row = e.add(e.mul(batch, keys), j);
      Value s = sum(e.constant(size), [&](Value d) {
        return e.fmul(getWide(a.getQuery(), query, e.add(e.mul(head, size), d)), getWide(a.getKey(), row, e.add(e.mul(keyHead, size), d)));
      });
      s = e.fmul(s, wide(a.getScale().convertToDouble()));
      if (Value bias = a.getDistanceBias())
        s = e.fadd(s, biasAt(bias, head, e.sub(j, position)));
      if (a.getCausal())
        s = e.select(e.less(position, j), wide(-FLT_MAX), s);
      if (a.getKeyValid()) {
        Value masked = e.select(e.equal(get(a.getKeyValid(), batch, j), zero()), wide(-FLT_MAX), s);
        if (a.getAmongInvalid())
          masked = e.select(e.equal(get(a.getKeyValid(), batch, e.sub(m, e.mul(batch, keys))), zero()), masked, s);
        s = masked;
      }
      return s;
    };
    e.loop(zero(), e.constant(heads), 1, [&](Value head) {
      Value keyHead = e.div(head, group);
      Value maximum = e.loop(zero(), keys, 1, {wide(-DBL_MAX)}, [&](Value j, ValueRange carried) {
        return SmallVector<Value>{larger(carried[0], score(head, keyHead, j))};
      })[0];
      Value weights = frame.scratch;
      Value total = e.loop(zero(), keys, 1, {wide(0)}, [&](Value j, ValueRange carried) {
        Value weight = math::ExpOp::create(e.b, e.loc, e.fsub(score(head, keyHead, j), maximum));
        e.store(weight, e.at(weights, j, f64), 8);
        return SmallVector<Value>{e.fadd(carried[0], weight)};
      })[0];
      e.loop(zero(), e.constant(size), 1, [&](Value d) {
        Value weighted = sum(keys, [&](Value j) {
          Value value = getWide(a.getValue(), e.add(e.mul(batch, keys), j), e.add(e.mul(keyHead, size), d));
          return e.fmul(e.load(f64, e.at(weights, j, f64), 8), value);
        });
        set(m, e.add(e.mul(head, size), d), e.fdiv(weighted, total));
      });
    });
  }
};

} // namespace

LogicalResult cpu::generateReference(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  for (Type type : kernel.getArgumentTypes())
    if (auto layout = dyn_cast_or_null<vlm::LayoutAttr>(cast<RankedTensorType>(type).getEncoding()))
      if (layout.getForm() == "panel16" || layout.getStorage() != "f32")
        return kernel.emitOpError() << "has strategy 'reference', which reads weights in rows of f32, but one has layout " << layout.getName();
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    auto addRows = [&](Value rowsOf, auto emit) {
      addPhase(
          e, kernel, prefix, code,
          [&](Value args, Value begin, Value end) {
            KernelFrame frame(e, kernel, args);
            ReferenceOp reference(e, frame, &op);
            e.loop(begin, end, 1, [&](Value m) { emit(reference, m); });
          },
          [&](DimFrame &dims) { return dims.rows(e, rowsOf); });
    };
    if (auto attention = dyn_cast<vlm::CachedAttentionOp>(op))
      addRows(attention.getKey(), [&](ReferenceOp &reference, Value m) {
        reference.emitAppend(attention, m);
      });
    // A number for each row of the input, whose own last dimension is no row.
    addRows(isa<vlm::LeastFeatureOp>(op) ? op.getOperand(0) : op.getResult(0),
            [](ReferenceOp &reference, Value m) { reference.emitRow(m); });
  }
  return success();
}
