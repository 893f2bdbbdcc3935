//===- Multiply.cpp - the second phase of matrix products -----------------===//
//
// Panels of packed rows times panels of packed weights. Depths, widths and
// blocks are arguments and the epilogue is a pointer, so that the products of a
// module share one driver, and its register tiles, for each storage of weights:
// code and its compilation do not grow with the number of products.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

/// Up to here each number of rows left has a micro-kernel of its own.
static constexpr int64_t lowPanel = 8;

RowPanels::RowPanels(Emitter &e, Value rows, int64_t mr)
    : count(e.ceilDiv(rows, mr)) {
  if (mr <= lowPanel) {
    whole = e.div(rows, mr);
    left = e.rem(rows, mr);
    low = e.constant(mr);
    tall = e.constant(0);
    return;
  }
  Value isFew = e.less(rows, e.constant(mr)), zero = e.constant(0);
  Value divisor = e.max(count, e.constant(1));
  whole = e.select(isFew, zero, count);
  left = e.select(isFew, rows, zero);
  low = e.select(isFew, e.constant(mr), e.div(rows, divisor));
  tall = e.select(isFew, zero, e.rem(rows, divisor));
}

Value RowPanels::firstRow(Emitter &e, Value panel) const {
  return e.add(e.mul(panel, low), e.min(panel, tall));
}

Value RowPanels::height(Emitter &e, Value panel) const {
  return e.select(e.less(panel, tall), e.add(low, 1), low);
}

int64_t RowPanels::lowest(int64_t mr) {
  return mr <= lowPanel ? mr : llvm::divideCeil(mr, 2);
}

RowBlocks cpu::rowBlocks(Emitter &e, Value rows, int64_t mr, Value mc) {
  Value panels = e.ceilDiv(rows, mr);
  auto ceil = [&](Value x, Value y) {
    return e.div(e.sub(e.add(x, y), e.constant(1)), y);
  };
  // Of no rows there are no blocks, but a size of 0 is no divisor.
  Value some = e.max(panels, e.constant(1));
  Value height = ceil(some, ceil(e.mul(some, mr), mc));
  return {ceil(panels, height), height};
}

namespace {

/// A register tile. At the edge, its panel holds fewer than 16 columns.
struct Tile {
  int64_t rows; ///< of a whole one the most
  int64_t panels;
  bool edge;
  bool whole; ///< else of the rows left
  int64_t columns() const { return panels * panelColumns; }
};

/// Row panels of one block and k in [at, at + count).
struct Piece {
  Value at, count;
  Value top, wholeEnd, tail; ///< whole tiles, then `tail` rows
  Value first, last;         ///< of the k blocks
  Value panel, panelEnd;     ///< whole column panels of the task
};

class Multiplication {
public:
  Multiplication(Emitter &e, StringRef prefix, const ProductShape &shape,
                 ValueRange a)
      : e(e), prefix(prefix), mr(shape.mr), np(shape.np),
        storage(shape.storage), args(a[0]), begin(a[1]), end(a[2]),
        packed(a[3]), weights(a[4]), result(a[5]), scratch(a[6]), rows(a[7]),
        n(a[8]), k(a[9]), kc(a[10]), mc(a[11]), epilogue(a[12]),
        edgeEpilogue(a[13]), rowPanels(e, rows, mr) {}

