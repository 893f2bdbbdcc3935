//===-- Cached.cpp - attention over a cache, on a GPU ---------------------===//
//
// Two functions: one writes the keys and values of the call's tokens, a thread
// for each number; then a warp takes a query's head and goes along its keys, 32
// at once: a lane scores one, and holds the sums of its own features. The
// query's head is in shared memory, which all lanes read.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/VectorMath.h"
#include "codegen/cuda/Kernels.h"
#include <cfloat>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cuda;

namespace {
class CachedEmitter {
public:
  CachedEmitter(Emitter &e, cpu::KernelFrame &frame, const KernelPlan &plan)
      : e(e), g(e), frame(frame), plan(plan) {
    for (Operation &op : frame.kernel.getBody().front())
      if (auto found = dyn_cast<vlm::CachedAttentionOp>(op))
        attention = found;
    auto layer = cast<RankedTensorType>(attention.getCache().getType());
    heads = layer.getDimSize(1);
    size = layer.getDimSize(2);
    padded = static_cast<int64_t>(llvm::alignTo(size, panelColumns));
  }
  void emitAppend();
  void emitAttend();

private:
  Value column(Value argument, Value m);
  Value pageAt(Value sequence, Value place);
  Value keyAt(Value page, Value place, Value head, Value d);
  Value valueAt(Value page, Value place, Value head, Value d);
  void findRange(Value token);
  Value score(Value key);
  SmallVector<Value> addKeys(Value first, ValueRange carried);

  /// Features of a head that are a lane's.
  int64_t ownFeatures() const { return (size + warpThreads - 1) / warpThreads; }

  Emitter &e;
  Gpu g;
  cpu::KernelFrame &frame;
  const KernelPlan &plan;
  vlm::CachedAttentionOp attention;
  int64_t heads, size, padded; ///< of the cache
  Value lane, head, kvHead, sequence, begin, end, position, query;
};
} // namespace

//===-- The cache ---------------------------------------------------------===//

/// A number of a column of i32.
Value CachedEmitter::column(Value argument, Value m) {
  Value x = e.load(e.i32, e.at(frame.operand(argument), m, e.i32));
  return arith::ExtSIOp::create(e.b, e.loc, e.i64, x);
}

// The fields of vlm_abi_cache_layer: pages, pages of a sequence, offset.
Value CachedEmitter::pageAt(Value sequence, Value place) {
  Value layer = frame.operand(attention.getCache());
  Value number = e.add(e.mul(sequence, e.load(e.i64, e.at(layer, 1, e.i64), 8)),
                       e.div(place, vlm::pageTokens));
  Value pages = e.load(e.ptr, layer, 8);
  Value page = e.load(e.ptr, e.at(pages, number, e.ptr), 8);
  return e.at(page, e.load(e.i64, e.at(layer, 2, e.i64), 8), e.b.getI8Type());
}

Value CachedEmitter::keyAt(Value page, Value place, Value kvHead, Value d) {
  Value inside = e.rem(place, vlm::pageTokens);
  Value offset = e.mul(kvHead, vlm::pageTokens * size);
  offset =
      e.add(offset, e.mul(e.div(inside, panelColumns), size * panelColumns));
  offset =
      e.add(offset, e.add(e.mul(d, panelColumns), e.rem(inside, panelColumns)));
  return e.at(page, offset);
}

Value CachedEmitter::valueAt(Value page, Value place, Value kvHead, Value d) {
  Value inside = e.rem(place, vlm::pageTokens);
  Value offset = e.add(e.mul(kvHead, vlm::pageTokens * padded),
                       heads * vlm::pageTokens * size);
  offset = e.add(offset,
                 e.mul(e.div(d, panelColumns), vlm::pageTokens * panelColumns));
  offset =
      e.add(offset, e.add(e.mul(inside, panelColumns), e.rem(d, panelColumns)));
  return e.at(page, offset);
}

