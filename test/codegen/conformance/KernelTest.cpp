//===-- KernelTest.cpp - the conformance suite of targets -----------------===//
//
// Generated kernels against the interpreter, for every target whose code can
// run here: natively, under qemu-user, a GPU's thread by thread. Long because
// the cases of all ops are compiled and compared in one way.
//
//===----------------------------------------------------------------------===//
#include "codegen/Codegen.h"
#include "codegen/package/Convert.h"
#include "ir/Vlm/VlmOps.h"
#include "ir/Vlm/VlmSize.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "test/codegen/conformance/Interpreter.h"
#include "test/codegen/conformance/Machines.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::test;

namespace {

/// A kernel compiled for a target with one strategy.
class Compiled {
public:
  Compiled(const std::string &text, const Target &target,
           const std::string &strategy) {
    context.loadDialect<vlm::VlmDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      return;
    if (target.arch != "cuda") {
      PassManager pm(&context);
      pm.addPass(createTilePass({.strategy = strategy,
                                 .tileRows = target.tileRows,
                                 .tilePanels = target.tilePanels(),
                                 .l2Bytes = target.l2Bytes}));
      if (failed(pm.run(*module)))
        return;
    }
    kernel = *(*module).getOps<vlm::KernelOp>().begin();
    machine = makeMachine(target, *module);
  }

  /// A call with these operands, guards behind what it may write.
  Job makeJob(const std::vector<Tensor> &operands, const Tensor &expected,
              int64_t grain) {
    Job job;
    job.grain = grain;
    llvm::StringMap<int64_t> symbols;
    for (auto [argument, operand] :
         llvm::zip_equal(kernel.getBody().getArguments(), operands)) {
      job.buffers.push_back(bufferOf(argument, operand));
      for (auto [i, size] : llvm::enumerate(
               cast<RankedTensorType>(argument.getType()).getShape()))
        if (ShapedType::isDynamic(size)) {
          symbols["d" + std::to_string(job.dims.size())] = operand.shape[i];
          job.dims.push_back(operand.shape[i]);
        }
    }
    auto guarded = [](int64_t bytes) {
      return std::vector<uint8_t>(bytes + guard, 0xEE);
    };
    job.buffers.push_back(
        guarded(static_cast<int64_t>(expected.data.size()) * 4));
    job.scratch = guarded(0);
    if (DictionaryAttr tiles = kernel.getTilesAttr()) {
      auto evaluate = [&](Attribute size) {
        return vlm::Size::fromAttr(cast<vlm::SizeAttr>(size)).evaluate(symbols);
      };
      for (Attribute temp : tiles.getAs<ArrayAttr>("temps"))
        job.buffers.push_back(guarded(evaluate(temp)));
      job.scratch = guarded(evaluate(tiles.get("scratch")));
    }
    return job;
  }

  /// The result of a job that has run; nothing may have been written past the
  /// planned sizes.
  std::vector<float> takeResult(const Job &job, const Tensor &expected) {
    size_t operands = kernel.getArgumentTypes().size();
    auto checkGuard = [](const std::vector<uint8_t> &bytes,
                         const std::string &what) {
      EXPECT_TRUE(std::all_of(bytes.end() - guard, bytes.end(),
                              [](uint8_t byte) { return byte == 0xEE; }))
          << what << " is overrun";
    };
    for (size_t i = operands; i < job.buffers.size(); ++i)
      checkGuard(job.buffers[i], "buffer " + std::to_string(i));
    checkGuard(job.scratch, "the scratch");
    const uint8_t *bytes = job.buffers[operands].data();
    std::vector<float> result(expected.data.size());
    if (cast<RankedTensorType>(kernel.getResultTypes()[0])
            .getElementType()
            .isInteger(32)) {
      std::vector<int32_t> integers(result.size());
      memcpy(integers.data(), bytes, integers.size() * 4);
      std::copy(integers.begin(), integers.end(), result.begin());
    } else {
      memcpy(result.data(), bytes, result.size() * 4);
    }
    return result;
  }

  vlm::KernelOp kernel;
  std::unique_ptr<Machine> machine;

private:
  static constexpr int64_t guard = 64;

  /// `f32.winograd16` of [N, 3, 3, C]: [ceil(N/16)][4 x 4][C][16] of G w G^T.
  static std::vector<double> transformWindows(const Tensor &weight) {
    const double g[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    int64_t n = weight.shape[0], channels = weight.shape[3];
    std::vector<double> out((n + 15) / 16 * 16 * 16 * channels);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t place = 0; place < 16; ++place)
          for (int64_t tap = 0; tap < 9; ++tap)
            out[((i / 16 * 16 + place) * channels + c) * 16 + i % 16] +=
                g[place / 4][tap / 3] * g[place % 4][tap % 3] *
                weight.data[(i * 9 + tap) * channels + c];
    return out;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;

  std::vector<uint8_t> bufferOf(BlockArgument argument, const Tensor &operand) {
    Type element = cast<RankedTensorType>(argument.getType()).getElementType();
    std::vector<uint8_t> bytes;
    auto append = [&](auto value) {
      bytes.insert(bytes.end(), reinterpret_cast<uint8_t *>(&value),
                   reinterpret_cast<uint8_t *>(&value + 1));
    };
    bool packed = machine->code.strategy == "gemm" &&
                  llvm::any_of(argument.getUsers(), [&](Operation *user) {
                    return isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp>(user) &&
                           user->getOperand(1) == argument;
                  });
    StringRef storage = "f32";
    if (auto layout = dyn_cast_or_null<vlm::LayoutAttr>(
            cast<RankedTensorType>(argument.getType()).getEncoding())) {
      storage = layout.getStorage();
      packed = layout.getForm() == "panel16";
    }
    auto appendFloat = [&](double value) {
      if (storage == "bf16")
        append(floatToBfloat(float(value)));
      else if (storage == "f16")
        append(floatToHalf(float(value)));
      else
        append(float(value));
    };
    if (machine->code.strategy == "winograd" && operand.shape.size() == 4) {
      for (double value : transformWindows(operand))
        appendFloat(value);
      return bytes;
    }
    if (packed) {
      int64_t n = operand.shape[0], k = int64_t(operand.data.size()) / n;
      int64_t group = storage == "bf16" ? 2 : 1; // neighbours along k
      for (int64_t panel = 0; panel < (n + 15) / 16; ++panel)
        for (int64_t i = 0; i < k; i += group)
          for (int64_t c = panel * 16; c < panel * 16 + 16; ++c)
            for (int64_t j = i; j < i + group; ++j)
              appendFloat(c < n && j < k ? operand.data[c * k + j] : 0);
      return bytes;
    }
    for (double value : operand.data)
      if (element.isInteger(64))
        append(int64_t(value));
      else if (element.isInteger(32))
        append(int32_t(value));
      else
        appendFloat(value);
    // Vectors are padded to whole panels with zeros.
    if (operand.shape.size() == 1)
      bytes.resize((bytes.size() + 63) / 64 * 64);
    return bytes;
  }
};

Tensor random(std::vector<int64_t> shape, unsigned seed, double low = -1,
              double high = 1, bool integers = false) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(low, high);
  Tensor tensor{std::move(shape), {}};
  int64_t count = 1;
  for (int64_t size : tensor.shape)
    count *= size;
  for (int64_t i = 0; i < count; ++i) {
    double value = distribution(generator);
    tensor.data.push_back(integers ? std::floor(value) : double(float(value)));
  }
  return tensor;
}

using Operands = std::vector<Tensor>;

/// Max|d| / std(reference) <= 1e-5: f32 sums of at most a few thousand terms.
void compare(ArrayRef<float> got, const Tensor &expected) {
  double count = static_cast<double>(expected.data.size());
  double mean = 0, squares = 0;
  for (double x : expected.data)
    mean += x / count;
  for (double x : expected.data)
    squares += (x - mean) * (x - mean) / count;
  double scale = squares > 0 ? std::sqrt(squares) : 1;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i] / scale, expected.data[i] / scale, 1e-5)
        << "element " << i << " of " << got.size();
}

