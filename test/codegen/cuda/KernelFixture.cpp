//===-- KernelFixture.cpp - one kernel on a GPU that is not there ---------===//
#include "test/codegen/cuda/KernelFixture.h"
#include "codegen/cuda/Ptx.h"
#include "codegen/package/Convert.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "test/emulator/TensorMap.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::test;

//===-- On its way --------------------------------------------------------===//

Kernel::Kernel(const std::string &text, const Memory &memory) {
  context.loadDialect<vlm::VlmDialect>();
  module = parseSourceString<ModuleOp>(text, &context);
  PassManager pm(&context);
  TilePassOptions options;
  options.arch = "cuda";
  options.chip = memory.chip;
  pm.addPass(createTilePass(options));
  if (!module || failed(pm.run(*module)))
    return;
  op = *(*module).getOps<vlm::KernelOp>().begin();
  chooseStorage(memory);
  llvm::LLVMContext llvmContext;
  auto ir = cuda::lowerToLlvm(*module, *findTarget("cuda:" + memory.chip),
                              llvmContext);
  if (failed(ir))
    return;
  std::string bitcode;
  llvm::raw_string_ostream os(bitcode);
  llvm::WriteBitcodeToFile(**ir, os);
  record.emplace(*module, memory.chip, bitcode);
  machine = emulator::Module::load(bitcode, {.check = true, .seed = 3}, error);
}

Type Kernel::typeOf(size_t number) {
  size_t operands = op.getArgumentTypes().size();
  return number < operands ? op.getArgumentTypes()[number]
                           : op.getResultTypes()[number - operands];
}

/// Floats without a layout are values between kernels.
void Kernel::chooseStorage(const Memory &memory) {
  SmallVector<StringRef> storages;
  size_t count = op.getArgumentTypes().size() + op.getResultTypes().size();
  for (size_t i = 0; i < count; ++i) {
    auto tensor = cast<RankedTensorType>(typeOf(i));
    bool isValue = tensor.getElementType().isF32() && !tensor.getEncoding();
    StringRef storage =
        memory.wide.contains(i) ? "f32" : StringRef(memory.half);
    storages.push_back(isValue ? storage : "");
  }
  NamedAttrList tiles(op.getTilesAttr());
  tiles.set("storage", Builder(&context).getStrArrayAttr(storages));
  op.setTilesAttr(tiles.getDictionary(&context));
}

//===-- Memory ------------------------------------------------------------===//

/// "f16", "bf16", "f32", "i32" or "i64".
std::string Kernel::formOf(size_t number) {
  auto tensor = cast<RankedTensorType>(typeOf(number));
  if (auto layout = dyn_cast_or_null<vlm::LayoutAttr>(tensor.getEncoding()))
    return layout.getStorage().str();
  if (tensor.getElementType().isInteger())
    return tensor.getElementType().isInteger(64) ? "i64" : "i32";
  auto storages = op.getTilesAttr().getAs<ArrayAttr>("storage");
  return cast<StringAttr>(storages[number]).getValue().str();
}

std::vector<uint8_t> Kernel::bytesOf(size_t number, const Tensor &tensor) {
  std::string form = formOf(number);
  std::vector<uint8_t> bytes;
  auto append = [&](auto value) {
    const auto *begin = reinterpret_cast<uint8_t *>(&value);
    bytes.insert(bytes.end(), begin, begin + sizeof value);
  };
  for (double value : tensor.data) {
    if (form == "i64")
      append(static_cast<int64_t>(value));
    else if (form == "i32")
      append(static_cast<int32_t>(value));
    else if (form == "f32")
      append(static_cast<float>(value));
    else if (form == "bf16")
      append(floatToBfloat(static_cast<float>(value)));
    else
      append(floatToHalf(static_cast<float>(value)));
  }
  return bytes;
}

Tensor Kernel::valuesOf(size_t number, const std::vector<uint8_t> &bytes,
                        const std::vector<int64_t> &shape) {
  std::string form = formOf(number);
  Tensor tensor{shape, {}};
  auto readAll = [&](auto zero, auto convert) {
    for (size_t i = 0; i + sizeof zero <= bytes.size(); i += sizeof zero) {
      std::memcpy(&zero, bytes.data() + i, sizeof zero);
      tensor.data.push_back(static_cast<double>(convert(zero)));
    }
  };
  auto same = [](auto x) { return x; };
  if (form == "i64")
    readAll(int64_t{}, same);
  else if (form == "i32")
    readAll(int32_t{}, same);
  else if (form == "f32")
    readAll(float{}, same);
  else if (form == "bf16")
    readAll(uint16_t{}, [](uint16_t x) { return bfloatToFloat(x); });
  else
    readAll(uint16_t{}, [](uint16_t x) { return halfToFloat(x); });
  return tensor;
}

