//===- Siglip.cpp - The SigLIP family (fixed resolution) ------------------===//
//
// A vision transformer that is pooled by attention and a text transformer that
// reads its padding, trained with a sigmoid: `SiglipModel` of transformers, as
// Google publishes SigLIP (arXiv:2303.15343) and the SigLIP 2 models of fixed
// resolution (arXiv:2502.14786). Defaults are those of
// configuration_siglip.py, the arithmetic is that of modeling_siglip.py,
// transformers 4 and 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Siglip.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

const Json &siglipVisionDefaults() {
  static const Json defaults = {{"hidden_act", "gelu_pytorch_tanh"},
                                {"hidden_size", 768},
                                {"image_size", 224},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-6},
                                {"num_attention_heads", 12},
                                {"num_channels", 3},
                                {"num_hidden_layers", 12},
                                {"patch_size", 16},
                                {"vision_use_head", true}};
  return defaults;
}

const Json &siglipTextDefaults() {
  static const Json defaults = {{"hidden_act", "gelu_pytorch_tanh"},
                                {"hidden_size", 768},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-6},
                                {"max_position_embeddings", 64},
                                {"num_attention_heads", 12},
                                {"num_hidden_layers", 12},
                                {"pad_token_id", 1},
                                {"vocab_size", 32000}};
  return defaults;
}

Json completeSection(ConfigSection &top, const std::string &name,
                     const Json &defaults) {
  Json values = defaults;
  if (const Json *section = top.object(name))
    values.update(*section);
  return values;
}

void readSiglipHead(ConfigSection &section, const Json &values) {
  section.ignore("vision_use_head");
  if (values["vision_use_head"] != true)
    section.error("vision_use_head",
                  "expected true, found " +
                      describe(values["vision_use_head"]) +
                      "; without the pooling head there is no image embedding "
                      "to compare with texts");
}

static void readVision(ConfigSection section, const Json &values,
                       spec::VisionTransformer &vision) {
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  readSiglipHead(section, values);
  vision.set_patch_bias(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::ATTENTION);
  vision.set_normalize(true);
  section.finish();
}

void readSiglipText(ConfigSection section, spec::TextTransformer &text,
                    spec::TextProcessing &words) {
  readBlocks(section, *text.mutable_blocks());
  readWords(section, text, words);
  text.set_pool(spec::TextTransformer::LAST_TOKEN);
  text.set_projection_size(
      section.optionalInteger("projection_size", 1, maxFeatures)
          .value_or(text.blocks().hidden_size()));
  text.set_projection_bias(true);
  text.set_normalize(true);
  section.finish();
}

/// tokenizer_config.json, or an empty object.
static Json readTokenizerConfig(const std::string &folder) {
  auto path = std::filesystem::path(folder) / "tokenizer_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return Json::object();
  Result<Json> config = readJsonFile(path.string());
  return config && config->is_object() ? *config : Json::object();
}

void readSiglipMask(const std::string &folder, spec::TextProcessing &words) {
  const Json config = readTokenizerConfig(folder);
  auto inputs = config.find("model_input_names");
  if (inputs != config.end() && inputs->is_array())
    words.set_unmasked_padding(
        std::ranges::find(*inputs, Json("attention_mask")) == inputs->end());
}

/// How texts are padded: to the tokenizer's limit, and with a mask only where
/// the tokenizer gives one.
static void readPadding(const std::string &folder,
                        spec::TextProcessing &words) {
  words.set_pad_to_max_tokens(true);
  readSiglipMask(folder, words);
  const Json config = readTokenizerConfig(folder);
  auto limit = config.find("model_max_length");
  if (limit != config.end() && limit->is_number() &&
      limit->get<double>() >= 1 &&
      limit->get<double>() < static_cast<double>(words.max_tokens()))
    words.set_max_tokens(static_cast<int64_t>(limit->get<double>()));
}

