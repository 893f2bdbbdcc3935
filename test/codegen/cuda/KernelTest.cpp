//===-- KernelTest.cpp - a GPU's kernels against the interpreter ----------===//
//
// Kernels as they are planned for a GPU, of odd and of even sizes, are executed
// by the emulator in check mode and compared with an interpreter in double
// precision. Operands are rounded to f16 before both.
//
//===----------------------------------------------------------------------===//
#include "codegen/cuda/Launch.h"
#include "codegen/cuda/Ptx.h"
#include "codegen/package/Convert.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "test/codegen/conformance/Interpreter.h"
#include "test/emulator/Emulator.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::test;

namespace {

/// f16 has 11 binary digits; sums are in f32.
constexpr double tolerance = 4e-3;

/// One kernel on its way: planned, lowered, loaded into the emulator.
class Kernel {
public:
  explicit Kernel(const std::string &text) {
    context.loadDialect<vlm::VlmDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    PassManager pm(&context);
    pm.addPass(createTilePass({.arch = "cuda"}));
    if (!module || failed(pm.run(*module)))
      return;
    op = *(*module).getOps<vlm::KernelOp>().begin();
    storeInHalf();
    llvm::LLVMContext llvmContext;
    auto ir =
        cuda::lowerToLlvm(*module, *findTarget("cuda:sm_80"), llvmContext);
    if (failed(ir))
      return;
    std::string bitcode;
    llvm::raw_string_ostream os(bitcode);
    llvm::WriteBitcodeToFile(**ir, os);
    machine =
        emulator::Module::load(bitcode, {.check = true, .seed = 3}, error);
  }

  std::vector<float> run(const std::vector<Tensor> &operands,
                         const Tensor &expected);

