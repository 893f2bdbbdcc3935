//===- Processor.h - The processing of one picture ------------------------===//
//
// Resize, centre crop, look up. Only what the crop keeps is computed. The work
// goes stripe by stripe, a stripe being some result rows, so that working
// memory stays small whatever the picture; nearly always there is one stripe.
// In a stripe, first all source rows that it needs are resized along the row,
// then its result rows are made of them. Pillow resizes tall pictures along the
// column first; then each block of result rows is made from start to end. Pixels do not depend on each other, so the split does not
// change results.
//
//   Processor processor(processing, backend, pool, image, down, across,
//                       pixels);
//   return processor.run();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_PROCESSOR_H
#define VLMC_RUNTIME_IMAGE_PROCESSOR_H

#include "runtime/image/ImageInternal.h"
#include "runtime/image/Resample.h"

#include <cstdint>
#include <vector>

namespace vlmc::rt {

/// Height and width in pixels.
struct Size {
  int64_t height = 0;
  int64_t width = 0;
};

/// The status for a resize that is too much.
vlm_status_t *tooElongated(const Size &from, const Size &to);

/// Where an odd number of pixels is halved. What is cut in front is the shorter
/// half, with HalfToEven the even one; a border in front is the longer half
/// with LongInFront alone. AtStart: all of either is behind.
enum class Placing { LongInFront, ShortInFront, HalfToEven, AtStart };

/// A picture resized and placed on a result of another size, f32 [3, H, W].
vlm_status_t *processTo(const vlm_abi_image &processing,
                        vlm_image_backend_t backend, vlm_pool_t *pool,
                        const vlm_image_t &image, const Size &resized,
                        const Size &result, Placing placing, float *pixels);

/// One direction of the work: from source through resized to result places.
struct Direction {
  int64_t source = 0;
  int64_t resized = 0;
  int64_t result = 0;
  int64_t first = 0; ///< the resized place of result place 0; may be negative
  Span kept;         ///< the resized places that the result shows

  Direction(int64_t source, int64_t resized, int64_t result,
            Placing placing);
  bool resizes() const { return source != resized; }
};

/// Result places [place, place + places) of resize_rows and the source pixels
/// they need.
struct Chunk {
  int64_t place;
  int64_t places;
  int64_t source;
  int64_t available;
};

/// Pixels in rows that lie `stride` bytes apart.
struct Rows {
  const uint8_t *data;
  int64_t stride;
};

/// The processing of one picture.
class Processor {
public:
  Processor(const vlm_abi_image &processing, vlm_image_backend_t backend,
            vlm_pool_t *pool, const vlm_image_t &image, const Direction &down,
            const Direction &across, float *pixels)
      : processing(processing), backend(backend), pool(pool), image(image),
        down(down), across(across), pixels(pixels) {}

  vlm_status_t *run();

private:
  bool isColumnsFirst() const;
  bool makeFilters();
  bool makeFilter(const Direction &direction, FilterTable &outTable) const;
  void makeChunks();
  vlm_status_t *runRowsFirst();
  vlm_status_t *runColumnsFirst();
  vlm_status_t *tooElongated() const;
  int64_t stripeEnd(int64_t begin) const;
  Span sourceRows(Span keptRows) const;
  bool runStripe(Span keptRows);
  bool resizeRows(Span rows, uint8_t *out);
  bool resizeBlock(Rows in, int64_t rows, uint8_t *out);
  void resizeChunk(const Chunk &chunk, Rows in, int64_t rows, uint8_t *turned,
                   uint8_t *out);
  void resizeColumns(Rows in, Span available, Span keptRows, int64_t bytes,
                     uint8_t *out);
  bool resizeBothWays(Span keptRows);
  Span resultRows(Span keptRows) const;
  bool forBlocks(Span rows, const auto &body);
  bool finishBlock(Span keptRows, Span available, Rows in);
  void finish(Rows in, Span keptRows);

  const vlm_abi_image &processing;
  const vlm_image_backend_t backend;
  vlm_pool_t *pool;
  const vlm_image_t &image;
  const Direction down;
  const Direction across;
  float *pixels;
  FilterTable rowFilter, columnFilter;
  std::vector<Chunk> chunks;
  int64_t rowStride = 0; ///< bytes from row to row of what resize_rows writes
};
} // namespace vlmc::rt

#endif // VLMC_RUNTIME_IMAGE_PROCESSOR_H