/// Compares a kernel with the interpreter, and bit for bit with itself when its
/// tasks are split otherwise. `results`, if any, takes each case's.
void checkStrategy(const std::string &text, const std::vector<Operands> &cases,
                   const Target &target, const std::string &strategy,
                   std::vector<std::vector<float>> *results = nullptr) {
  SCOPED_TRACE(strategy);
  Compiled compiled(text, target, strategy);
  ASSERT_TRUE(compiled.machine) << text;
  std::vector<Tensor> expected;
  std::vector<Job> jobs;
  constexpr int64_t grains[] = {1 << 30, 1, 3};
  for (const Operands &operands : cases) {
    expected.push_back(interpret(compiled.kernel, operands)[0]);
    for (int64_t grain : grains)
      jobs.push_back(compiled.makeJob(operands, expected.back(), grain));
  }
  compiled.machine->run(jobs);
  for (size_t number = 0; number < cases.size(); ++number) {
    SCOPED_TRACE("case " + std::to_string(number));
    size_t first = number * std::size(grains);
    std::vector<float> whole =
        compiled.takeResult(jobs[first], expected[number]);
    compare(whole, expected[number]);
    for (size_t i = 1; i < std::size(grains); ++i) {
      std::vector<float> split =
          compiled.takeResult(jobs[first + i], expected[number]);
      ASSERT_EQ(memcmp(split.data(), whole.data(), whole.size() * 4), 0)
          << "results depend on the split";
    }
    if (results)
      results->push_back(whole);
  }
}

/// A test for every target whose code can run here.
class Conformance : public testing::TestWithParam<std::string> {
protected:
  /// The plain kernels are the same for all targets; one shows them right.
  void check(const std::string &text, const std::vector<Operands> &cases,
             bool alsoReference = true) {
    const Target &target = *findTarget(GetParam());
    checkStrategy(text, cases, target, "auto");
    if (alsoReference && target.name == "x86-64-v3")
      checkStrategy(text, cases, target, "reference");
  }
};

std::string nameOf(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Kernels, Conformance,
                         testing::ValuesIn(runnableTargets()), nameOf);

/// Writes tensor<AxBxf32>; 0 stands for a dynamic size.
std::string type(const std::vector<int64_t> &dims,
                 const std::string &element = "f32") {
  std::string text = "tensor<";
  for (int64_t dim : dims)
    text += (dim ? std::to_string(dim) : std::string("?")) + "x";
  return text + element + ">";
}

/// A kernel of the given anchor, arguments ("%x: tensor<...>, ...") and body,
/// which names its result %y.
std::string kernelText(const std::string &anchor, const std::string &arguments,
                       const std::string &result, const std::string &body) {
  return "vlm.kernel @k(" + arguments + ") -> " + result +
         " attributes {anchor = #vlm<anchor_kind " + anchor + ">} {\n" + body +
         "\nvlm.yield %y : " + result + "\n}\n";
}

TEST_P(Conformance, GemmEveryTailOfRowsColumnsAndDepth) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {5, 1}, {16, 7}, {20, 20}, {48, 64}, {70, 33}, {100, 8}}) {
    SCOPED_TRACE("n " + std::to_string(n) + " k " + std::to_string(k));
    std::string x = type({0, k}), w = type({n, k}), b = type({n}),
                y = type({0, n});
    std::vector<Operands> cases;
    for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 13, 14, 27, 50})
      cases.push_back({random({m, k}, 1), random({n, k}, 2), random({n}, 3)});
    check(kernelText("gemm", "%x: " + x + ", %w: " + w + ", %b: " + b, y,
                     "%y = vlm.linear %x, %w bias %b : (" + x + ", " + w +
                         ", " + b + ") -> " + y),
          cases);
  }
}

TEST_P(Conformance, GemmDeepProductsInBlocks) {
  std::string x = type({0, 2100}), w = type({24, 2100}), r = type({0, 24});
  std::vector<Operands> cases;
  for (int64_t m : {1, 8, 130})
    cases.push_back(
        {random({m, 2100}, 1), random({24, 2100}, 2), random({m, 24}, 3)});
  check(kernelText("gemm", "%x: " + x + ", %w: " + w + ", %r: " + r, r,
                   "%0 = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + r +
                       "\n%y = vlm.add %0, %r : " + r + ", " + r),
        cases, /*alsoReference=*/false);
}

TEST_P(Conformance, GemmNormPrologueActivationAndResidual) {
  for (const char *activation :
       {"relu", "relu2", "relu6", "leaky_relu", "quick_gelu", "gelu",
        "gelu_tanh", "silu", "sigmoid", "tanh", "mish", "hard_tanh"}) {
    SCOPED_TRACE(activation);
    std::string x = type({0, 0, 36}), v = type({36}), w = type({44, 36}),
                b = type({44}), y = type({0, 0, 44});
    std::vector<Operands> cases;
    for (auto [batch, tokens] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 5}, {3, 17}})
      cases.push_back({random({batch, tokens, 36}, 1, -3, 3), random({36}, 2),
                       random({36}, 3), random({44, 36}, 4), random({44}, 5),
                       random({batch, tokens, 44}, 6)});
    check(kernelText(
              "gemm",
              "%x: " + x + ", %g: " + v + ", %o: " + v + ", %w: " + w +
                  ", %b: " + b + ", %r: " + y,
              y,
              "%0 = vlm.layer_norm %x, %g, %o {epsilon = 1.0e-5 : f64} : " + x +
                  ", " + v + ", " + v + "\n%1 = vlm.linear %0, %w bias %b : (" +
                  x + ", " + w + ", " + b + ") -> " + y +
                  "\n%2 = vlm.activation " + activation + " %1 : " + y +
                  "\n%y = vlm.add %2, %r : " + y + ", " + y),
          cases);
  }
}