  vlm::KernelOp op;
  std::unique_ptr<emulator::Module> machine;
  std::string error;

private:
  /// Floats without a layout are values between kernels.
  void storeInHalf() {
    SmallVector<StringRef> storages;
    for (Type type :
         llvm::concat<const Type>(op.getArgumentTypes(), op.getResultTypes())) {
      auto tensor = cast<RankedTensorType>(type);
      bool isValue = tensor.getElementType().isF32() && !tensor.getEncoding();
      storages.push_back(isValue ? "f16" : "");
    }
    NamedAttrList tiles(op.getTilesAttr());
    tiles.set("storage", Builder(&context).getStrArrayAttr(storages));
    op.setTilesAttr(tiles.getDictionary(&context));
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

/// Bytes of a tensor as an argument of that type takes them.
std::vector<uint8_t> bytesOf(Type type, const Tensor &tensor) {
  auto tensorType = cast<RankedTensorType>(type);
  auto layout = dyn_cast_or_null<vlm::LayoutAttr>(tensorType.getEncoding());
  std::vector<uint8_t> bytes;
  auto append = [&](auto value) {
    const auto *begin = reinterpret_cast<uint8_t *>(&value);
    bytes.insert(bytes.end(), begin, begin + sizeof value);
  };
  for (double value : tensor.data) {
    if (tensorType.getElementType().isInteger(64))
      append(static_cast<int64_t>(value));
    else if (tensorType.getElementType().isInteger(32))
      append(static_cast<int32_t>(value));
    else if (layout && layout.getStorage() == "f32")
      append(static_cast<float>(value));
    else
      append(floatToHalf(static_cast<float>(value)));
  }
  return bytes;
}

std::vector<float> Kernel::run(const std::vector<Tensor> &operands,
                               const Tensor &expected) {
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<int64_t> values;
  std::vector<std::vector<vlm::Size>> sizes;
  auto addSizes = [&](const Tensor &tensor) {
    sizes.emplace_back(tensor.shape.begin(), tensor.shape.end());
  };
  for (auto [type, operand] :
       llvm::zip_equal(op.getArgumentTypes(), operands)) {
    buffers.push_back(bytesOf(type, operand));
    addSizes(operand);
  }
  buffers.emplace_back(expected.data.size() * 2, 0xff);
  addSizes(expected);
  for (std::vector<uint8_t> &buffer : buffers) {
    emulator::Buffers::add(buffer.data(), buffer.size());
    values.push_back(reinterpret_cast<int64_t>(buffer.data()));
  }
  for (auto [type, operand] : llvm::zip_equal(op.getArgumentTypes(), operands))
    for (auto [i, size] :
         llvm::enumerate(cast<RankedTensorType>(type).getShape()))
      if (ShapedType::isDynamic(size))
        values.push_back(operand.shape[i]);
  std::vector<void *> arguments;
  for (int64_t &value : values)
    arguments.push_back(&value);
  for (const cuda::KernelLaunch &launch : cuda::launchesOf(op, sizes)) {
    uint32_t grid[3];
    for (int i = 0; i < 3; ++i)
      grid[i] = static_cast<uint32_t>(
          llvm::divideCeil(launch.grid[i].evaluate({}), launch.units[i]));
    emulator::Launch how{{grid[0], grid[1], grid[2]},
                         {static_cast<uint32_t>(launch.threads)},
                         static_cast<size_t>(launch.sharedBytes)};
    EXPECT_TRUE(machine->launch(launch.function, how, arguments.data(), error))
        << error;
  }
  std::vector<float> result;
  const auto *halves =
      reinterpret_cast<const uint16_t *>(buffers.back().data());
  for (size_t i = 0; i < expected.data.size(); ++i)
    result.push_back(halfToFloat(halves[i]));
  for (std::vector<uint8_t> &buffer : buffers)
    emulator::Buffers::remove(buffer.data());
  return result;
}

/// Values that f16 holds.
Tensor random(std::vector<int64_t> shape, unsigned seed, double low = -1,
              double high = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(low, high);
  Tensor tensor{std::move(shape), {}};
  int64_t count = 1;
  for (int64_t size : tensor.shape)
    count *= size;
  for (int64_t i = 0; i < count; ++i)
    tensor.data.push_back(
        halfToFloat(floatToHalf(static_cast<float>(distribution(generator)))));
  return tensor;
}

/// 1 for a part of the keys.
Tensor flags(std::vector<int64_t> shape, unsigned seed) {
  Tensor tensor = random(std::move(shape), seed, 0, 3);
  for (double &value : tensor.data)
    value = value < 1 ? 0 : 1;
  return tensor;
}

void check(const std::string &text,
           const std::vector<std::vector<Tensor>> &cases) {
  Kernel kernel(text);
  ASSERT_TRUE(kernel.machine) << kernel.error << text;
  for (const std::vector<Tensor> &operands : cases) {
    Tensor expected = interpret(kernel.op, operands)[0];
    std::vector<float> got = kernel.run(operands, expected);
    double squares = 0;
    for (double x : expected.data)
      squares += x * x / static_cast<double>(expected.data.size());
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i] / std::sqrt(squares),
                  expected.data[i] / std::sqrt(squares), tolerance)
          << "element " << i << " of " << got.size() << "\n"
          << text;
  }
}

std::string type(const std::vector<int64_t> &dims,
                 const std::string &rest = "f32") {
  std::string text = "tensor<";
  for (int64_t dim : dims)
    text += (dim ? std::to_string(dim) : std::string("?")) + "x";
  return text + rest + ">";
}

const std::string halfRows = R"(f32, #vlm.layout<"f16.rows">)";
const std::string vectorForm = R"(f32, #vlm.layout<"f32.vector">)";

std::string kernelText(const std::string &anchor, const std::string &arguments,
                       const std::string &result, const std::string &body) {
  return "vlm.kernel @k(" + arguments + ") -> " + result +
         " attributes {anchor = #vlm<anchor_kind " + anchor + ">} {\n" + body +
         "\nvlm.yield %y : " + result + "\n}\n";
}

/// Copies of 2, 4, 8 and 16 bytes; one row and column, and some over a tile.
TEST(CudaKernels, ProductsOfEverySize) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {65, 33}, {130, 34}, {64, 36}, {200, 72}, {128, 200}}) {
    std::string x = type({0, k}), w = type({n, k}, halfRows),
                b = type({n}, vectorForm), y = type({0, n});
    std::vector<std::vector<Tensor>> cases;
    for (int64_t m : {1, 17, 128, 150})
      cases.push_back({random({m, k}, 1), random({n, k}, 2), random({n}, 3),
                       random({m, n}, 4)});
    check(kernelText("gemm",
                     "%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y, y,
                     "%0 = vlm.linear %x, %w bias %b : (" + x + ", " + w +
                         ", " + b + ") -> " + y +
                         "\n%1 = vlm.activation gelu_tanh %0 : " + y +
                         "\n%y = vlm.add %1, %r : " + y + ", " + y),
          cases);
  }
}

