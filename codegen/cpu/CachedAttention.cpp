//===- CachedAttention.cpp - attention over a cache of keys and values ----===//
//
// Phase 0 writes the new tokens' keys and values to the cache, where they lie
// packed: a page holds 64 places of a sequence, its keys in panels of 16
// ([Hkv][4][Dh][16]), its values in panels of 16 features
// ([Hkv][Dh/16][64][16]). Phase 1 attends: a task is a block of queries times
// one key head; all queries of a run of one sequence that share the head go
// through the pages together, by the GEMM's register tile and an online
// softmax. A page always takes the same arithmetic, however many of its places
// are filled or masked, so that a query's bits do not depend on how its
// sequence was cut into runs.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/DistanceBias.h"
#include "codegen/cpu/Generators.h"
#include "codegen/cpu/VectorMath.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cfloat>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

static constexpr int64_t pageTokens = vlm::pageTokens;
static constexpr int64_t pagePanels = pageTokens / panelColumns;

namespace {

class CachedAttentionGenerator {
public:
  CachedAttentionGenerator(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                           KernelCode &code)
      : e(e), kernel(kernel), prefix(prefix), code(code) {
    for (Operation &inner : kernel.getBody().front())
      if (auto attention = dyn_cast<vlm::CachedAttentionOp>(inner))
        op = attention;
    ArrayRef<int64_t> layer =
        cast<RankedTensorType>(op.getCache().getType()).getShape();
    keyHeads = layer[1];
    size = layer[2];
    padded = llvm::alignTo(size, panelColumns);
    group = static_cast<int64_t>(op.getNumHeads()) / keyHeads;
    mr = tileOf(kernel, "mr");
    tokens = tileOf(kernel, "tokens");
    rowsMax = llvm::alignTo(tokens * group, mr);
    if (Value table = op.getDistanceBias())
      bias.emplace(e, table);
  }

