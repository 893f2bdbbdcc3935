//===-- Gemm.cpp - matrix products ------------------------------------------------------------------------------------------------------===//
//
// C[M,N] = epilogue(prologue(A)[M,K] * W[N,K]^T). W is packed ahead of time as panels of 16 columns ([N/16][K][16]); phase 0 packs A in panels of
// `mr` rows ([M/mr][K][mr]) with the prologue applied; phase 1 multiplies. A task of phase 1 is one panel of columns of one block of rows, claimed in
// runs. Every element is one chain of fused multiply-adds in ascending k, continued through memory between k blocks, so that its bits depend on K alone.
// Weights stored in 16 bits are widened where they are read: by the micro-kernels of few rows in registers, for whole tiles of rows a k block of
// panels at a time into scratch, which all tiles of the row block then read as f32.
// The micro-kernels only multiply, and all kernels of a module share them; the sums of the last k block go by a buffer to the kernel's epilogue.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

/// What a micro-kernel's sums begin with, and what becomes of them.
struct Variant {
  int64_t rows;
  int64_t panels;
  bool first; ///< starts at zero, else at what the result holds
  bool last;  ///< bias and epilogue follow
  bool edge;  ///< the panel holds fewer than 16 columns
  int64_t columns() const { return panels * panelColumns; }
};

class GemmGenerator {
public:
  GemmGenerator(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) : e(e), kernel(kernel), prefix(prefix), code(code) {
    for (Operation &op : kernel.getBody().front())
      if (isa<vlm::LinearOp, vlm::PatchEmbedOp>(op))
        anchor = &op;
    mr = tileOf(kernel, "mr");
    np = tileOf(kernel, "np");
    kc = tileOf(kernel, "kc");
    mc = tileOf(kernel, "mc");
    auto weight = cast<RankedTensorType>(anchor->getOperand(1).getType());
    n = weight.getDimSize(0);
    k = weight.getNumElements() / n;
    storage = formOf(weight).storage;
  }

