//===- Processor.cpp - The processing of one picture ----------------------===//
#include "runtime/image/Processor.h"

#include "runtime/abi/ImagePipelines.h"
#include "runtime/core/PoolInternal.h"
#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <optional>

namespace vlmc::rt {

/// Rows resized along the row are kept for a whole stripe, up to these bytes.
static constexpr int64_t stripeBytes = int64_t(32) << 20;
/// Source pixels that are turned at a time: they stay in the second-level
/// cache.
static constexpr int64_t chunkPixels = 2048;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

static int64_t floorHalf(int64_t value) {
  return value >= 0 ? value / 2 : -((1 - value) / 2);
}

namespace {
/// A malloc'ed array for one task; tasks must not throw.
struct Scratch {
  explicit Scratch(int64_t bytes)
      : bytes(static_cast<uint8_t *>(std::malloc(bytes))) {}
  ~Scratch() { std::free(bytes); }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  uint8_t *bytes;
};

} // namespace

/// The resized place of result place 0. Pil's backend puts the longer part of a
/// border in front, torchvision's behind; both cut alike.
static int64_t cropStart(int64_t resized, int64_t result, Placing placing) {
  int64_t surplus = resized - result;
  if (placing == Placing::AtStart)
    return 0;
  if (surplus < 0)
    return placing == Placing::LongInFront ? floorHalf(surplus)
                                           : -(-surplus / 2);
  int64_t half = surplus / 2;
  bool isOdd = surplus % 2 != 0 && half % 2 != 0;
  return placing == Placing::HalfToEven && isOdd ? half + 1 : half;
}

Direction::Direction(int64_t source, int64_t resized, int64_t result,
                     Placing placing)
    : source(source), resized(resized), result(result),
      first(cropStart(resized, result, placing)),
      kept{std::max<int64_t>(first, 0), std::min(first + result, resized)} {}

vlm_status_t *Processor::run() {
  if (!makeFilters())
    return tooElongated();
  return isColumnsFirst() ? runColumnsFirst() : runRowsFirst();
}

vlm_status_t *Processor::tooElongated() const {
  return rt::tooElongated({down.source, across.source},
                          {down.resized, across.resized});
}

/// Pillow's choice since version 13; until then it was always rows first, as
/// PyTorch does it.
bool Processor::isColumnsFirst() const {
  if (backend != VLM_IMAGE_BACKEND_PIL)
    return false;
  int64_t fewerRows = down.source - down.resized;
  int64_t fewerColumns = across.source - across.resized;
  return down.resizes() && across.resizes() && fewerRows > 0 &&
         fewerRows > 2 * fewerColumns;
}

/// False: too much for Pillow, and here for PyTorch's as well.
bool Processor::makeFilter(const Direction &direction,
                           FilterTable &outTable) const {
  Line line{direction.source, direction.resized, direction.kept};
  if (backend == VLM_IMAGE_BACKEND_PIL)
    return makePillowTable(processing.filter, line, outTable);
  int64_t sides = down.resized + across.resized;
  return makeTorchTable(processing.filter, line, sides, outTable);
}

bool Processor::makeFilters() {
  rowStride = roundUp(across.kept.size(), pixelsPerTile) * 3;
  if (across.resizes()) {
    if (!makeFilter(across, rowFilter))
      return false;
    rowFilter.padPlaces(pixelsPerTile);
    makeChunks();
  }
  return !down.resizes() || makeFilter(down, columnFilter);
}

vlm_status_t *Processor::runRowsFirst() {
  int64_t stride = across.resizes() ? rowStride : 3 * across.source;
  for (int64_t row = down.kept.begin; row < down.kept.end;) {
    int64_t end = stripeEnd(row);
    // What one row needs may still be too much.
    if (sourceRows({row, end}).size() * stride > INT_MAX / 2)
      return tooElongated();
    if (!runStripe({row, end}))
      return outOfMemory("preprocessing a picture");
    row = end;
  }
  return nullptr;
}

vlm_status_t *Processor::runColumnsFirst() {
  for (int64_t row = down.kept.begin; row < down.kept.end;
       row += rowsPerBlock) {
    int64_t end = std::min(row + rowsPerBlock, down.kept.end);
    if (sourceRows({row, end}).size() * 3 * across.source > INT_MAX / 2)
      return tooElongated();
  }
  bool done =
      forBlocks(down.kept, [&](Span kept) { return resizeBothWays(kept); });
  return done ? nullptr : outOfMemory("preprocessing a picture");
}

void Processor::makeChunks() {
  auto places = static_cast<int64_t>(rowFilter.counts.size());
  int64_t perTile =
      std::max<int64_t>(1, across.source * pixelsPerTile / across.resized);
  int64_t step = std::max<int64_t>(1, chunkPixels / perTile) * pixelsPerTile;
  for (int64_t place = 0; place < places; place += step) {
    int64_t end = std::min(place + step, places);
    Span sources = rowFilter.sources(place, end);
    // Starts count from the chunk's first source pixel.
    for (int64_t i = place; i < end; ++i)
      rowFilter.starts[i] = static_cast<int32_t>(
          std::max<int64_t>(rowFilter.starts[i] - sources.begin, 0));
    chunks.push_back({place, end - place, sources.begin,
                      roundUp(sources.size(), pixelsPerTile)});
  }
}

/// The source rows that resized rows `keptRows` are made of.
Span Processor::sourceRows(Span keptRows) const {
  if (!down.resizes())
    return keptRows;
  return columnFilter.sources(keptRows.begin - down.kept.begin,
                              keptRows.end - down.kept.begin);
}

/// Where the stripe that begins with that resized row ends.
int64_t Processor::stripeEnd(int64_t begin) const {
  int64_t end = down.kept.end;
  while (end - begin > 1 &&
         sourceRows({begin, end}).size() * rowStride > stripeBytes)
    end = begin + (end - begin) / 2;
  return end;
}

void Processor::resizeChunk(const Chunk &chunk, Rows in, int64_t rows,
                            uint8_t *turned, uint8_t *out) {
  int32_t taps = rowFilter.taps;
  auto places = static_cast<int32_t>(chunk.places);
  auto available = static_cast<int32_t>(chunk.available);
  auto rowCount = static_cast<int32_t>(rows);
  PipelineBufferOf<2> source(in.data + 3 * chunk.source,
                             {3 * available, rowCount},
                             {1, static_cast<int32_t>(in.stride)});
  PipelineBufferOf<2> coefficients(rowFilter.coefficients.data() +
                                       chunk.place * taps,
                                   {taps, places}, {1, taps});
  PipelineBufferOf<1> starts(rowFilter.starts.data() + chunk.place, {places},
                             {1});
  PipelineBufferOf<1> counts(rowFilter.counts.data() + chunk.place, {places},
                             {1});
  PipelineBufferOf<2> turnedBuffer(turned, {rowsPerBlock, 3 * available},
                                   {1, rowsPerBlock});
  PipelineBufferOf<2> resized(out + 3 * chunk.place, {3 * places, rowsPerBlock},
                              {1, static_cast<int32_t>(rowStride)});
  void *args[] = {&source.buffer, &coefficients.buffer, &starts.buffer,
                  &counts.buffer, &available,           &rowFilter.bits,
                  &rowCount,      &turnedBuffer.buffer, &resized.buffer};
  processing.resize_rows(args);
}

/// Resizes up to a block of rows along the row; `in` starts with source pixel
/// 0. False: out of memory.
bool Processor::resizeBlock(Rows in, int64_t rows, uint8_t *out) {
  int64_t widest = 0;
  for (const Chunk &chunk : chunks)
    widest = std::max(widest, chunk.available);
  Scratch turned(3 * widest * rowsPerBlock);
  if (!turned.bytes)
    return false;
  for (const Chunk &chunk : chunks)
    resizeChunk(chunk, in, rows, turned.bytes, out);
  return true;
}

/// Calls `body`, in any order, for each block of `rows`. False: it was false
/// for one of them.
bool Processor::forBlocks(Span rows, const auto &body) {
  std::atomic<bool> done{true};
  auto block = [&](int64_t index) {
    int64_t begin = rows.begin + index * rowsPerBlock;
    if (!body(Span{begin, std::min(begin + rowsPerBlock, rows.end)}))
      done = false;
  };
  int64_t blocks = roundUp(rows.size(), rowsPerBlock) / rowsPerBlock;
  if (pool)
    parallelFor(pool, blocks, block);
  else
    for (int64_t i = 0; i < blocks; ++i)
      block(i);
  return done;
}

/// Resizes source rows along the row. False: out of memory.
bool Processor::resizeRows(Span rows, uint8_t *out) {
  return forBlocks(rows, [&](Span block) {
    return resizeBlock({image.row(block.begin), 3 * image.width}, block.size(),
                       out + (block.begin - rows.begin) * rowStride);
  });
}

/// Makes at most a block of resized rows of source rows, `available` of which
/// `in` holds; `bytes` of each row, packed.
void Processor::resizeColumns(Rows in, Span available, Span keptRows,
                              int64_t bytes, uint8_t *out) {
  int64_t place = keptRows.begin - down.kept.begin;
  auto places = static_cast<int32_t>(keptRows.size());
  int32_t taps = columnFilter.taps;
  auto rowBytes = static_cast<int32_t>(bytes);
  // The buffer begins where the block needs it, and so do the starts.
  Span needed = sourceRows(keptRows);
  auto height = static_cast<int32_t>(needed.size());
  int32_t shifted[rowsPerBlock];
  for (int32_t i = 0; i < places; ++i)
    shifted[i] = static_cast<int32_t>(
        std::max<int64_t>(columnFilter.starts[place + i] - needed.begin, 0));
  PipelineBufferOf<2> source(
      in.data + (needed.begin - available.begin) * in.stride,
      {rowBytes, height}, {1, static_cast<int32_t>(in.stride)});
  PipelineBufferOf<2> coefficients(columnFilter.coefficients.data() +
                                       place * taps,
                                   {taps, places}, {1, taps});
  PipelineBufferOf<1> starts(shifted, {places}, {1});
  PipelineBufferOf<1> counts(columnFilter.counts.data() + place, {places}, {1});
  PipelineBufferOf<2> resized(out, {rowBytes, places}, {1, rowBytes});
  void *args[] = {
      &source.buffer, &coefficients.buffer, &starts.buffer, &counts.buffer,
      &height,        &columnFilter.bits,   &resized.buffer};
  processing.resize_columns(args);
}

/// The result rows that show resized rows, and the zeros above the first and
/// below the last ones.
Span Processor::resultRows(Span keptRows) const {
  return {keptRows.begin == down.kept.begin ? 0 : keptRows.begin - down.first,
          keptRows.end == down.kept.end ? down.result
                                        : keptRows.end - down.first};
}

/// Crops and looks up: `in` holds resized rows `keptRows`.
void Processor::finish(Rows in, Span keptRows) {
  Span out = resultRows(keptRows);
  auto height = static_cast<int32_t>(keptRows.size());
  auto width = static_cast<int32_t>(across.kept.size());
  auto top = static_cast<int32_t>(out.begin + down.first - keptRows.begin);
  auto left = static_cast<int32_t>(across.first - across.kept.begin);
  auto rows = static_cast<int32_t>(out.size());
  auto columns = static_cast<int32_t>(across.result);
  auto plane = static_cast<int32_t>(down.result * across.result);
  PipelineBufferOf<2> source(in.data, {3 * width, height},
                             {1, static_cast<int32_t>(in.stride)});
  PipelineBufferOf<2> table(backend == VLM_IMAGE_BACKEND_PIL
                                ? processing.pil_table
                                : processing.torchvision_table,
                            {256, 3}, {1, 256});
  PipelineBufferOf<3> result(pixels + out.begin * across.result,
                             {columns, rows, 3}, {1, columns, plane});
  void *args[] = {&source.buffer, &table.buffer, &height,       &width,
                  &top,           &left,         &result.buffer};
  processing.finish(args);
}

/// Makes result rows of resized rows `keptRows`; `in` holds the source rows
/// `available`, their columns as in the result. False: out of memory.
bool Processor::finishBlock(Span keptRows, Span available, Rows in) {
  if (!down.resizes()) {
    finish(
        {in.data + (keptRows.begin - available.begin) * in.stride, in.stride},
        keptRows);
    return true;
  }
  Scratch resized(keptRows.size() * rowStride);
  if (!resized.bytes)
    return false;
  resizeColumns(in, available, keptRows, rowStride, resized.bytes);
  finish({resized.bytes, rowStride}, keptRows);
  return true;
}

/// Makes the result rows that show resized rows `keptRows`, rows first. False:
/// out of memory.
bool Processor::runStripe(Span keptRows) {
  Span available = sourceRows(keptRows);
  Rows in{image.row(available.begin) + 3 * across.kept.begin, 3 * image.width};
  std::optional<Scratch> resized;
  if (across.resizes()) {
    resized.emplace(roundUp(available.size(), rowsPerBlock) * rowStride);
    if (!resized->bytes || !resizeRows(available, resized->bytes))
      return false;
    in = {resized->bytes, rowStride};
  }
  return forBlocks(
      keptRows, [&](Span block) { return finishBlock(block, available, in); });
}

/// Makes the result rows that show at most a block of resized rows, columns
/// first. False: out of memory.
bool Processor::resizeBothWays(Span keptRows) {
  int64_t first = chunks.front().source;
  int64_t pixelsNeeded = chunks.back().source + chunks.back().available - first;
  int64_t stride = roundUp(pixelsNeeded, pixelsPerTile) * 3;
  Scratch lower(keptRows.size() * stride + readableTail);
  Scratch resized(rowsPerBlock * rowStride);
  if (!lower.bytes || !resized.bytes)
    return false;
  Span all{0, down.source};
  resizeColumns({image.row(0) + 3 * first, 3 * image.width}, all, keptRows,
                stride, lower.bytes);
  if (!resizeBlock({lower.bytes - 3 * first, stride}, keptRows.size(),
                   resized.bytes))
    return false;
  finish({resized.bytes, rowStride}, keptRows);
  return true;
}

} // namespace vlmc::rt
