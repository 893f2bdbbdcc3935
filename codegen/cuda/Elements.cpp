//===-- Elements.cpp - one element of a kernel's result -------------------===//
#include "codegen/cuda/Elements.h"
#include "codegen/cpu/VectorMath.h"
#include <cfloat>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;
using cpu::Emitter;
using cpu::KernelFrame;
using cpu::Row;
using cpu::RowEmitter;

std::string cuda::whyNot(vlm::KernelOp kernel) {
  if (kernel.getYielded().size() != 1)
    return "it has more than one result";
  for (Operation &op : kernel.getBody().front().without_terminator())
    if (!isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::AttentionOp,
             vlm::ContrastiveLogitsOp, vlm::LayerNormOp, vlm::L2NormalizeOp,
             vlm::ActivationOp, vlm::AddOp, vlm::EmbeddingOp,
             vlm::PrependTokensOp, vlm::TokenIndexOp, vlm::TakeTokensOp,
             vlm::SqueezeOp, vlm::SliceFeaturesOp>(op))
      return ("it holds '" + op.getName().getStringRef() + "'").str();
  return "";
}

namespace {
class ElementEmitter {
public:
  ElementEmitter(Emitter &e, KernelFrame &frame)
      : e(e), frame(frame), rows(e, frame) {}
  Value emit(Value row, Value feature);

private:
  Value loopFrom0(int64_t end, Value init,
                  function_ref<Value(Value, Value)> next) {
    return loopFrom0(e.constant(end), init, next);
  }
  Value loopFrom0(Value end, Value init,
                  function_ref<Value(Value, Value)> next) {
    return e.loop(e.constant(0), end, 1, {init},
                  [&](Value i, ValueRange carried) {
                    return SmallVector<Value>{next(i, carried[0])};
                  })[0];
  }
  Value zero() { return e.fconstant(e.f32, 0); }
  Value load(Value base, Value offset) {
    return e.load(e.f32, e.at(base, offset));
  }
  Value loadInteger(Value base, Value offset) {
    Type type = e.i64;
    if (cast<RankedTensorType>(base.getType()).getElementType().isInteger(32))
      type = e.i32;
    Value x = e.load(type, e.at(frame.operand(base), offset, type));
    return type == e.i64 ? x : arith::ExtSIOp::create(e.b, e.loc, e.i64, x);
  }
  Value linear(vlm::LinearOp op, const Row &input, Value n);
  Value patchEmbed(vlm::PatchEmbedOp op, Value row, Value n);
  Value score(vlm::AttentionOp op, const Row &query, Value row, Value head,
              Value key);
  Value attention(vlm::AttentionOp op, Value row, Value feature);
  Value contrast(vlm::ContrastiveLogitsOp op, Value image, Value text);
  Value tokenIndex(vlm::TokenIndexOp op, Value sequence);

  Emitter &e;
  KernelFrame &frame;
  RowEmitter rows;
};
} // namespace

/// sum over k of input(k) * weight(n, k), and the bias.
Value ElementEmitter::linear(vlm::LinearOp op, const Row &input, Value n) {
  int64_t k = vlm::getFeatures(op.getInput());
  Value weight = e.at(frame.operand(op.getWeight()), e.mul(n, k));
  Value sum = loopFrom0(k, zero(), [&](Value i, Value sum) {
    return e.fma(input(i, e.f32, 1), load(weight, i), sum);
  });
  return op.getBias() ? e.fadd(sum, load(frame.operand(op.getBias()), n)) : sum;
}

/// Row m is patch m; its features are channel, y, x of the window.
Value ElementEmitter::patchEmbed(vlm::PatchEmbedOp op, Value row, Value n) {
  ArrayRef<int64_t> pixels =
      cast<RankedTensorType>(op.getPixels().getType()).getShape();
  int64_t side = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(2);
  int64_t channels = pixels[1], height = pixels[2], width = pixels[3];
  int64_t across = width / side, count = across * (height / side);
  Value batch = e.div(row, count), patch = e.rem(row, count);
  Value top = e.mul(e.div(patch, across), side);
  Value left = e.mul(e.rem(patch, across), side);
  Value corner = e.add(
      e.add(e.mul(batch, channels * height * width), e.mul(top, width)), left);
  Value image = e.at(frame.operand(op.getPixels()), corner);
  int64_t k = channels * side * side;
  Value weight = e.at(frame.operand(op.getWeight()), e.mul(n, k));
  Value sum = loopFrom0(k, zero(), [&](Value i, Value sum) {
    Value line = e.div(i, side);
    Value channel = e.div(line, side), y = e.rem(line, side);
    Value at = e.add(e.add(e.mul(channel, height * width), e.mul(y, width)),
                     e.rem(i, side));
    return e.fma(load(image, at), load(weight, i), sum);
  });
  return op.getBias() ? e.fadd(sum, load(frame.operand(op.getBias()), n)) : sum;
}