void CachedEmitter::emitAppend() {
  Value thread =
      e.add(e.mul(g.block(gpu::Dimension::x), plan.threads), g.thread());
  int64_t features = heads * size;
  Value count = e.mul(frame.dims.rows(e, attention.getKey()), features);
  e.ifThen(e.less(thread, count), [&] {
    Value m = e.div(thread, features), n = e.rem(thread, features);
    Value at = column(attention.getPosition(), m);
    Value page = pageAt(column(attention.getSequence(), m), at);
    Value kvHead = e.div(n, size), d = e.rem(n, size);
    cpu::RowEmitter rows(e, frame);
    e.store(rows.prepare(attention.getKey(), m)(n, e.f32, 1),
            keyAt(page, at, kvHead, d));
    e.store(rows.prepare(attention.getValue(), m)(n, e.f32, 1),
            valueAt(page, at, kvHead, d));
  });
}

//===-- Queries -----------------------------------------------------------===//

/// The places [begin, end) that a query sees.
void CachedEmitter::findRange(Value token) {
  bool hasOwn = attention.hasOwnQueries();
  sequence = column(
      hasOwn ? attention.getQuerySequence() : attention.getSequence(), token);
  begin = e.constant(0);
  if (!hasOwn)
    position = column(attention.getPosition(), token);
  end = hasOwn ? column(attention.getLast(), token) : e.add(position, 1);
  if (hasOwn)
    begin = column(attention.getFirst(), token);
  if (int64_t window = attention.getWindow())
    begin = e.max(e.sub(end, e.constant(window)), e.constant(0));
  if (attention.getFirst() && !hasOwn) {
    Value first = column(attention.getFirst(), token);
    Value last = column(attention.getLast(), token);
    Value adds = e.less(first, last);
    begin = e.select(adds, e.min(begin, first), begin);
    end = e.select(adds, e.max(end, last), end);
  }
}

/// Of this lane's key, which is a place that there is.
Value CachedEmitter::score(Value key) {
  Value page = pageAt(sequence, key);
  Value sum = e.loop(e.constant(0), e.constant(size), 1,
                     {e.fconstant(e.f32, 0)}, [&](Value d, ValueRange carried) {
                       Value q = g.load(
                           e.f32, g.sharedAt(e.mul(e.add(query, d), 4)), 4);
                       Value k = e.load(e.f32, keyAt(page, key, kvHead, d));
                       return SmallVector<Value>{e.fma(q, k, carried[0])};
                     })[0];
  sum = e.fmul(sum, e.fconstant(e.f32, attention.getScale().convertToDouble()));
  if (double cap = attention.getSoftcap().convertToDouble(); cap != 0) {
    Value bent = cpu::emitTanh(e, e.fmul(sum, e.fconstant(e.f32, 1 / cap)));
    sum = e.fmul(bent, e.fconstant(e.f32, cap));
  }
  if (Value bias = attention.getDistanceBias()) {
    Value place = g.biasPlace(bias, head, e.sub(key, position));
    Storage storage = frame.form(bias).storage;
    sum = e.fadd(sum, cpu::loadStored(e, storage, e.f32,
                                      e.at(frame.operand(bias), place,
                                           cpu::elementOf(e, storage)),
                                      1));
  }
  return sum;
}

