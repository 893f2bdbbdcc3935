//===-- Attention.cpp - attention with a whole row of scores in cache --------------------------------------------------------------------===//
//
// A task is one head of one sequence. Its keys are packed transposed ([T/16][Dh][16]) and its values in panels ([Dh/16][T][16]) in the thread's scratch;
// then, block by block of `mq` queries: scores by the GEMM's register tile, the mask, exp2 and the row sum, and the product with the values, scaled by
// one over the sum on its way out. log2(e) and the scale are folded into the packed queries. Every sum runs over ascending keys or features in
// an order that depends on their number only.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#include "codegen/cpu/DistanceBias.h"
#include "codegen/cpu/Generators.h"
#include "codegen/cpu/VectorMath.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cfloat>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

class AttentionGenerator {
public:
  AttentionGenerator(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) : e(e), kernel(kernel), prefix(prefix), code(code) {
    for (Operation &inner : kernel.getBody().front())
      if (auto attention = dyn_cast<vlm::AttentionOp>(inner))
        op = attention;
    heads = op.getNumHeads();
    size = vlm::getFeatures(op.getQuery()) / heads;
    group = heads / static_cast<int64_t>(op.getNumKvHeads());
    mq = tileOf(kernel, "mq");
    mr = tileOf(kernel, "mr");
    np = tileOf(kernel, "np");
    padded = llvm::alignTo(size, panelColumns);
    if (Value table = op.getDistanceBias())
      bias.emplace(e, table);
  }