/// Far below zero an activation is next to nothing: but never a number so small
/// that the processor takes a hundred cycles for it.
TEST_P(Conformance, ActivationsMakeNoDenormals) {
  const Target &target = *findTarget(GetParam());
  for (const char *activation : {"quick_gelu", "gelu", "silu", "sigmoid"}) {
    SCOPED_TRACE(activation);
    std::string x = type({0, 4}), w = type({16, 4}), y = type({0, 16});
    std::vector<std::vector<float>> results;
    checkStrategy(kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                             "%0 = vlm.linear %x, %w : (" + x + ", " + w +
                                 ") -> " + y + "\n%y = vlm.activation " +
                                 activation + " %0 : " + y),
                  {{random({40, 4}, 1, -300, 300), random({16, 4}, 2)}}, target,
                  "auto", &results);
    ASSERT_EQ(results.size(), 1U);
    for (float value : results[0])
      ASSERT_NE(std::fpclassify(value), FP_SUBNORMAL) << value;
  }
}

TEST_P(Conformance, GemmTakenRowsPositionsAndSqueeze) {
  std::string x = type({0, 9, 20}), i = type({0, 1}, "i32"), w = type({33, 20}),
              t = type({0, 1, 20}), l = type({0, 1, 33}), y = type({0, 33});
  Tensor index{{3, 1}, {4, 0, 8}};
  check(kernelText("gemm", "%x: " + x + ", %i: " + i + ", %w: " + w, y,
                   "%0 = vlm.take_tokens %x index %i : (" + x + ", " + i +
                       ") -> " + t + "\n%1 = vlm.linear %0, %w : (" + t + ", " +
                       w + ") -> " + l + "\n%y = vlm.squeeze %1 : (" + l +
                       ") -> " + y),
        {{random({3, 9, 20}, 1), index, random({33, 20}, 2)}});
  std::string z = type({0, 9, 33}), p = type({9, 33});
  check(kernelText("gemm", "%x: " + x + ", %w: " + w + ", %p: " + p, z,
                   "%0 = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + z +
                       "\n%y = vlm.add %0, %p : " + z + ", " + p),
        {{random({2, 9, 20}, 1), random({33, 20}, 2), random({9, 33}, 3)}});
}

TEST_P(Conformance, GemmPatches) {
  for (auto [side, size, channels, d] :
       std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>>{
           {7, 28, 3, 20}, {8, 30, 3, 36}, {14, 28, 1, 16}}) {
    int64_t patches = (size / side) * (size / side);
    std::string x = type({0, channels, size, size}),
                w = type({d, channels, side, side}), b = type({d}),
                y = type({0, patches, d});
    check(kernelText("gemm", "%x: " + x + ", %w: " + w + ", %b: " + b, y,
                     "%y = vlm.patch_embed %x, %w bias %b : (" + x + ", " + w +
                         ", " + b + ") -> " + y),
          {{random({1, channels, size, size}, 1),
            random({d, channels, side, side}, 2), random({d}, 3)},
           {random({3, channels, size, size}, 1),
            random({d, channels, side, side}, 2), random({d}, 3)}});
  }
}

TEST_P(Conformance, AttentionHeadsSizesAndMasks) {
  for (auto [heads, kvHeads, size] :
       std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 5}, {3, 3, 7}, {4, 2, 16}, {2, 2, 64}, {5, 1, 20}})
    for (bool causal : {false, true}) {
      SCOPED_TRACE("heads " + std::to_string(heads) + " size " +
                   std::to_string(size) + (causal ? " causal" : ""));
      int64_t d = heads * size, kv = kvHeads * size;
      std::string q = type({0, 0, d}), k = type({0, 0, kv}),
                  m = type({0, 0}, "i64");
      std::vector<Operands> cases;
      for (auto [batch, tokens] : std::vector<std::pair<int64_t, int64_t>>{
               {1, 1}, {2, 6}, {1, 17}, {2, 50}, {1, 101}}) {
        Tensor valid = random({batch, tokens}, 9, 0.2, 1.9, true);
        cases.push_back({random({batch, tokens, d}, 1, -2, 2),
                         random({batch, tokens, kv}, 2, -2, 2),
                         random({batch, tokens, kv}, 3), valid});
      }
      // A sequence without any valid key.
      cases.push_back({random({1, 7, d}, 1), random({1, 7, kv}, 2),
                       random({1, 7, kv}, 3),
                       Tensor{{1, 7}, std::vector<double>(7, 0)}});
      check(kernelText(
                "attention",
                "%q: " + q + ", %k: " + k + ", %v: " + k + ", %m: " + m, q,
                "%y = vlm.attention %q, %k, %v key_valid %m {num_heads = " +
                    std::to_string(heads) +
                    " : i64, num_kv_heads = " + std::to_string(kvHeads) +
                    " : i64, scale = 0.35 : f64" + (causal ? ", causal" : "") +
                    "} : (" + q + ", " + k + ", " + k + ", " + m + ") -> " + q),
            cases);
    }
}

TEST_P(Conformance, AttentionWithBiasByDistance) {
  for (int64_t elements : {1, 3, 15, 33, 257})
    for (bool causal : {false, true}) {
      std::string x = type({0, 0, 15}), b = type({3, elements});
      std::vector<Operands> cases;
      for (int64_t tokens : {1, 4, 16, 23, 70, 150})
        cases.push_back({random({2, tokens, 15}, 1), random({2, tokens, 15}, 2),
                         random({2, tokens, 15}, 3),
                         random({3, elements}, 4, -3, 3)});
      check(kernelText(
                "attention",
                "%q: " + x + ", %k: " + x + ", %v: " + x + ", %b: " + b, x,
                "%y = vlm.attention %q, %k, %v distance_bias %b {num_heads = 3 "
                ": i64, num_kv_heads = 3 : i64, scale = 1.0 : f64" +
                    std::string(causal ? ", causal" : "") + "} : (" + x + ", " +
                    x + ", " + x + ", " + b + ") -> " + x),
            cases);
    }
  // The distance is that from the query's own position.
  std::string q = type({0, 1, 8}), k = type({0, 0, 8}), b = type({2, 9}),
              i = type({0, 1}, "i32");
  check(kernelText("attention",
                   "%q: " + q + ", %k: " + k + ", %i: " + i + ", %b: " + b, q,
                   "%y = vlm.attention %q, %k, %k query_position %i "
                   "distance_bias %b {num_heads = 2 : i64, num_kv_heads = 2 : "
                   "i64, scale = 0.5 : f64} : (" +
                       q + ", " + k + ", " + k + ", " + i + ", " + b + ") -> " +
                       q),
        {{random({2, 1, 8}, 1), random({2, 29, 8}, 2), Tensor{{2, 1}, {3, 21}},
          random({2, 9}, 3, -3, 3)}});
}

