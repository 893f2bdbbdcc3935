//===-- Plan.cpp - reads the plan of a module into tables -----------------===//
#include "codegen/package/Plan.h"
#include "codegen/cuda/Launch.h"
#include "codegen/package/Error.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace vlmc::vlm;
using llvm::Expected;

namespace vlmc {

std::vector<NamedRecipe> getWeights(ModuleOp planned) {
  llvm::DenseSet<StringRef> used;
  planned.walk([&](GetWeightOp op) { used.insert(op.getWeight()); });
  std::vector<NamedRecipe> weights;
  for (WeightOp weight : planned.getOps<WeightOp>())
    if (used.contains(weight.getSymName()))
      weights.push_back({weight.getSymName().str(), weight.getRecipe()});
  return weights;
}

static std::optional<uint32_t> getDtype(Type type) {
  if (type.isF32())
    return VLM_ABI_F32;
  if (type.isInteger(64))
    return VLM_ABI_I64;
  if (type.isInteger(32))
    return VLM_ABI_I32;
  if (type.isInteger(8))
    return VLM_ABI_U8;
  if (type.isF16())
    return VLM_ABI_F16;
  if (type.isBF16())
    return VLM_ABI_BF16;
  return std::nullopt;
}

namespace {
/// Reads one entry point.
class EntryReader {
public:
  EntryReader(func::FuncOp entry, DimAnalysis &dims, const LevelTable &level,
              const WeightsPlan &weights)
      : entry(entry), dims(dims), level(level), weights(weights) {}
  Expected<EntryTable> read();

private:
  llvm::Error fail(const Twine &message) {
    return internalError("entry '" + entry.getSymName() + "': " + message);
  }
  Expected<TensorTable> readTensor(Value value, DictionaryAttr attributes);
  llvm::Error readInputs();
  llvm::Error readOutputs();
  llvm::Error readSlots();
  llvm::Error readTrim();
  Size countBytes(CallOp call) const;
  std::vector<LaunchTable> readLaunches(CallOp call) const;
  std::optional<cuda::LibraryProduct> readProduct(CallOp call) const;
  llvm::Error readCall(CallOp call);
  llvm::Error readOp(Operation &op);
  void addScratch(const Size &size);

