//===- LlavaLlama.cpp - LLaVA in the layout of its own code ---------------===//
//
// Checkpoints of the LLaVA repository (arXiv:2304.08485, arXiv:2310.03744):
// config.json is that of the language model with keys of the picture side, and
// the tower is named only, as a checkpoint of its own. They are brought to the
// form that transformers' LlavaForConditionalGeneration and its NeXT sister
// have, and read as such. Source: llava/model of that repository
// (multimodal_encoder, multimodal_projector, llava_arch.py), and transformers'
// convert_llava_weights_to_hf.py and convert_llava_next_weights_to_hf.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/checkpoint/Checkpoint.h"
#include "frontend/families/Llava.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// The tower's own checkpoint
//===----------------------------------------------------------------------===//

/// What published checkpoints name, as far as its folder is not needed: sizes
/// of OpenAI's towers where they differ from the defaults.
static const Json *findPublishedTower(const std::string &name) {
  auto large = [](int64_t side) {
    return Json{{"hidden_size", 1024},       {"image_size", side},
                {"intermediate_size", 4096}, {"num_attention_heads", 16},
                {"num_hidden_layers", 24},   {"patch_size", 14}};
  };
  static const std::pair<std::string, Json> towers[] = {
      {"openai/clip-vit-base-patch16", {{"patch_size", 16}}},
      {"openai/clip-vit-base-patch32", {{"patch_size", 32}}},
      {"openai/clip-vit-large-patch14", large(224)},
      {"openai/clip-vit-large-patch14-336", large(336)}};
  for (const auto &[known, config] : towers)
    if (known == name)
      return &config;
  return nullptr;
}

/// The folder of the tower: the user's; else that of the name, below the
/// checkpoint, beside it or as a path. "": there is none.
static std::string findTower(const std::string &folder, const std::string &name,
                             const ImportOptions &options) {
  if (!options.visionTower.empty())
    return options.visionTower;
  if (name.empty())
    return "";
  const fs::path path = name, last = path.filename();
  for (const fs::path &place :
       {fs::path(folder) / path, fs::path(folder) / last,
        fs::path(folder) / ".." / path, fs::path(folder) / ".." / last, path}) {
    std::error_code ignored;
    if (fs::exists(place / "config.json", ignored))
      return place.lexically_normal().string();
  }
  return "";
}

static std::string nameOfTower(const Json &config) {
  for (const char *key : {"mm_vision_tower", "vision_tower"})
    if (auto found = config.find(key);
        found != config.end() && found->is_string()) {
      // "openai/clip-vit-large-patch14-336/" is the same name.
      std::string name = found->get<std::string>();
      while (name.ends_with('/'))
        name.pop_back();
      return name;
    }
  return "";
}

static std::string noTower(const std::string &name) {
  return "expected a folder with the vision tower \"" + name +
         "\", found none below the checkpoint, beside it or of that path; "
         "fetch it and give it with --vision-tower DIR";
}

namespace {
struct TowerConfig {
  Json values = Json::object(); ///< of the tower alone
  std::string file;             ///< "": config.json of the checkpoint
  std::string path;
  std::string folder; ///< "": there is none
};
} // namespace

/// Reads the tower's config, of a checkpoint with a text tower beside it too.
static bool readTowerFile(const std::string &folder, ConfigLog &log,
                          TowerConfig &tower) {
  tower.folder = folder;
  tower.file = (fs::path(folder) / "config.json").string();
  std::error_code ignored;
  if (!fs::exists(tower.file, ignored)) {
    log.errors.push_back(tower.file +
                         ": no such file; give the folder of the vision tower "
                         "with --vision-tower DIR");
    return false;
  }
  Result<Json> json = readJsonFile(tower.file);
  if (!json || !json->is_object()) {
    log.errors.push_back(json ? tower.file + ": expected an object, found " +
                                    describe(*json)
                              : json.message());
    return false;
  }
  std::string type = json->value("model_type", Json()).is_string()
                         ? (*json)["model_type"].get<std::string>()
                         : "";
  bool isSiglip = type.starts_with("siglip");
  if (json->contains("vision_config") || type == "clip" || type == "siglip") {
    tower.path = "vision_config";
    auto inner = json->find("vision_config");
    tower.values =
        inner != json->end() && inner->is_object() ? *inner : Json::object();
  } else {
    tower.values = std::move(*json);
  }
  if (!tower.values.contains("model_type"))
    tower.values["model_type"] =
        isSiglip ? "siglip_vision_model" : "clip_vision_model";
  return true;
}