void readSiglipTokens(const Json &values,
                      std::initializer_list<const char *> unread,
                      const std::string &file, ConfigLog &log,
                      spec::VisionTransformer &vision) {
  Json complete = siglipVisionDefaults();
  complete.update(values);
  ConfigSection section(complete, file, "vision_config", log);
  if (std::string type = section.string("model_type", "siglip_vision_model");
      type != "siglip_vision_model")
    section.error("model_type", "expected \"siglip_vision_model\", found \"" +
                                    type +
                                    "\"; other towers are not supported");
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  for (const char *key : unread)
    section.ignore(key);
  section.finish();
  vision.set_patch_bias(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
}

void addSiglipTokensRules(spec::ModelSpec &model) {
  const std::vector<std::string> prefixes = {
      "vision_tower.vision_model.", "model.vision_tower.vision_model.",
      "vision_tower.", "model.vision_tower."};
  const char *parts[][2] = {{"patch_embed", "embeddings.patch_embedding"},
                            {"positions", "embeddings.position_embedding"},
                            {"post_norm", "post_layernorm"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("vision.") + ours, prefixes, theirs);
  addEncoderRules(model, "vision", prefixes);
  for (const std::string &prefix : prefixes)
    model.add_ignored_tensors(prefix + "head"); // its pooling
}

void addSiglipRules(spec::ModelSpec &model) {
  addRule(model, "vision.patch_embed",
          "vision_model.embeddings.patch_embedding");
  addRule(model, "vision.positions",
          "vision_model.embeddings.position_embedding");
  addRule(model, "vision.post_norm", "vision_model.post_layernorm");
  const std::string head = "vision_model.head.";
  addRule(model, "vision.pool.query_token", head + "probe");
  // torch.nn.MultiheadAttention holds the three projections as one.
  for (const std::string kind : {"weight", "bias"})
    for (int64_t part = 0; part < 3; ++part) {
      const char *names[] = {"query.", "key.", "value."};
      addRule(model, "vision.pool.attention." + (names[part] + kind),
              head + "attention.in_proj_" + kind);
      spec::WeightRule &rule = *model.mutable_weights()->rbegin();
      rule.set_part(part);
      rule.set_parts(3);
    }
  addRule(model, "vision.pool.attention.output", head + "attention.out_proj");
  addRule(model, "vision.pool.norm", head + "layernorm");
  addRule(model, "vision.pool.mlp", head + "mlp");
  addRule(model, "text.tokens", "text_model.embeddings.token_embedding");
  addRule(model, "text.positions", "text_model.embeddings.position_embedding");
  addRule(model, "text.final_norm", "text_model.final_layer_norm");
  addRule(model, "text.projection", "text_model.head");
  addRule(model, "similarity.log_scale", "logit_scale");
  addRule(model, "similarity.bias", "logit_bias");
  addTowerRules(model, "vision");
  addTowerRules(model, "text");
}

ImageProcessorClass siglipProcessor(int64_t side) {
  ImageProcessorClass known{{"SiglipImageProcessor"}, ImageProcessing()};
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = side;
  known.defaults.doCenterCrop = false;
  known.defaults.cropHeight = known.defaults.cropWidth = side;
  known.defaults.mean = known.defaults.std = {0.5, 0.5, 0.5};
  return known;
}

extern const Family familySiglip;

static spec::ModelSpec readSiglip(const CheckpointConfig &config,
                                  ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  checkArchitecture(top, "SiglipModel");
  Json vision = completeSection(top, "vision_config", siglipVisionDefaults());
  Json text = completeSection(top, "text_config", siglipTextDefaults());
  top.finish();

  spec::ModelSpec model;
  model.set_family(std::string(familySiglip.name));
  spec::Component *component = model.add_components();
  component->set_name("vision");
  spec::VisionTransformer &tower = *component->mutable_vision_transformer();
  readVision({vision, config.file, "vision_config", log}, vision, tower);
  component = model.add_components();
  component->set_name("text");
  readSiglipText({text, config.file, "text_config", log},
                 *component->mutable_text_transformer(), *model.mutable_text());
  addSimilarity(model, spec::ContrastiveHead::SIGMOID).set_bias(true);
  addSiglipRules(model);
  readPadding(config.folder, *model.mutable_text());
  if (log.errors.empty())
    readTowerImage(config.folder, siglipProcessor(tower.image_size()),
                   tower.image_size(), log, model);
  return model;
}

const Family familySiglip = {"siglip", readSiglip, towerKey};

} // namespace vlmc
