//===- Winograd.cpp - convolutions of 3 x 3 in fewer multiplications ------===//
//
// F(2 x 2, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", arXiv 1509.09308. A tile of 2 x 2 results of a picture reads 4 x 4
// of its pixels. Pixels (B^T d B) and weights (G w G^T, ahead of time) are
// taken to 16 places; in each of them all tiles are one product over the
// channels, and the sums are taken back (A^T m A): 16 multiply-adds in place
// of 36.
//
// Phase 0 transforms panels of `mr` tiles, [tiles/mr][16][mr][C]. Phase 1 takes
// blocks of `block` panels times the columns that the micro-kernel has side by
// side, place by place, so that the weights of a place are in the first-level
// cache; the sums stand in scratch and go through the kernel's epilogue.
// Every sum is one chain in ascending channels: the bits do not depend on how
// the work is shared out.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Generators.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

namespace {

constexpr int64_t places = 16, window = 4, step = 2;

/// Tiles in panels of at most `mr`, alike but for one tile.
struct TilePanels {
  TilePanels(Emitter &e, Value tiles, int64_t mr)
      : e(e), count(e.ceilDiv(tiles, mr)) {
    Value some = e.max(count, e.constant(1));
    low = e.div(tiles, some);
    tall = e.rem(tiles, some);
  }
  Value first(Value panel) const {
    return e.add(e.mul(panel, low), e.min(panel, tall));
  }
  Value height(Value panel) const {
    return e.select(e.less(panel, tall), e.add(low, 1), low);
  }
  Emitter &e;
  Value count;

private:
  Value low, tall;
};

/// Rows or columns of one square, added up to those of another.
using Square = std::array<std::array<Value, window>, window>;

class WinogradGenerator {
public:
  WinogradGenerator(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                    KernelCode &code)
      : e(e), kernel(kernel), prefix(prefix), code(code),
        conv(*kernel.getBody().front().getOps<vlm::Conv2dOp>().begin()) {
    mr = tileOf(kernel, "mr");
    np = tileOf(kernel, "np");
    block = tileOf(kernel, "block");
    ArrayRef<int64_t> weight = conv.getWeight().getType().getShape();
    n = weight[0];
    channels = weight[3];
    std::tie(height, width) = conv.getResultSize();
    down = llvm::divideCeil(height, step);
    across = llvm::divideCeil(width, step);
  }

  void generate() {
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          emitTransforms(args, begin, end);
        },
        [&](DimFrame &dims) { return e.ceilDiv(tilesOf(dims), mr); });
    addPhase(
        e, kernel, prefix, code,
        [&](Value args, Value begin, Value end) {
          emitProducts(args, begin, end);
        },
        [&](DimFrame &dims) {
          Value panels = e.ceilDiv(tilesOf(dims), mr);
          return e.mul(e.ceilDiv(panels, block), groupCount());
        });
  }

