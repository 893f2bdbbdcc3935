//===-- vlmc-bench-gemm.cpp - generated matrix products -------------------===//
//
// y[M,N] = activation(norm(x)[M,K] W[N,K]^T + bias): the linear layers of ViT-B
// and ViT-L, packing of x included; norm and activation where flags ask.
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
  for (auto [n, k] :
       std::initializer_list<std::pair<int64_t, int64_t>>{{768, 768},
                                                          {2304, 768},
                                                          {3072, 768},
                                                          {768, 3072},
                                                          {1024, 1024},
                                                          {3072, 1024},
                                                          {4096, 1024},
                                                          {1024, 4096}})
    for (int64_t m : {1, 4, 50, 197, 257, 577})
      shapes.push_back({m, n, k});
  return shapes;
}

namespace {
/// What is fused with the product.
struct Fusion {
  bool norm;
  std::string activation; ///< "none", "quick_gelu" or "gelu"
};
} // namespace

static constexpr double epsilon = 1e-5;

//===-- The graph ---------------------------------------------------------===//

static std::string weightText(const char *name, const std::string &type) {
  return llvm::formatv("vlm.weight @{0} : {1} = #vlm.recipe<read \"{0}\" : "
                       "{1}>\n",
                       name, type);
}

static std::string getText(const char *name, const std::string &type) {
  return llvm::formatv("%{0} = vlm.get_weight @{0} : {1}\n", name, type);
}

static std::string graphText(int64_t n, int64_t k, const Fusion &fusion) {
  std::string x = llvm::formatv("tensor<?x{0}xf32>", k);
  std::string y = llvm::formatv("tensor<?x{0}xf32>", n);
  std::string w = llvm::formatv("tensor<{0}x{1}xf32>", n, k);
  std::string b = llvm::formatv("tensor<{0}xf32>", n);
  std::string features = llvm::formatv("tensor<{0}xf32>", k);
  std::string weights, body, input = "%x", output = "%y";
  auto add = [&](const char *name, const std::string &type) {
    weights += weightText(name, type);
    body += getText(name, type);
  };
  add("w", w);
  add("b", b);
  if (fusion.norm) {
    add("scale", features);
    add("shift", features);
    body += llvm::formatv("%normed = vlm.layer_norm %x, %scale, %shift "
                          "{{epsilon = {0:F6} : f64} : {1}, {2}, {2}\n",
                          epsilon, x, features);
    input = "%normed";
  }
  body += llvm::formatv("%y = vlm.linear {0}, %w bias %b : ({1}, {2}, {3}) -> "
                        "{4}\n",
                        input, x, w, b, y);
  if (fusion.activation != "none") {
    body += llvm::formatv("%activated = vlm.activation {0} %y : {1}\n",
                          fusion.activation, y);
    output = "%activated";
  }
  return llvm::formatv(
      "{0}func.func @run(%x: {1} {{vlm.name = \"x\", vlm.dims = [\"M\", "
      "\"\"]}) -> ({2} {{vlm.name = \"y\"}) attributes {{vlm.entry, "
      "vlm.symbols = [#vlm.symbol<\"M\", 1, 257, 1048576>]} {{\n{3}return {4} "
      ": {2}\n}",
      weights, x, y, body, output);
}

//===-- The check ---------------------------------------------------------===//

/// Row `row` of the left side, normed if so fused.
static std::vector<double> leftRow(const BenchModel &model, const BenchRun &run,
                                   int64_t row, int64_t k, bool norm) {
  std::span<const float> x = run.input().subspan(row * k, k);
  std::vector<double> values(x.begin(), x.end());
  if (!norm)
    return values;
  double mean = 0, squares = 0;
  for (double value : values)
    mean += value / double(k);
  for (double value : values)
    squares += (value - mean) * (value - mean) / double(k);
  std::span<const float> scale = model.weight("scale"),
                         shift = model.weight("shift");
  for (int64_t i = 0; i < k; ++i)
    values[i] =
        (values[i] - mean) / std::sqrt(squares + epsilon) * scale[i] + shift[i];
  return values;
}

static double activate(const std::string &activation, double x) {
  if (activation == "quick_gelu")
    return x / (1 + std::exp(-1.702 * x));
  if (activation == "gelu")
    return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  return x;
}

/// The largest error of some elements; a typical one is 1.
static double findError(const BenchModel &model, const BenchRun &run,
                        const Shape &shape, const Fusion &fusion) {
  auto [m, n, k] = std::tuple(shape[0], shape[1], shape[2]);
  std::span<const float> w = model.weight("w"), b = model.weight("b");
  double error = 0;
  for (int64_t i = 0; i < 200; ++i) {
    int64_t row = i * 37 % m, column = i * 977 % n;
    std::vector<double> left = leftRow(model, run, row, k, fusion.norm);
    double sum = b[column];
    for (int64_t j = 0; j < k; ++j)
      sum += left[j] * double(w[column * k + j]);
    error = std::max(error, std::abs(activate(fusion.activation, sum) -
                                     run.output()[row * n + column]));
  }
  return error;
}

//===-- Benchmarks --------------------------------------------------------===//

namespace {
class GemmBench {
public:
  GemmBench(const Options &options, Fusion fusion)
      : options(options), fusion(std::move(fusion)) {}
  void run(benchmark::State &state, const Shape &shape, int threads);

private:
  const Options &options;
  Fusion fusion;
  /// Compiled when first measured: a filter then saves the time of the rest.
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<BenchModel>> models;
};
} // namespace

void GemmBench::run(benchmark::State &state, const Shape &shape, int threads) {
  auto [m, n, k] = std::tuple(shape[0], shape[1], shape[2]);
  std::unique_ptr<BenchModel> &model = models[{n, k}];
  if (!model)
    model = std::make_unique<BenchModel>(
        graphText(n, k, fusion), options.targets, options.flags.at("weights"));
  BenchRun run(model->entry(threads), {m});
  run();
  if (!(findError(*model, run, shape, fusion) < 1e-5))
    return state.SkipWithError("wrong results");
  double seconds = measureInto(state, *model, threads, 2.0 * double(m * n * k),
                               options.seconds, run);
  // What few rows are bound by: weights are read once.
  int64_t bytes = options.flags.at("weights") == "f32" ? 4 : 2;
  state.counters["GB/s"] = rounded(double(n * k * bytes) / seconds * 1e-9);
}

int main(int argc, char **argv) {
  Options options("MxNxK", 3, defaultShapes());
  options.flags = {{"norm", "no"}, {"activation", "none"}, {"weights", "f32"}};
  options.flagsHelp =
      "  --norm=yes       with a layer norm of x fused before\n"
      "  --activation=A   with quick_gelu or gelu fused behind\n"
      "  --weights=TYPE   weights stored as f32, bf16 or f16\n";
  if (!options.parse(argc, argv))
    return 1;
  GemmBench bench(
      options, {options.flags["norm"] == "yes", options.flags["activation"]});
  for (const Shape &shape : options.shapes)
    for (int threads : options.threads)
      registerOne(llvm::formatv("gemm/M:{0}/N:{1}/K:{2}/threads:{3}", shape[0],
                                shape[1], shape[2], threads),
                  [&bench, shape, threads](benchmark::State &state) {
                    bench.run(state, shape, threads);
                  });
  return runAll();
}
