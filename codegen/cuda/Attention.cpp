//===-- Attention.cpp - attention on a GPU's tensor cores -----------------===//
//
// A block takes 64 queries of one head, a warp 16 of them. Keys and values come
// in blocks, the next one while this one is multiplied; scores stay in
// registers, where they become the left side of the second product. Maxima and
// sums of a row grow along the keys (arXiv:2205.14135, 2307.08691). Of a head
// of more than 256 features four blocks sum a quarter of the values each.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Kernels.h"
#include <cfloat>
#include <cmath>
#include <limits>
#include <numbers>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

namespace {
class AttentionEmitter {
public:
  AttentionEmitter(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan)
      : e(e), g(e), frame(frame), tile(plan.attention), half(plan.half) {
    for (Operation &op : frame.kernel.getBody().front())
      if (auto found = dyn_cast<vlm::AttentionOp>(op))
        attention = found;
    heads = attention.getNumHeads();
    kvHeads = attention.getNumKvHeads();
    size = vlm::getFeatures(attention.getQuery()) / heads;
  }
  void emit();

private:
  /// Tiles of eight columns of the scores and of the result.
  int64_t scoreTiles() const { return tile.keys / 8; }
  int64_t resultTiles() const { return tile.value().columns / 8; }
  /// Where a stage's keys are in shared memory; its values are behind.
  Value stageAt(Value stage) {
    return e.add(e.mul(stage, 2 * tile.key().bytes()), tile.query().bytes());
  }

  TileSource sourceOf(Value value, Value begin, int64_t columns, Value sequence,
                      Value firstRow, Value count);
  void loadStage(Value stage, Value block);
  SmallVector<Value> multiplyKeys(Value keys);
  SmallVector<Value> multiplyValues(Value values, ArrayRef<Value> weights,
                                    ValueRange sums);
  void mask(SmallVectorImpl<Value> &scores, Value firstKey);
  Value maskOne(Value score, Value position, Value key);
  Value biasOf(Value position, Value key);
  Value isFlagged(Value token);
  SmallVector<Value> step(Value block, ValueRange carried);
  void store(ValueRange carried);

  Emitter &e;
  Gpu g;
  cpu::KernelFrame &frame;
  AttentionTile tile;
  Storage half;
  vlm::AttentionOp attention;
  int64_t heads, kvHeads, size;
  Value batch, head, queries, keys, firstQuery, warpRow, lane;
  /// Where the features of values begin, in a head, that this block sums.
  Value firstFeature;
  /// This thread's two rows of queries, their positions.
  SmallVector<Value> row, position;
  /// Whether each is a token that is no key, where only those mask such keys.
  SmallVector<Value> isInvalid;
};
} // namespace

//===-- Loading -----------------------------------------------------------===//

/// `columns` features of rows `firstRow` and on of a sequence of `count`.
TileSource AttentionEmitter::sourceOf(Value value, Value begin, int64_t columns,
                                      Value sequence, Value firstRow,
                                      Value count) {
  TileSource source;
  source.columns = columns;
  if (auto rows = memoryRows(e, frame, value)) {
    source.memory =
        MemoryRows{rows->storage, rows->base,
                   [this, begin, inner = rows->offset](Value m) {
                     return e.add(inner(m), begin);
                   },
                   std::gcd(std::gcd(rows->alignment, size), columns)};
  }
  source.element = [this, value, begin](Value m, Value k) {
    return cpu::RowEmitter(e, frame).prepare(value, m)(e.add(begin, k), e.f32,
                                                       1);
  };
  Value before = e.mul(sequence, count);
  source.row = [this, before, firstRow, count](Value i) {
    Value inside = e.min(e.add(firstRow, i), e.sub(count, e.constant(1)));
    return e.add(before, inside);
  };
  source.isValid = [this, firstRow, count](Value i) {
    return e.less(e.add(firstRow, i), count);
  };
  return source;
}

void AttentionEmitter::loadStage(Value stage, Value block) {
  Value base = stageAt(stage), first = e.mul(block, tile.keys);
  Value begin = e.mul(e.div(head, heads / kvHeads), size);
  TileLoader key(g, tile.key(), tile.threads(), half,
                 sourceOf(attention.getKey(), begin, size, batch, first, keys));
  key.load(base, e.constant(0));
  TileLoader value(g, tile.value(), tile.threads(), half,
                   sourceOf(attention.getValue(), e.add(begin, firstFeature),
                            size / tile.slices, batch, first, keys));
  value.load(e.add(base, tile.key().bytes()), e.constant(0));
  g.commit();
}

//===-- Products ----------------------------------------------------------===//

