//===- Clip.cpp - The CLIP family (ViT) -----------------------------------===//
//
// A vision transformer and a text transformer whose projected embeddings are
// compared: `CLIPModel` of transformers, as OpenAI, LAION (OpenCLIP) and others
// publish it. Defaults and their precedence are those of configuration_clip.py,
// the arithmetic is that of modeling_clip.py, transformers 4 and 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Activations.h"
#include "frontend/families/Family.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>

namespace vlmc {

static constexpr int64_t maxFeatures = 1 << 20;
static constexpr int64_t maxLayers = 4096;
static constexpr int64_t maxId = INT32_MAX;

/// The defaults of CLIPVisionConfig and CLIPTextConfig.
static const Json &visionDefaults() {
  static const Json defaults = {{"hidden_act", "quick_gelu"},
                                {"hidden_size", 768},
                                {"image_size", 224},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-5},
                                {"num_attention_heads", 12},
                                {"num_channels", 3},
                                {"num_hidden_layers", 12},
                                {"patch_size", 32}};
  return defaults;
}

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

static void readBlocks(ConfigSection &section,
                       spec::TransformerBlocks &blocks) {
  blocks.set_hidden_size(section.integer("hidden_size", 1, 1, maxFeatures));
  blocks.set_intermediate_size(
      section.integer("intermediate_size", 1, 1, maxFeatures));
  blocks.set_layers(section.integer("num_hidden_layers", 1, 1, maxLayers));
  blocks.set_heads(section.integer("num_attention_heads", 1, 1, maxFeatures));
  blocks.set_activation(readActivation(section, "hidden_act", ""));
  blocks.set_norm_epsilon(section.number("layer_norm_eps", 1e-5, 0, 1));
  if (blocks.hidden_size() % blocks.heads() != 0)
    section.error("num_attention_heads",
                  "expected a divisor of hidden_size " +
                      std::to_string(blocks.hidden_size()) + ", found " +
                      std::to_string(blocks.heads()) + "; mend the file");
  // The projection's size is that of the top level.
  section.ignore("projection_dim");
}

static void readVision(ConfigSection section, int64_t projection,
                       spec::VisionTransformer &vision) {
  readBlocks(section, *vision.mutable_blocks());
  vision.set_image_size(section.integer("image_size", 1, 1, 65536));
  vision.set_patch_size(section.integer("patch_size", 1, 1, 65536));
  // Pictures are decoded to red, green and blue.
  vision.set_channels(section.integer("num_channels", 3, 3, 3));
  if (vision.patch_size() > vision.image_size())
    section.error("patch_size",
                  "expected at most image_size " +
                      std::to_string(vision.image_size()) + ", found " +
                      std::to_string(vision.patch_size()) + "; mend the file");
  vision.set_class_token(true);
  vision.set_pre_norm(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::CLASS_TOKEN);
  vision.set_projection_size(projection);
  vision.set_normalize(true);
  section.finish();
}

static void readText(ConfigSection section, int64_t projection,
                     spec::TextTransformer &text, spec::TextProcessing &words) {
  readBlocks(section, *text.mutable_blocks());
  text.set_vocabulary_size(section.integer("vocab_size", 1, 1, maxId));
  text.set_max_tokens(
      section.integer("max_position_embeddings", 1, 1, maxFeatures));
  text.set_causal(true);
  // Configs from before transformers 4.31 say 2, whatever the tokenizer's end
  // token is: its id is the largest then.
  int64_t end = section.integer("eos_token_id", 0, -maxId, maxId);
  text.set_pool(end == 2 ? spec::TextTransformer::LARGEST_ID
                         : spec::TextTransformer::FIRST_END_TOKEN);
  if (end != 2)
    text.set_end_token_id(end);
  text.set_projection_size(projection);
  text.set_normalize(true);
  words.set_max_tokens(text.max_tokens());
  if (auto pad = section.optionalInteger("pad_token_id", -1, maxId); pad >= 0)
    words.set_pad_token_id(*pad);
  section.finish();
}