  void generate() {
    addPhase(
        e, kernel, prefix, code, [&](Value args, Value begin, Value end) { emitPack(args, begin, end); },
        [&](DimFrame &dims) { return e.ceilDiv(rowsOf(dims), mr); });
    addPhase(
        e, kernel, prefix, code, [&](Value args, Value begin, Value end) { emitMultiply(args, begin, end); },
        [&](DimFrame &dims) { return e.mul(blocksOf(rowsOf(dims)).count, groupCount()); });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  StringRef prefix;
  KernelCode &code;
  Operation *anchor = nullptr;
  int64_t mr, np, kc, mc, n, k;
  Storage storage;

  /// What one column panel takes, in elements of the storage.
  int64_t panelStride() const { return storedDepth(storage, k) * panelColumns; }
  int64_t panelCount() const { return llvm::divideCeil(n, panelColumns); }
  /// A task takes the panels that the micro-kernel reads side by side.
  int64_t groupCount() const { return llvm::divideCeil(panelCount(), np); }
  Value rowsOf(const DimFrame &dims) { return dims.rows(e, anchor->getResult(0)); }

  struct Blocks {
    Value count;
    Value height;
  };
  /// Blocks of equal height in whole row panels, none higher than `mc`.
  Blocks blocksOf(Value rows) {
    Value panels = e.ceilDiv(rows, mr);
    Value count = e.ceilDiv(e.mul(panels, mr), mc);
    Value height = e.mul(e.div(e.sub(e.add(panels, count), e.constant(1)), count), mr);
    return {e.div(e.sub(e.add(rows, height), e.constant(1)), height), height};
  }

  //===-- Phase 0: pack A -------------------------------------------------------------------------------------------------------------===//

  void emitPack(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    RowEmitter emitter(e, frame);
    emitter.outlineSums((prefix + kernel.getSymName()).str(), args);
    Value rows = rowsOf(frame.dims);
    e.loop(begin, end, 1, [&](Value panel) {
      Value packed = e.at(frame.temporary(0), e.mul(panel, mr * k));
      SmallVector<Value> numbers;
      // The last panel repeats its last row: its copies are packed and never used.
      for (int64_t i = 0; i < mr; ++i)
        numbers.push_back(e.min(e.add(e.mul(panel, mr), i), e.sub(rows, e.constant(1))));
      if (auto patch = dyn_cast<vlm::PatchEmbedOp>(anchor))
        packPatches(frame, patch, numbers, packed);
      else
        packRows(emitter, numbers, packed);
    });
  }

  /// Rows through the prologue, transposed into the panel.
  void packRows(RowEmitter &emitter, ArrayRef<Value> numbers, Value packed) {
    SmallVector<Row> rows;
    for (Value number : numbers)
      rows.push_back(emitter.prepare(anchor->getOperand(0), number));
    emitter.forFeatures(k, [&](Value at, Type type, int64_t valid) {
      SmallVector<Value> vectors;
      for (Row &row : rows)
        vectors.push_back(row(at, type, valid));
      storeTransposed(vectors, e.at(packed, e.mul(at, mr)), valid);
    });
  }

  /// Stores lane l of vector i at destination + l * mr + i, for the first `valid` lanes.
  void storeTransposed(ArrayRef<Value> vectors, Value destination, int64_t valid) {
    // As many rows at a time as a vector has lanes, the last ones first: what
    // they write too much is overwritten by those before them.
    int64_t lanes = e.lanes(), rows = vectors.size();
    for (int64_t at = llvm::alignDown(rows - 1, lanes); at >= 0; at -= lanes)
      storeSquare(vectors.slice(at, std::min(lanes, rows - at)), e.at(destination, at), valid);
  }

  void storeSquare(ArrayRef<Value> vectors, Value destination, int64_t valid) {
    SmallVector<Value> columns(vectors);
    int64_t lanes = e.lanes(), rows = vectors.size();
    while (static_cast<int64_t>(columns.size()) < lanes)
      columns.push_back(columns.back());
    e.transpose(columns);
    // Ascending stores: the lanes past `rows` of one are overwritten by the next; the last one must not write past the panel.
    for (int64_t lane = 0; lane < valid; ++lane) {
      Value address = e.at(destination, lane * mr);
      e.storeMasked(columns[lane], address, lane + 1 < valid ? lanes : rows);
    }
  }

  /// Row m is patch m, feature (c, y, x) its pixel: the convolution's window as a row.
  void packPatches(KernelFrame &frame, vlm::PatchEmbedOp op, ArrayRef<Value> numbers, Value packed) {
    auto pixels = cast<RankedTensorType>(op.getPixels().getType());
    int64_t channels = pixels.getDimSize(1), height = pixels.getDimSize(2), width = pixels.getDimSize(3);
    int64_t side = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(2);
    int64_t across = width / side, count = across * (height / side);
    Value base = frame.operand(op.getPixels());
    SmallVector<Value> corners;
    for (Value number : numbers) {
      Value batch = e.div(number, count), patch = e.rem(number, count);
      Value y = e.mul(e.div(patch, across), side), x = e.mul(e.rem(patch, across), side);
      corners.push_back(e.at(base, e.add(e.add(e.mul(batch, channels * height * width), e.mul(y, width)), x)));
    }
    e.loop(e.constant(0), e.constant(channels), 1, [&](Value channel) {
      e.loop(e.constant(0), e.constant(side), 1, [&](Value y) {
        Value source = e.add(e.mul(channel, height * width), e.mul(y, width));
        Value target = e.mul(e.add(e.mul(channel, side), y), side);
        e.loop(e.constant(0), e.constant(side), 1, [&](Value x) {
          Value column = e.at(packed, e.mul(e.add(target, x), mr));
          for (auto [i, corner] : llvm::enumerate(corners))
            e.store(e.load(e.f32, e.at(corner, e.add(source, x))), e.at(column, static_cast<int64_t>(i)));
        });
      });
    });
  }

  //===-- Phase 1: multiply -----------------------------------------------------------------------------------------------------------===//

  void emitMultiply(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    makeBuffers();
    Value rows = rowsOf(frame.dims);
    Blocks blocks = blocksOf(rows);
    int64_t groups = groupCount();
    e.loop(e.div(begin, groups), e.ceilDiv(end, groups), 1, [&](Value block) {
      Value firstGroup = e.max(e.sub(begin, e.mul(block, groups)), e.constant(0));
      Value lastGroup = e.min(e.sub(end, e.mul(block, groups)), e.constant(groups));
      Value first = e.mul(firstGroup, np);
      Value last = e.min(e.mul(lastGroup, np), e.constant(panelCount()));
      Value top = e.mul(block, blocks.height);
      Value bottom = e.min(e.add(top, blocks.height), rows);
      for (int64_t at = 0; at < k; at += kc)
        emitKBlock(args, frame, at, std::min(kc, k - at), top, bottom, first, last);
    });
  }

  /// Rows of one block and k in [at, at + count).
  struct Piece {
    int64_t at, count;
    Value top, wholeEnd, tail; ///< whole tiles of rows, then `tail` rows
    bool first, last;          ///< of the k blocks
  };

  /// Rows [top, bottom) times column panels [first, last).
  void emitKBlock(Value args, KernelFrame &frame, int64_t at, int64_t count, Value top, Value bottom, Value first, Value last) {
    Value wholeEnd = e.add(top, e.roundDown(e.sub(bottom, top), mr));
    Piece piece{at, count, top, wholeEnd, e.sub(bottom, wholeEnd), at == 0, at + count == k};
    bool hasEdge = n % panelColumns != 0;
    Value wholeLast = hasEdge ? e.min(last, e.constant(panelCount() - 1)) : last;
    Value grouped = e.add(first, e.roundDown(e.sub(wholeLast, first), np));
    e.loop(first, grouped, np, [&](Value panel) {
      emitWholeTiles(args, frame, piece, np, panel, /*edge=*/false);
      emitTail(args, frame, piece, e.add(e.sub(panel, first), np), e.add(panel, np));
    });
    // Panels of a group that is not whole.
    if ((n / panelColumns) % np)
      e.loop(grouped, wholeLast, 1, [&](Value panel) { emitWholeTiles(args, frame, piece, 1, panel, /*edge=*/false); });
    emitTailRest(args, frame, piece, first, wholeLast);
    if (hasEdge)
      e.ifThen(e.less(wholeLast, last), [&] {
        Value panel = e.constant(panelCount() - 1);
        emitWholeTiles(args, frame, piece, 1, panel, /*edge=*/true);
        forTail(piece, [&](int64_t rows, Value above) { emitTailTile(args, frame, piece, rows, above, 1, panel, /*edge=*/true); });
      });
  }

  /// Column panels side by side times the whole row panels.
  void emitWholeTiles(Value args, KernelFrame &frame, const Piece &piece, int64_t panels, Value panel, bool edge) {
    Variant variant{mr, panels, piece.first, piece.last, edge};
    if (storage != Storage::F32)
      e.ifThen(e.less(piece.top, piece.wholeEnd), [&] {
        for (int64_t p = 0; p < panels; ++p)
          e.call(ensureWiden(e, prefix, storage), {rightOf(frame, piece, e.add(panel, p)),
                                                   e.at(frame.scratch, p * widenedStride(piece)), e.constant(piece.count)});
      });
    e.loop(piece.top, piece.wholeEnd, mr, [&](Value row) {
      callTile(args, frame, variant, piece, row, e.constant(0), panel, e.div(e.sub(row, piece.top), mr));
    });
  }

  /// A column panel from the first k of the piece on.
  Value rightOf(KernelFrame &frame, const Piece &piece, Value panel) {
    Value offset = e.add(e.mul(panel, panelStride()), piece.at * panelColumns);
    return e.at(frame.operand(anchor->getOperand(1)), offset, elementOf(e, storage));
  }

  static int64_t widenedStride(const Piece &piece) { return llvm::alignTo(piece.count, 2) * panelColumns; }

  //===-- The rows that are left

  /// Small tiles have a micro-kernel for each number of rows; for high ones
  /// the rows that are left are cut into powers of two, which are fewer.
  /// `above` counts the tail's rows before these.
  void forTail(const Piece &piece, llvm::function_ref<void(int64_t rows, Value above)> body) {
    forRowsLeft(e, piece.tail, mr, body);
  }

  void emitTailTile(Value args, KernelFrame &frame, const Piece &piece, int64_t rows, Value above, int64_t panels, Value panel, bool edge) {
    Variant variant{rows, panels, piece.first, piece.last, edge};
    callTile(args, frame, variant, piece, piece.wholeEnd, above, panel, e.constant(0));
  }

  /// Few rows take several column panels at once, which hides the latency of
  /// the multiply-adds: behind every so many panels, while those are in cache.
  /// `done` panels of the range are done, the next one is `panel`.
  void emitTail(Value args, KernelFrame &frame, const Piece &piece, Value done, Value panel) {
    forTail(piece, [&](int64_t rows, Value above) {
      int64_t panels = panelsForRows(rows);
      auto emit = [&] { emitTailTile(args, frame, piece, rows, above, panels, e.add(panel, -panels), /*edge=*/false); };
      if (panels == np)
        return emit();
      e.ifThen(e.equal(e.rem(done, panels), e.constant(0)), emit);
    });
  }

  /// The panels behind the last group.
  void emitTailRest(Value args, KernelFrame &frame, const Piece &piece, Value first, Value last) {
    forTail(piece, [&](int64_t rows, Value above) {
      int64_t panels = panelsForRows(rows);
      if (panels == 1 || (panels == np && (n / panelColumns) % np == 0))
        return;
      Value grouped = e.add(first, e.roundDown(e.sub(last, first), panels));
      e.loop(grouped, last, 1, [&](Value panel) { emitTailTile(args, frame, piece, rows, above, 1, panel, /*edge=*/false); });
    });
  }

  /// Enough accumulators for the multiply-adds under way, in whole groups.
  int64_t panelsForRows(int64_t rows) const {
    int64_t vectors = panelColumns / e.lanes();
    int64_t panels = llvm::alignTo(llvm::divideCeil(e.target.chains(), rows * vectors), np);
    // Beside the accumulators stand, of two k of bf16, what is held and what passes by.
    auto registers = [&] {
      int64_t columns = panels * vectors;
      return rows * columns + (rows < columns ? 2 * rows + 2 : 2 * columns + 1);
    };
    while (storage != Storage::F32 && panels > np && registers() > e.target.registers)
      panels -= np;
    return panels;
  }

  //===-- Micro-kernels ---------------------------------------------------------------------------------------------------------------===//

  /// Where sums stand that are not, or not yet, the result's; and zeros.
  Value sumsBuffer, zeros;

  void makeBuffers() {
    int64_t columns = np * panelColumns, sums = mr * columns;
    for (int64_t rows = 1; rows < mr; ++rows) {
      int64_t wide = panelsForRows(rows) * panelColumns;
      columns = std::max(columns, wide);
      sums = std::max(sums, rows * wide);
    }
    auto make = [&](int64_t size) -> Value { return LLVM::AllocaOp::create(e.b, e.loc, e.ptr, e.f32, e.constant(size), /*alignment=*/64); };
    sumsBuffer = make(sums);
    zeros = make(columns);
    for (int64_t c = 0; c < columns; c += e.lanes())
      e.store(e.fconstant(e.vector, 0), e.at(zeros, c));
  }

  /// Multiplies one tile by the micro-kernel that all products of the module
  /// share; bias and epilogue are a function of this kernel's own.
  void callTile(Value args, KernelFrame &frame, const Variant &v, const Piece &piece, Value row, Value above, Value panel, Value part) {
    int64_t at = piece.at, count = piece.count;
    Value left = e.at(frame.temporary(0), e.add(e.add(e.mul(row, k), above), at * mr));
    row = e.add(row, above);
    Value right = rightOf(frame, piece, panel);
    // Each row panel prefetches another part of one of the next column panels: a quarter of f32, half of what is half as large.
    int64_t parts = storage == Storage::F32 ? 4 : 2;
    Value begin = e.mul(e.rem(part, parts), count * panelColumns / parts), ahead = e.rem(e.div(part, parts), np);
    Value next = e.at(right, e.add(e.add(begin, e.mul(ahead, panelStride())), np * panelStride()), elementOf(e, storage));
    int64_t stride = panelStride();
    bool isWidened = storage != Storage::F32 && v.rows == mr;
    if (isWidened) {
      right = frame.scratch;
      stride = widenedStride(piece);
    }
    Value column = e.mul(panel, panelColumns);
    Value out = e.at(frame.result(0), e.add(e.mul(row, n), column));
    Value wide = e.constant(v.columns()), features = e.constant(n), rows = e.constant(v.rows);
    // The result's next tile is fetched while this one is multiplied.
    if (v.rows == mr && kc < k)
      e.loop(e.constant(0), rows, 1, [&](Value i) {
        for (int64_t p = 0; p < v.panels; ++p)
          e.prefetch(e.at(out, e.add(e.mul(e.add(i, mr), n), p * panelColumns)), /*write=*/false, 3);
      });
    if (v.edge && !v.first)
      e.call(ensureEdgeCopy(/*back=*/false), {out, rows, sumsBuffer});
    bool buffered = v.last || v.edge;
    Value initial = v.first ? zeros : v.edge ? sumsBuffer : out, sums = buffered ? sumsBuffer : out;
    Value initialStride = v.first ? e.constant(0) : v.edge ? wide : features;
    e.call(ensureTile(v, isWidened ? Storage::F32 : storage),
           {e.constant(count), left, right, e.constant(stride), next, initial, initialStride, sums, buffered ? wide : features});
    if (v.last)
      e.call(ensureEpilogue(v.edge), {args, rows, row, column, wide, sumsBuffer, out});
    else if (v.edge)
      e.call(ensureEdgeCopy(/*back=*/true), {out, rows, sumsBuffer});
  }

  /// (count, left, right, panel stride, next, initial, its stride, sums, their
  /// stride): the micro-kernel. Nothing in it is of one kernel, so that a module
  /// has few of them, however many layers, towers and epilogues it has.
  std::string ensureTile(const Variant &v, Storage storage) {
    std::string name = (prefix + "tile" + Twine(v.rows) + "x" + Twine(v.columns()) + "_panel" + Twine(mr)).str();
    if (storage != Storage::F32)
      name += ("_" + storageName(storage)).str();
    e.ensure(name, {e.i64, e.ptr, e.ptr, e.i64, e.ptr, e.ptr, e.i64, e.ptr, e.i64}, [&](ValueRange a) {
      int64_t perRow = v.columns() / e.lanes();
      auto address = [&](Value base, Value stride, int64_t i, int64_t c) { return e.at(e.at(base, e.mul(stride, i)), c * e.lanes()); };
      SmallVector<Value> sums;
      for (int64_t i = 0; i < v.rows; ++i)
        for (int64_t c = 0; c < perRow; ++c)
          sums.push_back(e.load(e.vector, address(a[5], a[6], i, c)));
      ProductTile tile;
      tile.rows = v.rows;
      tile.panels = v.panels;
      tile.count = a[0];
      tile.left = [&](int64_t i, Value at, int64_t step) { return e.at(e.at(a[1], e.mul(at, mr)), step * mr + i); };
      tile.storage = storage;
      tile.right = a[2];
      tile.panelStride = a[3];
      tile.next = v.rows == mr ? a[4] : Value();
      sums = emitProduct(e, tile, sums);
      for (int64_t i = 0; i < v.rows; ++i)
        for (int64_t c = 0; c < perRow; ++c)
          e.store(sums[i * perRow + c], address(a[7], a[8], i, c));
    });
    return name;
  }

  /// How many lanes of vector `c` of a panel count.
  int64_t validLanes(bool edge, int64_t c) const {
    return edge ? std::clamp<int64_t>(n % panelColumns - c * e.lanes(), 0, e.lanes()) : e.lanes();
  }

  /// (result, rows, sums): copies the sums of the last columns between the
  /// result and a whole panel.
  std::string ensureEdgeCopy(bool back) {
    std::string name = (prefix + kernel.getSymName() + (back ? "_store_edge" : "_load_edge")).str();
    e.ensure(name, {e.ptr, e.i64, e.ptr}, [&](ValueRange a) {
      e.loop(e.constant(0), a[1], 1, [&](Value i) {
        for (int64_t c = 0; c < panelColumns / e.lanes(); ++c) {
          Value out = e.at(e.at(a[0], e.mul(i, n)), c * e.lanes());
          Value sums = e.at(e.at(a[2], e.mul(i, panelColumns)), c * e.lanes());
          if (back)
            e.storeMasked(e.load(e.vector, sums), out, validLanes(/*edge=*/true, c));
          else
            e.store(e.loadMasked(e.vector, out, validLanes(/*edge=*/true, c)), sums);
        }
      });
    });
    return name;
  }

  /// (args, rows, row, column, columns, sums, result): bias, activation,
  /// residual and the like on the sums of a tile, which are in the first-level
  /// cache. It is a function of its own and a loop, since it is short beside the
  /// product and long as code.
  std::string ensureEpilogue(bool edge) {
    std::string name = (prefix + kernel.getSymName() + (edge ? "_epilogue_edge" : "_epilogue")).str();
    e.ensure(name, {e.ptr, e.i64, e.i64, e.i64, e.i64, e.ptr, e.ptr}, [&](ValueRange a) { emitEpilogue(a, edge); });
    return name;
  }

  void emitEpilogue(ValueRange a, bool edge) {
    KernelFrame frame(e, kernel, a[0]);
    RowEmitter emitter(e, frame);
    Value row = a[2], column = a[3], columns = a[4], source, at;
    Value bias = anchor->getNumOperands() > 2 ? e.at(frame.operand(anchor->getOperand(2)), column) : Value();
    int64_t c = 0;
    emitter.setAnchor(anchor->getResult(0), [&](Value) -> Row {
      return [&](Value, Type, int64_t) {
        Value sum = e.load(e.vector, e.at(e.at(source, at), c * e.lanes()));
        return bias ? e.fadd(sum, e.load(e.vector, e.at(e.at(bias, at), c * e.lanes()))) : sum;
      };
    });
    e.loop(e.constant(0), a[1], 1, [&](Value i) {
      source = e.at(a[5], e.mul(i, columns));
      Value out = e.at(a[6], e.mul(i, n));
      Row finished = emitter.prepare(kernel.getYielded()[0], e.add(row, i));
      e.loop(e.constant(0), columns, panelColumns, [&](Value panel) {
        at = panel;
        for (c = 0; c < panelColumns / e.lanes(); ++c)
          if (int64_t valid = validLanes(edge, c))
            e.storeMasked(finished(e.add(e.add(column, at), c * e.lanes()), e.vector, valid), e.at(e.at(out, at), c * e.lanes()), valid);
      });
    });
  }
};

} // namespace

void cpu::generateGemm(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  GemmGenerator(e, kernel, prefix, code).generate();
}
