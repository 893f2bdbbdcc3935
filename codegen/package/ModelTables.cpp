//===-- ModelTables.cpp - what a model's library tells the runtime --------===//
#include "codegen/package/ModelTables.h"
#include "codegen/package/AbiRow.h"
#include "codegen/package/Error.h"
#include "codegen/package/Version.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/TargetParser/Triple.h"

using namespace llvm;
using vlmc::vlm::Size;

namespace vlmc {

std::string getModelSymbol(StringRef name) {
  return (name + "_vlm_model").str();
}

std::string toIdentifier(StringRef name) {
  std::string identifier = name.str();
  for (char &c : identifier)
    if (!isAlnum(c))
      c = '_';
  if (identifier.empty() || isDigit(identifier[0]))
    identifier.insert(0, "m");
  return identifier;
}

//===-- Sizes -------------------------------------------------------------===//

namespace {
/// Writes the tables of one entry point; the first error is kept.
class EntryWriter {
public:
  EntryWriter(AbiWriter &writer, const EntryTable &entry)
      : writer(writer), entry(entry) {}
  Expected<Constant *> write();

private:
  void fail(const Twine &message) {
    if (problem.empty())
      problem = ("entry '" + entry.name + "': " + message).str();
  }
  int64_t findSymbol(StringRef name);
  Constant *writeTerms(const Size &size);
  Constant *writeSize(const Size &size);
  Constant *writeSizes(StringRef name, ArrayRef<Size> sizes);
  Constant *writeTensor(const TensorTable &tensor);
  Constant *writeMap(const cuda::LaunchMap &map);
  Constant *writeProduct(const cuda::LibraryProduct &product);
  Constant *writeLaunch(const LaunchTable &launch);
  Constant *writeStep(const StepTable &step);