TEST_P(Conformance, AttentionMaskedAmongInvalidTokens) {
  std::string x = type({0, 0, 24}), m = type({0, 0}, "i64");
  std::vector<Operands> cases;
  for (auto [batch, tokens] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 6}, {1, 17}, {2, 50}})
    cases.push_back({random({batch, tokens, 24}, 1, -2, 2),
                     random({batch, tokens, 24}, 2, -2, 2),
                     random({batch, tokens, 24}, 3),
                     random({batch, tokens}, 9, 0.2, 1.9, true)});
  // All of them invalid: each attends to all alike.
  cases.push_back({random({1, 7, 24}, 1), random({1, 7, 24}, 2),
                   random({1, 7, 24}, 3),
                   Tensor{{1, 7}, std::vector<double>(7, 0)}});
  check(kernelText("attention",
                   "%q: " + x + ", %k: " + x + ", %v: " + x + ", %m: " + m, x,
                   "%y = vlm.attention %q, %k, %v key_valid %m {among_invalid, "
                   "num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.35 "
                   ": f64} : (" +
                       x + ", " + x + ", " + x + ", " + m + ") -> " + x),
        cases);
}

TEST_P(Conformance, AttentionFusedOperandAndTakenQuery) {
  std::string qkv = type({0, 0, 36}), part = type({0, 0, 12});
  std::string slices;
  for (int i = 0; i < 3; ++i)
    slices += "%" + std::to_string(i) + " = vlm.slice_features %x [" +
              std::to_string(12 * i) + ", " + std::to_string(12 * i + 12) +
              "] : (" + qkv + ") -> " + part + "\n";
  check(kernelText("attention", "%x: " + qkv, part,
                   slices +
                       "%y = vlm.attention %0, %1, %2 {num_heads = 3 : i64, "
                       "num_kv_heads = 3 : i64, scale = 0.5 : f64} : (" +
                       part + ", " + part + ", " + part + ") -> " + part),
        {{random({2, 10, 36}, 1)}, {random({1, 57, 36}, 2)}});
  std::string q = type({0, 1, 12}), kv = type({0, 0, 24}),
              i = type({0, 1}, "i32");
  Tensor index{{2, 1}, {3, 7}};
  check(kernelText("attention", "%q: " + q + ", %x: " + kv + ", %i: " + i, q,
                   "%0 = vlm.slice_features %x [0, 12] : (" + kv + ") -> " +
                       part + "\n%1 = vlm.slice_features %x [12, 24] : (" + kv +
                       ") -> " + part +
                       "\n%y = vlm.attention %q, %0, %1 query_position %i "
                       "{causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, "
                       "scale = 0.5 : f64} : (" +
                       q + ", " + part + ", " + part + ", " + i + ") -> " + q),
        {{random({2, 1, 12}, 1), random({2, 9, 24}, 2), index}});
}

TEST_P(Conformance, RowsEmbeddingsNormsAndTokens) {
  std::string ids = type({0, 0}, "i64"), table = type({50, 20}),
              p = type({16, 20}), v = type({20}), y = type({0, 0, 20});
  check(kernelText(
            "rows",
            "%ids: " + ids + ", %t: " + table + ", %p: " + p + ", %g: " + v +
                ", %b: " + v,
            y,
            "%0 = vlm.embedding %ids, %t : (" + ids + ", " + table + ") -> " +
                y + "\n%1 = vlm.add %0, %p : " + y + ", " + p +
                "\n%y = vlm.layer_norm %1, %g, %b {epsilon = 1.0e-3 : f64} : " +
                y + ", " + v + ", " + v),
        {{random({2, 7}, 1, 0, 50, true), random({50, 20}, 2),
          random({16, 20}, 3), random({20}, 4), random({20}, 5)}});
  std::string c = type({1, 20}), x = type({0, 4, 20}), z = type({0, 5, 20}),
              q = type({5, 20});
  check(kernelText("rows", "%c: " + c + ", %x: " + x + ", %p: " + q, z,
                   "%0 = vlm.prepend_tokens %c, %x : (" + c + ", " + x +
                       ") -> " + z + "\n%1 = vlm.add %0, %p : " + z + ", " + q +
                       "\n%y = vlm.l2_normalize %1 : " + z),
        {{random({1, 20}, 1), random({3, 4, 20}, 2), random({5, 20}, 3)}});
}

/// GPUs have no kernels for decoders yet.
using DecoderConformance = Conformance;
std::vector<std::string> decoderTargets() {
  std::vector<std::string> targets;
  for (const std::string &target : runnableTargets())
    if (findTarget(target)->arch != "cuda")
      targets.push_back(target);
  return targets;
}
INSTANTIATE_TEST_SUITE_P(Kernels, DecoderConformance,
                         testing::ValuesIn(decoderTargets()), nameOf);

/// GPUs have no kernels for convolutions yet.
using PictureConformance = Conformance;
INSTANTIATE_TEST_SUITE_P(Kernels, PictureConformance,
                         testing::ValuesIn(decoderTargets()), nameOf);

namespace {
struct ConvCase {
  int64_t height, width, channels, d, down, across, stride;
  std::vector<int64_t> padding;
  bool planes;
};
} // namespace

