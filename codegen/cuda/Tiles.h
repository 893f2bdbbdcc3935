//===-- Tiles.h - tiles of 16-bit values in shared memory -----------------===//
//
// A tile is rows of 16-byte chunks. Where a row is a power of two of chunks
// they are swizzled, else rows are padded to an odd number of chunks: either
// way eight rows of an ldmatrix lie in different banks. `TileLoader` fills one
// from rows of memory or from any values, with zeros beyond them.
//
//   SharedTile tile{.rows = 128, .columns = 32};
//   TileLoader loader(g, tile, threads, rowOf, k);
//   loader.load(base, firstColumn);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CUDA_TILES_H
#define VLMC_CODEGEN_CUDA_TILES_H

#include "codegen/cpu/RowEmitter.h"
#include "codegen/cuda/Gpu.h"
#include <optional>

namespace vlmc::cuda {

struct SharedTile {
  int64_t rows = 0;
  int64_t columns = 0; ///< a multiple of 8

  int64_t chunks() const { return columns / 8; }
  bool isSwizzled() const { return (chunks() & (chunks() - 1)) == 0; }
  int64_t rowBytes() const {
    return (isSwizzled() || chunks() % 2 ? chunks() : chunks() + 1) * 16;
  }
  int64_t bytes() const { return rows * rowBytes(); }
  /// Byte offset of a chunk from the tile's begin.
  Value offset(Emitter &e, Value row, Value chunk) const;
};

/// Where rows of memory are: `base` points to elements of `storage`, row m
/// begins at element `offset(m)`, and all offsets, and the length of rows, are
/// multiples of `alignment` elements.
struct MemoryRows {
  Storage storage = Storage::F32;
  Value base;
  std::function<Value(Value m)> offset;
  int64_t alignment = 1;
};

/// The rows of an operand or of a view of it; none where ops compute them.
/// `passed`: an op of rows that is taken for its input; null: none.
std::optional<MemoryRows> memoryRows(Emitter &e, const cpu::KernelFrame &frame,
                                     Value value,
                                     mlir::Operation *passed = nullptr);

/// The rows of a tile: `row(i)` is the row of memory for the tile's row i, and
/// whether there is one.
struct TileSource {
  std::optional<MemoryRows> memory;
  /// Otherwise: feature k of row m as f32.
  std::function<Value(Value m, Value k)> element;
  std::function<Value(Value i)> row;
  std::function<Value(Value i)> isValid;
  int64_t columns = 0; ///< of a row; what is behind is 0
};

class TileLoader {
public:
  /// `storage`: what the tile holds, F16 or BF16.
  TileLoader(Gpu &g, SharedTile tile, int64_t threads, Storage storage,
             TileSource source)
      : g(g), e(g.e), tile(tile), threads(threads), storage(storage),
        source(std::move(source)) {}

  /// Starts to fill the tile at `base` bytes of shared memory with columns
  /// [first, first + tile.columns): in a group of copies, or at once where
  /// values have to be converted.
  void load(Value base, Value first);

private:
  int64_t copyBytes() const;
  void copyUnit(Value base, Value first, Value unit, int64_t bytes);
  void writeElement(Value base, Value first, Value unit);

  Gpu &g;
  Emitter &e;
  SharedTile tile;
  int64_t threads;
  Storage storage;
  TileSource source;
};

/// The address of the row that this lane gives an ldmatrix of two by two
/// matrices: the warp's rows begin at `row`, its chunks at `chunk`. With
/// `rowsFirst` matrices follow each other by rows, then by chunks.
Value matrixAddress(Gpu &g, const SharedTile &tile, Value base, Value lane,
                    Value row, Value chunk, bool rowsFirst);

} // namespace vlmc::cuda

#endif // VLMC_CODEGEN_CUDA_TILES_H