  void generate() {
    addPhase(
        e, kernel, prefix, code, [&](Value args, Value begin, Value end) { emitTasks(args, begin, end); },
        [&](DimFrame &dims) { return e.mul(dims.dim(op.getKey(), 0), heads); });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  StringRef prefix;
  KernelCode &code;
  vlm::AttentionOp op;
  /// Heads, features of a head, query heads per key head, queries of a block, rows and panels of a tile, features rounded up to whole panels.
  int64_t heads, size, group, mq, mr, np, padded;
  std::optional<DistanceBias> bias;

  /// Where an operand's rows lie: it is a block argument or a slice of one.
  struct Rows {
    Value base;
    int64_t stride;
  };
  Rows rowsOf(KernelFrame &frame, Value value) {
    int64_t begin = 0;
    if (auto slice = value.getDefiningOp<vlm::SliceFeaturesOp>()) {
      begin = slice.getBegin();
      value = slice.getInput();
    }
    return {e.at(frame.operand(value), begin), vlm::getFeatures(value)};
  }

  /// The scratch of one thread; each part a whole number of cache lines.
  struct Scratch {
    Value keys, values, queries, scores, invalid, inverse, bias;
    Value scoreStride;
  };
  Scratch layOut(Value scratch, Value paddedKeys) {
    Scratch s;
    s.keys = scratch;
    s.values = e.at(s.keys, e.mul(paddedKeys, size));
    s.queries = e.at(s.values, e.mul(paddedKeys, padded));
    s.inverse = e.at(s.queries, mq * llvm::alignTo(size, panelColumns));
    s.invalid = e.at(s.inverse, mq);
    s.bias = e.at(s.invalid, paddedKeys);
    s.scores = bias ? e.at(s.bias, bias->floats()) : s.bias;
    // Rows are not a power of two apart, so that they do not share cache sets.
    s.scoreStride = e.add(paddedKeys, panelColumns);
    return s;
  }

  void emitTasks(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    Value keys = frame.dims.dim(op.getKey(), 1), queries = frame.dims.dim(op.getQuery(), 1);
    Scratch scratch = layOut(frame.scratch, e.roundUp(keys, panelColumns));
    e.loop(begin, end, 1, [&](Value task) {
      Value batch = e.div(task, heads), head = e.rem(task, heads);
      packKeys(frame, scratch, batch, e.div(head, group), keys);
      packValues(frame, scratch, batch, e.div(head, group), keys);
      if (op.getKeyValid())
        packInvalid(frame, scratch, batch, keys);
      if (bias)
        bias->pack(frame, head, scratch.bias);
      e.loop(e.constant(0), queries, mq, [&](Value first) {
        Value count = e.min(e.constant(mq), e.sub(queries, first));
        packQueries(frame, scratch, batch, head, queries, first, count);
        emitBlock(args, frame, scratch, batch, head, queries, keys, first, count);
      });
    });
  }

  //===-- Packing -----------------------------------------------------------------------------------------------------------------------===//

  /// The rows of one head lie far apart, each a few cache lines: no processor
  /// foresees them. They go to the second-level cache, since in the first one
  /// they fall into few sets.
  void prefetchRow(Value address, int64_t stride, int64_t ahead) { e.prefetch(e.at(address, stride * ahead), /*write=*/false, 2); }

  /// keys[j / 16][d][j % 16] = K[batch, j, head, d]. Past the last key stands
  /// that key again: the softmax leaves it out.
  void packKeys(KernelFrame &frame, const Scratch &s, Value batch, Value head, Value keys) {
    Rows rows = rowsOf(frame, op.getKey());
    Value base = e.at(rows.base, e.add(e.mul(e.mul(batch, keys), rows.stride), e.mul(head, size)));
    Value last = e.sub(keys, e.constant(1));
    e.loop(e.constant(0), e.roundUp(keys, panelColumns), e.lanes(), [&](Value j) {
      SmallVector<Value> sources;
      for (int64_t i = 0; i < e.lanes(); ++i)
        sources.push_back(e.at(base, e.mul(e.min(e.add(j, i), last), rows.stride)));
      Value target = e.at(s.keys, e.add(e.mul(e.div(j, panelColumns), size * panelColumns), e.rem(j, panelColumns)));
      RowEmitter(e, frame).forFeatures(size, [&](Value d, Type, int64_t valid) {
        SmallVector<Value> vectors;
        for (Value source : sources) {
          Value address = e.at(source, d);
          prefetchRow(address, rows.stride, e.lanes());
          vectors.push_back(e.loadMasked(e.vector, address, valid));
        }
        e.transpose(vectors);
        for (int64_t i = 0; i < valid; ++i)
          e.store(vectors[i], e.at(target, e.mul(e.add(d, i), panelColumns)));
      });
    });
  }

  /// values[d / 16][j][d % 16] = V[batch, j, head, d], zero past the last feature.
  void packValues(KernelFrame &frame, const Scratch &s, Value batch, Value head, Value keys) {
    Rows rows = rowsOf(frame, op.getValue());
    Value base = e.at(rows.base, e.add(e.mul(e.mul(batch, keys), rows.stride), e.mul(head, size)));
    e.loop(e.constant(0), keys, 1, [&](Value j) {
      Value row = e.at(base, e.mul(j, rows.stride));
      for (int64_t d = 0; d < padded; d += e.lanes()) {
        Value target = e.at(s.values, e.add(e.mul(e.add(e.mul(keys, d / panelColumns), j), panelColumns), d % panelColumns));
        if (d % panelColumns == 0)
          prefetchRow(e.at(row, d), rows.stride, 16);
        e.store(e.loadMasked(e.vector, e.at(row, d), std::clamp<int64_t>(size - d, 0, e.lanes())), target);
      }
    });
  }

  /// invalid[j] = 1 where key j is masked, else 0; padding counts as masked.
  void packInvalid(KernelFrame &frame, const Scratch &s, Value batch, Value keys) {
    Value column = e.at(frame.operand(op.getKeyValid()), e.mul(batch, keys), e.i64);
    e.loop(e.constant(0), e.roundUp(keys, panelColumns), 1, [&](Value j) {
      Value flag = e.load(e.i64, e.at(column, e.min(j, e.sub(keys, e.constant(1))), e.i64));
      Value masked = e.equal(flag, e.constant(0));
      e.store(e.select(masked, e.fconstant(e.f32, 1), e.fconstant(e.f32, 0)), e.at(s.invalid, j));
    });
  }

  /// queries[i][d] = Q * scale * log2(e).
  void packQueries(KernelFrame &frame, const Scratch &s, Value batch, Value head, Value queries, Value first, Value count) {
    Rows rows = rowsOf(frame, op.getQuery());
    double factor = op.getScale().convertToDouble() * 1.44269504088896341;
    e.loop(e.constant(0), count, 1, [&](Value i) {
      Value number = e.add(first, i);
      if (!op.isQueryShared())
        number = e.add(e.mul(batch, queries), number);
      Value row = e.at(rows.base, e.add(e.mul(number, rows.stride), e.mul(head, size)));
      Value target = e.at(s.queries, e.mul(i, size));
      RowEmitter(e, frame).forFeatures(size, [&](Value d, Type, int64_t valid) {
        prefetchRow(e.at(row, d), rows.stride, 16);
        Value x = e.loadMasked(e.vector, e.at(row, d), valid);
        e.storeMasked(e.fmul(x, e.fconstant(e.vector, factor)), e.at(target, d), valid);
      });
    });
  }

  //===-- One block of queries ------------------------------------------------------------------------------------------------------------===//

  void emitBlock(Value args, KernelFrame &frame, const Scratch &s, Value batch, Value head, Value queries, Value keys, Value first,
                 Value count) {
    Value keyPanels = e.ceilDiv(keys, panelColumns);
    forTiles(count, [&](Value row, int64_t rows) {
      auto multiply = [&](Value panel, int64_t panels) {
        Value target = e.at(s.scores, e.add(e.mul(row, s.scoreStride), e.mul(panel, panelColumns)));
        e.call(scoresTile(rows, panels),
               {e.at(s.queries, e.mul(row, size)), e.at(s.keys, e.mul(panel, size * panelColumns)), target, s.scoreStride});
      };
      Value grouped = e.roundDown(keyPanels, np);
      e.loop(e.constant(0), grouped, np, [&](Value panel) { multiply(panel, np); });
      if (np > 1)
        e.loop(grouped, keyPanels, 1, [&](Value panel) { multiply(panel, 1); });
    });
    e.loop(e.constant(0), count, 1, [&](Value i) {
      Value query = e.add(first, i);
      Value position = query;
      if (op.getQueryPosition()) {
        Value column = e.at(frame.operand(op.getQueryPosition()), e.add(e.mul(batch, queries), query), e.i32);
        position = arith::ExtSIOp::create(e.b, e.loc, e.i64, e.load(e.i32, column));
      }
      if (op.getAmongInvalid()) // whether the query is valid; positions do not count
        position = e.load(e.i64, e.at(frame.operand(op.getKeyValid()), e.add(e.mul(batch, keys), query), e.i64));
      e.call(softmaxRow(), {e.at(s.scores, e.mul(i, s.scoreStride)), keys, position, s.invalid, e.at(s.inverse, i), s.bias});
    });
    Value out = e.at(frame.result(0), e.add(e.mul(e.add(e.mul(batch, queries), first), heads * size), e.mul(head, size)));
    forTiles(count, [&](Value row, int64_t rows) {
      for (int64_t panel = 0; panel < padded / panelColumns; panel += np) {
        Value values = e.at(s.values, e.mul(e.mul(keys, panel), panelColumns));
        Value target = e.at(e.at(out, e.mul(row, heads * size)), panel * panelColumns);
        int64_t columns = std::min(np * panelColumns, size - panel * panelColumns);
        e.call(valuesTile(rows, columns),
               {e.at(s.scores, e.mul(row, s.scoreStride)), s.scoreStride, values, keys, e.at(s.inverse, row), target, e.constant(heads * size)});
      }
    });
  }

  /// Whole tiles of rows, then the rows that are left.
  void forTiles(Value count, llvm::function_ref<void(Value row, int64_t rows)> body) {
    Value whole = e.roundDown(count, mr);
    e.loop(e.constant(0), whole, mr, [&](Value row) { body(row, mr); });
    forRowsLeft(e, e.sub(count, whole), mr, [&](int64_t rows, Value above) { body(e.add(whole, above), rows); });
  }

  /// Makes a function that the module's attention kernels share and gives its
  /// name, which must tell all that it depends on.
  std::string ensure(const Twine &stem, ArrayRef<Type> arguments, llvm::function_ref<void(ValueRange)> body) {
    std::string name = (prefix + "attention_" + stem).str();
    e.ensure(name, arguments, body);
    return name;
  }

  /// (queries, keys, scores, score stride): one tile of scores.
  std::string scoresTile(int64_t rows, int64_t panels) {
    return ensure("scores" + Twine(rows) + "x" + Twine(panels * panelColumns) + "_of" + Twine(size), {e.ptr, e.ptr, e.ptr, e.i64}, [&](ValueRange a) {
      int64_t perRow = panels * panelColumns / e.lanes();
      SmallVector<Value> sums(rows * perRow, e.fconstant(e.vector, 0));
      ProductTile tile;
      tile.rows = rows;
      tile.panels = panels;
      tile.count = e.constant(size);
      tile.left = [&](int64_t i, Value k, int64_t step) { return e.at(e.at(a[0], k), i * size + step); };
      tile.right = a[1];
      tile.panelStride = e.constant(size * panelColumns);
      sums = emitProduct(e, tile, sums);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t c = 0; c < perRow; ++c)
          e.store(sums[i * perRow + c], e.at(e.at(a[2], e.mul(a[3], i)), c * e.lanes()));
    });
  }