TEST_P(PictureConformance, GemmConvolutions) {
  for (const ConvCase &c : std::vector<ConvCase>{
           {9, 7, 3, 20, 3, 3, 2, {1, 1, 1, 1}, true},
           {6, 6, 1, 5, 3, 2, 1, {0, 1, 2, 0}, true},
           {5, 8, 20, 33, 3, 3, 1, {1, 1, 1, 1}, false},
           {8, 8, 16, 16, 3, 3, 2, {0, 0, 1, 1}, false},
           {4, 3, 7, 17, 1, 1, 1, {0, 0, 0, 0}, false},
           {3, 3, 5, 9, 5, 5, 3, {2, 2, 2, 2}, false},
           // In fewer multiplications, from 32 tiles of 2 x 2 pixels on.
           {16, 16, 16, 32, 3, 3, 1, {1, 1, 1, 1}, false},
           {13, 15, 20, 33, 3, 3, 1, {1, 1, 1, 1}, false},
           {14, 12, 7, 80, 3, 3, 1, {0, 2, 1, 0}, false},
           {3, 70, 33, 5, 3, 3, 1, {1, 0, 0, 1}, false}}) {
    int64_t down =
        (c.height + c.padding[0] + c.padding[2] - c.down) / c.stride + 1;
    int64_t across =
        (c.width + c.padding[1] + c.padding[3] - c.across) / c.stride + 1;
    auto shape = [&](int64_t batch) -> std::vector<int64_t> {
      if (c.planes)
        return {batch, c.channels, c.height, c.width};
      return {batch, c.height * c.width, c.channels};
    };
    std::vector<int64_t> weight = {c.d, c.down, c.across, c.channels};
    std::string x = type(shape(0)), w = type(weight), b = type({c.d}),
                y = type({0, down * across, c.d});
    std::string attributes = " {height = " + std::to_string(c.height) +
                             " : i64, width = " + std::to_string(c.width) +
                             " : i64, stride = " + std::to_string(c.stride) +
                             " : i64, padding = array<i64";
    for (auto [i, size] : llvm::enumerate(c.padding))
      attributes += (i ? ", " : ": ") + std::to_string(size);
    attributes += ">} : (";
    SCOPED_TRACE(attributes);
    check(kernelText("gemm",
                     "%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y, y,
                     "%0 = vlm.conv2d %x, %w bias %b" + attributes + x + ", " +
                         w + ", " + b + ") -> " + y +
                         "\n%1 = vlm.add %0, %r : " + y + ", " + y +
                         "\n%y = vlm.activation relu %1 : " + y),
          {{random(shape(1), 1), random(weight, 2), random({c.d}, 3),
            random({1, down * across, c.d}, 4)},
           {random(shape(3), 1), random(weight, 2), random({c.d}, 3),
            random({3, down * across, c.d}, 4)}});
  }
}

TEST_P(PictureConformance, RowsOfConvolutionsOfEachChannel) {
  struct Case {
    int64_t height, width, channels, down, across, stride;
    std::vector<int64_t> padding;
  };
  for (const Case &c : std::vector<Case>{
           {9, 7, 20, 3, 3, 1, {1, 1, 1, 1}},
           {8, 13, 16, 5, 5, 2, {1, 1, 2, 2}},
           {6, 6, 33, 3, 3, 2, {0, 0, 1, 1}},
           {3, 4, 5, 5, 5, 1, {2, 2, 2, 2}},
           {7, 30, 7, 2, 4, 1, {0, 1, 1, 2}},
           {5, 5, 48, 5, 5, 1, {0, 0, 0, 0}},
           {1, 1, 18, 3, 3, 1, {1, 1, 1, 1}},
           {4, 11, 17, 1, 1, 2, {0, 0, 0, 0}}}) {
    int64_t places =
        ((c.height + c.padding[0] + c.padding[2] - c.down) / c.stride + 1) *
        ((c.width + c.padding[1] + c.padding[3] - c.across) / c.stride + 1);
    std::vector<int64_t> pixels = {2, c.height * c.width, c.channels};
    std::string x = type({0, pixels[1], c.channels}),
                w = type({c.down, c.across, c.channels}),
                b = type({c.channels}), f = type({0, c.channels}),
                y = type({0, places, c.channels});
    std::string attributes = " {height = " + std::to_string(c.height) +
                             " : i64, width = " + std::to_string(c.width) +
                             " : i64, stride = " + std::to_string(c.stride) +
                             " : i64, padding = array<i64";
    for (auto [i, size] : llvm::enumerate(c.padding))
      attributes += (i ? ", " : ": ") + std::to_string(size);
    attributes += ">} : (";
    SCOPED_TRACE(attributes + x + ", " + w);
    Tensor input = random(pixels, 1),
           weight = random({c.down, c.across, c.channels}, 2),
           bias = random({c.channels}, 3);
    check(kernelText("rows", "%x: " + x + ", %w: " + w, y,
                     "%y = vlm.depthwise_conv2d %x, %w" + attributes + x +
                         ", " + w + ") -> " + y),
          {{input, weight}});
    check(kernelText("rows",
                     "%x: " + x + ", %w: " + w + ", %b: " + b + ", %f: " + f, y,
                     "%0 = vlm.depthwise_conv2d %x, %w bias %b" + attributes +
                         x + ", " + w + ", " + b + ") -> " + y +
                         "\n%1 = vlm.activation silu %0 : " + y +
                         "\n%y = vlm.scale_features %1, %f : " + y + ", " + f),
          {{input, weight, bias, random({2, c.channels}, 4)}});
    // With an op of whole rows behind it, row by row.
    check(kernelText("rows", "%x: " + x + ", %w: " + w, y,
                     "%0 = vlm.depthwise_conv2d %x, %w" + attributes + x +
                         ", " + w + ") -> " + y +
                         "\n%y = vlm.l2_normalize %0 : " + y),
          {{input, weight}});
  }
}

TEST_P(PictureConformance, RowsOfLargestTokens) {
  for (auto [tokens, features] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 16}, {9, 7}, {5, 64}, {7, 150}}) {
    std::string x = type({0, tokens, features}), y = type({0, features});
    for (const char *op : {"max_tokens", "mean_tokens"})
      check(kernelText("rows", "%x: " + x, y,
                       std::string("%y = vlm.") + op + " %x : (" + x +
                           ") -> " + y),
            {{random({3, tokens, features}, 1)}});
  }
}

TEST_P(PictureConformance, RowsOfPositionsInGrids) {
  Tensor grid{{6, 2}, {3, 5, 1, 1, 16, 1, 1, 13, 4, 4, 2, 8}};
  for (auto [side, features] :
       std::vector<std::pair<int64_t, int64_t>>{{4, 20}, {1, 16}, {7, 33}}) {
    std::string x = type({0, 0, features}), p = type({side * side, features}),
                g = "tensor<?x2xi64>";
    SCOPED_TRACE(p);
    std::vector<Tensor> operands = {random({6, 16, features}, 1),
                                    random({side * side, features}, 2), grid};
    auto text = [&](const std::string &attributes) {
      return kernelText("rows", "%x: " + x + ", %p: " + p + ", %g: " + g, x,
                        "%y = vlm.add_grid_positions %x, %p, %g" + attributes +
                            " : " + x + ", " + p + ", " + g);
    };
    check(text(""), {operands});
    if (side == 4)
      check(text(" {boundaries = array<f32: 0.25, 0.5, 0.75>}"), {operands});
  }
}