/// Queries by keys: four numbers of each tile of eight keys.
SmallVector<Value> AttentionEmitter::multiplyKeys(Value base) {
  SmallVector<Value> scores(scoreTiles() * 4, e.fconstant(e.f32, 0));
  for (int64_t depth = 0; depth < tile.size; depth += 16) {
    Value chunk = e.constant(depth / 8);
    SmallVector<Value> a =
        g.loadMatrices(half, matrixAddress(g, tile.query(), e.constant(0), lane,
                                           warpRow, chunk, true));
    for (int64_t j = 0; j < scoreTiles(); j += 2) {
      SmallVector<Value> b =
          g.loadMatrices(half, matrixAddress(g, tile.key(), base, lane,
                                             e.constant(j * 8), chunk, false));
      for (int64_t i = 0; i < 2; ++i) {
        auto at = (j + i) * 4;
        llvm::copy(g.multiply(half, a, ArrayRef(b).slice(i * 2, 2),
                              ArrayRef(scores).slice(at, 4)),
                   scores.begin() + at);
      }
    }
  }
  return scores;
}

/// Adds weights by values; the weights' numbers lie as a product leaves them,
/// which is as the next one wants its left side.
SmallVector<Value> AttentionEmitter::multiplyValues(Value base,
                                                    ArrayRef<Value> weights,
                                                    ValueRange sums) {
  SmallVector<Value> next(sums);
  for (int64_t key = 0; key < tile.keys; key += 16) {
    ArrayRef<Value> w = weights.slice(key / 8 * 4, 8);
    SmallVector<Value> a = {g.pack(half, w[0], w[1]), g.pack(half, w[2], w[3]),
                            g.pack(half, w[4], w[5]), g.pack(half, w[6], w[7])};
    for (int64_t j = 0; j < resultTiles(); j += 2) {
      SmallVector<Value> b =
          g.loadMatrices(half,
                         matrixAddress(g, tile.value(), base, lane,
                                       e.constant(key), e.constant(j), true),
                         /*isTransposed=*/true);
      for (int64_t i = 0; i < 2; ++i) {
        auto at = (j + i) * 4;
        llvm::copy(g.multiply(half, a, ArrayRef(b).slice(i * 2, 2),
                              ArrayRef(next).slice(at, 4)),
                   next.begin() + at);
      }
    }
  }
  return next;
}

//===-- Masks -------------------------------------------------------------===//

/// What the score of a key grows by its distance, in powers of two.
Value AttentionEmitter::biasOf(Value at, Value key) {
  Value bias = attention.getDistanceBias();
  Storage storage = frame.form(bias).storage;
  Value x = cpu::loadStored(e, storage, e.f32,
                            e.at(frame.operand(bias),
                                 g.biasPlace(bias, head, e.sub(key, at)),
                                 cpu::elementOf(e, storage)),
                            1);
  return e.fmul(x, e.fconstant(e.f32, std::numbers::log2e));
}

/// A key that is masked has the lowest finite score, so that a query without
/// any other attends to all alike; behind the last key there is nothing.
Value AttentionEmitter::maskOne(Value score, Value at, Value key) {
  Value lowest = e.fconstant(e.f32, -FLT_MAX);
  if (attention.getDistanceBias())
    score = e.fadd(score, biasOf(at, key));
  if (attention.getCausal())
    score = e.select(e.less(at, key), lowest, score);
  return score;
}

/// Whether a token's column `key_valid` is 0.
Value AttentionEmitter::isFlagged(Value token) {
  Value column = attention.getKeyValid();
  Type type = cast<RankedTensorType>(column.getType()).getElementType();
  Value place =
      e.add(e.mul(batch, keys), e.min(token, e.sub(keys, e.constant(1))));
  Value flag = e.load(type, e.at(frame.operand(column), place, type),
                      type.getIntOrFloatBitWidth() / 8);
  return e.equal(flag, e.constant(0)); // i64
}

void AttentionEmitter::mask(SmallVectorImpl<Value> &scores, Value firstKey) {
  Value scale = e.fconstant(e.f32, attention.getScale().convertToDouble() *
                                       std::numbers::log2e);
  Value lowest = e.fconstant(e.f32, -FLT_MAX);
  Value nothing = e.fconstant(e.f32, -std::numeric_limits<double>::infinity());
  bool hasFlags = bool(attention.getKeyValid());
  for (int64_t j = 0; j < scoreTiles(); ++j)
    for (int64_t side = 0; side < 2; ++side) {
      Value key =
          e.add(e.add(firstKey, j * 8 + side), e.mul(e.rem(lane, 4), 2));
      Value isKey = e.less(key, keys), isMasked;
      if (hasFlags)
        isMasked = isFlagged(key);
      for (int64_t part = 0; part < 2; ++part) {
        Value &score = scores[j * 4 + part * 2 + side];
        score = maskOne(e.fmul(score, scale), position[part], key);
        if (isMasked)
          score = e.select(isInvalid.empty()
                               ? isMasked
                               : Value(arith::AndIOp::create(
                                     e.b, e.loc, isMasked, isInvalid[part])),
                           lowest, score);
        score = e.select(isKey, score, nothing);
      }
    }
}

//===-- A block of keys ---------------------------------------------------===//