  void emit() {
    makeBuffers();
    panelCount = e.ceilDiv(n, panelColumns);
    edgeColumns = e.rem(n, panelColumns);
    Value depth = storage == Storage::BF16 ? e.roundUp(k, 2) : k;
    panelStride = e.mul(depth, panelColumns);
    RowBlocks blocks = rowBlocks(e, rows, mr, mc);
    // A task takes the panels that the micro-kernel reads side by side.
    Value groups = e.ceilDiv(panelCount, np);
    Value blocksEnd = e.div(e.sub(e.add(end, groups), e.constant(1)), groups);
    e.loop(e.div(begin, groups), blocksEnd, 1, [&](Value block) {
      Value before = e.mul(block, groups);
      Value first = e.mul(e.max(e.sub(begin, before), e.constant(0)), np);
      Value last =
          e.min(e.mul(e.min(e.sub(end, before), groups), np), panelCount);
      Value top = e.mul(block, blocks.panels);
      Value bottom = e.min(e.add(top, blocks.panels), rowPanels.count);
      Value pieces = e.div(e.sub(e.add(k, kc), e.constant(1)), kc);
      e.loop(e.constant(0), pieces, 1, [&](Value piece) {
        emitKBlock(e.mul(piece, kc), top, bottom, first, last);
      });
    });
  }

private:
  Emitter &e;
  StringRef prefix;
  int64_t mr, np;
  Storage storage;
  Value args, begin, end, packed, weights, result, scratch;
  Value rows, n, k, kc, mc;
  Value epilogue, edgeEpilogue;
  RowPanels rowPanels;
  Value panelCount, edgeColumns;
  Value panelStride; ///< of a column panel, in elements of the storage
  /// Where sums stand that are not, or not yet, the result's; and zeros.
  Value sumsBuffer, zeros;

  void makeBuffers() {
    int64_t columns = np * panelColumns, sums = mr * columns;
    for (int64_t few = 1; few < mr; ++few) {
      int64_t wide = panelsForRows(few) * panelColumns;
      columns = std::max(columns, wide);
      sums = std::max(sums, few * wide);
    }
    auto make = [&](int64_t size) -> Value {
      return LLVM::AllocaOp::create(e.b, e.loc, e.ptr, e.f32, e.constant(size),
                                    /*alignment=*/64);
    };
    sumsBuffer = make(sums);
    zeros = make(columns);
    for (int64_t c = 0; c < columns; c += e.lanes())
      e.store(e.fconstant(e.vector, 0), e.at(zeros, c));
  }

  /// Row panels [top, bottom) times column panels [first, last).
  void emitKBlock(Value at, Value top, Value bottom, Value first, Value last) {
    Value count = e.min(kc, e.sub(k, at));
    Value wholeEnd = e.min(bottom, rowPanels.whole);
    Value tail =
        e.select(e.less(wholeEnd, bottom), rowPanels.left, e.constant(0));
    Value edge = e.sub(panelCount, e.constant(1));
    Value wholeLast =
        e.select(e.equal(edgeColumns, e.constant(0)), last, e.min(last, edge));
    Piece piece{at,
                count,
                top,
                wholeEnd,
                tail,
                e.equal(at, e.constant(0)),
                e.equal(e.add(at, count), k),
                first,
                wholeLast};
    Value grouped = e.add(first, e.roundDown(e.sub(wholeLast, first), np));
    e.loop(first, grouped, np, [&](Value panel) {
      emitWholeTiles(piece, np, panel, /*edge=*/false);
      emitTail(piece, e.add(e.sub(panel, first), np), e.add(panel, np));
    });
    // Panels of a group that is not whole.
    if (np > 1)
      e.loop(grouped, wholeLast, 1, [&](Value panel) {
        emitWholeTiles(piece, 1, panel, /*edge=*/false);
      });
    emitTailRest(piece, first, wholeLast);
    e.ifThen(e.less(wholeLast, last), [&] {
      emitWholeTiles(piece, 1, edge, /*edge=*/true);
      forTail(piece, [&](int64_t few, Value above) {
        emitTailTile(piece, {few, 1, /*edge=*/true, /*whole=*/false}, above,
                     edge);
      });
    });
  }

  /// Column panels side by side times the whole row panels.
  void emitWholeTiles(const Piece &piece, int64_t panels, Value panel,
                      bool edge) {
    auto multiply = [&](Value first, Value end, bool isWidened) {
      e.loop(first, end, 1, [&](Value row) {
        callTile({mr, panels, edge, /*whole=*/true}, piece, row, e.constant(0),
                 panel, isWidened);
      });
    };
    if (storage == Storage::F32)
      return multiply(piece.top, piece.wholeEnd, false);
    // The first tile widens, and leaves for the others what it has widened.
    Value second = e.min(e.add(piece.top, 1), piece.wholeEnd);
    multiply(piece.top, second, false);
    multiply(second, piece.wholeEnd, true);
  }