TEST_P(PictureConformance, GemmAndRowsOfAveragePools) {
  for (auto [height, width, size, channels] :
       std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>>{
           {4, 4, 2, 16}, {5, 7, 2, 20}, {6, 9, 3, 5}, {7, 7, 7, 33}}) {
    int64_t places = (height / size) * (width / size);
    std::string x = type({0, height * width, channels}),
                p = type({0, places, channels}), w = type({24, channels}),
                y = type({0, places, 24});
    std::string pool =
        "vlm.average_pool %x {height = " + std::to_string(height) +
        " : i64, width = " + std::to_string(width) +
        " : i64, size = " + std::to_string(size) + " : i64} : (" + x +
        ") -> " + p;
    SCOPED_TRACE(pool);
    check(kernelText("rows", "%x: " + x, p, "%y = " + pool),
          {{random({2, height * width, channels}, 1)}});
    check(kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                     "%0 = " + pool + "\n%y = vlm.linear %0, %w : (" + p +
                         ", " + w + ") -> " + y),
          {{random({2, height * width, channels}, 1),
            random({24, channels}, 2)}});
  }
}

TEST_P(PictureConformance, GroupNormsAndCodes) {
  for (auto [pixels, channels, groups] :
       std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 6, 3}, {9, 16, 4}, {5, 64, 2}, {7, 40, 1}, {4, 36, 12}}) {
    std::string x = type({0, pixels, channels}), m = type({0, groups, 2}),
                w = type({channels});
    SCOPED_TRACE(x + " " + m);
    check(kernelText("rows", "%x: " + x, m,
                     "%y = vlm.group_moments %x {groups = " +
                         std::to_string(groups) +
                         " : i64, epsilon = 1.0e-03 : f64} : (" + x + ") -> " +
                         m),
          {{random({2, pixels, channels}, 1)}});
    check(kernelText("rows",
                     "%x: " + x + ", %m: " + m + ", %w: " + w + ", %b: " + w,
                     x,
                     "%0 = vlm.group_norm %x, %m, %w, %b : " + x + ", " + m +
                         ", " + w + "\n%y = vlm.activation silu %0 : " + x),
          {{random({3, pixels, channels}, 1), random({3, groups, 2}, 2),
            random({channels}, 3), random({channels}, 4)}});
    std::string masked = std::to_string(channels - 1) + ", " +
                         std::to_string(channels);
    // The sigmoid of the lowest number is 0, so that others count as well.
    check(kernelText("rows", "%x: " + x, x,
                     "%0 = vlm.mask_features %x {ranges = array<i64: 0, 2, " +
                         masked + ">} : " + x +
                         "\n%y = vlm.activation sigmoid %0 : " + x),
          {{random({2, pixels, channels}, 1)}});
    std::string i = type({0, pixels}, "i32"), ids;
    for (int64_t id = 0; id < channels; ++id)
      ids += (id ? ", " : "") + std::to_string(7 * id % channels + 1000);
    Tensor equal = random({2, pixels, channels}, 2, 0, 3, /*integers=*/true);
    for (const std::string &attributes :
         {std::string(), " {ids = array<i32: " + ids + ">}"})
      check(kernelText("rows", "%x: " + x, i,
                       "%y = vlm.least_feature %x" + attributes + " : (" + x +
                           ") -> " + i),
            {{random({3, pixels, channels}, 1)}, {equal}});
  }
}

/// GPUs read no packed weights yet; their kernels stop at the border before.
using NarrowConformance = Conformance;
INSTANTIATE_TEST_SUITE_P(Kernels, NarrowConformance,
                         testing::ValuesIn(decoderTargets()), nameOf);

/// Checks a kernel whose weight is stored in 16 bits, and that it gives the
/// same bits as from the same values in f32. `textOf` makes the kernel of a
/// weight's layout; operand `weight` is rounded.
void checkNarrow(llvm::function_ref<std::string(const std::string &)> textOf,
                 const std::string &form, std::vector<Operands> cases,
                 size_t weight, const Target &target) {
  for (std::string storage : {"bf16", "f16"}) {
    SCOPED_TRACE(storage);
    std::vector<Operands> rounded = cases;
    for (Operands &operands : rounded)
      for (double &value : operands[weight].data)
        value = storage == "bf16" ? bfloatToFloat(floatToBfloat(float(value)))
                                  : halfToFloat(floatToHalf(float(value)));
    std::vector<std::vector<float>> narrow, wide;
    auto layout = [&](const std::string &storage) {
      return "#vlm.layout<\"" + storage + "." + form + "\">";
    };
    checkStrategy(textOf(layout(storage)), rounded, target, "auto", &narrow);
    checkStrategy(textOf(layout("f32")), rounded, target, "auto", &wide);
    ASSERT_EQ(narrow.size(), cases.size());
    ASSERT_EQ(narrow, wide) << "16 bits give other bits than 32";
  }
}

TEST_P(NarrowConformance, GemmEveryTailOfRowsColumnsAndDepth) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {5, 1}, {16, 7}, {20, 20}, {70, 33}, {150, 10}, {24, 2101}}) {
    SCOPED_TRACE("n " + std::to_string(n) + " k " + std::to_string(k));
    std::string x = type({0, k}), b = type({n}), y = type({0, n});
    std::vector<Operands> cases;
    for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 11, 13, 23, 50})
      cases.push_back({random({m, k}, 1), random({n, k}, 2), random({n}, 3)});
    // Values of both signs, zeros, and f16's and bf16's subnormal ones.
    for (int64_t i = 0; i < n * k; i += 3)
      cases.back()[1].data[i] = std::ldexp(double(i % 7) - 3, -22 - int(i % 4));
    checkNarrow(
        [&, n = n, k = k](const std::string &layout) {
          std::string w = type({n, k}, "f32, " + layout);
          return kernelText("gemm", "%x: " + x + ", %w: " + w + ", %b: " + b, y,
                            "%y = vlm.linear %x, %w bias %b : (" + x + ", " +
                                w + ", " + b + ") -> " + y);
        },
        "panel16", cases, 1, *findTarget(GetParam()));
  }
}

TEST_P(NarrowConformance, GemmPatches) {
  std::string x = type({0, 3, 28, 28}), y = type({0, 16, 20});
  checkNarrow(
      [&](const std::string &layout) {
        std::string w = type({20, 3, 7, 7}, "f32, " + layout);
        return kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                          "%y = vlm.patch_embed %x, %w : (" + x + ", " + w +
                              ") -> " + y);
      },
      "panel16", {{random({2, 3, 28, 28}, 1), random({20, 3, 7, 7}, 2)}}, 1,
      *findTarget(GetParam()));
}

