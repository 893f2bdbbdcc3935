//===- ImagePipelines.h - The arguments of the image pipelines --*- C++ -*-===//
//
// The border between codegen/halide, which generates the pipelines of
// `vlm_abi_image`, and runtime/image, which calls them. A pipeline takes an
// array of pointers to its arguments, buffers or int32 numbers, in this order:
//
//   resize_rows     one block of `rowsPerBlock` rows
//     source        u8 [rows][3 * available], rows any distance apart. Up to
//                   `readableTail` bytes behind a row are read (not used).
//     coefficients  i32 [places][taps], with `bits` fractional bits
//     starts        i32 [places], the first source pixel of each result pixel
//     counts        i32 [places], how many of the taps there are (at least 1
//                   is read)
//     available     number: source pixels in a row, a multiple of
//                   `pixelsPerTile`; starts + counts lie below
//     bits          number: 1 to 22
//     rows          number: rows that exist, 1..rowsPerBlock; others repeat
//                   the last one
//     turned        u8 [3 * available][rowsPerBlock], working memory
//     resized       u8 [rowsPerBlock][3 * places]; places: a multiple of
//                   `pixelsPerTile`
//   resize_columns  any number of result rows
//     source        u8 [available][bytes]; bytes: a multiple of 3 *
//                   `pixelsPerTile`
//     coefficients, starts, counts   as above, places are result rows
//     available     number: source rows
//     bits          number: as above
//     resized       u8 [places][bytes]
//   finish          any number of result rows
//     source        u8 [height][3 * width], rows any distance apart
//     table         f32 [3][256]
//     height, width numbers: size of the source
//     top, left     numbers: the source pixel of the first result pixel
//     pixels        f32 [3][rows][columns], any strides but that of columns
//
// Buffers are described as Halide describes them (`halide_buffer_t`): the
// dimension written last above comes first. All minima are 0.
//
//   PipelineBufferOf<2> rows(bytes, {width, height}, {1, rowBytes});
//   void *args[] = {&rows.buffer, ...};
//   image->resize_columns(args);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_ABI_IMAGEPIPELINES_H
#define VLMC_RUNTIME_ABI_IMAGEPIPELINES_H

#include <array>
#include <cstddef>
#include <cstdint>

namespace vlmc::rt {

/// The most fractional bits of the coefficients.
constexpr int resizeFractionBits = 22;
constexpr int rowsPerBlock = 16;
constexpr int pixelsPerTile = 16;
/// Readable bytes that must follow the last row of a picture.
constexpr size_t readableTail = size_t(3) * pixelsPerTile;

/// The layout of `halide_dimension_t`.
struct PipelineDimension {
  int32_t min = 0;
  int32_t extent = 0;
  int32_t stride = 0; ///< in elements
  uint32_t flags = 0;
};

/// The layout of `halide_buffer_t`.
struct PipelineBuffer {
  uint64_t device = 0;
  const void *deviceInterface = nullptr;
  void *host = nullptr;
  uint64_t flags = 0;
  uint8_t typeCode = 0; ///< 0 signed, 1 unsigned, 2 float
  uint8_t typeBits = 0;
  uint16_t typeLanes = 1;
  int32_t dimensions = 0;
  PipelineDimension *dim = nullptr;
  void *padding = nullptr;
};
static_assert(sizeof(PipelineBuffer) == 56 && sizeof(PipelineDimension) == 16);

template <typename T> struct PipelineType;
template <> struct PipelineType<uint8_t> {
  static constexpr uint8_t code = 1, bits = 8;
};
template <> struct PipelineType<int32_t> {
  static constexpr uint8_t code = 0, bits = 32;
};
template <> struct PipelineType<float> {
  static constexpr uint8_t code = 2, bits = 32;
};

/// A buffer with its dimensions, innermost first. Not movable: the buffer
/// points into it.
template <int Rank> struct PipelineBufferOf {
  template <typename T>
  PipelineBufferOf(const T *data, const std::array<int32_t, Rank> &extents,
                   const std::array<int32_t, Rank> &strides) {
    for (int i = 0; i < Rank; ++i) {
      dims[i].extent = extents[i];
      dims[i].stride = strides[i];
    }
    buffer.host = const_cast<T *>(data);
    buffer.typeCode = PipelineType<T>::code;
    buffer.typeBits = PipelineType<T>::bits;
    buffer.dimensions = Rank;
    buffer.dim = dims.data();
  }
  PipelineBufferOf(const PipelineBufferOf &) = delete;
  PipelineBufferOf &operator=(const PipelineBufferOf &) = delete;

  PipelineBuffer buffer;
  std::array<PipelineDimension, Rank> dims;
};

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_ABI_IMAGEPIPELINES_H