/// The masked score of one key; `row` and `key` count over all sequences of
/// queries and of keys.
Value ElementEmitter::score(vlm::AttentionOp op, const Row &query, Value row,
                            Value head, Value key) {
  int64_t heads = op.getNumHeads(), kvHeads = op.getNumKvHeads();
  int64_t size = vlm::getFeatures(op.getQuery()) / heads;
  Value queries = frame.dims.dim(op.getQuery(), 1);
  Value keys = frame.dims.dim(op.getKey(), 1);
  Row keyRow = rows.prepare(op.getKey(), key);
  Value kvHead = e.div(head, heads / kvHeads);
  Value sum = loopFrom0(size, zero(), [&](Value d, Value sum) {
    return e.fma(query(e.add(e.mul(head, size), d), e.f32, 1),
                 keyRow(e.add(e.mul(kvHead, size), d), e.f32, 1), sum);
  });
  Value x = e.fmul(sum, e.fconstant(e.f32, op.getScale().convertToDouble()));
  Value lowest = e.fconstant(e.f32, -FLT_MAX);
  if (op.getCausal()) {
    Value position = op.getQueryPosition()
                         ? loadInteger(op.getQueryPosition(), row)
                         : e.rem(row, queries);
    x = e.select(e.less(position, e.rem(key, keys)), lowest, x);
  }
  if (op.getKeyValid()) {
    Value flag = loadInteger(op.getKeyValid(), key);
    Value isMasked = e.equal(flag, e.constant(0));
    if (op.getAmongInvalid())
      isMasked =
          e.select(e.equal(loadInteger(op.getKeyValid(), row), e.constant(0)),
                   isMasked, e.equal(e.constant(0), e.constant(1)));
    x = e.select(isMasked, lowest, x);
  }
  return x;
}

/// Softmax over a row of scores that is never stored: once for its maximum,
/// once for the sums.
Value ElementEmitter::attention(vlm::AttentionOp op, Value row, Value feature) {
  int64_t heads = op.getNumHeads(), kvHeads = op.getNumKvHeads();
  int64_t size = vlm::getFeatures(op.getQuery()) / heads;
  Value head = e.div(feature, size), d = e.rem(feature, size);
  Value queries = frame.dims.dim(op.getQuery(), 1);
  Value keys = frame.dims.dim(op.getKey(), 1);
  Value firstKey = e.mul(e.div(row, queries), keys);
  Row query = rows.prepare(op.getQuery(),
                           op.isQueryShared() ? e.rem(row, queries) : row);
  auto scoreOf = [&](Value j) {
    return score(op, query, row, head, e.add(firstKey, j));
  };
  Value maximum =
      loopFrom0(keys, e.fconstant(e.f32, -FLT_MAX),
                [&](Value j, Value top) { return e.fmax(scoreOf(j), top); });
  Value column = e.add(e.mul(e.div(head, heads / kvHeads), size), d);
  SmallVector<Value> sums =
      e.loop(e.constant(0), keys, 1, {zero(), zero()},
             [&](Value j, ValueRange carried) {
               Value weight = cpu::emitExp(e, e.fsub(scoreOf(j), maximum));
               Value v = rows.prepare(op.getValue(),
                                      e.add(firstKey, j))(column, e.f32, 1);
               return SmallVector<Value>{e.fadd(carried[0], weight),
                                         e.fma(weight, v, carried[1])};
             });
  return e.fdiv(sums[1], sums[0]);
}

Value ElementEmitter::contrast(vlm::ContrastiveLogitsOp op, Value image,
                               Value text) {
  int64_t features = vlm::getFeatures(op.getImage());
  Row x = rows.prepare(op.getImage(), image);
  Row y = rows.prepare(op.getText(), text);
  Value sum = loopFrom0(features, zero(), [&](Value k, Value sum) {
    return e.fma(x(k, e.f32, 1), y(k, e.f32, 1), sum);
  });
  Value origin = e.constant(0);
  Value scale = cpu::emitExp(e, load(frame.operand(op.getLogScale()), origin));
  Value bias =
      op.getBias() ? load(frame.operand(op.getBias()), origin) : zero();
  return e.fma(sum, scale, bias);
}

/// From the back, so that the first of equals is the one that stays.
Value ElementEmitter::tokenIndex(vlm::TokenIndexOp op, Value sequence) {
  bool isLargest = op.getKind() == vlm::TokenIndexKind::ArgMax;
  Value tokens = frame.dims.dim(op.getIds(), 1);
  Value none = isLargest ? e.constant(INT64_MIN) : e.constant(0);
  Value found = e.loop(
      e.constant(0), tokens, 1, {e.constant(0), none},
      [&](Value i, ValueRange carried) {
        Value at = e.sub(e.sub(tokens, e.constant(1)), i);
        Value id = loadInteger(op.getIds(), e.add(e.mul(sequence, tokens), at));
        Value better =
            isLargest
                ? Value(arith::CmpIOp::create(
                      e.b, e.loc, arith::CmpIPredicate::sge, id, carried[1]))
                : e.equal(id, e.constant(op.getId()));
        return SmallVector<Value>{e.select(better, at, carried[0]),
                                  e.select(better, id, carried[1])};
      })[0];
  return arith::TruncIOp::create(e.b, e.loc, e.i32, found);
}

Value ElementEmitter::emit(Value row, Value feature) {
  Value yielded = frame.kernel.getYielded()[0];
  if (auto op = yielded.getDefiningOp<vlm::TokenIndexOp>())
    return tokenIndex(op, row);
  if (auto op = yielded.getDefiningOp<vlm::ContrastiveLogitsOp>())
    return contrast(op, row, feature);
  for (Operation &op : frame.kernel.getBody().front()) {
    if (!isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::AttentionOp>(op))
      continue;
    rows.setAnchor(op.getResult(0), [this, &op](Value m) -> Row {
      if (auto linearOp = dyn_cast<vlm::LinearOp>(op)) {
        Row input = rows.prepare(linearOp.getInput(), m);
        return [=, this](Value n, Type, int64_t) {
          return linear(linearOp, input, n);
        };
      }
      return [this, &op, m](Value f, Type, int64_t) {
        if (auto patch = dyn_cast<vlm::PatchEmbedOp>(op))
          return patchEmbed(patch, m, f);
        return attention(cast<vlm::AttentionOp>(op), m, f);
      };
    });
  }
  return rows.prepare(yielded, row)(feature, e.f32, 1);
}

Value cuda::emitElement(Emitter &e, KernelFrame &frame, Value row,
                        Value feature) {
  return ElementEmitter(e, frame).emit(row, feature);
}