Tensor Kernel::rounded(size_t number, const Tensor &tensor) {
  return valuesOf(number, bytesOf(number, tensor), tensor.shape);
}

//===-- Runs --------------------------------------------------------------===//

/// The temporaries of a call, whose sizes are over its dims d0, d1, ...
static std::vector<std::vector<uint8_t>> makeTemps(vlm::KernelOp op,
                                                   ArrayRef<int64_t> dims) {
  llvm::StringMap<int64_t> symbols;
  for (auto [i, dim] : llvm::enumerate(dims))
    symbols["d" + std::to_string(i)] = dim;
  std::vector<std::vector<uint8_t>> temps;
  if (auto sizes = op.getTilesAttr().getAs<ArrayAttr>("temps"))
    for (Attribute size : sizes)
      temps.emplace_back(
          vlm::Size::fromAttr(cast<vlm::SizeAttr>(size)).evaluate(symbols),
          0xff);
  return temps;
}

/// What a driver would make of a launch's maps, as the emulator reads it.
static std::vector<emulator::TensorMap>
makeMaps(const cuda::KernelLaunch &launch, ArrayRef<void *> buffers) {
  std::vector<emulator::TensorMap> maps;
  for (const cuda::LaunchMap &map : launch.maps) {
    emulator::TensorMap &made = maps.emplace_back();
    made.base = static_cast<char *>(buffers[static_cast<size_t>(map.buffer)]) +
                map.offset * 2;
    made.strides[0] = static_cast<uint64_t>(map.stride) * 2;
    made.dims[0] = static_cast<uint32_t>(map.columns);
    made.dims[1] = static_cast<uint32_t>(map.rows.evaluate({}));
    made.box[0] = static_cast<uint16_t>(map.boxColumns);
    made.box[1] = static_cast<uint16_t>(map.boxRows);
    made.rank = 2;
    made.elementBytes = 2;
    made.swizzle = 3;
  }
  return maps;
}

void Kernel::launch(std::vector<void *> buffers,
                    const std::vector<std::vector<int64_t>> &shapes) {
  std::vector<int64_t> dims;
  std::vector<std::vector<vlm::Size>> sizes;
  for (auto [i, shape] : llvm::enumerate(shapes)) {
    sizes.emplace_back(shape.begin(), shape.end());
    if (i >= op.getArgumentTypes().size())
      continue;
    for (auto [known, dim] :
         llvm::zip_equal(cast<RankedTensorType>(typeOf(i)).getShape(), shape))
      if (ShapedType::isDynamic(known))
        dims.push_back(dim);
  }
  std::vector<std::vector<uint8_t>> temps = makeTemps(op, dims);
  for (std::vector<uint8_t> &temp : temps) {
    emulator::Buffers::add(temp.data(), temp.size());
    buffers.push_back(temp.data());
  }
  record->beginCall(dims, llvm::map_to_vector(temps, [](const auto &temp) {
                      return temp.size();
                    }));
  std::vector<int64_t> values;
  for (void *buffer : buffers)
    values.push_back(reinterpret_cast<int64_t>(buffer));
  llvm::append_range(values, dims);
  for (const cuda::KernelLaunch &launch : cuda::launchesOf(op, sizes)) {
    int64_t rows = launch.grid[0].evaluate({});
    if (rows < launch.minRows || (launch.maxRows && rows > launch.maxRows))
      continue;
    uint32_t grid[3];
    for (int i = 0; i < 3; ++i)
      grid[i] = static_cast<uint32_t>(
          llvm::divideCeil(launch.grid[i].evaluate({}), launch.units[i]));
    if (!grid[0] || !grid[1] || !grid[2])
      continue;
    record->addLaunch(launch, grid);
    std::vector<emulator::TensorMap> maps = makeMaps(launch, buffers);
    std::vector<void *> arguments;
    for (emulator::TensorMap &map : maps)
      arguments.push_back(&map);
    for (int64_t &value : values)
      arguments.push_back(&value);
    emulator::Launch how{{grid[0], grid[1], grid[2]},
                         {static_cast<uint32_t>(launch.threads)},
                         static_cast<size_t>(launch.sharedBytes)};
    EXPECT_TRUE(machine->launch(launch.function, how, arguments.data(), error))
        << error;
  }
  for (std::vector<uint8_t> &temp : temps)
    emulator::Buffers::remove(temp.data());
}