TEST_P(NarrowConformance, RowsEmbeddings) {
  std::string ids = type({0, 0}, "i64");
  for (int64_t features : {1, 7, 20, 33})
    for (const char *form : {"rows", "panel16"}) {
      SCOPED_TRACE(std::to_string(features) + " " + form);
      std::string y = type({0, 0, features});
      checkNarrow(
          [&](const std::string &layout) {
            std::string table = type({50, features}, "f32, " + layout);
            return kernelText("rows", "%ids: " + ids + ", %t: " + table, y,
                              "%y = vlm.embedding %ids, %t : (" + ids + ", " +
                                  table + ") -> " + y);
          },
          form, {{random({2, 37}, 1, 0, 50, true), random({50, features}, 2)}},
          1, *findTarget(GetParam()));
    }
}

TEST_P(DecoderConformance, RowsNormsAndProducts) {
  for (auto [features, group] : std::vector<std::pair<int64_t, int64_t>>{
           {40, 40}, {37, 37}, {48, 16}, {30, 5}}) {
    SCOPED_TRACE(std::to_string(features) + " by " + std::to_string(group));
    std::string x = type({1, 0, features}), w = type({group});
    check(kernelText("rows", "%x: " + x + ", %u: " + x + ", %w: " + w, x,
                     "%0 = vlm.rms_norm %x, %w {epsilon = 1.0e-3 : f64, offset "
                     "= 0.5 : f64} : " +
                         x + ", " + w + "\n%y = vlm.multiply %0, %u : " + x),
          {{random({1, 5, features}, 1, -3, 3), random({1, 5, features}, 2),
            random({group}, 3)}});
  }
}

TEST_P(DecoderConformance, RowsNormsOfHeads) {
  for (auto [features, group] : std::vector<std::pair<int64_t, int64_t>>{
           {48, 16}, {30, 5}, {64, 32}, {21, 7}}) {
    SCOPED_TRACE(std::to_string(features) + " by " + std::to_string(group));
    std::string x = type({1, 0, features}), w = type({group});
    check(kernelText("rows", "%x: " + x + ", %w: " + w + ", %b: " + w, x,
                     "%y = vlm.layer_norm %x, %w, %b {epsilon = 1.0e-3 : f64} "
                     ": " + x +
                         ", " + w + ", " + w),
          {{random({1, 5, features}, 1, -3, 3), random({group}, 2),
            random({group}, 3)}});
    std::string all = type({features});
    check(kernelText("rows", "%x: " + x + ", %w: " + all + ", %b: " + all, x,
                     "%y = vlm.layer_norm %x, %w, %b {epsilon = 1.0e-3 : f64, "
                     "group = " +
                         std::to_string(group) + " : i64} : " + x + ", " + all +
                         ", " + all),
          {{random({1, 5, features}, 1, -3, 3), random({features}, 2),
            random({features}, 3)}});
  }
}

TEST_P(DecoderConformance, RowsGatedAdd) {
  for (int64_t features : {1, 21, 32})
    for (int64_t gates : {int64_t(1), features}) {
      std::string x = type({1, 0, features}), g = type({gates});
      std::string s = type({1, 0}, "i32");
      Operands operands = {random({1, 5, features}, 1),
                           random({1, 5, features}, 2),
                           random({gates}, 3, -3, 3)};
      check(kernelText("rows", "%x: " + x + ", %a: " + x + ", %g: " + g, x,
                       "%y = vlm.gated_add %x, %a, %g : " + x + ", " + g),
            {operands});
      operands.push_back(Tensor{{1, 5}, {1, 0, 1, 0, 0}});
      check(kernelText("rows",
                       "%x: " + x + ", %a: " + x + ", %g: " + g + ", %s: " + s,
                       x,
                       "%y = vlm.gated_add %x, %a, %g shown %s : " + x + ", " +
                           g + ", " + s),
            {operands});
    }
}

/// The gate and the residual behind a product.
TEST_P(DecoderConformance, GemmGatedAdd) {
  for (int64_t gates : {1, 70}) {
    std::string x = type({1, 0, 33}), w = type({70, 33}), y = type({1, 0, 70});
    std::string g = type({gates});
    std::vector<Operands> cases;
    for (int64_t m : {1, 5, 13})
      cases.push_back({random({1, m, 33}, 1), random({70, 33}, 2),
                       random({1, m, 70}, 3), random({gates}, 4)});
    check(kernelText("gemm",
                     "%x: " + x + ", %w: " + w + ", %r: " + y + ", %g: " + g, y,
                     "%0 = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + y +
                         "\n%y = vlm.gated_add %r, %0, %g : " + y + ", " + g),
          cases);
  }
}

/// A run may have no new rows for a product.
TEST_P(DecoderConformance, GemmOfNoRows) {
  std::string x = type({1, 0, 33}), w = type({70, 33}), y = type({1, 0, 70});
  check(kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                   "%y = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + y),
        {{random({1, 0, 33}, 1), random({70, 33}, 2)}});
}

TEST_P(DecoderConformance, RowsPrependedTokensOfEach) {
  std::string c = type({0, 2, 21}), x = type({0, 4, 21}), y = type({0, 6, 21});
  check(kernelText("rows", "%c: " + c + ", %x: " + x, y,
                   "%y = vlm.prepend_tokens %c, %x : (" + c + ", " + x +
                       ") -> " + y),
        {{random({3, 2, 21}, 1), random({3, 4, 21}, 2)}});
}

TEST_P(DecoderConformance, RowsRotations) {
  for (auto [head, half] : std::vector<std::pair<int64_t, int64_t>>{
           {32, 16}, {16, 4}, {24, 12}, {7, 2}, {64, 16}})
    for (const char *kind : {"", "interleaved, "}) {
      SCOPED_TRACE(std::to_string(head) + ", " + std::to_string(half) + kind);
      std::string x = type({1, 0, 3 * head}), t = type({1, 0, 2 * half});
      check(kernelText("rows", "%x: " + x + ", %t: " + t, x,
                       std::string("%y = vlm.rope %x, %t {") + kind +
                           "num_heads = 3 : i64} : " + x + ", " + t),
            {{random({1, 4, 3 * head}, 1), random({1, 4, 2 * half}, 2)}});
    }
}

