//===-- vlmc-bench-conv.cpp - generated convolutions ----------------------===//
//
// y = conv(x) + bias of one picture, H x W pixels of C channels to N, windows
// of 3 x 3 in steps of 1: those of CLIP's residual networks. Its operations are
// counted as 2 * 9 H W C N, what a product over the windows does: above 100 %
// of the peak it is done in fewer (codegen/cpu/Winograd.cpp).
//
//===----------------------------------------------------------------------===//
#include "tools/bench/BenchModel.h"
#include "tools/bench/Main.h"
#include "tools/bench/Measure.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace vlmc::bench;

static std::vector<Shape> defaultShapes() {
  return {{112, 112, 32, 32}, {112, 112, 32, 64}, {56, 56, 64, 64},
          {56, 56, 128, 128}, {28, 28, 128, 128}, {28, 28, 256, 256},
          {14, 14, 256, 256}, {14, 14, 512, 512}, {7, 7, 512, 512}};
}

static std::string graphText(const Shape &shape) {
  auto [h, w, c, n] = std::tuple(shape[0], shape[1], shape[2], shape[3]);
  std::string x = llvm::formatv("tensor<?x{0}x{1}xf32>", h * w, c);
  std::string y = llvm::formatv("tensor<?x{0}x{1}xf32>", h * w, n);
  std::string weight = llvm::formatv("tensor<{0}x3x3x{1}xf32>", n, c);
  std::string bias = llvm::formatv("tensor<{0}xf32>", n);
  return llvm::formatv(R"(
vlm.weight @w : {2} = #vlm.recipe<read "w" : {2}>
vlm.weight @b : {3} = #vlm.recipe<read "b" : {3}>
func.func @run(%x: {0} {{vlm.name = "x", vlm.dims = ["B", "", ""]})
    -> ({1} {{vlm.name = "y"})
    attributes {{vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 1024>]} {{
  %w = vlm.get_weight @w : {2}
  %b = vlm.get_weight @b : {3}
  %y = vlm.conv2d %x, %w bias %b {{height = {4} : i64, width = {5} : i64,
      stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>, vlm.label = "conv"}
      : ({0}, {2}, {3}) -> {1}
  return %y : {1}
})",
                       x, y, weight, bias, h, w);
}

/// One element of the result: a pixel's feature.
static double evaluate(const BenchModel &model, std::span<const float> x,
                       const Shape &shape, int64_t pixel, int64_t feature) {
  auto [h, w, c] = std::tuple(shape[0], shape[1], shape[2]);
  std::span<const float> weight = model.weight("w");
  double sum = double(model.weight("b")[feature]);
  for (int64_t tap = 0; tap < 9; ++tap) {
    int64_t row = pixel / w + tap / 3 - 1, column = pixel % w + tap % 3 - 1;
    if (row < 0 || row >= h || column < 0 || column >= w)
      continue;
    for (int64_t i = 0; i < c; ++i)
      sum += double(x[(row * w + column) * c + i]) *
             double(weight[(feature * 9 + tap) * c + i]);
  }
  return sum;
}

/// The largest difference at some places, by the size of the results there.
static double findError(const BenchModel &model, const BenchRun &run,
                        const Shape &shape) {
  double error = 0, squares = 0;
  for (int64_t i = 0; i < 100; ++i) {
    int64_t pixel = i * 37 % (shape[0] * shape[1]),
            feature = i * 977 % shape[3];
    double want = evaluate(model, run.input(), shape, pixel, feature);
    squares += want * want / 100;
    error = std::max(error,
                     std::abs(want - run.output()[pixel * shape[3] + feature]));
  }
  return error / std::sqrt(squares);
}

int main(int argc, char **argv) {
  Options options("HxWxCxN", 4, defaultShapes());
  if (!options.parse(argc, argv))
    return 1;
  std::map<Shape, std::unique_ptr<BenchModel>> models;
  for (const Shape &shape : options.shapes)
    for (int threads : options.threads)
      registerOne(
          llvm::formatv("conv/{0}x{1}/C:{2}/N:{3}/threads:{4}", shape[0],
                        shape[1], shape[2], shape[3], threads),
          [&models, &options, shape, threads](benchmark::State &state) {
            auto &model = models[shape];
            if (!model)
              model = std::make_unique<BenchModel>(graphText(shape),
                                                   options.targets);
            BenchRun run(model->entry(threads), {1});
            run();
            if (!(findError(*model, run, shape) < 1e-5))
              return state.SkipWithError("wrong results");
            double flops = 18.0 * double(shape[0] * shape[1]) *
                           double(shape[2] * shape[3]);
            measureInto(state, *model, threads, flops, options.seconds, run);
          });
  return runAll();
}
