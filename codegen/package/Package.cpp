//===-- Package.cpp - writes NAME.vlm -------------------------------------===//
#include "codegen/package/Package.h"
#include "codegen/package/Error.h"
#include "codegen/package/Files.h"
#include "codegen/package/Interface.h"
#include "codegen/package/Plan.h"
#include "codegen/package/Version.h"
#include "codegen/package/manifest.pb.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <algorithm>
#include <google/protobuf/text_format.h>
#include <map>

using namespace llvm;

namespace vlmc {

static constexpr StringLiteral manifestName = "manifest.textproto";
static constexpr StringLiteral tokenizerName = "text.tokenizer";
static constexpr StringLiteral pictureWordsName = "text.picture_words";

std::string getPackageName(StringRef output) {
  StringRef name = sys::path::filename(output.rtrim('/'));
  name.consume_back(".vlm");
  return toIdentifier(name);
}

Error checkPackageOutput(StringRef output) {
  return PackageDirectory::create(output, manifestName).takeError();
}

//===-- From the spec -----------------------------------------------------===//

/// Heights and widths one behind the other.
static std::vector<int32_t>
makeGrid(const google::protobuf::RepeatedPtrField<spec::Resolution> &grid) {
  std::vector<int32_t> sides;
  for (const spec::Resolution &resolution : grid) {
    sides.push_back(static_cast<int32_t>(resolution.height()));
    sides.push_back(static_cast<int32_t>(resolution.width()));
  }
  return sides;
}

/// A colour of the means as 0x01RRGGBB, as transformers rounds it: down, of the
/// values up to 255.
static int32_t meanColour(const spec::ImageProcessing &image) {
  int32_t colour = 1;
  for (double mean : image.mean())
    colour = colour << 8 | std::clamp(static_cast<int32_t>(mean * 255), 0, 255);
  return colour;
}

static ImageTable makeImageTable(const spec::ImageProcessing &image,
                                 const PackageImage &code,
                                 const PackageInputs &inputs) {
  ImageTable result;
  const bool hasLongest = image.has_longest_edge();
  if (image.do_resize())
    result.resize = image.cap_edges()                 ? VLM_ABI_RESIZE_CAPPED
                    : hasLongest && image.tile_size() ? VLM_ABI_RESIZE_LONGEST
                    : hasLongest                      ? VLM_ABI_RESIZE_EDGES
                    : image.has_shortest_edge() ? VLM_ABI_RESIZE_SHORTEST_EDGE
                    : image.has_height()        ? VLM_ABI_RESIZE_EXACT
                    : image.round_size()        ? VLM_ABI_RESIZE_ROUNDED
                    : image.only_shrink()       ? VLM_ABI_RESIZE_SHRUNK
                                                : VLM_ABI_RESIZE_WITHIN;
  bool isWithin = image.has_max_height();
  result.filter = static_cast<int32_t>(image.resample());
  result.edge = static_cast<int32_t>(image.shortest_edge());
  result.longestEdge = static_cast<int32_t>(image.longest_edge());
  result.height =
      static_cast<int32_t>(isWithin ? image.max_height() : image.height());
  result.width =
      static_cast<int32_t>(isWithin ? image.max_width() : image.width());
  if (image.do_center_crop())
    result.crop = image.crop_half_to_even() ? VLM_ABI_CROP_CENTER_EVEN
                                            : VLM_ABI_CROP_CENTER;
  result.cropHeight = static_cast<int32_t>(image.crop_height());
  result.cropWidth = static_cast<int32_t>(image.crop_width());
  if (image.patch_size()) {
    result.crop = VLM_ABI_CROP_PATCHES;
    result.cropHeight = result.cropWidth =
        static_cast<int32_t>(image.patch_size());
  }
  if (image.max_patches()) {
    result.crop = VLM_ABI_CROP_PATCH_ROWS;
    result.longestEdge = static_cast<int32_t>(image.max_patches());
    if (image.do_resize())
      result.resize = VLM_ABI_RESIZE_PATCHES;
  }
  if (image.quarters())
    result.crop = VLM_ABI_CROP_QUARTERS;
  if (image.tile_size()) {
    result.crop = image.cut_lines() ? VLM_ABI_CROP_LINES : VLM_ABI_CROP_SQUARE;
    result.cropHeight = result.cropWidth =
        static_cast<int32_t>(image.tile_size());
  }
  if (image.stretch_tiles() || image.fit_tiles()) {
    result.crop =
        image.fit_tiles() ? VLM_ABI_CROP_FITTED : VLM_ABI_CROP_STRETCHED;
    result.cropHeight = result.cropWidth = result.height;
  }
  result.resizeRows = code.resizeRows;
  result.resizeColumns = code.resizeColumns;
  result.finish = code.finish;
  if (image.backend() == spec::ImageProcessing::PIL)
    result.backend = VLM_ABI_BACKEND_PIL;
  result.pilTable = inputs.pilTable;
  result.torchvisionTable = inputs.torchvisionTable;
  result.grid = makeGrid(image.grid());
  result.keepsKey = image.keep_transparent_color();
  if (image.pad_to_square())
    result.background = meanColour(image);
  if (image.pad_groups())
    result.groupBackground = meanColour(image);
  result.pans = image.pans();
  result.panCrops = static_cast<uint32_t>(image.pan_crops());
  result.panSide = static_cast<uint32_t>(image.pan_side());
  result.panRatio = image.pan_ratio();
  return result;
}

/// The frequencies of sequences that are longer than the library's code knows.
static std::optional<RotaryTable> makeRotary(const spec::ModelSpec &model) {
  for (const spec::Component &component : model.components()) {
    const spec::RotaryEmbedding &rotary = component.decoder().rotary();
    if (rotary.kind() != spec::RotaryEmbedding::DYNAMIC &&
        rotary.kind() != spec::RotaryEmbedding::LONGROPE)
      continue;
    RotaryTable table;
    table.limit = rotary.original_max_tokens();
    table.numbers.resize(3);
    table.numbers[VLM_ABI_ROTARY_THETA] = static_cast<float>(rotary.theta());
    table.numbers[VLM_ABI_ROTARY_FACTOR] = static_cast<float>(rotary.factor());
    table.numbers[VLM_ABI_ROTARY_SCALE] = static_cast<float>(
        rotary.has_attention_scale() ? rotary.attention_scale() : 1);
    table.longFactors.assign(rotary.long_factors().begin(),
                             rotary.long_factors().end());
    table.size = static_cast<uint32_t>(rotary.size());
    return table;
  }
  return std::nullopt;
}

static std::vector<int32_t> listSequences(
    const google::protobuf::RepeatedPtrField<spec::TokenRules::Sequence>
        &sequences) {
  std::vector<int32_t> list;
  for (const spec::TokenRules::Sequence &sequence : sequences) {
    list.push_back(sequence.ids_size());
    list.insert(list.end(), sequence.ids().begin(), sequence.ids().end());
  }
  return list;
}

static RulesTable makeRules(const spec::TokenRules &rules) {
  RulesTable table;
  table.numbers.resize(3);
  table.numbers[VLM_ABI_PROMPT_PENALTY] = static_cast<float>(
      rules.has_prompt_penalty() ? rules.prompt_penalty() : 1);
  table.numbers[VLM_ABI_REPETITION_PENALTY] = static_cast<float>(
      rules.has_repetition_penalty() ? rules.repetition_penalty() : 1);
  table.numbers[VLM_ABI_DECAY_FACTOR] =
      static_cast<float>(rules.decay_factor());
  table.biased = listSequences(rules.biased());
  for (const spec::TokenRules::Sequence &sequence : rules.biased())
    table.biases.push_back(static_cast<float>(sequence.bias()));
  table.forbidden = listSequences(rules.forbidden());
  table.forcedEnd.assign(rules.forced_end().begin(), rules.forced_end().end());
  table.suppressed.assign(rules.suppressed().begin(), rules.suppressed().end());
  table.firstSuppressed.assign(rules.first_suppressed().begin(),
                               rules.first_suppressed().end());
  if (rules.has_forced_begin())
    table.forcedBegin = static_cast<int32_t>(rules.forced_begin());
  table.ngram = rules.ngram();
  table.promptNgram = rules.prompt_ngram();
  table.minTokens = rules.min_tokens();
  table.minNewTokens = rules.min_new_tokens();
  if (rules.has_decay_start())
    table.decayStart = rules.decay_start();
  return table;
}

static GenerationTable makeGeneration(const spec::Generation &generation) {
  GenerationTable table;
  table.endTokens.assign(generation.end_token_ids().begin(),
                         generation.end_token_ids().end());
  if (generation.has_pad_token_id())
    table.padToken = generation.pad_token_id();
  if (generation.has_image_token_id())
    table.imageToken = generation.image_token_id();
  table.maxNewTokens = generation.max_new_tokens();
  table.maxLength = static_cast<uint32_t>(generation.max_length());
  if (generation.attended() == spec::Generation::LATEST)
    table.attended = VLM_ABI_ATTEND_LATEST;
  if (generation.attended() == spec::Generation::ALL)
    table.attended = VLM_ABI_ATTEND_ALL;
  if (generation.attended() == spec::Generation::GROUP)
    table.attended = VLM_ABI_ATTEND_GROUP;
  if (generation.attended() == spec::Generation::AHEAD)
    table.attended = VLM_ABI_ATTEND_ALL | VLM_ABI_ATTEND_AHEAD;
  if (generation.attended_until_end())
    table.attended |= VLM_ABI_ATTEND_UNTIL_END;
  table.grid = makeGrid(generation.grid());
  table.tileSize = static_cast<int32_t>(generation.tile_size());
  table.tileFeatures = static_cast<int32_t>(generation.tile_features());
  if (generation.has_rules())
    table.rules = makeRules(generation.rules());
  if (generation.has_start_token_id())
    table.startToken = generation.start_token_id();
  table.beams = static_cast<uint32_t>(generation.beams());
  table.beamEnd = static_cast<uint32_t>(generation.beam_end());
  if (generation.has_length_penalty())
    table.lengthPenalty = static_cast<float>(generation.length_penalty());
  if (generation.has_video_token_id())
    table.videoToken = generation.video_token_id();
  for (auto [isOn, flag] :
       {std::pair(generation.reads_videos(), +VLM_ABI_READS_VIDEOS),
        std::pair(generation.pools_frames(), +VLM_ABI_POOLS_FRAMES),
        std::pair(generation.groups_whole(), +VLM_ABI_GROUPS_WHOLE),
        std::pair(generation.sees_pictures(), +VLM_ABI_SEES_PICTURES),
        std::pair(generation.names_frames(), +VLM_ABI_NAMES_FRAMES)})
    if (isOn)
      table.pictureFlags |= static_cast<uint32_t>(flag);
  table.mostTiles = static_cast<uint32_t>(generation.most_tiles());
  return table;
}

/// What the library says of the model as a whole, the same for all of them.
static ModelTables makeModelTables(const PackageInputs &inputs,
                                   const WeightsIdentity &identity,
                                   const WeightsPlan &weights) {
  ModelTables tables;
  tables.name = inputs.name;
  tables.family = inputs.spec->family();
  tables.reference = inputs.reference;
  tables.weights = identity;
  if (const FileRange *range = weights.find(tokenizerName))
    tables.tokenizer = *range;
  if (const FileRange *range = weights.find(pictureWordsName))
    tables.pictureWords = *range;
  for (const spec::Component &component : inputs.spec->components())
    if (component.contrastive_head().probability() ==
        spec::ContrastiveHead::SIGMOID)
      tables.head = VLM_ABI_HEAD_SIGMOID;
  if (inputs.spec->has_generation())
    tables.generation = makeGeneration(inputs.spec->generation());
  if (tables.generation)
    tables.generation->rotary = makeRotary(*inputs.spec);
  if (inputs.spec->has_text()) {
    tables.textMaxTokens =
        static_cast<uint32_t>(inputs.spec->text().max_tokens());
    tables.padTokenId = inputs.spec->text().pad_token_id();
    tables.textPaddedTokens =
        static_cast<uint32_t>(inputs.spec->text().padded_tokens());
    if (inputs.spec->text().pad_to_max_tokens())
      tables.textFlags |= VLM_ABI_TEXT_PAD_TO_MAX;
    if (inputs.spec->text().unmasked_padding())
      tables.textFlags |= VLM_ABI_TEXT_UNMASKED;
    if (inputs.spec->text().own_pad_token())
      tables.textFlags |= VLM_ABI_TEXT_OWN_PAD;
  }
  return tables;
}

//===-- Weights -----------------------------------------------------------===//

static Expected<WeightsPlan> planWeights(const PackageInputs &inputs) {
  std::vector<NamedRecipe> weights;
  std::map<std::string, vlm::RecipeAttr> seen;
  std::vector<mlir::ModuleOp> modules;
  for (const PackageLevel &level : inputs.levels)
    modules.push_back(level.planned);
  for (const PackageDevice &device : inputs.devices)
    modules.push_back(device.planned);
  for (mlir::ModuleOp module : modules)
    for (NamedRecipe &weight : getWeights(module)) {
      auto [it, isNew] = seen.try_emplace(weight.name, weight.recipe);
      if (isNew)
        weights.push_back(std::move(weight));
      else if (it->second != weight.recipe)
        return internalError("weight '" + weight.name +
                             "' is packed in two ways; targets of one package "
                             "share their layouts");
    }
  std::vector<NamedBlob> blobs;
  if (!inputs.tokenizer.empty())
    blobs.push_back({tokenizerName.str(), inputs.tokenizer});
  if (!inputs.pictureWords.empty())
    blobs.push_back({pictureWordsName.str(), inputs.pictureWords});
  return WeightsPlan::create(weights, blobs, *inputs.weights);
}

//===-- Libraries ---------------------------------------------------------===//

/// What reference kernels may call: libm's functions, and libc's for memory.
static std::vector<std::string> getReferenceImports() {
  return {"aligned_alloc", "ceilf",   "cos",    "erf",    "erff",  "exp",
          "expf",          "expm1f",  "fabsf",  "floorf", "fmaf",  "fmaxf",
          "fminf",         "free",    "log",    "log1pf", "logf",  "malloc",
          "memcpy",        "memmove", "memset", "pow",    "powf",  "rintf",
          "roundf",        "sin",     "sincos", "sqrt",   "sqrtf", "tanh",
          "tanhf"};
}

namespace {
/// The levels of one architecture, which share a library.
struct Architecture {
  std::string name;
  std::vector<const PackageLevel *> levels;
};
} // namespace

static std::vector<Architecture> getArchitectures(const PackageInputs &inputs) {
  std::vector<Architecture> archs;
  for (const PackageLevel &level : inputs.levels) {
    auto it = find_if(archs, [&](const Architecture &arch) {
      return arch.name == level.target->arch;
    });
    if (it == archs.end())
      it = archs.insert(archs.end(), {level.target->arch, {}});
    it->levels.push_back(&level);
  }
  return archs;
}

static std::string libraryPath(const PackageInputs &inputs,
                               const Architecture &arch) {
  return "lib/" + arch.name + "/lib" + inputs.name +
         (inputs.isStatic ? ".a" : ".so");
}

static Error linkLibrary(const PackageInputs &inputs, const Architecture &arch,
                         ModelTables &tables, PackageDirectory &directory) {
  LinkRequest request;
  const Target &target = *arch.levels.front()->target;
  for (const PackageImage &image : inputs.images)
    if (image.arch == arch.name && inputs.spec->has_image()) {
      tables.image = makeImageTable(inputs.spec->image(), image, inputs);
      if (inputs.spec->has_video()) {
        tables.video = makeImageTable(inputs.spec->video(), image, inputs);
        // transformers has no other arithmetic for frames.
        tables.video->backend = VLM_ABI_BACKEND_TORCHVISION;
        tables.video->pilTable = tables.video->torchvisionTable =
            inputs.videoTable;
      }
      append_range(request.objects, image.objects);
    }
  LLVMContext context;
  Expected<std::unique_ptr<Module>> module =
      buildTables(tables, context, target.triple);
  if (!module)
    return module.takeError();
  Expected<SmallVector<char, 0>> object = emitObject(**module, target);
  if (!object)
    return object.takeError();
  request.objects.push_back(
      {"tables", std::string(object->data(), object->size())});
  for (const PackageLevel *level : arch.levels) {
    request.objects.push_back(level->object);
    for (const KernelCode &kernel : level->kernels)
      if (kernel.strategy == "reference")
        request.imports = getReferenceImports();
  }
  // An archive's member, whose name programs that list it show.
  request.soname =
      inputs.isStatic ? inputs.name + ".o" : "lib" + inputs.name + ".so";
  request.output = directory.path(libraryPath(inputs, arch));
  request.exports = {getModelSymbol(inputs.name)};
  if (Error error = directory.makeDirectory("lib/" + arch.name))
    return error;
  std::string folder = directory.path(".link");
  return inputs.isStatic ? linkArchive(request, folder)
                         : linkSharedLibrary(request, folder);
}

static Error writeLibraries(const PackageInputs &inputs,
                            const WeightsPlan &weights, ModelTables &tables,
                            PackageDirectory &directory) {
  for (const Architecture &arch : getArchitectures(inputs)) {
    tables.levels.clear();
    tables.image.reset();
    tables.video.reset();
    for (const PackageLevel *level : arch.levels) {
      Expected<LevelTable> table =
          readPlan(level->planned, level->target->isa, level->kernels, weights);
      if (!table)
        return table.takeError();
      tables.levels.push_back(std::move(*table));
    }
    for (const PackageDevice &device : inputs.devices) {
      Expected<LevelTable> table =
          readPlan(device.planned, device.target->isa, device.kernels, weights);
      if (!table)
        return table.takeError();
      table->device = device.table;
      tables.levels.push_back(std::move(*table));
    }
    if (Error error = linkLibrary(inputs, arch, tables, directory))
      return error;
  }
  return Error::success();
}

//===-- Manifest ----------------------------------------------------------===//

static void fillFile(manifest::File &file, StringRef name, StringRef path) {
  file.set_name(name.str());
  uint64_t bytes = 0;
  if (!sys::fs::file_size(path, bytes))
    file.set_bytes(bytes);
}

static void addSources(const WeightSource &source, manifest::Manifest &result) {
  std::map<std::string, std::string> files; // name without folder -> path
  for (const std::string &name : source.names())
    if (const WeightTensor *tensor = source.find(name))
      if (sys::fs::exists(tensor->file)) // random weights have none
        files.try_emplace(sys::path::filename(tensor->file).str(),
                          tensor->file);
  for (const auto &[name, path] : files)
    fillFile(*result.add_sources(), name, path);
}

static std::string makeManifest(const PackageInputs &inputs,
                                const ModelTables &tables, size_t tensors,
                                const PackageDirectory &directory) {
  manifest::Manifest result;
  result.set_vlmc_version(getVersion());
  result.set_name(inputs.name);
  result.set_family(tables.family);
  for (const std::string &option : inputs.options)
    result.add_options(option);
  result.set_reference(inputs.reference);
  for (const std::string &tap : inputs.taps)
    result.add_taps(tap);
  addSources(*inputs.weights, result);
  for (const Architecture &arch : getArchitectures(inputs)) {
    manifest::Library &library = *result.add_libraries();
    std::string path = libraryPath(inputs, arch);
    fillFile(*library.mutable_file(), path, directory.path(path));
    library.set_arch(arch.name);
    for (const PackageLevel *level : arch.levels) {
      manifest::Level &entry = *library.add_levels();
      entry.set_target(level->target->name);
      entry.set_kernels(level->kernels.size());
    }
    for (const PackageDevice &device : inputs.devices) {
      manifest::Level &entry = *library.add_levels();
      entry.set_target(device.target->name);
      entry.set_kernels(device.kernels.size());
    }
  }
  manifest::Weights &weights = *result.mutable_weights();
  fillFile(*weights.mutable_file(), inputs.name + ".weights",
           directory.path(inputs.name + ".weights"));
  weights.set_tensors(tensors);
  weights.set_header_sha256(
      toHex(tables.weights.headerSha256, /*LowerCase=*/true));
  for (const EntryTable &entry : tables.levels.front().entries) {
    manifest::Entry &item = *result.add_entries();
    item.set_name(entry.name);
    for (const TensorTable &tensor : entry.inputs)
      item.add_inputs(describeTensor(tensor));
    for (const TensorTable &tensor : entry.outputs)
      item.add_outputs(describeTensor(tensor));
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(result, &text);
  return text;
}

//===-- All of it ---------------------------------------------------------===//

static Error writeInto(const PackageInputs &inputs,
                       PackageDirectory &directory) {
  Expected<WeightsPlan> weights = planWeights(inputs);
  if (!weights)
    return weights.takeError();
  Expected<WeightsIdentity> identity = weights->write(
      directory.path(inputs.name + ".weights"), inputs.jobs, inputs.progress);
  if (!identity)
    return identity.takeError();
  ModelTables tables = makeModelTables(inputs, *identity, *weights);
  if (Error error = writeLibraries(inputs, *weights, tables, directory))
    return error;

  std::vector<std::string> archs;
  for (const Architecture &arch : getArchitectures(inputs))
    archs.push_back(arch.name);
  if (Error error = writeFile(directory.path(inputs.name + ".h"),
                              makeHeader(tables, inputs.isStatic)))
    return error;
  if (Error error = writeFile(directory.path(inputs.name + "Config.cmake"),
                              makeCMakeConfig(tables, archs, inputs.isStatic)))
    return error;
  return writeFile(
      directory.path(manifestName),
      makeManifest(inputs, tables, weights->tensorCount(), directory));
}

Error writePackage(const PackageInputs &inputs) {
  if (inputs.levels.empty())
    return userError("a package needs code for at least one target");
  Expected<PackageDirectory> directory =
      PackageDirectory::create(inputs.output, manifestName);
  if (!directory)
    return directory.takeError();
  if (Error error = writeInto(inputs, *directory))
    return error;
  return directory->commit();
}

} // namespace vlmc