  /// A column panel from the first k of the piece on.
  Value rightOf(const Piece &piece, Value panel) {
    Value offset =
        e.add(e.mul(panel, panelStride), e.mul(piece.at, panelColumns));
    return e.at(weights, offset, elementOf(e, storage));
  }

  /// A column panel in floats, for what is prefetched.
  Value nextStride() {
    return storage == Storage::F32 ? panelStride : e.div(panelStride, 2);
  }

  /// What a panel of a piece takes in scratch.
  Value widenedStride(Value count) {
    return e.mul(e.roundUp(count, 2), panelColumns);
  }

  //===-- The rows that are left

  /// Small tiles have a micro-kernel for each number of rows; for high ones
  /// the rows that are left are cut into powers of two, which are fewer.
  /// `above` counts the tail's rows before these.
  void forTail(const Piece &piece,
               llvm::function_ref<void(int64_t rows, Value above)> body) {
    forRowsLeft(e, piece.tail, mr, body);
  }

  void emitTailTile(const Piece &piece, const Tile &tile, Value above,
                    Value panel) {
    callTile(tile, piece, piece.wholeEnd, above, panel);
  }

  /// Few rows take several column panels at once, which hides the latency of
  /// the multiply-adds: behind every so many panels, while those are in cache.
  /// `done` panels of the range are done, the next one is `panel`.
  void emitTail(const Piece &piece, Value done, Value panel) {
    forTail(piece, [&](int64_t few, Value above) {
      int64_t panels = panelsForRows(few);
      auto emit = [&] {
        emitTailTile(piece, {few, panels, /*edge=*/false, /*whole=*/false},
                     above, e.add(panel, -panels));
      };
      if (panels == np)
        return emit();
      e.ifThen(e.equal(e.rem(done, panels), e.constant(0)), emit);
    });
  }

  /// The panels behind the last group.
  void emitTailRest(const Piece &piece, Value first, Value last) {
    forTail(piece, [&](int64_t few, Value above) {
      int64_t panels = panelsForRows(few);
      if (panels == 1)
        return;
      Value grouped = e.add(first, e.roundDown(e.sub(last, first), panels));
      e.loop(grouped, last, 1, [&](Value panel) {
        emitTailTile(piece, {few, 1, /*edge=*/false, /*whole=*/false}, above,
                     panel);
      });
    });
  }

  /// Enough accumulators for the multiply-adds under way, in whole groups.
  int64_t panelsForRows(int64_t few) const {
    int64_t vectors = panelColumns / e.lanes();
    int64_t panels =
        llvm::alignTo(llvm::divideCeil(e.target.chains(), few * vectors), np);
    // Beside the accumulators stand, of two k of bf16, what is held and what
    // passes by.
    auto registers = [&] {
      int64_t columns = panels * vectors;
      return few * columns + (few < columns ? 2 * few + 2 : 2 * columns + 1);
    };
    while (storage != Storage::F32 && panels > np &&
           registers() > e.target.registers)
      panels -= np;
    return panels;
  }

  //===-- Micro-kernels

  /// What is prefetched: of several row panels, each takes another part of all
  /// of the next column panels, a quarter of f32, half of what is half as
  /// large. Where all is read once, all of the next column panels.
  Value nextOf(const Tile &tile, const Piece &piece, Value panel, Value right,
               Value part, bool isWidened) {
    if (tile.whole && (storage == Storage::F32 || isWidened)) {
      int64_t parts = storage == Storage::F32 ? 4 : 2;
      Value from =
          e.mul(e.mul(e.rem(part, parts), piece.count), panelColumns / parts);
      return e.at(nextPanels(tile, piece, panel), from, elementOf(e, storage));
    }
    Value behind =
        e.at(right, e.mul(panelStride, tile.panels), elementOf(e, storage));
    if (tile.whole)
      return behind;
    // Whole tiles have fetched what the rows that are left read.
    return e.select(e.less(piece.top, piece.wholeEnd), right, behind);
  }

