//===-- BenchModel.cpp - a compiled model made for measuring --------------===//
#include "tools/bench/BenchModel.h"
#include "codegen/package/Convert.h"
#include "codegen/package/Error.h"
#include "codegen/package/Package.h"
#include "ir/Vlm/VlmOps.h"
#include "ir/WeightSource.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Pipelines.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <random>

using namespace llvm;

namespace vlmc::bench {

//===-- Values ------------------------------------------------------------===//

/// Uniform in [-size, size).
static void fillRandom(std::span<float> values, unsigned seed, float size) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-size, size);
  for (float &value : values)
    value = distribution(generator);
}

/// Sums of products of a matrix's row and an input then are about 1.
static float getWeightSize(mlir::RankedTensorType type) {
  return type.getRank() < 2
             ? 1
             : 3 / std::sqrt(static_cast<float>(type.getShape().back()));
}

/// Leaves only values that the stored type has.
static void roundTo(StringRef stored, std::span<float> values) {
  for (float &value : values)
    if (stored == "bf16")
      value = bfloatToFloat(floatToBfloat(value));
    else if (stored == "f16")
      value = halfToFloat(floatToHalf(value));
}

namespace {
/// Tensors in memory in place of a checkpoint.
class RandomWeights : public WeightSource {
public:
  RandomWeights(mlir::ModuleOp module, StringRef stored,
                std::map<std::string, std::vector<float>> &storage) {
    for (auto weight : module.getOps<vlm::WeightOp>()) {
      std::string name = weight.getSymName().str();
      auto type = cast<mlir::RankedTensorType>(weight.getType());
      std::vector<float> &values = storage[name];
      values.resize(type.getNumElements());
      fillRandom(values, static_cast<unsigned>(storage.size()),
                 getWeightSize(type));
      if (type.getRank() > 1)
        roundTo(stored, values);
      tensors[name] = {name,
                       StoredType::F32,
                       type.getShape().vec(),
                       reinterpret_cast<const uint8_t *>(values.data()),
                       values.size() * sizeof(float),
                       "random",
                       0};
    }
  }
  const WeightTensor *find(std::string_view name) const override {
    auto it = tensors.find(std::string(name));
    return it == tensors.end() ? nullptr : &it->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &[name, tensor] : tensors)
      result.push_back(name);
    return result;
  }

private:
  std::map<std::string, WeightTensor> tensors;
};
} // namespace

//===-- Compilation -------------------------------------------------------===//

/// Passes and code generation for one target.
static Error addLevel(mlir::ModuleOp graph, const Target &target,
                      const std::string &stored, PackageInputs &inputs,
                      std::vector<mlir::OwningOpRef<mlir::ModuleOp>> &planned) {
  planned.emplace_back(graph.clone());
  mlir::PassManager passes(graph.getContext());
  PipelineOptions options(target);
  options.weights = stored;
  buildOptimizePipeline(passes, options);
  if (failed(passes.run(*planned.back())))
    return internalError("the passes failed for " + target.name);
  LLVMContext context;
  std::vector<KernelCode> kernels;
  auto code = lowerKernels(*planned.back(), target,
                           "bench_" + toIdentifier(target.name) + "_", context,
                           kernels);
  if (failed(code))
    return internalError("code generation failed for " + target.name);
  if (Error error = optimizeModule(**code, target))
    return error;
  auto object = emitObject(**code, target);
  if (!object)
    return object.takeError();
  inputs.levels.push_back({&target,
                           *planned.back(),
                           std::move(kernels),
                           {"kernels." + target.name,
                            std::string(object->data(), object->size())}});
  return Error::success();
}

/// The targets of these names, or all of this machine's; best first.
static Expected<std::vector<const Target *>>
findTargets(ArrayRef<std::string> names) {
  std::vector<const Target *> targets;
  for (const std::string &name : names) {
    Expected<const Target *> target = parseTarget(name);
    if (!target)
      return target.takeError();
    targets.push_back(*target);
  }
  if (targets.empty())
    targets = hostTargets();
  sortBestFirst(targets);
  return targets;
}