private:
  Emitter &e;
  vlm::KernelOp kernel;
  StringRef prefix;
  KernelCode &code;
  vlm::Conv2dOp conv;
  int64_t mr, np, block, n, channels;
  int64_t height, width; ///< of the result
  int64_t down, across;  ///< tiles of a picture

  int64_t panelCount() const { return llvm::divideCeil(n, panelColumns); }
  int64_t groupCount() const { return llvm::divideCeil(panelCount(), np); }
  Value tilesOf(const DimFrame &dims) {
    return e.mul(dims.dim(conv.getResult(), 0), down * across);
  }
  /// Floats of the transformed tiles of a panel, and of one place of it.
  int64_t placeFloats() const { return mr * channels; }

  //===-- Phase 0: the 4 x 4 pixels of each tile
  //----------------------------===//

  void emitTransforms(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    TilePanels panels(e, tilesOf(frame.dims), mr);
    e.loop(begin, end, 1, [&](Value panel) {
      Value out =
          e.at(frame.temporary(0), e.mul(panel, places * placeFloats()));
      Value first = panels.first(panel);
      e.loop(e.constant(0), panels.height(panel), 1, [&](Value i) {
        transformTile(frame, e.add(first, i), e.at(out, e.mul(i, channels)));
      });
    });
  }

  void transformTile(KernelFrame &frame, Value tile, Value out) {
    auto rows = static_cast<int64_t>(conv.getHeight());
    auto columns = static_cast<int64_t>(conv.getWidth());
    Value picture =
        e.at(frame.operand(conv.getInput()),
             e.mul(e.div(tile, down * across), rows * columns * channels));
    Value place = e.rem(tile, down * across);
    Value top = e.add(e.mul(e.div(place, across), step), -conv.getPadding()[0]);
    Value left =
        e.add(e.mul(e.rem(place, across), step), -conv.getPadding()[1]);
    auto isInside = [&](Value first, int64_t size) -> Value {
      Value last = e.add(first, window - 1);
      return arith::AndIOp::create(e.b, e.loc, e.less(e.constant(-1), first),
                                   e.less(last, e.constant(size)));
    };
    auto pixel = [&](Value y, Value x) {
      return e.at(picture, e.mul(e.add(e.mul(y, columns), x), channels));
    };
    Value whole = arith::AndIOp::create(e.b, e.loc, isInside(top, rows),
                                        isInside(left, columns));
    e.ifThenElse(
        whole,
        [&] {
          Square from;
          for (int64_t i = 0; i < window; ++i)
            for (int64_t j = 0; j < window; ++j)
              from[i][j] = pixel(e.add(top, i), e.add(left, j));
          transformPixels(frame, from, nullptr, out);
        },
        [&] {
          Square from, isThere;
          for (int64_t i = 0; i < window; ++i)
            for (int64_t j = 0; j < window; ++j) {
              auto [y, hasY] = clamp(e.add(top, i), rows);
              auto [x, hasX] = clamp(e.add(left, j), columns);
              from[i][j] = pixel(y, x);
              isThere[i][j] = arith::AndIOp::create(e.b, e.loc, hasY, hasX);
            }
          transformPixels(frame, from, &isThere, out);
        });
  }

  /// The place within 0 and `size` - 1 that is nearest, and whether it is it.
  std::pair<Value, Value> clamp(Value at, int64_t size) {
    Value kept = e.max(e.min(at, e.constant(size - 1)), e.constant(0));
    return {kept, e.equal(at, kept)};
  }

  /// B^T d B of the pixels at `from`; what is not there is 0.
  void transformPixels(KernelFrame &frame, const Square &from,
                       const Square *isThere, Value out) {
    RowEmitter(e, frame).forFeatures(channels, [&](Value at, Type,
                                                   int64_t valid) {
      Square d;
      for (int64_t i = 0; i < window; ++i)
        for (int64_t j = 0; j < window; ++j) {
          d[i][j] = e.loadMasked(e.vector, e.at(from[i][j], at), valid);
          if (isThere)
            d[i][j] =
                e.select((*isThere)[i][j], d[i][j], e.fconstant(e.vector, 0));
        }
      for (int64_t j = 0; j < window; ++j) {
        auto column = spread({d[0][j], d[1][j], d[2][j], d[3][j]});
        for (int64_t i = 0; i < window; ++i)
          d[i][j] = column[i];
      }
      for (int64_t i = 0; i < window; ++i) {
        auto row = spread(d[i]);
        for (int64_t j = 0; j < window; ++j)
          e.storeMasked(row[j],
                        e.at(e.at(out, at), (i * window + j) * placeFloats()),
                        valid);
      }
    });
  }

  /// B^T times four values.
  std::array<Value, window> spread(const std::array<Value, window> &d) {
    return {e.fsub(d[0], d[2]), e.fadd(d[1], d[2]), e.fsub(d[2], d[1]),
            e.fsub(d[1], d[3])};
  }

  //===-- Phase 1: products, and the sums taken back
  //------------------------===//

  /// Row panels and columns of one task.
  struct Piece {
    Value args;
    Value packed, weights, result, scratch;
    Value top, bottom; ///< row panels
    Value column;      ///< the first column panel
    int64_t panels;    ///< side by side
    bool edge;         ///< of fewer than 16 columns
    int64_t columns() const { return panels * panelColumns; }
  };

  void emitProducts(Value args, Value begin, Value end) {
    KernelFrame frame(e, kernel, args);
    TilePanels panels(e, tilesOf(frame.dims), mr);
    e.loop(begin, end, 1, [&](Value task) {
      Value group = e.rem(task, groupCount());
      Value top = e.mul(e.div(task, groupCount()), block);
      Piece piece{args,
                  frame.temporary(0),
                  frame.operand(conv.getWeight()),
                  frame.result(0),
                  frame.scratch,
                  top,
                  e.min(e.add(top, block), panels.count),
                  e.mul(group, np),
                  np,
                  false};
      if (n % (np * panelColumns) == 0)
        return emitPiece(piece, panels);
      int64_t last = groupCount() - 1;
      e.ifThenElse(
          e.less(group, e.constant(last)), [&] { emitPiece(piece, panels); },
          [&] {
            piece.panels = 1;
            for (int64_t panel = last * np; panel < panelCount(); ++panel) {
              piece.column = e.constant(panel);
              piece.edge = (panel + 1) * panelColumns > n;
              emitPiece(piece, panels);
            }
          });
    });
  }

  /// Sums of a panel at one place, and of all places.
  int64_t sumFloats(const Piece &piece) const { return mr * piece.columns(); }

  void emitPiece(const Piece &piece, const TilePanels &panels) {
    int64_t depth = channels * panelColumns; // floats of a panel at one place
    Value right = e.at(piece.weights, e.mul(piece.column, places * depth));
    e.loop(e.constant(0), e.constant(places), 1, [&](Value place) {
      Value here = e.at(right, e.mul(place, depth));
      // Each panel of rows fetches another quarter of the next place.
      Value isLast = e.equal(place, e.constant(places - 1));
      Value next = e.select(isLast, e.at(right, piece.panels * places * depth),
                            e.at(here, depth));
      e.loop(piece.top, piece.bottom, 1, [&](Value panel) {
        Value number = e.sub(panel, piece.top);
        Value left =
            e.at(piece.packed, e.add(e.mul(panel, places * placeFloats()),
                                     e.mul(place, placeFloats())));
        Value sums =
            e.at(piece.scratch, e.add(e.mul(number, places * sumFloats(piece)),
                                      e.mul(place, sumFloats(piece))));
        Value part = e.at(next, e.mul(e.rem(number, 4), depth / 4));
        callMicroKernel(piece, panels.height(panel), {left, here, part, sums});
      });
    });
    e.loop(piece.top, piece.bottom, 1,
           [&](Value panel) { finishPanel(piece, panels, panel); });
  }

  /// The fewest tiles of a panel: of one picture.
  int64_t lowest() const {
    int64_t tiles = down * across;
    return std::max<int64_t>(1, tiles * mr / (tiles + mr - 1));
  }

  void callMicroKernel(const Piece &piece, Value count,
                       ArrayRef<Value> arguments) {
    SmallVector<Type> types(4, e.ptr);
    auto address = [&](int64_t rows) {
      std::string name =
          (prefix + "winograd" + Twine(rows) + "x" + Twine(piece.columns()) +
           "_panel" + Twine(mr) + "_" + Twine(channels))
              .str();
      e.ensure(name, types,
               [&](ValueRange a) { emitMicroKernel(rows, piece.panels, a); });
      return e.address(name, types);
    };
    Value function = address(mr);
    for (int64_t rows = lowest(); rows < mr; ++rows)
      function =
          e.select(e.equal(count, e.constant(rows)), address(rows), function);
    e.callAddress(function, arguments);
  }

  /// (left, right, what comes next, sums): one place of one panel. The number
  /// of channels is a constant, so that a row is a displacement in addresses.
  void emitMicroKernel(int64_t rows, int64_t panels, ValueRange a) {
    int64_t vectors = panels * panelColumns / e.lanes();
    ProductTile tile;
    tile.rows = rows;
    tile.panels = panels;
    tile.count = e.constant(channels);
    tile.left = [&](int64_t i, Value at, int64_t k) {
      return e.at(e.at(a[0], at), i * channels + k);
    };
    tile.right = a[1];
    tile.panelStride = e.constant(places * channels * panelColumns);
    tile.next = a[2];
    tile.nextStride = tile.panelStride;
    SmallVector<Value> zeros(rows * vectors, e.fconstant(e.vector, 0));
    SmallVector<Value> sums = emitProduct(e, tile, zeros);
    for (auto [i, sum] : llvm::enumerate(sums))
      e.store(sum, e.at(a[3], static_cast<int64_t>(i) * e.lanes()));
  }

  /// A^T m A of a panel's tiles, and the epilogue: of tiles side by side in a
  /// picture at once, first the upper, then the lower row of pixels.
  void finishPanel(const Piece &piece, const TilePanels &panels, Value panel) {
    Value sums = e.at(piece.scratch, e.mul(e.sub(panel, piece.top),
                                           places * sumFloats(piece)));
    Value finished =
        e.at(piece.scratch, block * places * mr * np * panelColumns);
    int64_t rowFloats = step * mr * piece.columns(); // of a row of pixels
    Value begin = panels.first(panel);
    Value end = e.add(begin, panels.height(panel));
    Value lines = e.ceilDiv(end, across);
    e.loop(e.div(begin, across), lines, 1, [&](Value line) {
      Value first = e.max(begin, e.mul(line, across));
      Value last = e.min(end, e.mul(e.add(line, 1), across));
      e.loop(first, last, 1, [&](Value tile) {
        gatherTile(
            piece, e.at(sums, e.mul(e.sub(tile, begin), piece.columns())),
            e.at(finished, e.mul(e.sub(tile, first), step * piece.columns())),
            rowFloats);
      });
      Value y = e.mul(e.rem(line, down), step);
      Value x = e.mul(e.sub(first, e.mul(line, across)), step);
      Value count =
          e.min(e.mul(e.sub(last, first), step), e.sub(e.constant(width), x));
      Value row = e.add(e.mul(e.div(line, down), height), y);
      Value pixel = e.add(e.mul(row, width), x);
      callEpilogue(piece, count, pixel, finished);
      e.ifThen(e.less(e.add(y, 1), e.constant(height)), [&] {
        callEpilogue(piece, count, e.add(pixel, width),
                     e.at(finished, rowFloats));
      });
    });
  }

  void callEpilogue(const Piece &piece, Value count, Value pixel, Value sums) {
    Value epilogue = ensureEpilogue(e, kernel, conv, prefix, piece.edge);
    Value column = e.mul(piece.column, panelColumns);
    Value out = e.at(piece.result, e.add(e.mul(pixel, n), column));
    e.callAddress(epilogue, {piece.args, count, pixel, column,
                             e.constant(piece.columns()), sums, out});
  }

  void gatherTile(const Piece &piece, Value sums, Value out,
                  int64_t rowFloats) {
    e.loop(e.constant(0), e.constant(piece.columns()), e.lanes(), [&](Value c) {
      Value from = e.at(sums, c), to = e.at(out, c);
      std::array<std::array<Value, window>, step> rows;
      for (int64_t j = 0; j < window; ++j) {
        std::array<Value, window> m;
        for (int64_t i = 0; i < window; ++i)
          m[i] =
              e.load(e.vector, e.at(from, (i * window + j) * sumFloats(piece)));
        std::array<Value, step> column = gather(m);
        for (int64_t i = 0; i < step; ++i)
          rows[i][j] = column[i];
      }
      for (int64_t i = 0; i < step; ++i)
        for (auto [j, value] : llvm::enumerate(gather(rows[i])))
          e.store(value, e.at(to, i * rowFloats + static_cast<int64_t>(j) *
                                                      piece.columns()));
    });
  }

  /// A^T times four values.
  std::array<Value, step> gather(const std::array<Value, window> &m) {
    return {e.fadd(e.fadd(m[0], m[1]), m[2]), e.fsub(e.fsub(m[1], m[2]), m[3])};
  }
};

} // namespace

void cpu::generateWinograd(Emitter &e, vlm::KernelOp kernel, StringRef prefix,
                           KernelCode &code) {
  WinogradGenerator(e, kernel, prefix, code).generate();
}