  /// The panels to be read after these: behind the task's last ones come its
  /// first ones at the next k block, at the end those of the task that follows.
  Value nextPanels(const Tile &tile, const Piece &piece, Value panel) {
    Value behind = e.add(panel, tile.panels);
    Value isInside = e.less(behind, piece.panelEnd);
    Value next = e.select(piece.last, behind, piece.panel);
    Value at =
        e.select(piece.last, e.constant(0), e.add(piece.at, piece.count));
    next = e.select(isInside, behind, next);
    at = e.select(isInside, piece.at, at);
    Value offset = e.add(e.mul(next, panelStride), e.mul(at, panelColumns));
    return e.at(weights, offset, elementOf(e, storage));
  }

  /// Multiplies one tile, `above` rows below the first one of a row panel;
  /// behind the last k block comes the epilogue, by way of a buffer.
  void callTile(const Tile &tile, const Piece &piece, Value rowPanel,
                Value above, Value panel, bool isWidened = false) {
    Value left = e.at(packed, e.add(e.add(e.mul(rowPanel, e.mul(k, mr)), above),
                                    e.mul(piece.at, mr)));
    Value row = e.add(rowPanels.firstRow(e, rowPanel), above);
    Value part = e.sub(rowPanel, piece.top);
    Value right = rightOf(piece, panel);
    Value next = nextOf(tile, piece, panel, right, part, isWidened);
    Value stride = panelStride;
    if (isWidened) {
      right = scratch;
      stride = widenedStride(piece.count);
    }
    Value column = e.mul(panel, panelColumns);
    Value out = e.at(result, e.add(e.mul(row, n), column));
    Value wide = e.constant(tile.columns());
    Value count = tile.whole ? rowPanels.height(e, rowPanel)
                             : Value(e.constant(tile.rows));
    if (tile.whole)
      prefetchResult(tile, out, count);
    if (tile.edge)
      e.ifThenElse(
          piece.first, [] {},
          [&] { copyEdge(count, out, n, sumsBuffer, wide); });
    // Between the k blocks, sums stand in the result.
    Value kept = tile.edge ? sumsBuffer : out,
          keptStride = tile.edge ? wide : n;
    callMicroKernel(tile, count, isWidened ? Storage::F32 : storage,
                    {piece.count, left, right, stride, next, nextStride(),
                     e.select(piece.first, zeros, kept),
                     e.select(piece.first, e.constant(0), keptStride),
                     e.select(piece.last, sumsBuffer, kept),
                     e.select(piece.last, wide, keptStride), scratch});
    e.ifThenElse(
        piece.last,
        [&] {
          e.callAddress(tile.edge ? edgeEpilogue : epilogue,
                        {args, count, row, column, wide, sumsBuffer, out});
        },
        [&] {
          if (tile.edge)
            copyEdge(count, sumsBuffer, wide, out, n);
        });
  }

  /// The result's next tile is fetched while this one is multiplied: where
  /// there are several k blocks, it is read.
  void prefetchResult(const Tile &tile, Value out, Value count) {
    e.ifThen(e.less(kc, k), [&] {
      e.loop(e.constant(0), count, 1, [&](Value i) {
        Value row = e.at(out, e.mul(e.add(i, count), n));
        for (int64_t p = 0; p < tile.panels; ++p)
          e.prefetch(e.at(row, p * panelColumns), /*write=*/false, 3);
      });
    });
  }

  /// Copies the columns that the last panel has.
  void copyEdge(Value count, Value from, Value fromStride, Value to,
                Value toStride) {
    std::string name = (prefix + "copy_edge").str();
    e.ensure(name, {e.i64, e.i64, e.ptr, e.i64, e.ptr, e.i64},
             [&](ValueRange a) {
               e.loop(e.constant(0), a[0], 1, [&](Value i) {
                 Value source = e.at(a[2], e.mul(i, a[3]));
                 Value target = e.at(a[4], e.mul(i, a[5]));
                 e.loop(e.constant(0), a[1], 1, [&](Value c) {
                   e.store(e.load(e.f32, e.at(source, c)), e.at(target, c));
                 });
               });
             });
    e.call(name, {count, edgeColumns, from, fromStride, to, toStride});
  }