/// Carried are the two rows' maxima and their sums, of this thread's keys
/// alone, and then the sums of values.
SmallVector<Value> AttentionEmitter::step(Value block, ValueRange carried) {
  bool isAhead = tile.stages > 1;
  if (!isAhead) {
    g.barrier();
    loadStage(e.constant(0), block);
  }
  g.waitFor(0);
  g.barrier();
  Value stage = e.constant(0);
  if (isAhead) {
    stage = e.rem(block, tile.stages);
    Value ahead = e.add(block, 1);
    loadStage(e.rem(ahead, tile.stages), ahead);
  }
  Value base = stageAt(stage);
  SmallVector<Value> scores = multiplyKeys(base);
  mask(scores, e.mul(block, tile.keys));
  SmallVector<Value> next(carried);
  SmallVector<Value, 2> shrink;
  for (int64_t part = 0; part < 2; ++part) {
    Value most = carried[part];
    for (int64_t j = 0; j < scoreTiles(); ++j)
      for (int64_t side = 0; side < 2; ++side)
        most = e.fmax(scores[j * 4 + part * 2 + side], most);
    most = g.maxOver(most, 4);
    shrink.push_back(g.exp2(e.fsub(carried[part], most)));
    Value sum = e.fmul(carried[2 + part], shrink[part]);
    for (int64_t j = 0; j < scoreTiles(); ++j)
      for (int64_t side = 0; side < 2; ++side) {
        Value &score = scores[j * 4 + part * 2 + side];
        score = g.exp2(e.fsub(score, most));
        sum = e.fadd(sum, score);
      }
    next[part] = most;
    next[2 + part] = sum;
  }
  SmallVector<Value> sums(carried.drop_front(4));
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = e.fmul(sums[i], shrink[i % 4 / 2]);
  llvm::copy(multiplyValues(e.add(base, tile.key().bytes()), scores, sums),
             next.begin() + 4);
  return next;
}

void AttentionEmitter::store(ValueRange carried) {
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  Storage storage = frame.form(result).storage;
  int64_t columns = size / tile.slices;
  for (int64_t part = 0; part < 2; ++part) {
    Value sum = g.sumOver(carried[2 + part], 4);
    Value inverse = e.fdiv(e.fconstant(e.f32, 1), sum);
    e.ifThen(e.less(row[part], queries), [&] {
      Value line = e.add(e.mul(batch, queries), row[part]);
      Value begin = e.add(e.mul(line, heads * size),
                          e.add(e.mul(head, size), firstFeature));
      for (int64_t j = 0; j < resultTiles(); ++j)
        for (int64_t side = 0; side < 2; ++side) {
          Value column = e.add(e.mul(e.rem(lane, 4), 2), j * 8 + side);
          Value x = e.fmul(carried[4 + j * 4 + part * 2 + side], inverse);
          auto write = [&] {
            g.storeAs(storage, x, frame.result(0), e.add(begin, column));
          };
          j * 8 + 8 <= columns
              ? write()
              : e.ifThen(e.less(column, e.constant(columns)), write);
        }
    });
  }
}

//===-- All of it ---------------------------------------------------------===//

void AttentionEmitter::emit() {
  batch = g.block(gpu::Dimension::z);
  Value slice = g.block(gpu::Dimension::y);
  head = e.div(slice, tile.slices);
  firstFeature = tile.slices == 1
                     ? e.constant(0)
                     : e.mul(e.rem(slice, tile.slices), size / tile.slices);
  firstQuery = e.mul(g.block(gpu::Dimension::x), tile.queries);
  queries = frame.dims.dim(attention.getQuery(), 1);
  keys = frame.dims.dim(attention.getKey(), 1);
  lane = g.lane();
  warpRow = e.mul(g.warp(), 16);
  for (int64_t part = 0; part < 2; ++part) {
    Value own =
        e.add(e.add(firstQuery, warpRow), e.add(e.div(lane, 4), part * 8));
    row.push_back(own);
    Value at = own;
    if (Value column = attention.getQueryPosition()) {
      Value inside = e.min(own, e.sub(queries, e.constant(1)));
      Value place = e.add(e.mul(batch, queries), inside);
      at = arith::ExtSIOp::create(
          e.b, e.loc, e.i64,
          e.load(e.i32, e.at(frame.operand(column), place, e.i32)));
    }
    position.push_back(at);
    if (attention.getAmongInvalid())
      isInvalid.push_back(isFlagged(own));
  }
  Value sequence = attention.isQueryShared() ? e.constant(0) : batch;
  TileLoader query(g, tile.query(), tile.threads(), half,
                   sourceOf(attention.getQuery(), e.mul(head, size), size,
                            sequence, firstQuery, queries));
  query.load(e.constant(0), e.constant(0));
  if (tile.stages > 1)
    loadStage(e.constant(0), e.constant(0));
  SmallVector<Value> initial(4 + resultTiles() * 4, e.fconstant(e.f32, 0));
  initial[0] = initial[1] = e.fconstant(e.f32, -FLT_MAX);
  SmallVector<Value> carried = e.loop(
      e.constant(0), e.ceilDiv(keys, tile.keys), 1, initial,
      [&](Value block, ValueRange values) { return step(block, values); });
  store(carried);
}

void cuda::emitAttention(Emitter &e, cpu::KernelFrame &frame,
                         const KernelPlan &plan) {
  AttentionEmitter(e, frame, plan).emit();
}