  AbiWriter &writer;
  const EntryTable &entry;
  std::string problem;
};
} // namespace

int64_t EntryWriter::findSymbol(StringRef name) {
  for (auto [index, symbol] : enumerate(entry.symbols))
    if (symbol.name == name)
      return static_cast<int64_t>(index);
  fail("size symbol '" + name + "' is not declared");
  return 0;
}

Constant *EntryWriter::writeTerms(const Size &size) {
  SmallVector<Constant *> terms;
  for (const auto &[symbols, coefficient] : size.getTerms()) {
    int64_t powers[VLM_ABI_MAX_SYMBOLS] = {};
    for (const std::string &symbol : symbols) {
      // findSymbol is in range: write() has checked the number of symbols.
      if (++powers[findSymbol(symbol)] > UINT8_MAX)
        fail("a power of '" + symbol + "' is larger than 255");
    }
    terms.push_back(AbiRow(writer, abi::term)
                        .set("coefficient", coefficient)
                        .set("powers", ArrayRef<int64_t>(powers))
                        .build());
  }
  return writer.array("terms", terms);
}

Constant *EntryWriter::writeSize(const Size &size) {
  return AbiRow(writer, abi::size)
      .set("terms", writeTerms(size))
      .set("n_terms", size.getTerms().size())
      .build();
}

Constant *EntryWriter::writeSizes(StringRef name, ArrayRef<Size> sizes) {
  SmallVector<Constant *> rows;
  for (const Size &size : sizes)
    rows.push_back(writeSize(size));
  return writer.array(name, rows);
}

//===-- Entry points ------------------------------------------------------===//

Constant *EntryWriter::writeTensor(const TensorTable &tensor) {
  if (tensor.dims.size() > VLM_ABI_MAX_RANK) {
    fail("tensor '" + tensor.name + "' has " + Twine(tensor.dims.size()) +
         " dimensions; expected at most " + Twine(+VLM_ABI_MAX_RANK));
    return nullptr;
  }
  SmallVector<int64_t> dims, symbols;
  for (const Size &dim : tensor.dims) {
    const auto &terms = dim.getTerms();
    bool constant = dim.isConstant();
    if (!constant && (terms.size() != 1 || terms.begin()->first.size() != 1 ||
                      terms.begin()->second != 1))
      fail("a dimension of '" + tensor.name + "' is " + dim.str() +
           "; expected a constant or one symbol");
    dims.push_back(constant && !terms.empty() ? terms.begin()->second : 0);
    symbols.push_back(constant ? -1 : findSymbol(terms.begin()->first.front()));
  }
  symbols.resize(VLM_ABI_MAX_RANK, -1);
  AbiRow row(writer, abi::tensor);
  row.set("name", writer.string(tensor.name))
      .set("dtype", tensor.dtype)
      .set("rank", tensor.dims.size())
      .set("dims", ArrayRef<int64_t>(dims))
      .set("symbols", ArrayRef<int64_t>(symbols))
      .set("optional", tensor.fill.has_value())
      .set("fill", tensor.fill.value_or(0))
      .set("below", tensor.below.empty() ? 0 : 1 + findSymbol(tensor.below))
      .set("has_range", tensor.range.has_value());
  if (tensor.range)
    row.set("min", tensor.range->first).set("max", tensor.range->second);
  return row.build();
}

static uint32_t halfType(bool isBrain) {
  return isBrain ? VLM_ABI_BF16 : VLM_ABI_F16;
}

Constant *EntryWriter::writeMap(const cuda::LaunchMap &map) {
  return AbiRow(writer, abi::map)
      .set("rows.terms", writeTerms(map.rows))
      .set("rows.n_terms", map.rows.getTerms().size())
      .set("offset", static_cast<uint64_t>(map.offset))
      .set("stride", static_cast<uint64_t>(map.stride))
      .set("columns", static_cast<uint64_t>(map.columns))
      .set("buffer", static_cast<uint64_t>(map.buffer))
      .set("dtype", halfType(map.isBrain))
      .set("box_rows", static_cast<uint64_t>(map.boxRows))
      .set("box_columns", static_cast<uint64_t>(map.boxColumns))
      .build();
}

Constant *EntryWriter::writeProduct(const cuda::LibraryProduct &product) {
  return AbiRow(writer, abi::product)
      .set("rows.terms", writeTerms(product.rows))
      .set("rows.n_terms", product.rows.getTerms().size())
      .set("left_offset", static_cast<uint64_t>(product.leftOffset))
      .set("left_stride", static_cast<uint64_t>(product.leftStride))
      .set("columns", static_cast<uint64_t>(product.columns))
      .set("depth", static_cast<uint64_t>(product.depth))
      .set("left", static_cast<uint64_t>(product.left))
      .set("right", static_cast<uint64_t>(product.right))
      .set("bias", static_cast<uint64_t>(product.bias))
      .set("residual", static_cast<uint64_t>(product.residual))
      .set("result", static_cast<uint64_t>(product.result))
      .set("activation", product.activation)
      .set("dtype", halfType(product.isBrain))
      .set("result_dtype", product.givesFloats ? uint32_t(VLM_ABI_F32)
                                               : halfType(product.isBrain))
      .build();
}

Constant *EntryWriter::writeLaunch(const LaunchTable &launch) {
  SmallVector<Constant *> maps;
  for (const cuda::LaunchMap &map : launch.maps)
    maps.push_back(writeMap(map));
  return AbiRow(writer, abi::launch)
      .set("function", writer.string(launch.function))
      .set("grid", writeSizes("grid", launch.grid))
      .set("units", ArrayRef<int64_t>(launch.units))
      .set("threads", launch.threads)
      .set("flags", launch.flags)
      .set("shared_bytes", launch.sharedBytes)
      .set("min_rows", launch.minRows)
      .set("max_rows", launch.maxRows)
      .set("maps", writer.array("maps", maps))
      .set("n_maps", maps.size())
      .build();
}

Constant *EntryWriter::writeStep(const StepTable &step) {
  SmallVector<Constant *> buffers, launches;
  for (const LaunchTable &launch : step.launches)
    launches.push_back(writeLaunch(launch));
  for (const vlm_abi_buffer &buffer : step.buffers)
    buffers.push_back(AbiRow(writer, abi::buffer)
                          .set("kind", buffer.kind)
                          .set("index", buffer.index)
                          .set("offset", buffer.offset)
                          .build());
  SmallVector<Constant *> product;
  if (step.product)
    product.push_back(writeProduct(*step.product));
  return AbiRow(writer, abi::step)
      .set("label", writer.string(step.label))
      .set("buffers", writer.array("buffers", buffers))
      .set("dims", writeSizes("dims", step.dims))
      .set("kernel", step.kernel)
      .set("n_operands", step.operands)
      .set("n_results", step.results)
      .set("flops.terms", writeTerms(step.flops))
      .set("flops.n_terms", step.flops.getTerms().size())
      .set("bytes.terms", writeTerms(step.bytes))
      .set("bytes.n_terms", step.bytes.getTerms().size())
      .set("launches", writer.array("launches", launches))
      .set("n_launches", launches.size())
      .set("product", writer.array("product", product))
      .build();
}

Expected<Constant *> EntryWriter::write() {
  if (entry.symbols.size() > VLM_ABI_MAX_SYMBOLS)
    return internalError(
        "entry '" + entry.name + "' has " + Twine(entry.symbols.size()) +
        " size symbols; expected at most " + Twine(+VLM_ABI_MAX_SYMBOLS));
  SmallVector<Constant *> symbols, inputs, outputs, slots, steps;
  for (const SizeSymbolTable &symbol : entry.symbols)
    symbols.push_back(AbiRow(writer, abi::symbol)
                          .set("name", writer.string(symbol.name))
                          .set("min", symbol.min)
                          .set("likely", symbol.likely)
                          .set("max", symbol.max)
                          .build());
  for (const TensorTable &tensor : entry.inputs)
    inputs.push_back(writeTensor(tensor));
  for (const TensorTable &tensor : entry.outputs)
    outputs.push_back(writeTensor(tensor));
  for (const std::vector<Size> &slot : entry.slots)
    slots.push_back(AbiRow(writer, abi::maxSize)
                        .set("sizes", writeSizes("slot", slot))
                        .set("n_sizes", slot.size())
                        .build());
  for (const StepTable &step : entry.steps)
    steps.push_back(writeStep(step));
  Constant *scratch = writeSizes("scratch", entry.scratch);
  SmallVector<Constant *> trim;
  if (entry.trim)
    trim.push_back(AbiRow(writer, abi::trim)
                       .set("kind", entry.trim->kind)
                       .set("input", entry.trim->input)
                       .set("symbol", entry.trim->symbol)
                       .set("id", entry.trim->id)
                       .build());
  if (!problem.empty())
    return internalError(problem);
  return AbiRow(writer, abi::entry)
      .set("name", writer.string(entry.name))
      .set("symbols", writer.array("symbols", symbols))
      .set("inputs", writer.array("inputs", inputs))
      .set("outputs", writer.array("outputs", outputs))
      .set("slots", writer.array("slots", slots))
      .set("steps", writer.array("steps", steps))
      .set("trim", writer.array("trim", trim))
      .set("scratch.sizes", scratch)
      .set("scratch.n_sizes", entry.scratch.size())
      .set("n_symbols", symbols.size())
      .set("n_inputs", inputs.size())
      .set("n_outputs", outputs.size())
      .set("n_slots", slots.size())
      .set("n_steps", steps.size())
      .build();
}

//===-- Levels, pictures, the model ---------------------------------------===//

static Constant *writeKernel(AbiWriter &writer, const KernelCode &kernel) {
  SmallVector<Constant *> phases;
  for (const KernelCode::Phase &phase : kernel.phases)
    phases.push_back(AbiRow(writer, abi::phase)
                         .set("run", writer.function(phase.run))
                         .set("tasks", writer.function(phase.tasks))
                         .build());
  return AbiRow(writer, abi::kernel)
      .set("name", writer.string(kernel.kernel))
      .set("strategy", writer.string(kernel.strategy))
      .set("n_buffers", kernel.buffers)
      .set("n_dims", kernel.dims)
      .set("n_phases", phases.size())
      .set("phases", writer.array("phases", phases))
      .build();
}

static Constant *writeDevice(AbiWriter &writer, const DeviceTable &device) {
  SmallVector<Constant *> codes;
  for (const DeviceCode &code : device.codes)
    codes.push_back(AbiRow(writer, abi::code)
                        .set("kind", code.kind)
                        .set("data", writer.bytes("code", code.bytes))
                        .set("bytes", code.bytes.size())
                        .build());
  return AbiRow(writer, abi::device)
      .set("codes", writer.array("codes", codes))
      .set("n_codes", codes.size())
      .set("major", static_cast<uint64_t>(device.major))
      .set("minor", static_cast<uint64_t>(device.minor))
      .set("exact", device.isExact)
      .build();
}

static Expected<Constant *> writeLevel(AbiWriter &writer,
                                       const LevelTable &level) {
  SmallVector<Constant *> kernels, entries;
  for (const KernelCode &kernel : level.kernels)
    kernels.push_back(writeKernel(writer, kernel));
  for (const EntryTable &entry : level.entries) {
    Expected<Constant *> row = EntryWriter(writer, entry).write();
    if (!row)
      return row.takeError();
    entries.push_back(*row);
  }
  SmallVector<Constant *> device;
  if (level.device)
    device.push_back(writeDevice(writer, *level.device));
  return AbiRow(writer, abi::level)
      .set("isa", writer.string(level.isa))
      .set("kernels", writer.array("kernels", kernels))
      .set("entries", writer.array("entries", entries))
      .set("n_kernels", kernels.size())
      .set("n_entries", entries.size())
      .set("device", writer.array("device", device))
      .build();
}

static Constant *writeImage(AbiWriter &writer, const ImageTable &image) {
  return AbiRow(writer, abi::image)
      .set("resize", image.resize)
      .set("filter", image.filter)
      .set("edge", image.edge)
      .set("longest_edge", image.longestEdge)
      .set("height", image.height)
      .set("width", image.width)
      .set("do_crop", image.crop)
      .set("crop_height", image.cropHeight)
      .set("crop_width", image.cropWidth)
      .set("backend", image.backend)
      .set("resize_rows", writer.function(image.resizeRows))
      .set("resize_columns", writer.function(image.resizeColumns))
      .set("finish", writer.function(image.finish))
      .set("pil_table", writer.floats("pil_table", image.pilTable))
      .set("torchvision_table",
           writer.floats("torchvision_table", image.torchvisionTable))
      .set("grid", writer.integers("image_grid", image.grid))
      .set("n_grid", image.grid.size() / 2)
      .set("keeps_key", image.keepsKey)
      .set("background", image.background)
      .set("group_background", image.groupBackground)
      .set("pans", image.pans)
      .set("pan_crops", image.panCrops)
      .set("pan_side", image.panSide)
      .set("pan_ratio", llvm::bit_cast<uint64_t>(image.panRatio))
      .build();
}

static Constant *writeRotary(AbiWriter &writer, const RotaryTable &rotary) {
  AbiRow row(writer, abi::rotary);
  row.set("limit", static_cast<uint64_t>(rotary.limit))
      .set("numbers", writer.floats("rotary_numbers", rotary.numbers))
      .set("size", rotary.size);
  if (!rotary.longFactors.empty())
    row.set("long_factors", writer.floats("long_factors", rotary.longFactors));
  return row.build();
}

static Constant *writeRules(AbiWriter &writer, const RulesTable &rules) {
  AbiRow row(writer, abi::rules);
  row.set("numbers", writer.floats("rules_numbers", rules.numbers))
      .set("biased", writer.integers("biased", rules.biased))
      .set("forbidden", writer.integers("forbidden", rules.forbidden))
      .set("forced_end", writer.integers("forced_end", rules.forcedEnd))
      .set("suppressed", writer.integers("suppressed", rules.suppressed))
      .set("first_suppressed",
           writer.integers("first_suppressed", rules.firstSuppressed))
      .set("n_biased", rules.biased.size())
      .set("n_forbidden", rules.forbidden.size())
      .set("n_forced_end", rules.forcedEnd.size())
      .set("n_suppressed", rules.suppressed.size())
      .set("n_first_suppressed", rules.firstSuppressed.size())
      .set("forced_begin", static_cast<uint64_t>(rules.forcedBegin))
      .set("ngram", static_cast<uint64_t>(rules.ngram))
      .set("prompt_ngram", static_cast<uint64_t>(rules.promptNgram))
      .set("min_tokens", static_cast<uint64_t>(rules.minTokens))
      .set("min_new_tokens", static_cast<uint64_t>(rules.minNewTokens))
      .set("decay_start", static_cast<uint64_t>(rules.decayStart));
  if (!rules.biases.empty())
    row.set("biases", writer.floats("biases", rules.biases));
  return row.build();
}

static Constant *writeGeneration(AbiWriter &writer,
                                 const GenerationTable &generation) {
  SmallVector<int64_t> ends(generation.endTokens.begin(),
                            generation.endTokens.end());
  ends.resize(VLM_ABI_MAX_END_TOKENS);
  AbiRow row(writer, abi::generation);
  row.set("end_tokens", ArrayRef<int64_t>(ends))
      .set("n_end_tokens", generation.endTokens.size())
      .set("attended", generation.attended)
      .set("pad_token", generation.padToken)
      .set("image_token", generation.imageToken)
      .set("max_new_tokens", generation.maxNewTokens)
      .set("grid", writer.integers("grid", generation.grid))
      .set("n_grid", generation.grid.size() / 2)
      .set("tile_size", generation.tileSize)
      .set("tile_features", generation.tileFeatures)
      .set("max_length", generation.maxLength)
      .set("start_token", static_cast<uint64_t>(generation.startToken))
      .set("beams", generation.beams)
      .set("beam_end", generation.beamEnd)
      .set("video_token", static_cast<uint64_t>(generation.videoToken))
      .set("picture_flags", generation.pictureFlags)
      .set("most_tiles", generation.mostTiles);
  if (generation.lengthPenalty)
    row.set("length_penalty",
            writer.floats("length_penalty", {*generation.lengthPenalty}));
  if (generation.rotary)
    row.set("rotary",
            writer.array("rotary", {writeRotary(writer, *generation.rotary)}));
  if (generation.rules)
    row.set("rules",
            writer.array("rules", {writeRules(writer, *generation.rules)}));
  return row.build();
}

static Constant *writeModel(AbiWriter &writer, const ModelTables &tables,
                            ArrayRef<Constant *> levels) {
  SmallVector<int64_t> digest(tables.weights.headerSha256.begin(),
                              tables.weights.headerSha256.end());
  AbiRow row(writer, abi::model);
  row.set("abi_version", VLM_ABI_VERSION)
      .set("struct_bytes", sizeof(vlm_abi_model))
      .set("name", writer.string(tables.name))
      .set("family", writer.string(tables.family))
      .set("vlmc_version", writer.string(getVersion()))
      .set("levels", writer.array("levels", levels))
      .set("n_levels", levels.size())
      .set("reference", tables.reference)
      .set("weights_bytes", tables.weights.fileBytes)
      .set("weights_header_bytes", tables.weights.headerBytes)
      .set("weights_header_sha256", ArrayRef<int64_t>(digest))
      .set("tokenizer.offset", tables.tokenizer.offset)
      .set("tokenizer.bytes", tables.tokenizer.bytes)
      .set("picture_words.offset", tables.pictureWords.offset)
      .set("picture_words.bytes", tables.pictureWords.bytes)
      .set("head", tables.head)
      .set("text_max_tokens", tables.textMaxTokens)
      .set("pad_token_id", tables.padTokenId)
      .set("text_flags", tables.textFlags)
      .set("text_padded_tokens", tables.textPaddedTokens);
  if (tables.image)
    row.set("image",
            writer.array("image", {writeImage(writer, *tables.image)}));
  if (tables.video)
    row.set("video",
            writer.array("video", {writeImage(writer, *tables.video)}));
  if (tables.generation)
    row.set("generation",
            writer.array("generation",
                         {writeGeneration(writer, *tables.generation)}));
  return row.build();
}

Expected<std::unique_ptr<Module>>
buildTables(const ModelTables &tables, LLVMContext &context, StringRef triple) {
  auto module = std::make_unique<Module>(tables.name + ".tables", context);
  Triple parsed(triple);
  module->setTargetTriple(parsed);
  module->setDataLayout(parsed.computeDataLayout());
  module->setPICLevel(PICLevel::BigPIC);
  const DataLayout &layout = module->getDataLayout();
  if (layout.getPointerSize() != sizeof(void *) || layout.isBigEndian())
    return internalError("target '" + triple +
                         "' has another memory layout than this machine");
  AbiWriter writer(*module);
  SmallVector<Constant *> levels;
  for (const LevelTable &level : tables.levels) {
    Expected<Constant *> row = writeLevel(writer, level);
    if (!row)
      return row.takeError();
    levels.push_back(*row);
  }
  Constant *model = writeModel(writer, tables, levels);
  if (layout.getTypeAllocSize(model->getType()) != sizeof(vlm_abi_model))
    return internalError("the model table has another size than vlm_abi.h's");
  auto *global = new GlobalVariable(*module, model->getType(), true,
                                    GlobalValue::ExternalLinkage, model,
                                    getModelSymbol(tables.name));
  global->setAlignment(Align(8));
  return module;
}

} // namespace vlmc