  /// (scores, score stride, values, keys, inverse sums, result, its stride): one tile of the product with the values.
  std::string valuesTile(int64_t rows, int64_t columns) {
    return ensure("values" + Twine(rows) + "x" + Twine(columns), {e.ptr, e.i64, e.ptr, e.i64, e.ptr, e.ptr, e.i64}, [&](ValueRange a) {
      int64_t panels = llvm::divideCeil(columns, panelColumns), perRow = panels * panelColumns / e.lanes();
      SmallVector<Value> sums(rows * perRow, e.fconstant(e.vector, 0)), starts;
      for (int64_t i = 0; i < rows; ++i)
        starts.push_back(e.at(a[0], e.mul(a[1], i)));
      ProductTile tile;
      tile.rows = rows;
      tile.panels = panels;
      tile.count = a[3];
      tile.left = [&](int64_t i, Value k, int64_t step) { return e.at(e.at(starts[i], k), step); };
      tile.right = a[2];
      tile.panelStride = e.mul(a[3], panelColumns);
      sums = emitProduct(e, tile, sums);
      for (int64_t i = 0; i < rows; ++i) {
        Value inverse = e.broadcast(e.vector, e.load(e.f32, e.at(a[4], i)));
        for (int64_t c = 0; c < perRow; ++c)
          e.storeMasked(e.fmul(sums[i * perRow + c], inverse), e.at(e.at(a[5], e.mul(a[6], i)), c * e.lanes()),
                        std::clamp<int64_t>(columns - c * e.lanes(), 0, e.lanes()));
      }
    });
  }