/// Carried are the maximum of all keys before, the sum of weights, and the sums
/// of this lane's features.
SmallVector<Value> CachedEmitter::addKeys(Value first, ValueRange carried) {
  Value lowest = e.fconstant(e.f32, -FLT_MAX), zero = e.fconstant(e.f32, 0);
  Value key = e.add(first, lane);
  Value isKey = e.less(key, end);
  Value own = score(e.min(key, e.sub(end, e.constant(1))));
  own = e.select(isKey, own, lowest);
  Value most = e.fmax(g.maxOver(own, warpThreads), carried[0]);
  Value weight = cpu::emitExp(e, e.fsub(own, most));
  weight = e.select(isKey, weight, zero);
  Value shrink = cpu::emitExp(e, e.fsub(carried[0], most));
  SmallVector<Value> next = {most,
                             e.fma(carried[1], shrink, g.sumOverWarp(weight))};
  SmallVector<Value> sums;
  for (Value sum : carried.drop_front(2))
    sums.push_back(e.fmul(sum, shrink));
  Value count = e.min(e.sub(end, first), e.constant(warpThreads));
  sums = e.loop(e.constant(0), count, 1, sums, [&](Value i, ValueRange before) {
    Value at = e.add(first, i);
    Value page = pageAt(sequence, at);
    Value w = g.fromLane(weight, i);
    SmallVector<Value> after;
    for (int64_t f = 0; f < ownFeatures(); ++f) {
      // What is behind the head's last feature is read but not kept.
      Value d = e.min(e.add(lane, f * warpThreads), e.constant(size - 1));
      Value v = e.load(e.f32, valueAt(page, at, kvHead, d));
      after.push_back(e.fma(w, v, before[f]));
    }
    return after;
  });
  llvm::append_range(next, sums);
  return next;
}

void CachedEmitter::emitAttend() {
  int64_t warps = plan.threads / warpThreads;
  int64_t queryHeads = attention.getNumHeads();
  Value rows = frame.dims.rows(e, attention.getQuery());
  Value number = e.add(e.mul(g.block(gpu::Dimension::x), warps), g.warp());
  Value isQuery = e.less(number, e.mul(rows, queryHeads));
  number = e.min(number, e.sub(e.mul(rows, queryHeads), e.constant(1)));
  Value m = e.div(number, queryHeads);
  head = e.rem(number, queryHeads);
  kvHead = e.div(head, queryHeads / heads);
  lane = g.lane();
  query = e.mul(g.warp(), size);
  cpu::RowEmitter emitter(e, frame);
  cpu::Row row = emitter.prepare(attention.getQuery(), m);
  e.loop(lane, e.constant(size), warpThreads, [&](Value d) {
    g.store(row(e.add(e.mul(head, size), d), e.f32, 1),
            g.sharedAt(e.mul(e.add(query, d), 4)), 4);
  });
  g.barrier();
  findRange(attention.getQueryToken() ? column(attention.getQueryToken(), m)
                                      : m);
  SmallVector<Value> initial(2 + ownFeatures(), e.fconstant(e.f32, 0));
  initial[0] = e.fconstant(e.f32, -FLT_MAX);
  SmallVector<Value> sums = e.loop(
      begin, end, warpThreads, initial,
      [&](Value first, ValueRange carried) { return addKeys(first, carried); });
  // Where there is no key, the sums are 0.
  Value total = e.select(e.less(begin, end), sums[1], e.fconstant(e.f32, 1));
  auto result = static_cast<unsigned>(frame.kernel.getArgumentTypes().size());
  Value line = e.add(e.mul(m, queryHeads * size), e.mul(head, size));
  for (int64_t f = 0; f < ownFeatures(); ++f) {
    Value d = e.add(lane, f * warpThreads);
    Value isOwn =
        arith::AndIOp::create(e.b, e.loc, isQuery, e.less(d, e.constant(size)));
    e.ifThen(isOwn, [&] {
      g.storeAs(frame.form(result).storage, e.fdiv(sums[2 + f], total),
                frame.result(0), e.add(line, d));
    });
  }
}

void cuda::emitCacheAppend(Emitter &e, cpu::KernelFrame &frame,
                           const KernelPlan &plan) {
  CachedEmitter(e, frame, plan).emitAppend();
}

void cuda::emitCachedAttention(Emitter &e, cpu::KernelFrame &frame,
                               const KernelPlan &plan) {
  CachedEmitter(e, frame, plan).emitAttend();
}
