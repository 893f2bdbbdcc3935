//===-- Elements.cpp - one element of a kernel's result -------------------===//
#include "codegen/cuda/Elements.h"
#include "codegen/cpu/VectorMath.h"
#include "codegen/cuda/Kernels.h"
#include "codegen/cuda/Windows.h"
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
             vlm::SqueezeOp, vlm::SliceFeaturesOp, vlm::Conv2dOp,
             vlm::SliceTokensOp, vlm::RmsNormOp, vlm::MultiplyOp, vlm::RopeOp,
             vlm::MergeTokensOp, vlm::ReplaceTokensOp, vlm::GatedAddOp,
             vlm::AveragePoolOp, vlm::ScaleOp, vlm::GroupNormOp,
             vlm::MaskFeaturesOp, vlm::ConcatFeaturesOp, vlm::MeanTokensOp,
             vlm::MaxTokensOp, vlm::DepthwiseConv2dOp, vlm::ScaleFeaturesOp,
             vlm::AddGridPositionsOp,
             vlm::PixelUnshuffleOp, vlm::GroupMomentsOp, vlm::LeastFeatureOp,
             vlm::RopeTableOp>(op))
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
  /// Element `offset` of an operand, as f32.
  Value load(Value argument, Value offset) {
    cpu::Storage storage = frame.form(argument).storage;
    return cpu::loadStored(
        e, storage, e.f32,
        e.at(frame.operand(argument), offset, cpu::elementOf(e, storage)), 1);
  }
  Value loadInteger(Value base, Value offset) {
    Type type = e.i64;
    if (cast<RankedTensorType>(base.getType()).getElementType().isInteger(32))
      type = e.i32;
    Value x = e.load(type, e.at(frame.operand(base), offset, type));
    return type == e.i64 ? x : arith::ExtSIOp::create(e.b, e.loc, e.i64, x);
  }
  Value linear(vlm::LinearOp op, const Row &input, Value n);
  Value windows(Operation *op, Value n, function_ref<Value(Value)> element);
  Value anchored(Operation *op, Value row, Value feature);
  Value concatenated(vlm::ConcatFeaturesOp op, Value row, Value feature);
  Value unshuffled(vlm::PixelUnshuffleOp op, Value row, Value feature);
  Value meanOf(vlm::MeanTokensOp op, Value sequence, Value feature);
  Value largestOf(vlm::MaxTokensOp op, Value sequence, Value feature);
  Value moment(vlm::GroupMomentsOp op, Value row, Value which);
  Value leastFeature(vlm::LeastFeatureOp op, Value row);
  Value rotary(vlm::RopeTableOp op, Value row, Value feature);
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
  Value begin = e.mul(n, k);
  Value sum = loopFrom0(k, zero(), [&](Value i, Value sum) {
    return e.fma(input(i, e.f32, 1), load(op.getWeight(), e.add(begin, i)),
                 sum);
  });
  return op.getBias() ? e.fadd(sum, load(op.getBias(), n)) : sum;
}