  /// The micro-kernel for `count` rows.
  void callMicroKernel(Tile tile, Value count, Storage read,
                       ArrayRef<Value> arguments) {
    int64_t most = tile.rows;
    if (!tile.whole || RowPanels::lowest(mr) == most) {
      e.call(ensureTile(tile, read), arguments);
      return;
    }
    auto address = [&](int64_t few) {
      tile.rows = few;
      return e.address(ensureTile(tile, read), tileArguments());
    };
    Value kernel = address(most);
    for (int64_t few = RowPanels::lowest(mr); few < most; ++few)
      kernel = e.select(e.equal(count, e.constant(few)), address(few), kernel);
    e.callAddress(kernel, arguments);
  }

  SmallVector<Type> tileArguments() const {
    return {e.i64, e.ptr, e.ptr, e.i64, e.ptr, e.i64,
            e.ptr, e.i64, e.ptr, e.i64, e.ptr};
  }

  /// (count, left, right, panel stride, next, its panel stride, initial, its
  /// stride, sums, their stride, scratch): the micro-kernel. One of a whole
  /// tile leaves in scratch what it widens.
  std::string ensureTile(const Tile &shape, Storage read) {
    std::string name =
        (prefix + (shape.whole ? "tile" : "few") + Twine(shape.rows) + "x" +
         Twine(shape.columns()) + "_panel" + Twine(mr))
            .str();
    if (read != Storage::F32)
      name += ("_" + storageName(read)).str();
    e.ensure(name, tileArguments(),
             [&](ValueRange a) { emitTile(shape, read, a); });
    return name;
  }

  void emitTile(const Tile &shape, Storage read, ValueRange a) {
    int64_t perRow = shape.columns() / e.lanes();
    auto address = [&](Value base, Value stride, int64_t i, int64_t c) {
      return e.at(e.at(base, e.mul(stride, i)), c * e.lanes());
    };
    SmallVector<Value> sums;
    for (int64_t i = 0; i < shape.rows; ++i)
      for (int64_t c = 0; c < perRow; ++c)
        sums.push_back(e.load(e.vector, address(a[6], a[7], i, c)));
    ProductTile tile;
    tile.rows = shape.rows;
    tile.panels = shape.panels;
    tile.count = a[0];
    tile.left = [&](int64_t i, Value at, int64_t step) {
      return e.at(e.at(a[1], e.mul(at, mr)), step * mr + i);
    };
    tile.storage = read;
    tile.right = a[2];
    tile.panelStride = a[3];
    if (shape.whole && read != Storage::F32) {
      tile.widened = a[10];
      tile.widenedStride = widenedStride(a[0]);
    }
    // Fewer rows read in more places at once, which is as good (measured).
    bool fetches = shape.rows >= (read == Storage::F32 ? 4 : 2);
    tile.next = shape.whole || fetches ? a[4] : Value();
    tile.nextStride = a[5];
    tile.wholeNext = !shape.whole || read != Storage::F32;
    sums = emitProduct(e, tile, sums);
    for (int64_t i = 0; i < shape.rows; ++i)
      for (int64_t c = 0; c < perRow; ++c)
        e.store(sums[i * perRow + c], address(a[8], a[9], i, c));
  }
};

} // namespace

std::string cpu::ensureMultiply(Emitter &e, StringRef prefix,
                                const ProductShape &shape) {
  std::string name = (prefix + "multiply_panel" + Twine(shape.mr) + "x" +
                      Twine(shape.np * panelColumns))
                         .str();
  if (shape.storage != Storage::F32)
    name += ("_" + storageName(shape.storage)).str();
  Type epilogue = e.b.getFunctionType(epilogueArguments(e), {});
  e.ensure(name,
           {e.ptr, e.i64, e.i64, e.ptr, e.ptr, e.ptr, e.ptr, e.i64, e.i64,
            e.i64, e.i64, e.i64, epilogue, epilogue},
           [&](ValueRange a) { Multiplication(e, prefix, shape, a).emit(); });
  return name;
}