  func::FuncOp entry;
  DimAnalysis &dims;
  const LevelTable &level;
  const WeightsPlan &weights;
  EntryTable table;
  llvm::DenseMap<Value, vlm_abi_buffer> places;
};
} // namespace

Expected<TensorTable> EntryReader::readTensor(Value value,
                                              DictionaryAttr attributes) {
  TensorTable tensor;
  auto name = attributes ? attributes.getAs<StringAttr>(names::name) : nullptr;
  if (!name)
    return fail("an input or output has no name");
  tensor.name = name.str();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  std::optional<uint32_t> dtype;
  if (type && isa_and_nonnull<CacheAttr>(type.getEncoding()))
    dtype = VLM_ABI_CACHE;
  else if (type)
    dtype = getDtype(type.getElementType());
  if (!dtype)
    return fail("'" + tensor.name +
                "' is of a type that entry points do not "
                "take");
  tensor.dtype = *dtype;
  llvm::append_range(tensor.dims, dims.getDims(value));
  if (auto range = attributes.getAs<DenseI64ArrayAttr>(names::range))
    tensor.range = {range[0], range[1]};
  if (auto below = attributes.getAs<StringAttr>(names::below))
    tensor.below = below.str();
  if (auto fill = attributes.getAs<IntegerAttr>(names::fill))
    tensor.fill = fill.getInt();
  return tensor;
}

llvm::Error EntryReader::readInputs() {
  for (BlockArgument argument : entry.getArguments()) {
    unsigned index = argument.getArgNumber();
    Expected<TensorTable> tensor =
        readTensor(argument, entry.getArgAttrDict(index));
    if (!tensor)
      return tensor.takeError();
    table.inputs.push_back(std::move(*tensor));
    places[argument] = {VLM_ABI_INPUT, index, 0};
  }
  return llvm::Error::success();
}

llvm::Error EntryReader::readOutputs() {
  Operation *terminator = entry.getBody().front().getTerminator();
  for (auto [index, value] : llvm::enumerate(terminator->getOperands())) {
    Expected<TensorTable> tensor =
        readTensor(value, entry.getResultAttrDict(index));
    if (!tensor)
      return tensor.takeError();
    table.outputs.push_back(std::move(*tensor));
    vlm_abi_buffer place{VLM_ABI_OUTPUT, static_cast<uint32_t>(index), 0};
    if (!places.try_emplace(value, place).second)
      return fail("output '" + table.outputs.back().name +
                  "' is an input or another output");
  }
  return llvm::Error::success();
}

llvm::Error EntryReader::readSlots() {
  auto slots = entry->getAttrOfType<ArrayAttr>(names::slots);
  if (!slots)
    return fail("it is not planned (no " + names::slots + ")");
  for (Attribute slot : slots) {
    std::vector<Size> &sizes = table.slots.emplace_back();
    for (Attribute size : cast<ArrayAttr>(slot))
      sizes.push_back(Size::fromAttr(cast<SizeAttr>(size)));
  }
  return llvm::Error::success();
}

/// Reads `vlm.trim`, whose names are those of an input and of a symbol that
/// its last dimension has.
llvm::Error EntryReader::readTrim() {
  auto trim = entry->getAttrOfType<DictionaryAttr>(names::trim);
  if (!trim)
    return llvm::Error::success();
  auto symbol = trim.getAs<StringAttr>("symbol");
  auto input = trim.getAs<StringAttr>("input");
  auto kind = trim.getAs<StringAttr>("kind");
  auto id = trim.getAs<IntegerAttr>("id");
  if (!symbol || !input || !kind || !id)
    return fail(names::trim + " must have symbol, input, kind and id");
  std::optional<TokenIndexKind> pick = symbolizeTokenIndexKind(kind.getValue());
  const bool isMask = kind.getValue() == names::trimMask;
  auto ids = llvm::find_if(table.inputs, [&](const TensorTable &tensor) {
    return tensor.name == input.getValue() && tensor.dims.size() == 2 &&
           tensor.dims[1] == Size::symbol(symbol.getValue());
  });
  auto place = llvm::find_if(table.symbols, [&](const SizeSymbolTable &known) {
    return known.name == symbol.getValue();
  });
  if ((!pick && !isMask) || ids == table.inputs.end() || place == table.symbols.end())
    return fail(names::trim + " names no input of [B, symbol], or no kind");
  table.trim = TrimTable{isMask ? uint32_t(VLM_ABI_TRIM_MASK)
                         : *pick == TokenIndexKind::ArgMax
                             ? uint32_t(VLM_ABI_TRIM_ARGMAX)
                             : uint32_t(VLM_ABI_TRIM_FIRST_EQUAL),
                         uint32_t(ids - table.inputs.begin()),
                         uint32_t(place - table.symbols.begin()), id.getInt()};
  return llvm::Error::success();
}

void EntryReader::addScratch(const Size &size) {
  if (size == Size() || llvm::any_of(table.scratch, [&](const Size &other) {
        return size.isAtMost(other);
      }))
    return;
  llvm::erase_if(table.scratch,
                 [&](const Size &other) { return other.isAtMost(size); });
  table.scratch.push_back(size);
}

/// Bytes that a call reads and writes, a value that it takes twice once.
Size EntryReader::countBytes(CallOp call) const {
  llvm::SetVector<Value> values;
  values.insert_range(call.getInputs());
  values.insert_range(call.getResults());
  Size bytes;
  for (Value value : values)
    if (!isa_and_nonnull<CacheAttr>(
            cast<RankedTensorType>(value.getType()).getEncoding()))
      bytes = bytes + dims.getBytes(value);
  return bytes;
}

/// The launches of a call on a GPU.
std::vector<LaunchTable> EntryReader::readLaunches(CallOp call) const {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(
      call, call.getCalleeAttr());
  std::vector<std::vector<Size>> sizes;
  for (Value value : call.getInputs())
    sizes.emplace_back(dims.getDims(value).vec());
  for (Value value : call.getResults())
    sizes.emplace_back(dims.getDims(value).vec());
  std::vector<LaunchTable> launches;
  for (cuda::KernelLaunch &launch : cuda::launchesOf(kernel, sizes))
    launches.push_back({std::move(launch.function), std::move(launch.grid),
                        launch.units, static_cast<uint16_t>(launch.threads),
                        static_cast<uint16_t>(launch.flags),
                        static_cast<uint32_t>(launch.sharedBytes),
                        static_cast<uint16_t>(launch.minRows),
                        static_cast<uint16_t>(launch.maxRows),
                        std::move(launch.maps)});
  return launches;
}

/// What a library of products could do in their place.
std::optional<cuda::LibraryProduct>
EntryReader::readProduct(CallOp call) const {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(
      call, call.getCalleeAttr());
  Size rows(1);
  for (const Size &dim : dims.getDims(call.getResult(0)).drop_back())
    rows = rows * dim;
  return cuda::libraryProduct(kernel, rows);
}

llvm::Error EntryReader::readCall(CallOp call) {
  StepTable step;
  step.label = call.getLabel().value_or(call.getCallee()).str();
  auto kernel = llvm::find_if(level.kernels, [&](const KernelCode &code) {
    return call.getCallee() == code.kernel;
  });
  if (kernel == level.kernels.end())
    return fail("no code was made for kernel '" + call.getCallee() + "'");
  step.kernel = kernel - level.kernels.begin();
  for (Value input : call.getInputs()) {
    auto place = places.find(input);
    if (place == places.end())
      return fail("step '" + step.label + "' reads a value without a place");
    step.buffers.push_back(place->second);
  }
  ArrayRef<int64_t> slots = call.getSlots().value_or(ArrayRef<int64_t>());
  if (slots.size() != call.getNumResults())
    return fail("step '" + step.label + "' is not planned");
  for (auto [result, slot] : llvm::zip_equal(call.getResults(), slots)) {
    if (slot >= 0)
      places[result] = {VLM_ABI_SLOT, static_cast<uint32_t>(slot), 0};
    auto place = places.find(result);
    if (place == places.end() ||
        (slot < 0) != (place->second.kind == VLM_ABI_OUTPUT))
      return fail("step '" + step.label +
                  "' has a result that is neither in "
                  "a slot nor an output");
    step.buffers.push_back(place->second);
  }
  for (int64_t slot : call.getTemps().value_or(ArrayRef<int64_t>()))
    step.buffers.push_back({VLM_ABI_SLOT, static_cast<uint32_t>(slot), 0});
  step.dims = dims.getCallDims(call);
  step.operands = call.getInputs().size();
  step.results = call.getNumResults();
  step.flops = dims.getFlops(call);
  step.bytes = countBytes(call);
  if (kernel->phases.empty()) {
    step.launches = readLaunches(call);
    step.product = readProduct(call);
  }
  if (step.buffers.size() != kernel->buffers ||
      step.dims.size() != kernel->dims)
    return fail("step '" + step.label + "' has " + Twine(step.buffers.size()) +
                " buffers and " + Twine(step.dims.size()) +
                " dims, but its kernel '" + kernel->kernel + "' takes " +
                Twine(kernel->buffers) + " and " + Twine(kernel->dims));
  for (const vlm_abi_buffer &buffer : step.buffers)
    if (buffer.kind == VLM_ABI_SLOT && buffer.index >= table.slots.size())
      return fail("step '" + step.label + "' uses slot " + Twine(buffer.index) +
                  " of " + Twine(table.slots.size()));
  if (auto scratch = call.getScratchAttr())
    addScratch(Size::fromAttr(scratch));
  table.steps.push_back(std::move(step));
  return llvm::Error::success();
}

llvm::Error EntryReader::readOp(Operation &op) {
  if (auto call = dyn_cast<CallOp>(op))
    return readCall(call);
  if (auto weight = dyn_cast<GetWeightOp>(op)) {
    const FileRange *range = weights.find(weight.getWeight());
    if (!range)
      return fail("weight '" + weight.getWeight() + "' is not stored");
    places[weight.getResult()] = {VLM_ABI_WEIGHT, 0, range->offset};
    return llvm::Error::success();
  }
  if (auto layer = dyn_cast<CacheLayerOp>(op)) {
    places[layer.getResult()] = {VLM_ABI_CACHE_LAYER,
                                 places.lookup(layer.getCache()).index,
                                 static_cast<uint64_t>(layer.getLayer())};
    return llvm::Error::success();
  }
  if (isa<func::ReturnOp>(op))
    return llvm::Error::success();
  return fail("op '" + op.getName().getStringRef() +
              "' cannot stand in a planned entry; expected kernel calls");
}

Expected<EntryTable> EntryReader::read() {
  table.name = entry.getSymName().str();
  if (auto symbols = entry->getAttrOfType<ArrayAttr>(names::symbols))
    for (auto symbol : symbols.getAsRange<SymbolInfoAttr>())
      table.symbols.push_back({symbol.getName().str(), symbol.getMin(),
                               symbol.getLikely(), symbol.getMax()});
  if (llvm::Error error = readInputs())
    return std::move(error);
  if (llvm::Error error = readOutputs())
    return std::move(error);
  if (llvm::Error error = readSlots())
    return std::move(error);
  if (llvm::Error error = readTrim())
    return std::move(error);
  for (Operation &op : entry.getBody().front())
    if (llvm::Error error = readOp(op))
      return std::move(error);
  return std::move(table);
}

Expected<LevelTable> readPlan(ModuleOp planned, StringRef isa,
                              std::vector<KernelCode> kernels,
                              const WeightsPlan &weights) {
  LevelTable level;
  level.isa = isa.str();
  level.kernels = std::move(kernels);
  for (auto entry : planned.getOps<func::FuncOp>()) {
    if (!entry->hasAttr(names::entry))
      continue;
    FailureOr<DimAnalysis> dims = DimAnalysis::compute(entry);
    if (failed(dims))
      return internalError("entry '" + entry.getSymName() +
                           "': its sizes are not known");
    Expected<EntryTable> table =
        EntryReader(entry, *dims, level, weights).read();
    if (!table)
      return table.takeError();
    level.entries.push_back(std::move(*table));
  }
  return level;
}

} // namespace vlmc