std::vector<double> Kernel::run(const std::vector<Tensor> &operands,
                                const Tensor &expected) {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<std::vector<int64_t>> shapes;
  for (auto [i, operand] : llvm::enumerate(operands)) {
    memory.push_back(bytesOf(i, operand));
    shapes.push_back(operand.shape);
  }
  size_t bytes = bytesOf(operands.size(), expected).size();
  memory.emplace_back(bytes, 0xff);
  shapes.push_back(expected.shape);
  std::vector<void *> buffers;
  for (std::vector<uint8_t> &one : memory) {
    emulator::Buffers::add(one.data(), one.size());
    buffers.push_back(one.data());
  }
  launch(buffers, shapes);
  for (std::vector<uint8_t> &one : memory)
    emulator::Buffers::remove(one.data());
  return valuesOf(operands.size(), memory.back(), expected.shape).data;
}

void Kernel::keep(const std::vector<Tensor> &operands, const Tensor &expected,
                  double root, double tolerance) {
  if (!record->isWanted())
    return;
  std::vector<std::vector<uint8_t>> memory;
  for (auto [i, operand] : llvm::enumerate(operands))
    memory.push_back(bytesOf(i, operand));
  size_t bytes = bytesOf(operands.size(), expected).size();
  memory.emplace_back(bytes, 0xff);
  record->endCall(memory, formOf(operands.size()), expected.data, root,
                  tolerance);
}

void Kernel::writeProduct(const std::string &folder, int64_t depth) {
  std::vector<std::vector<vlm::Size>> sizes;
  for (size_t i = 0; i <= op.getArgumentTypes().size(); ++i)
    for (auto &shape = sizes.emplace_back();
         int64_t dim : cast<RankedTensorType>(typeOf(i)).getShape())
      shape.emplace_back(ShapedType::isDynamic(dim) ? depth : dim);
  record->writeProduct(folder, cuda::launchesOf(op, sizes).back(), depth);
}

void test::check(const std::string &text,
                 const std::vector<std::vector<Tensor>> &cases,
                 const Nearness &nearness) {
  Kernel kernel(text, nearness.memory);
  ASSERT_TRUE(kernel.machine) << kernel.error << text;
  for (const std::vector<Tensor> &given : cases) {
    std::vector<Tensor> operands;
    for (auto [i, operand] : llvm::enumerate(given))
      operands.push_back(kernel.rounded(i, operand));
    Tensor expected = interpret(kernel.op, operands)[0];
    std::vector<double> got = kernel.run(operands, expected);
    double squares = 0;
    for (double x : expected.data)
      squares += x * x / static_cast<double>(expected.data.size());
    double root = squares > 0 ? std::sqrt(squares) : 1;
    ASSERT_EQ(got.size(), expected.data.size());
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i] / root, expected.data[i] / root,
                  nearness.tolerance *
                      std::max(1.0, std::abs(expected.data[i]) / root))
          << "element " << i << " of " << got.size() << "\n"
          << text;
    kernel.keep(operands, expected, root, nearness.tolerance);
  }
}

//===-- What is tested ----------------------------------------------------===//

Tensor test::random(std::vector<int64_t> shape, unsigned seed, double low,
                    double high) {
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

Tensor test::flags(std::vector<int64_t> shape, unsigned seed) {
  Tensor tensor = random(std::move(shape), seed, 0, 3);
  for (double &value : tensor.data)
    value = value < 1 ? 0 : 1;
  return tensor;
}

Tensor test::integers(std::vector<int64_t> shape, unsigned seed, int64_t low,
                      int64_t high) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int64_t> distribution(low, high);
  Tensor tensor = random(std::move(shape), seed);
  for (double &value : tensor.data)
    value = static_cast<double>(distribution(generator));
  return tensor;
}

std::string test::type(const std::vector<int64_t> &dims,
                       const std::string &rest) {
  std::string text = "tensor<";
  for (int64_t dim : dims)
    text += (dim ? std::to_string(dim) : std::string("?")) + "x";
  return text + rest + ">";
}

std::string test::kernelText(const std::string &anchor,
                             const std::string &arguments,
                             const std::string &result,
                             const std::string &body) {
  return "vlm.kernel @k(" + arguments + ") -> " + result +
         " attributes {anchor = #vlm<anchor_kind " + anchor + ">} {\n" + body +
         "\nvlm.yield %y : " + result + "\n}\n";
}