static std::optional<Failure> addTower(const std::string &folder,
                                       const ImportOptions &options,
                                       Checkpoint &weights,
                                       std::vector<std::string> &warnings) {
  const std::string prefix = "model.vision_tower.vision_tower.";
  for (const std::string &name : weights.names())
    if (name.starts_with(prefix))
      return std::nullopt;
  const std::string file = (fs::path(folder) / "config.json").string();
  Result<Json> config = readJsonFile(file);
  std::string name =
      config && config->is_object() ? nameOfTower(*config) : std::string();
  std::string tower = findTower(folder, name, options);
  if (tower.empty())
    return Failure{file + ": mm_vision_tower: " + noTower(name)};
  Result<std::unique_ptr<Checkpoint>> own = Checkpoint::open(tower, warnings);
  if (!own)
    return own.takeFailure();
  weights.addAll(std::move(**own), prefix, [](std::string_view tensor) {
    return std::ranges::none_of(
        std::initializer_list<std::string_view>{
            "text_model.", "text_projection", "visual_projection",
            "logit_scale", "logit_bias"},
        [&](std::string_view other) { return tensor.starts_with(other); });
  });
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// The config
//===----------------------------------------------------------------------===//

bool isOriginalLlava(const Json &config) {
  return config.contains("mm_vision_tower") &&
         !config.contains("text_config") && !config.contains("vision_config");
}

std::string findOriginalTower(const CheckpointConfig &config) {
  return isOriginalLlava(config.json)
             ? findTower(config.folder, nameOfTower(config.json),
                         config.options)
             : "";
}

/// Keys of training and of what the prompt's writer does.
static constexpr const char *keysOfTraining[] = {
    "freeze_mm_mlp_adapter", "image_crop_resolution", "image_split_resolution",
    "max_sequence_length", "mm_projector_lr", "mm_tunable_parts",
    "mm_use_im_patch_token", "mm_use_im_start_end", "mm_vision_tower_lr",
    "pretrain_mm_mlp_adapter", "tokenizer_model_max_length",
    "tokenizer_padding_side", "tune_mm_mlp_adapter", "tune_mm_vision_resampler",
    "unfreeze_mm_vision_tower", "use_mm_proj",
    // Of videos.
    "mm_newline_position", "mm_spatial_pool_mode", "mm_spatial_pool_stride"};

static bool isPictureKey(std::string_view key) {
  return key.starts_with("mm_") || key == "image_aspect_ratio" ||
         key == "image_grid_pinpoints" || key == "vision_tower" ||
         std::ranges::find(keysOfTraining, key) != std::end(keysOfTraining);
}

/// Linear layers of the projector that mm_projector_type names.
static int64_t readDepth(ConfigSection &own, bool &isSequence) {
  std::string type = own.string("mm_projector_type", "linear");
  if (type == "linear" || type == "identity")
    return type == "linear";
  std::string_view middle = type;
  if (middle.starts_with("mlp") && middle.ends_with("x_gelu")) {
    middle = middle.substr(3, middle.size() - 9);
    if (!middle.empty() && middle.size() <= 2 &&
        middle.find_first_not_of("0123456789") == middle.npos &&
        std::stoi(std::string(middle)) >= 1) {
      isSequence = true;
      return std::stoi(std::string(middle));
    }
  }
  own.error("mm_projector_type",
            "expected \"linear\", \"identity\" or \"mlpNx_gelu\", found \"" +
                type + "\"; other projectors are not supported");
  return 1;
}

/// Whether pictures are cut into tiles; a padded square is told in `image`.
static bool readAspect(ConfigSection &own, ImageProcessing &image) {
  const Json *given = own.find("image_aspect_ratio");
  std::string merge = own.string("mm_patch_merge_type", "flat");
  std::string aspect = given && given->is_string()  ? given->get<std::string>()
                       : given && !given->is_null() ? describe(*given)
                                                    : "square";
  image.padsToSquare = aspect == "pad";
  if (aspect == "anyres" && merge != "spatial_unpad")
    own.error("mm_patch_merge_type",
              "expected \"spatial_unpad\", as image_aspect_ratio is "
              "\"anyres\", found \"" +
                  merge + "\"; other ways to join tiles are not supported");
  if (aspect != "anyres" && aspect != "pad" && aspect != "square" &&
      !aspect.empty())
    own.error("image_aspect_ratio",
              "expected \"pad\", \"anyres\" or \"square\", found \"" + aspect +
                  "\"; other ways to fit pictures are not supported");
  return aspect == "anyres";
}

/// Pairs, which some files have as Python's text.
static Json readPinpoints(ConfigSection &own) {
  const Json *given = own.find("image_grid_pinpoints");
  if (!given || !given->is_string())
    return given ? *given : Json("nothing");
  std::string text = given->get<std::string>();
  std::ranges::replace(text, '(', '[');
  std::ranges::replace(text, ')', ']');
  Result<Json> pairs = parseJson(text, "image_grid_pinpoints");
  return pairs ? *pairs : *given;
}

/// Pairs of heights and widths; what is wrong with them is told elsewhere.
static std::vector<std::array<int64_t, 2>> pairsOf(const Json &pinpoints) {
  std::vector<std::array<int64_t, 2>> pairs;
  for (const Json &each : pinpoints)
    if (each.is_array() && each.size() == 2 && each[0].is_number_integer() &&
        each[1].is_number_integer())
      pairs.push_back({each[0].get<int64_t>(), each[1].get<int64_t>()});
  return pairs;
}

/// What transformers' class has in the place of the language model's type.
static std::string decoderType(const Json &config, ConfigSection &own) {
  std::string name = config.value("model_type", Json("")).is_string()
                         ? config.value("model_type", "")
                         : "";
  if (auto classes = config.find("architectures");
      classes != config.end() && classes->is_array() && !classes->empty() &&
      (*classes)[0].is_string())
    name = (*classes)[0].get<std::string>();
  for (auto [known, type] :
       {std::pair("LlavaLlamaForCausalLM", "llama"),
        std::pair("LlavaMistralForCausalLM", "mistral"),
        std::pair("LlavaQwenForCausalLM", "qwen2"), std::pair("llava", "llama"),
        std::pair("llava_llama", "llama"),
        std::pair("llava_mistral", "mistral"),
        std::pair("llava_qwen", "qwen2")})
    if (name == known)
      return type;
  own.error("architectures",
            "expected LlavaLlamaForCausalLM, LlavaMistralForCausalLM or "
            "LlavaQwenForCausalLM, found \"" +
                name + "\"; other language models are not supported");
  return "llama";
}

namespace {
/// The keys of the picture side, and what they say.
struct PictureSide {
  TowerConfig tower;
  Json state = -2;
  std::string strategy = "default";
  int64_t depth = 1;
  bool isSequence = false; ///< of numbered layers
  bool cutsTiles = false;
  Json pinpoints;
  ImageProcessing image;
  std::string decoder;
};
} // namespace

static void readSelection(ConfigSection &own, PictureSide &side) {
  if (const Json *layer = own.find("mm_vision_select_layer"))
    side.state = *layer;
  std::string feature = own.string("mm_vision_select_feature", "patch");
  if (feature != "patch" && feature != "cls_patch")
    own.error("mm_vision_select_feature",
              "expected \"patch\" or \"cls_patch\", found \"" + feature +
                  "\"; mend the file");
  side.strategy = feature == "patch" ? "default" : "full";
  // That code takes what is before SigLIP's last block, all of it.
  if (side.tower.values.value("model_type", Json()) == "siglip_vision_model") {
    side.state = -2;
    side.strategy = "full";
  }
}

static void readTowerOf(const CheckpointConfig &config, ConfigSection &own,
                        ConfigLog &log, TowerConfig &tower) {
  const std::string name = nameOfTower(config.json);
  own.ignore("mm_vision_tower");
  own.ignore("vision_tower");
  std::string folder = findTower(config.folder, name, config.options);
  if (!folder.empty()) {
    readTowerFile(folder, log, tower);
    return;
  }
  const Json *published = findPublishedTower(name);
  if (!published)
    return own.error("mm_vision_tower", noTower(name));
  tower.values = *published;
  tower.values["model_type"] = "clip_vision_model";
}

static PictureSide readPictureSide(const CheckpointConfig &config,
                                   const Json &keys, ConfigLog &log) {
  PictureSide side;
  ConfigSection own(keys, config.file, "", log);
  side.decoder = decoderType(config.json, own);
  readTowerOf(config, own, log, side.tower);
  side.depth = readDepth(own, side.isSequence);
  readSelection(own, side);
  side.cutsTiles = readAspect(own, side.image);
  side.pinpoints = readPinpoints(own);
  own.ignore("mm_hidden_size"); // the tower's
  if (std::string type = own.string("mm_resampler_type", "");
      !type.empty() && type != "identity")
    own.error("mm_resampler_type", "expected none, found \"" + type +
                                       "\"; resamplers are not supported");
  for (const char *key : keysOfTraining)
    own.ignore(key);
  own.finish();
  return side;
}

static void noteNames(const PictureSide &side, LlavaNames &names) {
  names.tower = {"model.vision_tower.vision_tower.vision_model.",
                 "model.vision_tower.vision_tower."};
  names.bodies = {"model."};
  names.heads = {"lm_head"};
  names.layers.clear();
  names.projector = {"model.mm_projector"};
  // Behind each layer but the last stands an activation, which has a number
  // too; a single `linear` has none.
  for (int64_t i = 0; i < side.depth; ++i)
    names.layers.push_back(side.isSequence ? "." + std::to_string(2 * i) : "");
}

spec::ModelSpec readOriginalLlava(const CheckpointConfig &config,
                                  ConfigLog &log) {
  Json keys = Json::object(), words = Json::object();
  for (const auto &[key, value] : config.json.items())
    (isPictureKey(key) ? keys : words)[key] = value;
  PictureSide side = readPictureSide(config, keys, log);
  if (!log.errors.empty())
    return {};
  words["model_type"] = side.decoder;
  auto vocabulary = words.find("vocab_size");
  Json whole = {{"model_type", "llava"},
                {"vision_config", side.tower.values},
                {"text_config", words},
                {"vision_feature_layer", side.state},
                {"vision_feature_select_strategy", side.strategy},
                // What stands in its place there, -200, is no token.
                {"image_token_index",
                 vocabulary == words.end() ? Json(32000) : *vocabulary}};
  LlavaVariant variant;
  variant.family = "llava_llama";
  variant.towerFile = side.tower.file;
  variant.towerPath = side.tower.path;
  variant.wordsPath = "";
  variant.projectorLayers = side.depth;
  std::error_code ignored;
  if (fs::exists(fs::path(side.tower.folder) / "preprocessor_config.json",
                 ignored))
    variant.imageFolder = side.tower.folder;
  noteNames(side, variant.names);
  variant.processor.defaults = side.image;
  variant.processor.names = {"CLIPImageProcessor", "LlavaImageProcessor",
                             "LlavaNextImageProcessor"};
  if (side.cutsTiles) {
    variant.processor.cutsTiles = true;
    variant.readRest = readLlavaTiles;
    whole["image_grid_pinpoints"] = side.pinpoints;
    // The processor is the tower's, which knows of no tiles.
    variant.processor.defaults.grid = pairsOf(side.pinpoints);
  }
  spec::ModelSpec model =
      readLlavaModel({config.folder, config.file, whole}, variant, log);
  if (!side.cutsTiles)
    model.add_ignored_tensors("model.image_newline");
  return model;
}

/// Of the tower's keys, those of its own config.json.
static std::string configKey(std::string_view component,
                             std::string_view field) {
  std::string key = llavaConfigKey(component, field);
  if (component == "vision")
    return key + " of the vision tower";
  constexpr std::string_view path = "text_config.";
  return key.starts_with(path) ? key.substr(path.size()) : key;
}

extern const Family familyLlavaLlama;
const Family familyLlavaLlama = {"llava_llama", readOriginalLlava, configKey,
                                 nullptr,       nullptr,           nullptr,
                                 addTower,      findOriginalTower};

} // namespace vlmc
