//===- ImagePipelines.cpp - Resizing pictures as Halide pipelines ---------===//
//
// Pillow and torchvision resize 8-bit pictures with fixed-point coefficients
// and round to 8 bits between the two directions. The coefficients come from
// the runtime; these pipelines multiply, add, round and clip. The two differ in
// the coefficients and in how many fractional bits these have.
//
// A row of a picture is a line of bytes, three a pixel. Along columns all bytes
// of a row have the same coefficients, so that direction vectorises by itself.
// Along rows they differ from pixel to pixel; there, 16 rows at a time are
// turned by 90 degrees, computed 16 rows a vector, and turned back. A turn of
// 16 x 16 bytes is four perfect shuffles of its 256 bytes.
//
//===----------------------------------------------------------------------===//
#include "codegen/halide/ImagePipelines.h"

#include "runtime/abi/ImagePipelines.h"

#include <vector>

namespace vlmc {

using namespace Halide;
using rt::pixelsPerTile;
using rt::rowsPerBlock;

// What the runtime hands over is what Halide expects.
static_assert(sizeof(rt::PipelineBuffer) == sizeof(halide_buffer_t));
static_assert(sizeof(rt::PipelineDimension) == sizeof(halide_dimension_t));
static_assert(offsetof(rt::PipelineBuffer, host) ==
              offsetof(halide_buffer_t, host));
static_assert(offsetof(rt::PipelineBuffer, typeCode) ==
              offsetof(halide_buffer_t, type));
static_assert(offsetof(rt::PipelineBuffer, dimensions) ==
              offsetof(halide_buffer_t, dimensions));
static_assert(offsetof(rt::PipelineBuffer, dim) ==
              offsetof(halide_buffer_t, dim));
static_assert(offsetof(rt::PipelineDimension, stride) ==
              offsetof(halide_dimension_t, stride));

static constexpr int tileBytes = 3 * pixelsPerTile;
static_assert(rowsPerBlock == 16 && tileBytes % 16 == 0,
              "turning works on squares of 16 bytes");

std::optional<Target> halideTarget(const std::string &name) {
  const std::string base = name.substr(0, name.find('+'));
  std::string halide;
  if (base == "x86-64-v2")
    halide = "x86-64-linux-sse41";
  else if (base == "x86-64-v3")
    halide = "x86-64-linux-sse41-avx-avx2-fma-f16c";
  else if (base == "x86-64-v4")
    halide = "x86-64-linux-sse41-avx-avx2-fma-f16c-avx512-avx512_skylake";
  else if (base == "aarch64")
    halide = "arm-64-linux";
  else
    return std::nullopt;
  return Target(halide + "-no_runtime-no_asserts-no_bounds_query");
}

namespace {
/// Turns squares of 16 x 16 bytes: `first(k, g)` is byte k of square g, its
/// rows one behind the other; `last` holds the columns one behind the other.
struct Turn {
  Var k{"k"}, g{"g"}, half{"half"}, odd{"odd"};
  std::vector<Func> rounds;

  explicit Turn(const std::string &name) {
    for (int round = 0; round <= 4; ++round)
      rounds.emplace_back(name + std::to_string(round));
  }
  Func &first() { return rounds.front(); }
  Func &last() { return rounds.back(); }
  /// Each round moves a bit of the index from the bottom to the top: four of
  /// them exchange the two halves of the index.
  void define() {
    for (int round = 1; round <= 4; ++round) {
      Func &from = rounds[round - 1];
      rounds[round](k, g) =
          select(k % 2 == 0, from(k / 2, g), from(128 + k / 2, g));
    }
  }
  void schedule(Func &consumer, const Var &at) {
    first().compute_at(consumer, at).store_in(MemoryType::Stack);
    first().bound_extent(k, 256).align_bounds(k, 256).bound_extent(g, 1);
    first().vectorize(k, 16).unroll(k);
    for (int round = 1; round <= 4; ++round) {
      Func &func = rounds[round];
      func.compute_at(consumer, at).store_in(MemoryType::Stack);
      func.bound_extent(k, 256).align_bounds(k, 256).bound_extent(g, 1);
      func.split(k, half, odd, 2).reorder(odd, half, g);
      func.unroll(odd).vectorize(half, 16).unroll(half);
    }
  }
};

/// The sum of a filter's taps at one place: coefficients, first tap, number of
/// taps, each with a last dimension for the place.
struct Filter {
  ImageParam coefficients{Int(32), 2, "coefficients"};
  ImageParam starts{Int(32), 1, "starts"};
  ImageParam counts{Int(32), 1, "counts"};
  Param<int> available{"available"}; ///< taps lie in [0, available)
  Param<int> bits{"bits"};           ///< fractional ones of the coefficients

  /// As unsigned: Halide would shift left by a negative number.
  Expr shift() const { return cast<uint32_t>(bits); }
  /// What a sum of coefficients times bytes starts with: a half.
  Expr half() const { return cast<int32_t>(1) << (shift() - 1); }
  /// The byte nearest to a sum.
  Expr round(const Expr &sum) const {
    return cast<uint8_t>(clamp(sum >> shift(), 0, 255));
  }