TEST_P(DecoderConformance, RopeTable) {
  std::string p = type({1, 0}, "i32"), y = type({1, 0, 22});
  std::string frequencies = "1.0";
  for (int i = 1; i < 11; ++i)
    frequencies += ", " + std::to_string(std::pow(0.43, i));
  Tensor positions{{1, 7}, {0, 1, 2, 77, 4095, 131071, 1000000}};
  check(kernelText(
            "rows", "%p: " + p, y,
            "%y = vlm.rope_table %p {frequencies = array<f32: " + frequencies +
                ">, scale = 1.25 : f64} : (" + p + ") -> " + y),
        {{positions}});
}

TEST_P(DecoderConformance, RowsMergedAndSlicedTokens) {
  std::string x = type({1, 0, 21}), f = type({0, 21}), r = type({1, 0}, "i32");
  check(kernelText("rows", "%x: " + x + ", %f: " + f + ", %r: " + r, x,
                   "%y = vlm.merge_tokens %x, %f, %r : " + x + ", " + f + ", " +
                       r),
        {{random({1, 5, 21}, 1), random({2, 21}, 2),
          Tensor{{1, 5}, {-1, 1, 0, -1, 1}}}});
  std::string z = type({0, 6, 21}), y = type({0, 4, 21});
  check(kernelText("rows", "%x: " + z, y,
                   "%y = vlm.slice_tokens %x [1, 5] : (" + z + ") -> " + y),
        {{random({3, 6, 21}, 1)}});
  std::string a = type({0, 0, 21});
  check(kernelText("rows", "%x: " + a, y,
                   "%y = vlm.slice_tokens %x [1, 5] : (" + a + ") -> " + y),
        {{random({3, 5, 21}, 1)}, {random({2, 9, 21}, 1)}});
}

TEST_P(DecoderConformance, RowsReplacedTokens) {
  for (int64_t features : {21, 32}) {
    std::string x = type({0, 0, features});
    std::string shared = type({4, features}), own = type({0, 4, features});
    auto body = [&](const std::string &front) {
      return kernelText("rows", "%q: " + front + ", %x: " + x, x,
                        "%y = vlm.replace_tokens %q, %x : " + front + ", " + x);
    };
    check(body(shared),
          {{random({4, features}, 1), random({3, 4, features}, 2)},
           {random({4, features}, 1), random({2, 9, features}, 2)}});
    check(body(own), {{random({3, 4, features}, 1), random({3, 5, features}, 2)},
                      {random({1, 4, features}, 1), random({1, 4, features}, 2)}});
  }
}

TEST_P(DecoderConformance, RowsMeanTokens) {
  std::string x = type({0, 0, 21}), y = type({0, 21});
  check(kernelText("rows", "%x: " + x, y,
                   "%y = vlm.mean_tokens %x : (" + x + ") -> " + y),
        {{random({3, 1, 21}, 1)}, {random({2, 33, 21}, 1)}});
}

TEST_P(DecoderConformance, RowsPixelUnshuffle) {
  for (auto [height, width, size, channels] :
       std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>>{
           {4, 4, 2, 16}, {6, 4, 2, 5}, {3, 6, 3, 33}}) {
    std::string x = type({0, height * width, channels}),
                y = type({0, height * width / size / size,
                          size * size * channels});
    for (const char *order : {"", ", transposed"})
      check(kernelText("rows", "%x: " + x, y,
                       "%y = vlm.pixel_unshuffle %x {height = " +
                           std::to_string(height) + " : i64, width = " +
                           std::to_string(width) + " : i64, size = " +
                           std::to_string(size) + " : i64" + order + "} : (" +
                           x + ") -> " + y),
            {{random({2, height * width, channels}, 1)}});
  }
}

TEST_P(DecoderConformance, RowsAndProductsScale) {
  std::string x = type({1, 0, 21}), w = type({33, 21}), y = type({1, 0, 33});
  check(kernelText("rows", "%x: " + x, x,
                   "%y = vlm.scale %x {factor = 3.3 : f64} : " + x),
        {{random({1, 5, 21}, 1)}});
  check(kernelText("gemm", "%x: " + x + ", %w: " + w, y,
                   "%0 = vlm.linear %x, %w : (" + x + ", " + w + ") -> " + y +
                       "\n%1 = vlm.scale %0 {factor = 0.25 : f64} : " + y +
                       "\n%2 = vlm.activation tanh %1 : " + y +
                       "\n%y = vlm.scale %2 {factor = 4.0 : f64} : " + y),
        {{random({1, 5, 21}, 1), random({33, 21}, 2)}});
}

TEST_P(DecoderConformance, RowsSqueezedSequence) {
  std::string x = type({1, 0, 21}), y = type({0, 21});
  check(kernelText("rows", "%x: " + x, y,
                   "%z = vlm.squeeze %x : (" + x + ") -> " + y +
                       "\n%y = vlm.activation relu %z : " + y),
        {{random({1, 5, 21}, 1)}});
}

TEST_P(DecoderConformance, RowsConcatFeatures) {
  std::string a = type({0, 0, 21}), b = type({0, 0, 16}), y = type({0, 0, 58});
  check(kernelText("rows", "%a: " + a + ", %b: " + b, y,
                   "%y = vlm.concat_features %a, %b, %a : (" + a + ", " + b +
                       ", " + a + ") -> " + y),
        {{random({3, 5, 21}, 1), random({3, 5, 16}, 1)}});
}

TEST_P(Conformance, RowsTokenIndex) {
  std::string ids = type({0, 0}, "i64"), y = type({0, 1}, "i32");
  Tensor some{{3, 4}, {5, 9, 2, 9, 1, 1, 1, 1, 2, 3, 2, 0}};
  for (const char *kind : {"first_equal", "argmax"})
    check(kernelText("rows", "%ids: " + ids, y,
                     std::string("%y = vlm.token_index ") + kind +
                         " %ids {id = 2 : i64} : (" + ids + ") -> " + y),
          {{some}});
}

TEST_P(Conformance, ContrastAllPairs) {
  std::string i = type({0, 21}), t = type({0, 21}), s = type({1}),
              y = type({0, 0});
  check(kernelText("contrast",
                   "%i: " + i + ", %t: " + t + ", %s: " + s + ", %b: " + s, y,
                   "%y = vlm.contrastive_logits %i, %t, %s bias %b : (" + i +
                       ", " + t + ", " + s + ", " + s + ") -> " + y),
        {{random({2, 21}, 1), random({5, 21}, 2), Tensor{{1}, {2.6592}},
          Tensor{{1}, {-1.5}}}});
  check(kernelText("contrast", "%i: " + i + ", %t: " + t + ", %s: " + s, y,
                   "%y = vlm.contrastive_logits %i, %t, %s {divides} : (" + i +
                       ", " + t + ", " + s + ") -> " + y),
        {{random({2, 21}, 1), random({5, 21}, 2), Tensor{{1}, {0.35}}}});
}

} // namespace
