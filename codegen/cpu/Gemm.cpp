//===-- Gemm.cpp - matrix products ------------------------------------------------------------------------------------------------------===//
//
// C[M,N] = epilogue(prologue(A)[M,K] * W[N,K]^T). W is packed ahead of time as panels of 16 columns ([N/16][K][16]); phase 0 packs A in panels of
// `mr` rows ([M/mr][K][mr]) with the prologue applied; phase 1 multiplies. A task of phase 1 is one panel of columns of one block of rows, claimed in
// runs. Every element is one chain of fused multiply-adds in ascending k, continued through memory between k blocks, so that its bits depend on K alone.
// Weights stored in 16 bits are widened where they are read: for few rows by the micro-kernels, in registers; of several tiles of rows the first
// one leaves in scratch, as f32, what it widens of a k block, and the others of the row block read that.
// The micro-kernels only multiply, and all kernels of a module share them; the sums of the last k block go by a buffer to the kernel's epilogue.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

class GemmGenerator {
public:
  GemmGenerator(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) : e(e), kernel(kernel), prefix(prefix), code(code) {
    for (Operation &op : kernel.getBody().front())
      if (isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp>(op))
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
        [&](DimFrame &dims) { return e.mul(rowBlocks(e, rowsOf(dims), mr, e.constant(mc)).count, groupCount()); });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  StringRef prefix;
  KernelCode &code;
  Operation *anchor = nullptr;
  int64_t mr, np, kc, mc, n, k;
  Storage storage;

  Value rowsOf(const DimFrame &dims) { return dims.rows(e, anchor->getResult(0)); }
  /// A task takes the panels that the micro-kernel reads side by side.
  int64_t groupCount() const { return llvm::divideCeil(llvm::divideCeil(n, panelColumns), np); }

  //===-- Phase 0: pack A -------------------------------------------------------------------------------------------------------------===//

  void emitPack(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    RowEmitter emitter(e, frame);
    emitter.outlineSums((prefix + kernel.getSymName()).str(), args);
    Value rows = rowsOf(frame.dims);
    RowPanels panels(e, rows, mr);
    e.loop(begin, end, 1, [&](Value panel) {
      Value packed = e.at(frame.temporary(0), e.mul(panel, mr * k));
      SmallVector<Value> numbers;
      // A panel repeats its last row: the copies are packed and never used.
      Value first = panels.firstRow(e, panel), next = panels.firstRow(e, e.add(panel, 1));
      Value last = e.sub(e.min(next, rows), e.constant(1));
      for (int64_t i = 0; i < mr; ++i)
        numbers.push_back(e.min(e.add(first, i), last));
      if (auto patch = dyn_cast<vlm::PatchEmbedOp>(anchor))
        packPatches(frame, patch, numbers, packed);
      else if (auto conv = dyn_cast<vlm::Conv2dOp>(anchor))
        packWindows(frame, conv, numbers, packed);
      else
        packRows(frame, emitter, numbers, packed);
    });
  }

  /// Rows through the prologue, transposed into the panel.
  void packRows(KernelFrame &frame, RowEmitter &emitter, ArrayRef<Value> numbers, Value packed) {
    SmallVector<Row> rows;
    for (Value number : numbers)
      rows.push_back(emitter.prepare(anchor->getOperand(0), number));
    emitter.forFeatures(k, [&](Value at, Type type, int64_t valid) {
      prefetchRows(frame, numbers, at);
      SmallVector<Value> vectors;
      for (Row &row : rows)
        vectors.push_back(row(at, type, valid));
      storeTransposed(vectors, e.at(packed, e.mul(at, mr)), valid);
    });
  }