static Error writeModel(StringRef graph, ArrayRef<std::string> targetNames,
                        const std::string &stored, const std::string &output,
                        std::map<std::string, std::vector<float>> &storage) {
  mlir::MLIRContext context;
  context.loadDialect<mlir::func::FuncDialect, vlm::VlmDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(graph, &context);
  if (!module)
    return internalError("the benchmark's graph does not parse");
  RandomWeights weights(*module, stored, storage);
  spec::ModelSpec spec;
  spec.set_family("bench");
  PackageInputs inputs;
  inputs.output = output;
  inputs.name = "bench";
  inputs.spec = &spec;
  inputs.weights = &weights;
  auto targets = findTargets(targetNames);
  if (!targets)
    return targets.takeError();
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> planned;
  for (const Target *target : *targets)
    if (Error error = addLevel(*module, *target, stored, inputs, planned))
      return error;
  return writePackage(inputs);
}

//===-- Models ------------------------------------------------------------===//

static ExitOnError exitOnError("vlmc-bench: ");

/// An error with the runtime's message.
static Error toError(vlm_status_t *status) {
  if (!status)
    return Error::success();
  std::string message = vlm_status_message(status);
  vlm_status_destroy(status);
  return userError(message);
}

BenchModel::BenchModel(StringRef graph, ArrayRef<std::string> targets,
                       const std::string &stored) {
  if (std::error_code code =
          sys::fs::createUniqueDirectory("vlmc-bench", folder))
    exitOnError(userError("cannot make a temporary folder: " + code.message()));
  std::string package = (folder + "/bench.vlm").str();
  exitOnError(writeModel(graph, targets, stored, package, weights));
  load(package);
}

void BenchModel::load(const std::string &package) {
  for (auto [loaded, threads] : {std::pair(&one, 1), std::pair(&all, 0)}) {
    exitOnError(toError(vlm_pool_create(threads, &loaded->pool)));
    vlm_load_options_t options{};
    options.struct_bytes = sizeof(options);
    options.pool = loaded->pool;
    exitOnError(
        toError(vlm_model_load(package.c_str(), &options, &loaded->model)));
  }
}

BenchModel::~BenchModel() {
  for (Loaded *loaded : {&one, &all}) {
    vlm_model_destroy(loaded->model);
    vlm_pool_destroy(loaded->pool);
  }
  (void)sys::fs::remove_directories(folder);
}

std::string BenchModel::isa() const { return vlm_model_isa(one.model); }

const vlm_entry_t *BenchModel::entry(int threads) const {
  const vlm_entry_t *entry = nullptr;
  exitOnError(toError(vlm_model_entry(loaded(threads).model, "run", &entry)));
  return entry;
}

std::span<const float> BenchModel::weight(const std::string &name) const {
  return weights.at(name);
}

//===-- Runs --------------------------------------------------------------===//

BenchRun::Memory BenchRun::allocate(vlm_tensor_t &tensor) {
  int64_t elements = 1;
  for (int i = 0; i < tensor.rank; ++i)
    elements *= tensor.dims[i];
  tensor.bytes = elements * sizeof(float);
  tensor.data = std::aligned_alloc(64, alignTo(tensor.bytes, 64));
  if (!tensor.data)
    report_bad_alloc_error("no memory for a benchmark's tensor");
  return {static_cast<float *>(tensor.data), free};
}

BenchRun::BenchRun(const vlm_entry_t *entry, ArrayRef<int64_t> sizes)
    : entry(entry) {
  exitOnError(toError(vlm_entry_input(entry, 0, &inTensor)));
  for (int i = 0; i < inTensor.rank; ++i)
    if (inTensor.dims[i] < 0) {
      inTensor.dims[i] = sizes.front();
      sizes = sizes.drop_front();
    }
  inMemory = allocate(inTensor);
  in = {inMemory.get(), inTensor.bytes / sizeof(float)};
  fillRandom(in, 0, 1);
  exitOnError(
      toError(vlm_entry_output_shapes(entry, &inTensor, 1, &outTensor)));
  outMemory = allocate(outTensor);
  out = {outMemory.get(), outTensor.bytes / sizeof(float)};
}

void BenchRun::operator()() {
  exitOnError(toError(vlm_entry_run(entry, &inTensor, 1, &outTensor, 1)));
}

} // namespace vlmc::bench
