//===- Clip.cpp - The CLIP family (ViT) -----------------------------------===//
//
// A vision transformer and a text transformer whose projected embeddings are
// compared: `CLIPModel` of transformers, as OpenAI, LAION (OpenCLIP) and others
// publish it. Defaults and their precedence are those of configuration_clip.py,
// the arithmetic is that of modeling_clip.py, transformers 4 and 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"

namespace vlmc {

/// The defaults of CLIPTextConfig.
static const Json &textDefaults() {
  static const Json defaults = {
      {"eos_token_id", 49407},    {"hidden_act", "quick_gelu"},
      {"hidden_size", 512},       {"intermediate_size", 2048},
      {"layer_norm_eps", 1e-5},   {"max_position_embeddings", 77},
      {"num_attention_heads", 8}, {"num_hidden_layers", 12},
      {"pad_token_id", 1},        {"vocab_size", 49408}};
  return defaults;
}

namespace {
/// A sub-config, completed by the defaults of its class.
struct Tower {
  std::string path;
  Json values;
};
} // namespace

static std::string overridden(const Json &ignored, const std::string &path,
                              const Json &counts) {
  return describe(ignored) + " is ignored, " + path + " counts (" +
         describe(counts) + ")";
}

/// The sub-config that counts: `NAME_dict` of old files wins over `NAME` as a
/// whole, so that keys which it lacks have their defaults.
static Tower findTower(ConfigSection &top, const std::string &name,
                       const Json &defaults) {
  const Json *plain = top.object(name);
  const Json *dict = top.object(name + "_dict");
  Tower tower{dict ? name + "_dict" : name, defaults};
  if (const Json *section = dict ? dict : plain)
    tower.values.update(*section);
  if (!dict || !plain)
    return tower;
  for (const auto &[key, value] : defaults.items())
    if (plain->contains(key) && (*plain)[key] != tower.values[key])
      top.warn(std::string(name).append(".").append(key),
               overridden((*plain)[key], tower.path, tower.values[key]));
  return tower;
}

static void readVision(ConfigSection section, int64_t projection,
                       spec::VisionTransformer &vision) {
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  vision.set_class_token(true);
  vision.set_pre_norm(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::CLASS_TOKEN);
  vision.set_projection_size(projection);
  // That of the top level counts.
  section.ignore("projection_dim");
  vision.set_normalize(true);
  section.finish();
}

static void readText(ConfigSection section, int64_t projection,
                     spec::TextTransformer &text, spec::TextProcessing &words) {
  readBlocks(section, *text.mutable_blocks());
  readWords(section, text, words);
  text.set_causal(true);
  // Configs from before transformers 4.31 say 2, whatever the tokenizer's end
  // token is: its id is the largest then.
  int64_t end = section.integer("eos_token_id", 0, -maxId, maxId);
  text.set_pool(end == 2 ? spec::TextTransformer::LARGEST_ID
                         : spec::TextTransformer::FIRST_END_TOKEN);
  if (end != 2)
    text.set_end_token_id(end);
  text.set_projection_size(projection);
  section.ignore("projection_dim");
  text.set_normalize(true);
  section.finish();
}

/// Canonical names, and those of transformers 4 and 5, which are the same.
static void addWeightRules(spec::ModelSpec &model) {
  addRule(model, "vision.class_token",
          "vision_model.embeddings.class_embedding");
  addRule(model, "vision.patch_embed",
          "vision_model.embeddings.patch_embedding");
  addRule(model, "vision.positions",
          "vision_model.embeddings.position_embedding");
  addRule(model, "vision.pre_norm", "vision_model.pre_layrnorm");
  addRule(model, "vision.post_norm", "vision_model.post_layernorm");
  addRule(model, "vision.projection", "visual_projection");
  addRule(model, "text.tokens", "text_model.embeddings.token_embedding");
  addRule(model, "text.positions", "text_model.embeddings.position_embedding");
  addRule(model, "text.final_norm", "text_model.final_layer_norm");
  addRule(model, "text.projection", "text_projection");
  addRule(model, "similarity.log_scale", "logit_scale");
  addTowerRules(model, "vision");
  addTowerRules(model, "text");
}

extern const Family familyClip;

static spec::ModelSpec readClip(const CheckpointConfig &config,
                                ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  checkArchitecture(top, "CLIPModel");
  int64_t projection = top.integer("projection_dim", 512, 1, maxFeatures);
  // The learned value is in the weights.
  top.ignore("logit_scale_init_value");
  Tower visionTower = findTower(top, "vision_config", clipVisionDefaults());
  Tower textTower = findTower(top, "text_config", textDefaults());
  top.finish();

  spec::ModelSpec model;
  model.set_family(std::string(familyClip.name));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  readVision({visionTower.values, config.file, visionTower.path, log},
             projection, *vision->mutable_vision_transformer());
  spec::Component *text = model.add_components();
  text->set_name("text");
  readText({textTower.values, config.file, textTower.path, log}, projection,
           *text->mutable_text_transformer(), *model.mutable_text());
  addSimilarity(model, spec::ContrastiveHead::SOFTMAX);
  addWeightRules(model);
  if (!log.errors.empty())
    return model;
  int64_t side = vision->vision_transformer().image_size();
  ImageProcessorClass known{{"CLIPImageProcessor"}, ImageProcessing()};
  known.defaults.shortestEdge = side;
  known.defaults.cropHeight = known.defaults.cropWidth = side;
  readTowerImage(config.folder, known, side, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (field == "projection_size")
    return "projection_dim";
  return towerKey(component, field);
}

const Family familyClip = {"clip", readClip, configKey};

} // namespace vlmc