  /// Rows that lie side by side in memory are as many streams, more than the
  /// processor follows, and another core has written some of them.
  void prefetchRows(KernelFrame &frame, ArrayRef<Value> numbers, Value at) {
    constexpr int64_t ahead = 128; // features
    Value input = anchor->getOperand(0);
    if (!isa<BlockArgument>(input))
      return;
    for (Value number : numbers)
      e.prefetch(e.at(frame.operand(input), e.add(e.mul(number, k), e.add(at, ahead))), /*write=*/false, 3);
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

  /// A pixel of the picture, or none: one that is there, and whether it counts.
  struct Pixel {
    Value number; ///< in its picture
    Value isThere;
  };

  /// The pixel at (y, x) of the padded picture.
  Pixel pixelAt(vlm::Conv2dOp op, Value y, Value x) {
    Value isThere;
    auto clamp = [&](Value padded, int64_t before, int64_t size) {
      Value at = e.sub(padded, e.constant(before));
      Value kept = e.max(e.min(at, e.constant(size - 1)), e.constant(0));
      Value isInside = e.equal(at, kept);
      isThere = isThere ? Value(arith::AndIOp::create(e.b, e.loc, isThere, isInside)) : isInside;
      return kept;
    };
    ArrayRef<int64_t> padding = op.getPadding();
    Value row = clamp(y, padding[0], static_cast<int64_t>(op.getHeight()));
    Value column = clamp(x, padding[1], static_cast<int64_t>(op.getWidth()));
    return {e.add(e.mul(row, static_cast<int64_t>(op.getWidth())), column), isThere};
  }

  /// Row m is the window of output pixel m, feature (y, x, channel) a channel of
  /// its pixel (y, x); what is outside the picture is 0.
  void packWindows(KernelFrame &frame, vlm::Conv2dOp op, ArrayRef<Value> numbers, Value packed) {
    ArrayRef<int64_t> weight = cast<RankedTensorType>(op.getWeight().getType()).getShape();
    int64_t channels = weight[3], stride = op.getStride();
    int64_t pixels = static_cast<int64_t>(op.getHeight()) * static_cast<int64_t>(op.getWidth());
    auto [down, across] = op.getResultSize();
    SmallVector<Value> pictures, tops, lefts;
    for (Value number : numbers) {
      Value place = e.rem(number, down * across);
      pictures.push_back(e.at(frame.operand(op.getInput()), e.mul(e.div(number, down * across), pixels * channels)));
      tops.push_back(e.mul(e.div(place, across), stride));
      lefts.push_back(e.mul(e.rem(place, across), stride));
    }
    e.loop(e.constant(0), e.constant(weight[1]), 1, [&](Value y) {
      e.loop(e.constant(0), e.constant(weight[2]), 1, [&](Value x) {
        Value target = e.at(packed, e.mul(e.add(e.mul(y, weight[2]), x), channels * mr));
        SmallVector<Pixel> window;
        for (auto [top, left] : llvm::zip_equal(tops, lefts))
          window.push_back(pixelAt(op, e.add(top, y), e.add(left, x)));
        op.readsPlanes() ? packPlanes(pictures, window, channels, pixels, target) : packPixels(frame, pictures, window, channels, target);
      });
    });
  }

  /// One pixel of each row, channels side by side in memory.
  void packPixels(KernelFrame &frame, ArrayRef<Value> pictures, ArrayRef<Pixel> window, int64_t channels, Value target) {
    SmallVector<Value> sources;
    for (auto [picture, pixel] : llvm::zip_equal(pictures, window))
      sources.push_back(e.at(picture, e.mul(pixel.number, channels)));
    RowEmitter(e, frame).forFeatures(channels, [&](Value at, Type, int64_t valid) {
      SmallVector<Value> vectors;
      for (auto [source, pixel] : llvm::zip_equal(sources, window))
        vectors.push_back(e.select(pixel.isThere, e.loadMasked(e.vector, e.at(source, at), valid), e.fconstant(e.vector, 0)));
      storeTransposed(vectors, e.at(target, e.mul(at, mr)), valid);
    });
  }

  /// The same where each channel is a plane of `pixels`.
  void packPlanes(ArrayRef<Value> pictures, ArrayRef<Pixel> window, int64_t channels, int64_t pixels, Value target) {
    e.loop(e.constant(0), e.constant(channels), 1, [&](Value channel) {
      Value plane = e.mul(channel, pixels), column = e.at(target, e.mul(channel, mr));
      for (auto [i, picture] : llvm::enumerate(pictures)) {
        Value value = e.load(e.f32, e.at(picture, e.add(plane, window[i].number)));
        e.store(e.select(window[i].isThere, value, e.fconstant(e.f32, 0)), e.at(column, static_cast<int64_t>(i)));
      }
    });
  }

  //===-- Phase 1: multiply -----------------------------------------------------------------------------------------------------------===//

  void emitMultiply(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    Value whole = ensureEpilogue(e, kernel, anchor, prefix, /*edge=*/false);
    Value edge = n % panelColumns ? ensureEpilogue(e, kernel, anchor, prefix, /*edge=*/true) : whole;
    e.call(ensureMultiply(e, prefix, {mr, np, storage}),
           {args, begin, end, frame.temporary(0), frame.operand(anchor->getOperand(1)), frame.result(0), frame.scratch,
            rowsOf(frame.dims), e.constant(n), e.constant(k), e.constant(kc), e.constant(mc), whole, edge});
  }
};

} // namespace

void cpu::generateGemm(Emitter &e, vlm::KernelOp kernel, StringRef prefix, KernelCode &code) {
  GemmGenerator(e, kernel, prefix, code).generate();
}