  /// At least one tap: a loop that may be empty makes LLVM write the result
  /// with memset, which would be an open symbol.
  RDom taps(const Expr &place) {
    RDom tap(0, max(coefficients.dim(0).extent(), 1), "tap");
    tap.where(tap < max(counts(place), 1));
    return tap;
  }
  Expr position(const RDom &tap, const Expr &place) {
    return unsafe_promise_clamped(starts(place) + tap, 0, available - 1);
  }
};
} // namespace

static void writeResizeRows(const Target &target, const std::string &stem,
                            const std::string &folder) {
  Var b("b"), y("y"), x("x"), c("c"), tile("tile"), i("i");
  ImageParam source(UInt(8), 2, "source");
  Param<int> rows("rows");
  Filter filter;

  // The block turned: 16 bytes of 16 rows beside each other.
  Turn in("in");
  in.first()(in.k, in.g) =
      source(16 * in.g + in.k % 16, min(in.k / 16, rows - 1));
  in.define();
  Func turned("turned");
  turned(y, b) = in.last()(y + 16 * (b % 16), b / 16);

  Func sum("sum");
  sum(y, b) = filter.half();
  RDom tap = filter.taps(b / 3);
  Expr byte = turned(y, 3 * filter.position(tap, b / 3) + b % 3);
  sum(y, b) += filter.coefficients(tap, b / 3) * cast<int32_t>(byte);

  Func rounded("rounded");
  rounded(y, b) = filter.round(sum(y, b));
  Turn out("out");
  out.first()(out.k, out.g) = rounded(out.k % 16, 16 * out.g + out.k / 16);
  out.define();
  Func resized("resized");
  resized(b, y) = out.last()(b % 16 + 16 * y, b / 16);

  turned.compute_root().bound(y, 0, 16).split(b, tile, i, 16,
                                              TailStrategy::RoundUp);
  turned.reorder(y, i, tile).vectorize(y).unroll(i);
  in.schedule(turned, tile);

  resized.bound(y, 0, 16).split(b, tile, i, tileBytes, TailStrategy::RoundUp);
  Var square("square"), j("j");
  resized.split(i, square, j, 16).reorder(j, y, square, tile);
  resized.vectorize(j).unroll(y);
  out.schedule(resized, square);
  rounded.compute_at(resized, tile).store_in(MemoryType::Stack);
  rounded.bound_extent(y, 16).bound_extent(b, tileBytes).align_bounds(b, 3);
  rounded.split(b, x, c, 3).reorder(y, c, x).vectorize(y).unroll(c);
  sum.compute_at(rounded, x).bound_extent(b, 3).align_bounds(b, 3);
  sum.bound_extent(y, 16).vectorize(y).unroll(b);
  sum.update().reorder(y, b, tap).vectorize(y).unroll(b);

  OutputImageParam turnedBuffer = turned.output_buffer();
  turnedBuffer.dim(0).set_bounds(0, 16).set_stride(1);
  turnedBuffer.dim(1).set_stride(16).set_min(0);
  OutputImageParam buffer = resized.output_buffer();
  buffer.dim(0).set_min(0);
  buffer.dim(1).set_bounds(0, 16);
  source.dim(0).set_min(0);
  source.dim(1).set_min(0);
  Pipeline({turned, resized})
      .compile_to_object(folder + "/" + stem + ".o",
                         {source, filter.coefficients, filter.starts,
                          filter.counts, filter.available, filter.bits, rows},
                         stem, target);
}

static void writeResizeColumns(const Target &target, const std::string &stem,
                               const std::string &folder) {
  Var b("b"), y("y"), tile("tile"), i("i");
  ImageParam source(UInt(8), 2, "source");
  Filter filter;

  Func sum("sum");
  sum(b, y) = filter.half();
  RDom tap = filter.taps(y);
  Expr byte = source(b, filter.position(tap, y));
  sum(b, y) += filter.coefficients(tap, y) * cast<int32_t>(byte);
  Func resized("resized");
  resized(b, y) = filter.round(sum(b, y));

  resized.split(b, tile, i, tileBytes, TailStrategy::RoundUp);
  resized.vectorize(i, 16).unroll(i);
  sum.compute_at(resized, tile).bound_extent(b, tileBytes);
  sum.bound_extent(y, 1).vectorize(b, 16).unroll(b);
  sum.update().reorder(b, y, tap).vectorize(b, 16).unroll(b);
  resized.output_buffer().dim(0).set_min(0);
  source.dim(0).set_min(0);
  source.dim(1).set_min(0);
  resized.compile_to_object(folder + "/" + stem + ".o",
                            {source, filter.coefficients, filter.starts,
                             filter.counts, filter.available, filter.bits},
                            stem, target);
}

static void writeFinish(const Target &target, const std::string &stem,
                        const std::string &folder) {
  Var x("x"), y("y"), c("c");
  ImageParam source(UInt(8), 2, "source");
  ImageParam table(Float(32), 2, "table");
  Param<int> height("height"), width("width"), top("top"), left("left");

  // Outside of the picture there are zeros; the table applies to them too.
  Expr row = y + top;
  Expr column = x + left;
  Expr inside = row >= 0 && row < height && column >= 0 && column < width;
  Expr byte = source(3 * clamp(likely(column), 0, width - 1) + c,
                     clamp(row, 0, height - 1));
  Func pixels("pixels");
  pixels(x, y, c) =
      table(cast<int32_t>(select(likely(inside), byte, cast<uint8_t>(0))), c);

  pixels.bound(c, 0, 3).reorder(c, x, y).unroll(c);
  pixels.vectorize(x, 8, TailStrategy::GuardWithIf);
  source.dim(0).set_min(0);
  source.dim(1).set_min(0);
  table.dim(0).set_bounds(0, 256);
  table.dim(1).set_bounds(0, 3).set_stride(256);
  pixels.compile_to_object(folder + "/" + stem + ".o",
                           {source, table, height, width, top, left}, stem,
                           target);
}

void writeImagePipelines(const Target &target, const std::string &prefix,
                         const std::string &folder) {
  writeResizeRows(target, prefix + "_image_resize_rows", folder);
  writeResizeColumns(target, prefix + "_image_resize_columns", folder);
  writeFinish(target, prefix + "_image_finish", folder);
}

} // namespace vlmc
