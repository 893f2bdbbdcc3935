//===-- vlmc-bench-attention.cpp - generated attention --------------------===//
//
// Self-attention of one sequence of S tokens, H heads of D features, out of
// a fused projection [S, 3 H D]; packing of keys and values included. Its
// operations are counted as 4 S S D H: the two products, exponentials not.
//
//===----------------------------------------------------------------------===//
#include "tools/bench/BenchModel.h"
#include "tools/bench/Main.h"
#include "tools/bench/Measure.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace vlmc::bench;

static std::vector<Shape> defaultShapes() {
  std::vector<Shape> shapes;
  for (int64_t s : {50, 77, 197, 257, 577})
    for (int64_t heads : {12, 16})
      shapes.push_back({s, heads, 64});
  return shapes;
}

static std::string graphText(int64_t heads, int64_t size) {
  int64_t d = heads * size;
  return llvm::formatv(R"(
func.func @run(
    %x: tensor<1x?x{3}xf32> {{vlm.name = "x", vlm.dims = ["", "S", ""]})
    -> (tensor<1x?x{0}xf32> {{vlm.name = "y"})
    attributes {{vlm.entry,
                 vlm.symbols = [#vlm.symbol<"S", 1, 257, 1048576>]} {{
  %q = vlm.slice_features %x [0, {0}]
      : (tensor<1x?x{3}xf32>) -> tensor<1x?x{0}xf32>
  %k = vlm.slice_features %x [{0}, {2}]
      : (tensor<1x?x{3}xf32>) -> tensor<1x?x{0}xf32>
  %v = vlm.slice_features %x [{2}, {3}]
      : (tensor<1x?x{3}xf32>) -> tensor<1x?x{0}xf32>
  %y = vlm.attention %q, %k, %v {{num_heads = {1} : i64,
      num_kv_heads = {1} : i64, scale = {4:F9} : f64, vlm.label = "attention"}
      : (tensor<1x?x{0}xf32>, tensor<1x?x{0}xf32>, tensor<1x?x{0}xf32>)
      -> tensor<1x?x{0}xf32>
  return %y : tensor<1x?x{0}xf32>
})",
                       d, heads, 2 * d, 3 * d, 1 / std::sqrt(double(size)));
}

/// One element of the result: query `row`, feature `column`.
static double evaluate(std::span<const float> x, const Shape &shape,
                       int64_t row, int64_t column) {
  auto [s, heads, size] = std::tuple(shape[0], shape[1], shape[2]);
  int64_t d = heads * size, head = column / size * size;
  double total = 0, sum = 0;
  for (int64_t j = 0; j < s; ++j) {
    double score = 0;
    for (int64_t i = head; i < head + size; ++i)
      score += double(x[row * 3 * d + i]) * double(x[j * 3 * d + d + i]);
    double weight = std::exp(score / std::sqrt(double(size)));
    total += weight;
    sum += weight * double(x[j * 3 * d + 2 * d + column]);
  }
  return sum / total;
}

static double findError(const BenchRun &run, const Shape &shape) {
  int64_t d = shape[1] * shape[2];
  double error = 0;
  for (int64_t i = 0; i < 100; ++i) {
    int64_t row = i * 37 % shape[0], column = i * 977 % d;
    error = std::max(error, std::abs(evaluate(run.input(), shape, row, column) -
                                     run.output()[row * d + column]));
  }
  return error;
}

int main(int argc, char **argv) {
  Options options("SxHEADSxD", 3, defaultShapes());
  if (!options.parse(argc, argv))
    return 1;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<BenchModel>> models;
  for (const Shape &shape : options.shapes)
    for (int threads : options.threads)
      registerOne(llvm::formatv("attention/S:{0}/H:{1}/D:{2}/threads:{3}",
                                shape[0], shape[1], shape[2], threads),
                  [&models, &options, shape, threads](benchmark::State &state) {
                    auto &model = models[{shape[1], shape[2]}];
                    if (!model)
                      model = std::make_unique<BenchModel>(
                          graphText(shape[1], shape[2]), options.targets);
                    BenchRun run(model->entry(threads), {shape[0]});
                    run();
                    if (!(findError(run, shape) < 1e-5))
                      return state.SkipWithError("wrong results");
                    double flops =
                        4.0 * double(shape[0] * shape[0] * shape[1] * shape[2]);
                    measureInto(state, *model, threads, flops, options.seconds,
                                run);
                  });
  return runAll();
}