  //===-- Softmax -----------------------------------------------------------------------------------------------------------------------===//

  Value laneNumbers() {
    SmallVector<int32_t> numbers = llvm::to_vector(llvm::seq<int32_t>(0, e.lanes()));
    return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(VectorType::get({e.lanes()}, e.i32), ArrayRef<int32_t>(numbers)));
  }

  /// For each lane whether lane + offset < bound; both fit in 32 bits.
  Value below(Value numbers, Value offset, Value bound) {
    Value limit = arith::TruncIOp::create(e.b, e.loc, e.i32, e.sub(bound, offset));
    limit = vector::BroadcastOp::create(e.b, e.loc, VectorType::get({e.lanes()}, e.i32), limit);
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, numbers, limit);
  }

  /// Joins term(j, whole) over the scores j of a row, `neutral` where there is
  /// none: whole vectors, `chains` of them at a time and then one, then a last one of
  /// which only the lanes below `keys` count. Vector i is always in chain i mod
  /// `chains`, so that keys behind the others that weigh nothing change no bit.
  Value overScores(Value keys, Value neutral, llvm::function_ref<Value(Value j, bool whole)> term,
                   int64_t chains, llvm::function_ref<Value(Value, Value)> join) {
    Value many = e.roundDown(keys, chains * e.lanes()), whole = e.roundDown(keys, e.lanes());
    SmallVector<Value> parts(chains, neutral);
    parts = e.loop(e.constant(0), many, chains * e.lanes(), parts, [&](Value j, ValueRange carried) {
      SmallVector<Value> next;
      for (auto [i, part] : llvm::enumerate(carried))
        next.push_back(join(part, term(e.add(j, static_cast<int64_t>(i) * e.lanes()), true)));
      return next;
    });
    // The chain whose turn it is stands in front; of two, a sum is the same
    // whichever that is at the end.
    auto one = [&](bool isWhole) {
      return [&, isWhole](Value j, ValueRange carried) {
        SmallVector<Value> next(carried.drop_front());
        next.push_back(join(carried[0], term(j, isWhole)));
        return next;
      };
    };
    parts = e.loop(many, whole, e.lanes(), parts, one(true));
    parts = e.loop(whole, keys, e.lanes(), parts, one(false));
    Value joined = parts[0];
    for (Value part : ArrayRef<Value>(parts).drop_front())
      joined = join(joined, part);
    return joined;
  }

  /// A vector of scores with what the masks exclude at the lowest number.
  Value maskScores(ValueRange a, Value j, Value numbers, Value scores) {
    Value lowest = e.fconstant(e.vector, -FLT_MAX);
    if (op.getCausal())
      scores = e.select(below(numbers, j, e.add(a[2], 1)), scores, lowest);
    if (op.getKeyValid()) {
      Value flags = e.load(e.vector, e.at(a[3], j));
      Value most = e.fconstant(e.vector, 0);
      if (op.getAmongInvalid())
        most = e.broadcast(e.vector, e.select(e.equal(a[2], e.constant(0)), e.fconstant(e.f32, 0), e.fconstant(e.f32, 1)));
      Value valid = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLE, flags, most);
      scores = e.select(valid, scores, lowest);
    }
    return scores;
  }

  /// (scores, keys, position, invalid, inverse, bias): biases and masks a row, replaces it by exp2(score - maximum), zero past the last key, and stores one over its
  /// sum. Masked scores become the lowest finite number, so that a row without any allowed key weighs all keys alike.
  std::string softmaxRow() {
    StringRef causal = op.getCausal() ? "_causal" : "", masked = op.getAmongInvalid() ? "_among" : op.getKeyValid() ? "_masked" : "";
    std::string biased = bias ? "_biased" + std::to_string(bias->elements()) : "";
    return ensure("softmax" + causal + masked + biased, {e.ptr, e.i64, e.i64, e.ptr, e.ptr, e.ptr}, [&](ValueRange a) {
      Value scores = a[0], keys = a[1], numbers = laneNumbers();
      Value lowest = e.fconstant(e.vector, -FLT_MAX), zero = e.fconstant(e.vector, 0);
      bool masks = op.getCausal() || op.getKeyValid();
      auto biasOf = [&](Value j) { return bias->load(a[5], e.sub(j, a[2])); };
      auto score = [&](Value j, bool whole) {
        Value x = e.load(e.vector, e.at(scores, j));
        if (bias)
          x = e.fadd(x, biasOf(j));
        if (masks)
          x = maskScores(a, j, numbers, x);
        if (bias || masks)
          e.store(x, e.at(scores, j));
        return whole ? x : e.select(below(numbers, j, keys), x, lowest);
      };
      Value top = overScores(keys, lowest, score, 4, [&](Value x, Value y) { return e.fmax(y, x); });
      Value maximum = e.broadcast(e.vector, e.reduceMax(top));
      auto weight = [&](Value j, bool whole) {
        Value x = emitExp2NonPositive(e, e.fsub(e.load(e.vector, e.at(scores, j)), maximum));
        if (!whole)
          x = e.select(below(numbers, j, keys), x, zero);
        e.store(x, e.at(scores, j));
        return x;
      };
      Value sum = overScores(keys, zero, weight, 2, [&](Value x, Value y) { return e.fadd(x, y); });
      e.store(e.fdiv(e.fconstant(e.f32, 1), e.reduceAdd(sum)), a[4]);
    });
  }
};

} // namespace

void cpu::generateAttention(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  AttentionGenerator(e, kernel, prefix, code).generate();
}