/// Canonical names, and those of transformers 4 and 5, which are the same.
static void addWeightRules(spec::ModelSpec &model) {
  auto add = [&](const std::string &canonical, const std::string &name) {
    spec::WeightRule *rule = model.add_weights();
    rule->set_canonical(canonical);
    rule->add_names(name);
  };
  add("vision.class_token", "vision_model.embeddings.class_embedding");
  add("vision.patch_embed", "vision_model.embeddings.patch_embedding");
  add("vision.positions", "vision_model.embeddings.position_embedding");
  add("vision.pre_norm", "vision_model.pre_layrnorm");
  add("vision.post_norm", "vision_model.post_layernorm");
  add("vision.projection", "visual_projection");
  add("text.tokens", "text_model.embeddings.token_embedding");
  add("text.positions", "text_model.embeddings.position_embedding");
  add("text.final_norm", "text_model.final_layer_norm");
  add("text.projection", "text_projection");
  add("similarity.log_scale", "logit_scale");
  for (const std::string tower : {"vision", "text"}) {
    const std::string canonical = tower + ".layers.{}.";
    const std::string name = tower + "_model.encoder.layers.{}.";
    add(canonical + "norm1", name + "layer_norm1");
    add(canonical + "attention.query", name + "self_attn.q_proj");
    add(canonical + "attention.key", name + "self_attn.k_proj");
    add(canonical + "attention.value", name + "self_attn.v_proj");
    add(canonical + "attention.output", name + "self_attn.out_proj");
    add(canonical + "norm2", name + "layer_norm2");
    add(canonical + "mlp", name + "mlp");
    model.add_ignored_tensors(tower + "_model.embeddings.position_ids");
  }
}

static void readImage(const std::string &folder, int64_t side, ConfigLog &log,
                      spec::ModelSpec &model) {
  ImageProcessorClass known{{"CLIPImageProcessor"}, ImageProcessing()};
  known.defaults.shortestEdge = side;
  known.defaults.cropHeight = known.defaults.cropWidth = side;
  Result<ImageProcessing> image =
      readImageProcessing(folder, known, log.warnings);
  if (!image) {
    log.errors.push_back(image.message());
    return;
  }
  // What comes out must be what the tower takes; without a crop, only resizing
  // to both sides settles it.
  int64_t height =
      image->doCenterCrop ? image->cropHeight : image->height.value_or(0);
  int64_t width =
      image->doCenterCrop ? image->cropWidth : image->width.value_or(0);
  if (height != side || width != side)
    log.errors.push_back(
        folder + ": image processing: expected pictures of " +
        std::to_string(side) + "x" + std::to_string(side) +
        " (vision_config.image_size), found " +
        (height && width
             ? std::to_string(height) + "x" + std::to_string(width)
             : "sizes that follow the picture's aspect (do_center_crop is "
               "false)") +
        "; mend crop_size in preprocessor_config.json");
  *model.mutable_image() = toSpec(*image);
}

static void checkArchitecture(ConfigSection &top) {
  std::vector<std::string> names = top.strings("architectures");
  if (names.empty() || std::ranges::find(names, "CLIPModel") != names.end())
    return;
  top.error("architectures", "expected [\"CLIPModel\"], found " +
                                 describe(Json(names)) +
                                 "; vlmc takes the pair of towers, not one "
                                 "alone or with another head");
}

extern const Family familyClip;

static spec::ModelSpec readClip(const CheckpointConfig &config,
                                ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  checkArchitecture(top);
  int64_t projection = top.integer("projection_dim", 512, 1, maxFeatures);
  // The learned value is in the weights.
  top.ignore("logit_scale_init_value");
  Tower visionTower = findTower(top, "vision_config", visionDefaults());
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
  spec::Component *head = model.add_components();
  head->set_name("similarity");
  head->mutable_contrastive_head()->set_image("vision");
  head->mutable_contrastive_head()->set_text("text");
  head->mutable_contrastive_head()->set_probability(
      spec::ContrastiveHead::SOFTMAX);
  addWeightRules(model);
  if (log.errors.empty())
    readImage(config.folder, vision->vision_transformer().image_size(), log,
              model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (field == "projection_size")
    return "projection_dim";
  std::string_view key = field;
  for (auto [ours, theirs] :
       {std::pair("channels", "num_channels"),
        std::pair("heads", "num_attention_heads"),
        std::pair("layers", "num_hidden_layers"),
        std::pair("max_tokens", "max_position_embeddings"),
        std::pair("vocabulary_size", "vocab_size")})
    if (field == ours)
      key = theirs;
  return std::string(component) + "_config." + std::string(key);
}

const Family familyClip = {"clip", readClip, configKey};

} // namespace vlmc
