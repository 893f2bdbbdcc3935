//===-- vlmc-bench-gemv.cpp - products of few rows ------------------------===//
//
// y[M,N] = x[M,K] W[N,K]^T for the few rows of a decoder, whose weights come
// from memory: the rate at which they are read, beside that of plain reading.
//
//===----------------------------------------------------------------------===//
#include "tools/bench/Main.h"
#include "tools/bench/Measure.h"
#include "tools/bench/ReadRate.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace vlmc::bench;

/// A layer's largest matrix in the sizes of a decoder of 7 billion, twice: more
/// than any cache holds in 16 bits too.
static std::vector<Shape> defaultShapes() {
  std::vector<Shape> shapes;
  for (int64_t m : {1, 2, 3, 4, 6, 8, 16})
    shapes.push_back({m, 28672, 4096});
  return shapes;
}

static std::string graphText(int64_t n, int64_t k) {
  std::string x = llvm::formatv("tensor<?x{0}xf32>", k);
  std::string y = llvm::formatv("tensor<?x{0}xf32>", n);
  std::string w = llvm::formatv("tensor<{0}x{1}xf32>", n, k);
  return llvm::formatv(
      "vlm.weight @w : {0} = #vlm.recipe<read \"w\" : {0}>\n"
      "func.func @run(%x: {1} {{vlm.name = \"x\", vlm.dims = [\"M\", \"\"]}) "
      "-> ({2} {{vlm.name = \"y\"}) attributes {{vlm.entry, vlm.symbols = "
      "[#vlm.symbol<\"M\", 1, 1, 1048576>]} {{\n"
      "%w = vlm.get_weight @w : {0}\n"
      "%y = vlm.linear %x, %w : ({1}, {0}) -> {2}\n"
      "return %y : {2}\n}",
      w, x, y);
}

/// The largest error of some elements; a typical one is 1.
static double findError(const BenchModel &model, const BenchRun &run,
                        const Shape &shape) {
  auto [m, n, k] = std::tuple(shape[0], shape[1], shape[2]);
  std::span<const float> w = model.weight("w");
  double error = 0;
  for (int64_t i = 0; i < 200; ++i) {
    int64_t row = i % m, column = i * 977 % n;
    double sum = 0;
    for (int64_t j = 0; j < k; ++j)
      sum += double(run.input()[row * k + j]) * double(w[column * k + j]);
    error = std::max(error, std::abs(sum - run.output()[row * n + column]));
  }
  return error;
}

namespace {
class GemvBench {
public:
  explicit GemvBench(const Options &options) : options(options) {}
  void run(benchmark::State &state, const Shape &shape, int threads);

private:
  const Options &options;
  /// Only the last one is kept: they are large.
  std::unique_ptr<BenchModel> model;
  std::pair<int64_t, int64_t> modelSize;
};
} // namespace

void GemvBench::run(benchmark::State &state, const Shape &shape, int threads) {
  auto [m, n, k] = std::tuple(shape[0], shape[1], shape[2]);
  const std::string &stored = options.flags.at("weights");
  if (!model || modelSize != std::pair(n, k)) {
    model.reset();
    model =
        std::make_unique<BenchModel>(graphText(n, k), options.targets, stored);
    modelSize = {n, k};
  }
  BenchRun run(model->entry(threads), {m});
  run();
  if (!(findError(*model, run, shape) < 1e-4))
    return state.SkipWithError("wrong results");
  double bytes = double(n * k) * (stored == "f32" ? 4 : 2);
  measureReadInto(state, *model, threads, bytes, options.seconds, run);
}

int main(int argc, char **argv) {
  Options options("MxNxK", 3, defaultShapes());
  options.flags = {{"weights", "bf16"}};
  options.flagsHelp =
      "  --weights=TYPE   weights stored as f32, bf16 or f16 (bf16)\n";
  if (!options.parse(argc, argv))
    return 1;
  GemvBench bench(options);
  for (const Shape &shape : options.shapes)
    for (int threads : options.threads)
      registerOne(llvm::formatv("gemv/{0}/M:{1}/N:{2}/K:{3}/threads:{4}",
                                options.flags["weights"], shape[0], shape[1],
                                shape[2], threads),
                  [&bench, shape, threads](benchmark::State &state) {
                    bench.run(state, shape, threads);
                  });
  return runAll();
}