/// Rows that are taken, and a picture's patches.
TEST(CudaKernels, ProductsOfTakenRowsAndOfPatches) {
  std::string x = type({0, 9, 24}), i = type({0, 1}, "i32"),
              t = type({0, 1, 24}), w = type({40, 24}, halfRows),
              l = type({0, 1, 40}), y = type({0, 40});
  check(kernelText("gemm", "%x: " + x + ", %i: " + i + ", %w: " + w, y,
                   "%0 = vlm.take_tokens %x index %i : (" + x + ", " + i +
                       ") -> " + t + "\n%1 = vlm.linear %0, %w : (" + t + ", " +
                       w + ") -> " + l + "\n%y = vlm.squeeze %1 : (" + l +
                       ") -> " + y),
        {{random({3, 9, 24}, 1), Tensor{{3, 1}, {4, 0, 8}},
          random({40, 24}, 2)}});
  std::string p = type({0, 3, 12, 16}), v = type({70, 3, 4, 4}, halfRows),
              z = type({0, 12, 70});
  check(kernelText("gemm", "%x: " + p + ", %w: " + v, z,
                   "%y = vlm.patch_embed %x, %w : (" + p + ", " + v + ") -> " +
                       z),
        {{random({2, 3, 12, 16}, 1), random({70, 3, 4, 4}, 2)}});
}

/// Heads of odd and of wide sizes, groups of queries, masks, biases.
TEST(CudaKernels, AttentionOfEveryKind) {
  struct Case {
    int64_t heads, kvHeads, size, tokens;
    std::string options;
    bool hasFlags;
  };
  for (const Case &c : std::vector<Case>{{2, 2, 64, 70, "", false},
                                         {4, 2, 16, 130, ", causal", true},
                                         {3, 3, 7, 17, ", causal", false},
                                         {2, 1, 80, 65, "", true},
                                         {1, 1, 256, 33, ", causal", false}}) {
    int64_t wide = (c.heads + 2 * c.kvHeads) * c.size;
    int64_t first = c.heads * c.size, second = first + c.kvHeads * c.size;
    std::string x = type({0, 0, wide}), q = type({0, 0, first}),
                k = type({0, 0, c.kvHeads * c.size}), f = type({0, 0}, "i64");
    auto slice = [&](const std::string &name, int64_t begin, int64_t end,
                     const std::string &to) {
      return name + " = vlm.slice_features %x [" + std::to_string(begin) +
             ", " + std::to_string(end) + "] : (" + x + ") -> " + to + "\n";
    };
    std::string body =
        slice("%q", 0, first, q) + slice("%k", first, second, k) +
        slice("%v", second, wide, k) + "%y = vlm.attention %q, %k, %v" +
        (c.hasFlags ? " key_valid %f" : "") +
        " {num_heads = " + std::to_string(c.heads) +
        " : i64, num_kv_heads = " + std::to_string(c.kvHeads) +
        " : i64, scale = 0.3 : f64" + c.options + "} : (" + q + ", " + k +
        ", " + k + (c.hasFlags ? ", " + f : "") + ") -> " + q;
    std::vector<Tensor> operands = {random({2, c.tokens, wide}, 1)};
    if (c.hasFlags)
      operands.push_back(flags({2, c.tokens}, 2));
    check(kernelText("attention", "%x: " + x + (c.hasFlags ? ", %f: " + f : ""),
                     q, body),
          {operands});
  }
}

TEST(CudaKernels, RowsByWarps) {
  for (int64_t features : {1, 31, 64, 770}) {
    std::string x = type({0, 0, features}), v = type({features}, vectorForm);
    std::vector<std::vector<Tensor>> cases;
    for (int64_t tokens : {1, 6})
      cases.push_back({random({3, tokens, features}, 1, -3, 3),
                       random({features}, 2), random({features}, 3)});
    check(kernelText("rows", "%x: " + x + ", %g: " + v + ", %b: " + v, x,
                     "%0 = vlm.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f64} "
                     ": " +
                         x + ", " + v + ", " + v +
                         "\n%y = vlm.add %0, %x : " + x + ", " + x),
          cases);
  }
}

} // namespace
