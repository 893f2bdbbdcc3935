//===- LlavaOnevision.cpp - The LLaVA-OneVision family --------------------===//
//
// LLaVA-NeXT over SigLIP and Qwen2 whose map of many tiles is resampled to a
// limit, which shows several pictures of a prompt in one tile each, and videos
// in pooled frames: LLaVA-OneVision (arXiv:2408.03326),
// `LlavaOnevisionForConditionalGeneration` of transformers. Defaults are those
// of configuration_llava_onevision.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Llava.h"

namespace vlmc {

/// The tower where there is no vision_config at all.
static const Json &absentTower() {
  static const Json tower = {
      {"hidden_size", 1152},       {"image_size", 384},
      {"intermediate_size", 4304}, {"num_attention_heads", 16},
      {"num_hidden_layers", 26},   {"patch_size", 14},
      {"vision_use_head", false}};
  return tower;
}

static const std::vector<std::array<int64_t, 2>> &defaultGrid() {
  static const std::vector<std::array<int64_t, 2>> grid = [] {
    std::vector<std::array<int64_t, 2>> all;
    for (int64_t down = 1; down <= 6; ++down)
      for (int64_t across = 1; across <= 6; ++across)
        all.push_back({384 * down, 384 * across});
    return all;
  }();
  return grid;
}

/// The config with what the class puts where it says nothing, as far as that
/// differs from LLaVA.
static Json withDefaults(Json config) {
  auto isAbsent = [&](const char *key) {
    return !config.contains(key) || config[key].is_null();
  };
  if (isAbsent("vision_config"))
    config["vision_config"] = absentTower();
  if (isAbsent("text_config"))
    config["text_config"] = Json::object();
  for (auto [part, type] : {std::pair("vision_config", "siglip_vision_model"),
                            std::pair("text_config", "qwen2")})
    if (config[part].is_object() && !config[part].contains("model_type"))
      config[part]["model_type"] = type;
  if (isAbsent("image_token_index") && isAbsent("image_token_id"))
    config["image_token_index"] = 151646;
  if (isAbsent("vision_feature_select_strategy"))
    config["vision_feature_select_strategy"] = "full";
  if (isAbsent("image_grid_pinpoints")) {
    Json &grid = config["image_grid_pinpoints"] = Json::array();
    for (auto [height, width] : defaultGrid())
      grid.push_back({height, width});
  }
  return config;
}

/// The number of tiles in "anyres_max_9".
static int64_t readLimit(ConfigSection &top) {
  const std::string key = "vision_aspect_ratio", start = "anyres_max_";
  std::string given = top.string(key, start + "9");
  std::string digits =
      given.starts_with(start) ? given.substr(start.size()) : "";
  const bool isNumber = !digits.empty() && digits.size() <= 6 &&
                        digits.find_first_not_of("0123456789") == digits.npos;
  const int64_t limit = isNumber ? std::stoll(digits) : 0;
  if (limit < 1)
    top.error(key, "expected \"anyres_max_\" and a number of tiles, found \"" +
                       given + "\"; mend the file");
  return limit;
}

static void readRest(ConfigSection &top, spec::ModelSpec &model) {
  readLlavaTiles(top, model);
  spec::Generation &generation = *model.mutable_generation();
  generation.set_most_tiles(readLimit(top));
  generation.set_groups_whole(true);
  generation.set_reads_videos(true);
  generation.set_pools_frames(true);
  auto index = top.optionalInteger("video_token_index", 0, maxId);
  auto id = top.optionalInteger("video_token_id", 0, maxId);
  generation.set_video_token_id(id ? *id : index.value_or(151647));
}

static spec::ModelSpec readLlavaOnevision(const CheckpointConfig &given,
                                          ConfigLog &log) {
  const Json json = withDefaults(given.json);
  const CheckpointConfig config{given.folder, given.file, json, given.options};
  LlavaVariant variant;
  variant.family = "llava_onevision";
  variant.featureLayers = -1;
  variant.processor.names = {"LlavaOnevisionImageProcessor"};
  variant.processor.cutsTiles = true;
  ImageProcessing &image = variant.processor.defaults;
  image.doCenterCrop = false;
  image.shortestEdge.reset();
  image.height = image.width = 384;
  image.grid = defaultGrid();
  image.padsGroups = true;
  variant.readRest = readRest;
  spec::ModelSpec model = readLlavaModel(config, variant, log);
  if (log.errors.empty())
    readTowerVideo(config.folder,
                   model.components(0).vision_transformer().image_size(), log,
                   model);
  return model;
}

extern const Family familyLlavaOnevision;
const Family familyLlavaOnevision = {"llava_onevision", readLlavaOnevision,
                                     llavaConfigKey};

} // namespace vlmc