/// The same where `element` gives the features of a picture's windows.
Value ElementEmitter::windows(Operation *op, Value n,
                              function_ref<Value(Value)> element) {
  auto weight = cast<RankedTensorType>(op->getOperand(1).getType());
  int64_t k = weight.getNumElements() / weight.getDimSize(0);
  Value begin = e.mul(n, k);
  Value sum = loopFrom0(k, zero(), [&](Value i, Value sum) {
    return e.fma(element(i), load(op->getOperand(1), e.add(begin, i)), sum);
  });
  return op->getNumOperands() > 2 ? e.fadd(sum, load(op->getOperand(2), n))
                                  : sum;
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
  Value position = op.getQueryPosition()
                       ? loadInteger(op.getQueryPosition(), row)
                       : e.rem(row, queries);
  if (Value bias = op.getDistanceBias())
    x = e.fadd(x,
               load(bias, Gpu(e).biasPlace(bias, head,
                                           e.sub(e.rem(key, keys), position))));
  if (op.getCausal())
    x = e.select(e.less(position, e.rem(key, keys)), lowest, x);
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
  Value scale = load(op.getLogScale(), origin);
  scale = op.getDivides() ? e.fdiv(e.fconstant(e.f32, 1), scale)
                          : cpu::emitExp(e, scale);
  Value bias = op.getBias() ? load(op.getBias(), origin) : zero();
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

//===-- Rows of other shapes ----------------------------------------------===//

/// All are read, within their rows, and one is taken.
Value ElementEmitter::concatenated(vlm::ConcatFeaturesOp op, Value row,
                                   Value feature) {
  Value result;
  int64_t begin = 0;
  for (Value input : op.getInputs()) {
    int64_t size = vlm::getFeatures(input);
    Value at = e.sub(feature, e.constant(begin));
    at = e.min(e.max(at, e.constant(0)), e.constant(size - 1));
    Value value = load(input, e.add(e.mul(row, size), at));
    Value isBefore = e.less(feature, e.constant(begin));
    result = result ? e.select(isBefore, result, value) : value;
    begin += size;
  }
  return result;
}

Value ElementEmitter::unshuffled(vlm::PixelUnshuffleOp op, Value row,
                                 Value feature) {
  int64_t size = op.getSize(), width = op.getWidth(), height = op.getHeight();
  int64_t channels = vlm::getFeatures(op.getInput());
  int64_t down = height / size, across = width / size;
  Value square = e.rem(row, down * across);
  int64_t line = op.getTransposed() ? down : across;
  Value y = e.div(square, line), x = e.rem(square, line);
  if (op.getTransposed())
    std::swap(y, x);
  Value pixel = e.div(feature, channels);
  y = e.add(e.mul(y, size), e.div(pixel, size));
  x = e.add(e.mul(x, size), e.rem(pixel, size));
  Value token = e.add(e.mul(e.div(row, down * across), height * width),
                      e.add(e.mul(y, width), x));
  return load(op.getInput(),
              e.add(e.mul(token, channels), e.rem(feature, channels)));
}

Value ElementEmitter::meanOf(vlm::MeanTokensOp op, Value sequence,
                             Value feature) {
  Value tokens = frame.dims.dim(op.getInput(), 1);
  int64_t features = vlm::getFeatures(op.getInput());
  Value first = e.mul(sequence, tokens);
  Value sum = loopFrom0(tokens, zero(), [&](Value t, Value sum) {
    Value at = e.add(e.mul(e.add(first, t), features), feature);
    return e.fadd(sum, load(op.getInput(), at));
  });
  return e.fdiv(sum, arith::SIToFPOp::create(e.b, e.loc, e.f32, tokens));
}

Value ElementEmitter::largestOf(vlm::MaxTokensOp op, Value sequence,
                                Value feature) {
  Value tokens = frame.dims.dim(op.getInput(), 1);
  int64_t features = vlm::getFeatures(op.getInput());
  Value first = e.mul(sequence, tokens);
  return loopFrom0(
      tokens, e.fconstant(e.f32, -INFINITY), [&](Value t, Value most) {
        Value at = e.add(e.mul(e.add(first, t), features), feature);
        return e.fmax(most, load(op.getInput(), at));
      });
}

/// The mean of a picture's group of channels, or behind it one over its
/// deviation.
Value ElementEmitter::moment(vlm::GroupMomentsOp op, Value row, Value which) {
  Value pixels = frame.dims.dim(op.getInput(), 1);
  int64_t groups = op.getGroups(), width = vlm::getFeatures(op.getInput());
  int64_t channels = width / groups;
  Value first = e.mul(e.div(row, groups), pixels);
  Value begin = e.mul(e.rem(row, groups), channels);
  Value elements = e.mul(pixels, channels);
  Value count = arith::SIToFPOp::create(e.b, e.loc, e.f32, elements);
  auto meanOfAll = [&](function_ref<Value(Value)> term) {
    Value sum = loopFrom0(elements, zero(), [&](Value i, Value sum) {
      Value pixel = e.add(first, e.div(i, channels));
      Value at = e.add(e.mul(pixel, width), e.add(begin, e.rem(i, channels)));
      return e.fadd(sum, term(load(op.getInput(), at)));
    });
    return e.fdiv(sum, count);
  };
  Value mean = meanOfAll([](Value x) { return x; });
  Value variance = meanOfAll([&](Value x) {
    Value difference = e.fsub(x, mean);
    return e.fmul(difference, difference);
  });
  Value epsilon = e.fconstant(e.f32, op.getEpsilon().convertToDouble());
  Value inverse =
      e.fdiv(e.fconstant(e.f32, 1), e.sqrt(e.fadd(variance, epsilon)));
  return e.select(e.equal(which, e.constant(0)), mean, inverse);
}

/// The first of equals.
Value ElementEmitter::leastFeature(vlm::LeastFeatureOp op, Value row) {
  int64_t features = vlm::getFeatures(op.getInput());
  Value begin = e.mul(row, features);
  Value found =
      e.loop(e.constant(1), e.constant(features), 1,
             {e.constant(0), load(op.getInput(), begin)},
             [&](Value n, ValueRange carried) {
               Value x = load(op.getInput(), e.add(begin, n));
               Value isLess = arith::CmpFOp::create(
                   e.b, e.loc, arith::CmpFPredicate::OLT, x, carried[1]);
               return SmallVector<Value>{e.select(isLess, n, carried[0]),
                                         e.select(isLess, x, carried[1])};
             })[0];
  if (std::optional<ArrayRef<int32_t>> ids = op.getIds()) {
    auto type = RankedTensorType::get({features}, e.i32);
    Value table = Gpu(e).table((frame.kernel.getSymName() + "_ids").str(),
                               DenseElementsAttr::get(type, *ids));
    return e.load(e.i32, e.at(table, found, e.i32));
  }
  return arith::TruncIOp::create(e.b, e.loc, e.i32, found);
}

/// Cosines of a position, then its sines.
Value ElementEmitter::rotary(vlm::RopeTableOp op, Value row, Value feature) {
  ArrayRef<float> frequencies = op.getFrequencies();
  auto half = static_cast<int64_t>(frequencies.size());
  auto type = RankedTensorType::get({half}, e.f32);
  Value table = Gpu(e).table((frame.kernel.getSymName() + "_rotary").str(),
                             DenseElementsAttr::get(type, frequencies));
  Value position = arith::SIToFPOp::create(
      e.b, e.loc, e.f32,
      e.load(e.i32, e.at(frame.operand(op.getPosition()), row, e.i32)));
  Value angle =
      e.fmul(position, e.load(e.f32, e.at(table, e.rem(feature, half))));
  auto [sine, cosine] = cpu::emitSineCosine(e, e.broadcast(e.vector, angle));
  Value turned = e.select(e.less(feature, e.constant(half)),
                          e.reduceAdd(cosine), e.reduceAdd(sine));
  return e.fmul(turned, e.fconstant(e.f32, op.getScale().convertToDouble()));
}

//===-- All of them -------------------------------------------------------===//

/// A feature of an anchor's row.
Value ElementEmitter::anchored(Operation *op, Value row, Value feature) {
  if (auto patch = dyn_cast<vlm::PatchEmbedOp>(op))
    return windows(op, feature, [&](Value at) {
      return emitPatchElement(e, frame, patch, row, at);
    });
  if (auto conv = dyn_cast<vlm::Conv2dOp>(op))
    return windows(op, feature, [&](Value at) {
      return emitWindowElement(e, frame, conv, row, at);
    });
  return attention(cast<vlm::AttentionOp>(op), row, feature);
}

Value ElementEmitter::emit(Value row, Value feature) {
  Operation *last = frame.kernel.getYielded()[0].getDefiningOp();
  if (auto op = dyn_cast<vlm::TokenIndexOp>(last))
    return tokenIndex(op, row);
  if (auto op = dyn_cast<vlm::LeastFeatureOp>(last))
    return leastFeature(
        op, e.add(e.mul(row, frame.dims.dim(last->getResult(0), 1)), feature));
  if (auto op = dyn_cast<vlm::RopeTableOp>(last))
    return rotary(op, row, feature);
  if (auto op = dyn_cast<vlm::ContrastiveLogitsOp>(last))
    return contrast(op, row, feature);
  if (auto op = dyn_cast<vlm::ConcatFeaturesOp>(last))
    return concatenated(op, row, feature);
  if (auto op = dyn_cast<vlm::PixelUnshuffleOp>(last))
    return unshuffled(op, row, feature);
  if (auto op = dyn_cast<vlm::MeanTokensOp>(last))
    return meanOf(op, row, feature);
  if (auto op = dyn_cast<vlm::MaxTokensOp>(last))
    return largestOf(op, row, feature);
  if (auto op = dyn_cast<vlm::GroupMomentsOp>(last))
    return moment(op, row, feature);
  for (Operation &op : frame.kernel.getBody().front()) {
    if (!isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp, vlm::AttentionOp>(
            op))
      continue;
    rows.setAnchor(op.getResult(0), [this, &op](Value m) -> Row {
      if (auto linearOp = dyn_cast<vlm::LinearOp>(op)) {
        Row input = rows.prepare(linearOp.getInput(), m);
        return [=, this](Value n, Type, int64_t) {
          return linear(linearOp, input, n);
        };
      }
      return [this, &op, m](Value f, Type, int64_t) {
        return anchored(&op, m, f);
      };
    });
  }
  return rows.prepare(frame.kernel.getYielded()[0], row)(feature, e.f32, 1);
}

/// The number of this thread among all of the grid.
static Value emitThread(Emitter &e) {
  Gpu g(e);
  Value size = gpu::BlockDimOp::create(e.b, e.loc, gpu::Dimension::x);
  return e.add(e.mul(g.block(gpu::Dimension::x),
                     arith::IndexCastOp::create(e.b, e.loc, e.i64, size)),
               g.thread());
}

void cuda::emitElements(Emitter &e, KernelFrame &frame, const KernelPlan &) {
  Value yielded = frame.kernel.getYielded()[0];
  Value features = frame.dims.dim(
      yielded, cast<RankedTensorType>(yielded.getType()).getRank() - 1);
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  Value thread = emitThread(e);
  Value count = e.mul(frame.dims.rows(e, yielded), features);
  e.ifThen(e.less(thread, count), [&] {
    Value element = ElementEmitter(e, frame).emit(e.div(thread, features),
                                                  e.rem(thread, features));
    Gpu(e).storeAs(frame.form(result).storage, element, frame.result(0),
                   thread);
  });
}