  void generate() {
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          KernelFrame frame(e, kernel, args);
          e.loop(begin, end, 1, [&](Value token) { append(frame, token); });
        },
        [&](DimFrame &dims) { return dims.dim(op.getKey(), 1); });
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          KernelFrame frame(e, kernel, args);
          e.loop(begin, end, 1, [&](Value task) { attend(frame, task); });
        },
        [&](DimFrame &dims) {
          return e.mul(e.ceilDiv(dims.dim(op.getQuery(), 1), tokens), keyHeads);
        });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  StringRef prefix;
  KernelCode &code;
  vlm::CachedAttentionOp op;
  /// Features of a head, the same in whole panels; query heads per key head;
  /// rows of a register tile; query tokens of a block and rows they are.
  int64_t keyHeads, size, padded, group, mr, tokens, rowsMax;
  std::optional<DistanceBias> bias;

  //===--------------------------------------------------------------------===//
  // The cache
  //===--------------------------------------------------------------------===//

  Value loadColumn(Value column, Value index) {
    return arith::ExtSIOp::create(e.b, e.loc, e.i64,
                                  e.load(e.i32, e.at(column, index, e.i32)));
  }

  /// This layer's part of a page; the fields are those of vlm_abi_cache_layer.
  Value pageOf(KernelFrame &frame, Value sequence, Value page) {
    Value layer = frame.operand(op.getCache());
    Value pages = e.load(e.ptr, layer, 8);
    Value most = e.load(e.i64, e.at(layer, 1, e.i64), 8);
    Value offset = e.load(e.i64, e.at(layer, 2, e.i64), 8);
    Value number = e.add(e.mul(sequence, most), page);
    Value base = e.load(e.ptr, e.at(pages, number, e.ptr), 8);
    return e.at(base, offset, e.b.getI8Type());
  }
  Value keysOf(Value page, Value head) {
    return e.at(page, e.mul(head, pageTokens * size));
  }
  Value valuesOf(Value page, Value head) {
    return e.at(page, e.add(e.mul(head, pageTokens * padded),
                            keyHeads * pageTokens * size));
  }

  void append(KernelFrame &frame, Value token) {
    Value sequence = loadColumn(frame.operand(op.getSequence()), token);
    Value position = loadColumn(frame.operand(op.getPosition()), token);
    Value page = pageOf(frame, sequence, e.div(position, pageTokens));
    Value place = e.rem(position, pageTokens);
    RowEmitter rows(e, frame);
    Row key = rows.prepare(op.getKey(), token);
    Row value = rows.prepare(op.getValue(), token);
    e.loop(e.constant(0), e.constant(keyHeads), 1, [&](Value head) {
      Value first = e.mul(head, size);
      Value keys =
          e.at(keysOf(page, head),
               e.add(e.mul(e.div(place, panelColumns), size * panelColumns),
                     e.rem(place, panelColumns)));
      Value values = e.at(valuesOf(page, head), e.mul(place, panelColumns));
      forHead([&](Value d, int64_t valid) {
        Value x = key(e.add(first, d), e.vector, valid);
        for (int64_t lane = 0; lane < valid; ++lane)
          e.store(vector::ExtractOp::create(e.b, e.loc, x, lane),
                  e.at(keys, e.mul(e.add(d, lane), panelColumns)));
        Value y = value(e.add(first, d), e.vector, valid);
        Value target =
            e.add(e.mul(e.div(d, panelColumns), pageTokens * panelColumns),
                  e.rem(d, panelColumns));
        e.storeMasked(y, e.at(values, target), valid);
      });
    });
  }

  /// Calls `body(d, valid)` for the vectors of a head's features.
  void forHead(llvm::function_ref<void(Value d, int64_t valid)> body) {
    int64_t whole = size / e.lanes() * e.lanes();
    if (whole)
      e.loop(e.constant(0), e.constant(whole), e.lanes(),
             [&](Value d) { body(d, e.lanes()); });
    if (whole < size)
      body(e.constant(whole), size - whole);
  }

  //===--------------------------------------------------------------------===//
  // Attending
  //===--------------------------------------------------------------------===//

  /// The scratch of one thread. Rows are (token, query head of the group).
  struct Scratch {
    Value queries, scores, sums, maximum, total, scale, bias;
  };
  Scratch layOut(Value scratch) {
    Scratch s;
    s.queries = scratch;
    s.scores = e.at(s.queries, rowsMax * size + (padded - size));
    s.sums = e.at(s.scores, rowsMax * pageTokens);
    s.maximum = e.at(s.sums, rowsMax * padded);
    s.total = e.at(s.maximum, rowsMax);
    s.scale = e.at(s.total, rowsMax);
    s.bias = e.at(s.scale, rowsMax);
    return s;
  }

  Value tokenOf(KernelFrame &frame, Value query) {
    return op.getQueryToken()
               ? loadColumn(frame.operand(op.getQueryToken()), query)
               : query;
  }
  Value sequenceOf(KernelFrame &frame, Value query) {
    Value column =
        op.hasOwnQueries() ? op.getQuerySequence() : op.getSequence();
    return loadColumn(frame.operand(column), tokenOf(frame, query));
  }
  /// The first key that a query may see, and the one behind the last.
  std::pair<Value, Value> rangeOf(KernelFrame &frame, Value query) {
    Value token = tokenOf(frame, query);
    if (op.hasOwnQueries())
      return {loadColumn(frame.operand(op.getFirst()), token),
              loadColumn(frame.operand(op.getLast()), token)};
    Value position = loadColumn(frame.operand(op.getPosition()), token);
    Value first = e.constant(0);
    if (int64_t window = op.getWindow())
      first = e.max(e.sub(position, e.constant(window - 1)), first);
    Value last = e.add(position, 1);
    if (!op.getFirst())
      return {first, last};
    Value from = loadColumn(frame.operand(op.getFirst()), token);
    Value to = loadColumn(frame.operand(op.getLast()), token);
    Value adds = e.less(from, to);
    return {e.select(adds, e.min(first, from), first),
            e.select(adds, e.max(last, to), last)};
  }

  /// One block of queries and one key head: run by run.
  void attend(KernelFrame &frame, Value task) {
    Value queries = frame.dims.dim(op.getQuery(), 1);
    Value head = e.rem(task, keyHeads);
    Value first = e.mul(e.div(task, keyHeads), tokens);
    Value last = e.min(e.add(first, tokens), queries);
    if (bias)
      for (int64_t g = 0; g < group; ++g)
        bias->pack(frame, e.add(e.mul(head, group), g),
                   e.at(layOut(frame.scratch).bias, g * bias->floats()));
    // Queries that are not the first of their run are passed over.
    e.loop(first, last, 1, [&](Value query) {
      Value sequence = sequenceOf(frame, query);
      Value isFirst = e.equal(query, first);
      Value before =
          sequenceOf(frame, e.max(e.sub(query, e.constant(1)), first));
      Value begins = arith::OrIOp::create(
          e.b, e.loc, isFirst,
          arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, before,
                                sequence));
      e.ifThen(begins, [&] {
        Value end =
            e.loop(e.add(query, 1), last, 1, {last},
                   [&](Value other, ValueRange carried) {
                     Value same = e.equal(sequenceOf(frame, other), sequence);
                     return SmallVector<Value>{
                         e.select(same, carried[0], e.min(carried[0], other))};
                   })[0];
        attendRun(frame, sequence, head, query, end);
      });
    });
  }

  void attendRun(KernelFrame &frame, Value sequence, Value head, Value first,
                 Value end) {
    Scratch s = layOut(frame.scratch);
    Value rows = e.mul(e.sub(end, first), group);
    // The keys that any query of the run may see. A query that sees none must
    // not widen them.
    SmallVector<Value> span =
        e.loop(first, end, 1, {e.constant(INT64_MAX), e.constant(0)},
               [&](Value query, ValueRange carried) {
                 auto [from, to] = rangeOf(frame, query);
                 packQueries(frame, s, head, query, e.sub(query, first));
                 if (op.hasOwnQueries()) {
                   Value any = e.less(from, to);
                   from = e.select(any, from, e.constant(INT64_MAX));
                   to = e.select(any, to, e.constant(0));
                 }
                 return SmallVector<Value>{e.min(carried[0], from),
                                           e.max(carried[1], to)};
               });
    clear(s, rows);
    e.loop(e.div(span[0], pageTokens), e.ceilDiv(span[1], pageTokens), 1,
           [&](Value page) {
             Value base = pageOf(frame, sequence, page);
             attendPage(frame, s, head, first, rows, base,
                        e.mul(page, pageTokens));
           });
    finish(frame, s, head, first, rows);
  }

  /// queries[row][d] = Q * scale (* log2(e) where nothing comes in between).
  void packQueries(KernelFrame &frame, const Scratch &s, Value head,
                   Value query, Value number) {
    double factor = op.getScale().convertToDouble();
    if (op.getSoftcap().isZero())
      factor *= 1.44269504088896341;
    RowEmitter emitter(e, frame);
    Row row = emitter.prepare(op.getQuery(), query);
    e.loop(e.constant(0), e.constant(group), 1, [&](Value g) {
      Value from = e.mul(e.add(e.mul(head, group), g), size);
      Value to = e.at(s.queries, e.mul(e.add(e.mul(number, group), g), size));
      forHead([&](Value d, int64_t valid) {
        Value x = row(e.add(from, d), e.vector, valid);
        e.storeMasked(e.fmul(x, e.fconstant(e.vector, factor)), e.at(to, d),
                      valid);
      });
    });
  }

  void clear(const Scratch &s, Value rows) {
    e.loop(e.constant(0), rows, 1, [&](Value row) {
      e.store(e.fconstant(e.f32, -FLT_MAX), e.at(s.maximum, row));
      e.store(e.fconstant(e.f32, 0), e.at(s.total, row));
      e.loop(e.constant(0), e.constant(padded), e.lanes(), [&](Value d) {
        e.store(e.fconstant(e.vector, 0),
                e.at(s.sums, e.add(e.mul(row, padded), d)));
      });
    });
  }

  void attendPage(KernelFrame &frame, const Scratch &s, Value head, Value first,
                  Value rows, Value page, Value firstKey) {
    Value keys = keysOf(page, head), values = valuesOf(page, head);
    forTiles(rows, [&](Value row, int64_t count) {
      Value queries = e.at(s.queries, e.mul(row, size));
      Value scores = e.at(s.scores, e.mul(row, pageTokens));
      e.call(scoresTile(count), {queries, keys, scores});
    });
    e.loop(e.constant(0), rows, 1, [&](Value row) {
      Value query = e.add(first, e.div(row, group));
      auto [from, to] = rangeOf(frame, query);
      SmallVector<Value> arguments = {e.at(s.scores, e.mul(row, pageTokens)),
                                      e.sub(from, firstKey),
                                      e.sub(to, firstKey),
                                      e.at(s.maximum, row),
                                      e.at(s.total, row),
                                      e.at(s.scale, row),
                                      s.bias,
                                      e.constant(0)};
      if (bias) {
        arguments[6] =
            e.at(s.bias, e.mul(e.rem(row, group), bias->floats()));
        arguments[7] = e.sub(
            firstKey, loadColumn(frame.operand(op.getPosition()),
                                 tokenOf(frame, query)));
      }
      e.call(softmaxRow(), arguments);
    });
    forTiles(rows, [&](Value row, int64_t count) {
      Value scores = e.at(s.scores, e.mul(row, pageTokens));
      Value sums = e.at(s.sums, e.mul(row, padded));
      e.call(valuesTile(count), {scores, values, sums, e.at(s.scale, row)});
    });
  }

  /// Divides by the sums of weights and writes the heads' rows.
  void finish(KernelFrame &frame, const Scratch &s, Value head, Value first,
              Value rows) {
    int64_t features = vlm::getFeatures(op.getResult());
    e.loop(e.constant(0), rows, 1, [&](Value row) {
      Value query = e.add(first, e.div(row, group));
      Value feature = e.mul(e.add(e.mul(head, group), e.rem(row, group)), size);
      Value to = e.at(frame.result(0), e.add(e.mul(query, features), feature));
      Value total = e.load(e.f32, e.at(s.total, row));
      // A query that sees no key has a total and sums of 0.
      if (op.hasOwnQueries()) {
        Value none =
            arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, total,
                                  e.fconstant(e.f32, 0));
        total = e.select(none, e.fconstant(e.f32, 1), total);
      }
      Value inverse =
          e.broadcast(e.vector, e.fdiv(e.fconstant(e.f32, 1), total));
      Value from = e.at(s.sums, e.mul(row, padded));
      forHead([&](Value d, int64_t valid) {
        Value x = e.load(e.vector, e.at(from, d));
        e.storeMasked(e.fmul(x, inverse), e.at(to, d), valid);
      });
    });
  }

  //===--------------------------------------------------------------------===//
  // Functions of their own
  //===--------------------------------------------------------------------===//

  /// Whole tiles of rows, then the rows that are left.
  void forTiles(Value count,
                llvm::function_ref<void(Value row, int64_t rows)> body) {
    Value whole = e.roundDown(count, mr);
    e.loop(e.constant(0), whole, mr, [&](Value row) { body(row, mr); });
    if (mr == 1)
      return;
    Value tail = e.sub(count, whole);
    e.ifThen(e.less(e.constant(0), tail), [&] {
      e.switchTo(tail, mr - 1, [&](int64_t rows) { body(whole, rows); });
    });
  }

  std::string ensure(const Twine &stem, ArrayRef<Type> arguments,
                     llvm::function_ref<void(ValueRange)> body) {
    std::string name = (prefix + kernel.getSymName() + stem).str();
    if (made.insert(name).second)
      e.function(name, arguments, {}, /*exported=*/false, [&](ValueRange a) {
        body(a);
        return SmallVector<Value>();
      });
    return name;
  }
  llvm::StringSet<> made;

  /// (queries, keys, scores): the scores of some rows with a page's keys.
  std::string scoresTile(int64_t rows) {
    return ensure(
        "_scores" + Twine(rows), {e.ptr, e.ptr, e.ptr}, [&](ValueRange a) {
          int64_t perRow = panelColumns / e.lanes();
          e.loop(e.constant(0), e.constant(pagePanels), 1, [&](Value panel) {
            SmallVector<Value> sums(rows * perRow, e.fconstant(e.vector, 0));
            ProductTile tile;
            tile.rows = rows;
            tile.count = e.constant(size);
            tile.left = [&](int64_t i, Value k, int64_t step) {
              return e.at(e.at(a[0], k), i * size + step);
            };
            tile.right = e.at(a[1], e.mul(panel, size * panelColumns));
            tile.panelStride = e.constant(0);
            sums = emitProduct(e, tile, sums);
            Value to = e.at(a[2], e.mul(panel, panelColumns));
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t c = 0; c < perRow; ++c)
                e.store(sums[i * perRow + c],
                        e.at(to, i * pageTokens + c * e.lanes()));
          });
        });
  }

  /// (weights, values, sums, scale): sums * scale + weights times values.
  std::string valuesTile(int64_t rows) {
    return ensure(
        "_values" + Twine(rows), {e.ptr, e.ptr, e.ptr, e.ptr},
        [&](ValueRange a) {
          int64_t perRow = panelColumns / e.lanes();
          e.loop(
              e.constant(0), e.constant(padded / panelColumns), 1,
              [&](Value panel) {
                Value to = e.at(a[2], e.mul(panel, panelColumns));
                SmallVector<Value> sums;
                for (int64_t i = 0; i < rows; ++i) {
                  Value scale =
                      e.broadcast(e.vector, e.load(e.f32, e.at(a[3], i)));
                  for (int64_t c = 0; c < perRow; ++c)
                    sums.push_back(e.fmul(
                        e.load(e.vector, e.at(to, i * padded + c * e.lanes())),
                        scale));
                }
                ProductTile tile;
                tile.rows = rows;
                tile.count = e.constant(pageTokens);
                tile.left = [&](int64_t i, Value k, int64_t step) {
                  return e.at(e.at(a[0], k), i * pageTokens + step);
                };
                tile.right =
                    e.at(a[1], e.mul(panel, pageTokens * panelColumns));
                tile.panelStride = e.constant(0);
                sums = emitProduct(e, tile, sums);
                for (int64_t i = 0; i < rows; ++i)
                  for (int64_t c = 0; c < perRow; ++c)
                    e.store(sums[i * perRow + c],
                            e.at(to, i * padded + c * e.lanes()));
              });
        });
  }

  /// (scores, first, last, maximum, total, scale, bias, distance): turns a row's
  /// scores with a page, of which it sees places [first, last), into weights, and
  /// what came before into their measure. `distance` is that of the first place.
  std::string softmaxRow() {
    return ensure(
        "_softmax",
        {e.ptr, e.i64, e.i64, e.ptr, e.ptr, e.ptr, e.ptr, e.i64},
        [&](ValueRange a) {
          SmallVector<Value> scores, allowed;
          Value lowest = e.fconstant(e.vector, -FLT_MAX), top = lowest;
          for (int64_t c = 0; c < pageTokens; c += e.lanes()) {
            Value x = capped(e.load(e.vector, e.at(a[0], c)));
            if (bias)
              x = e.fadd(x, bias->load(a[6], e.add(a[7], c)));
            allowed.push_back(isAllowed(c, a[1], a[2]));
            scores.push_back(e.select(allowed.back(), x, lowest));
            top = e.fmax(scores.back(), top);
          }
          Value before = e.load(e.f32, a[3]);
          Value maximum = e.fmax(e.reduceMax(top), before);
          Value wide = e.broadcast(e.vector, maximum);
          Value sum = e.fconstant(e.vector, 0);
          for (int64_t c = 0; c < pageTokens; c += e.lanes()) {
            size_t i = c / e.lanes();
            Value weight = emitExp2NonPositive(e, e.fsub(scores[i], wide));
            // Where nothing is allowed yet, the maximum itself is a masked
            // score.
            weight = e.select(allowed[i], weight, e.fconstant(e.vector, 0));
            e.store(weight, e.at(a[0], c));
            sum = e.fadd(sum, weight);
          }
          Value scale = emitExp2NonPositive(e, e.fsub(before, maximum));
          e.store(maximum, a[3]);
          e.store(e.fma(e.load(e.f32, a[4]), scale, e.reduceAdd(sum)), a[4]);
          e.store(scale, a[5]);
        });
  }

  /// softcap * tanh(score / softcap), and then in units of log2.
  Value capped(Value score) {
    double cap = op.getSoftcap().convertToDouble();
    if (cap == 0)
      return score;
    Value x = emitTanh(e, e.fmul(score, e.fconstant(e.vector, 1 / cap)));
    return e.fmul(x, e.fconstant(e.vector, cap * 1.44269504088896341));
  }

  /// For each lane whether place `begin` + lane of a page is in [first, last).
  Value isAllowed(int64_t begin, Value first, Value last) {
    auto type = VectorType::get({e.lanes()}, e.i64);
    SmallVector<int64_t> numbers =
        llvm::to_vector(llvm::seq<int64_t>(begin, begin + e.lanes()));
    Value places = arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(type, ArrayRef<int64_t>(numbers)));
    auto wide = [&](Value x) {
      return vector::BroadcastOp::create(e.b, e.loc, type, x);
    };
    Value allowed = arith::CmpIOp::create(
        e.b, e.loc, arith::CmpIPredicate::slt, places, wide(last));
    if (op.getWindow() || op.hasOwnQueries())
      allowed = arith::AndIOp::create(
          e.b, e.loc, allowed,
          arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, places,
                                wide(first)));
    return allowed;
  }
};

} // namespace

void cpu::generateCachedAttention(Emitter &e, vlm::KernelOp kernel,
                                  StringRef prefix, KernelCode &code) {
  CachedAttentionGenerator(e, kernel, prefix, code).generate();
}
