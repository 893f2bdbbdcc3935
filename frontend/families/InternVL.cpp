//===- InternVL.cpp - The InternVL family, in Hugging Face form -----------===//
//
// An InternViT with layer scale, whose tokens are joined in squares, a
// LayerNorm and two linear layers, and a Qwen2 or Llama; pictures are tiles of
// one size: InternVL 1.5 to 3 (arXiv:2404.16821, arXiv:2504.10479),
// `InternVLForConditionalGeneration` of transformers. Defaults are those of
// configuration_internvl.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/InternVL.h"

#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"

#include "frontend/families/Activations.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

static const Json &towerDefaults() {
  static const Json defaults = {
      {"hidden_size", 1024},       {"num_hidden_layers", 24},
      {"num_attention_heads", 16}, {"attention_bias", false},
      {"use_qk_norm", false},      {"intermediate_size", 4096},
      {"hidden_act", "gelu"},      {"norm_type", "layer_norm"},
      {"layer_norm_eps", 1e-6},    {"image_size", 448},
      {"patch_size", 14},          {"num_channels", 3},
      {"use_mask_token", false},   {"use_absolute_position_embeddings", true},
      {"use_mean_pooling", true}};
  return defaults;
}

/// A pair of equal numbers stands for the number.
static void takeSquares(Json &values) {
  for (const char *key : {"image_size", "patch_size"})
    if (Json &value = values[key];
        value.is_array() && value.size() == 2 && value[0] == value[1])
      value = Json(value[0]);
}

static void readTower(const Json *given, const CheckpointConfig &config,
                      ConfigLog &log, spec::VisionTransformer &vision) {
  Json values = towerDefaults();
  if (given)
    values.update(*given);
  takeSquares(values);
  ConfigSection section(values, config.file, "vision_config", log);
  if (std::string type = section.string("model_type", "internvl_vision");
      type != "internvl_vision")
    section.error("model_type", "expected \"internvl_vision\", found \"" +
                                    type +
                                    "\"; other towers are not supported");
  spec::TransformerBlocks &blocks = *vision.mutable_blocks();
  readBlocks(section, blocks);
  readPatches(section, vision);
  blocks.set_unbiased_attention(!section.flag("attention_bias", false));
  blocks.set_query_norm(section.flag("use_qk_norm", false));
  blocks.set_layer_scale(true);
  std::string norm = section.string("norm_type", "layer_norm");
  if (norm != "layer_norm" && norm != "rms_norm")
    section.error("norm_type", "expected \"layer_norm\" or \"rms_norm\", "
                               "found \"" +
                                   norm + "\"; mend the file");
  blocks.set_rms_norm(norm == "rms_norm");
  vision.set_post_norm(!section.flag("use_mean_pooling", false));
  vision.set_no_positions(
      !section.flag("use_absolute_position_embeddings", false));
  // Of training.
  for (const char *key : {"hidden_dropout_prob", "projection_dropout",
                          "use_mask_token", "layer_scale_init_value"})
    section.ignore(key);
  section.finish();
  vision.set_class_token(true);
  vision.set_patch_bias(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
}

/// Number -1 is behind the last block and the norm; another state is without.
static void readLayer(ConfigSection &top, const Json &config,
                      spec::VisionTransformer &vision) {
  top.ignore("vision_feature_layer");
  auto found = config.find("vision_feature_layer");
  const int64_t layers = vision.blocks().layers();
  if (found == config.end() || *found == -1)
    return;
  int64_t state = found->is_number_integer() ? found->get<int64_t>() : 0;
  state = state < 0 ? layers + 1 + state : state;
  if (state < 1 || state > layers)
    return top.error("vision_feature_layer",
                     "expected one layer from " + std::to_string(-layers) +
                         " to " + std::to_string(layers) +
                         " other than 0, found " + describe(*found) +
                         "; mend the file");
  vision.mutable_blocks()->set_layers(state);
  vision.set_post_norm(false);
}

static void readProjector(ConfigSection &top, const spec::ModelSpec &model,
                          spec::Projector &projector) {
  double ratio = top.number("downsample_ratio", 0.5, 1.0 / 64, 1);
  auto square = std::llround(1 / ratio);
  if (std::abs(ratio * static_cast<double>(square) - 1) > 1e-9)
    top.error("downsample_ratio", "expected one over an integer, found " +
                                      std::to_string(ratio) +
                                      "; mend the file");
  const int64_t width = model.components(1).decoder().hidden_size();
  projector.set_tower("vision");
  projector.set_layers(2);
  projector.set_unshuffle(square > 1 ? square : 0);
  projector.set_input_size(
      model.components(0).vision_transformer().blocks().hidden_size() * square *
      square);
  projector.set_hidden_size(width);
  projector.set_output_size(width);
  projector.set_activation(readActivation(top, "projector_hidden_act", "gelu"));
  projector.set_bias(true);
  projector.set_norm_epsilon(1e-5);
}

static void addNames(spec::ModelSpec &model, int64_t allLayers) {
  const std::vector<std::string> prefixes = {"vision_tower.",
                                             "model.vision_tower."};
  const char *parts[][2] = {
      {"class_token", "embeddings.cls_token"},
      {"positions.weight", "embeddings.position_embeddings"},
      {"patch_embed", "embeddings.patch_embeddings.projection"},
      {"post_norm", "layernorm"},
      {"layers.{}.norm1", "encoder.layer.{}.layernorm_before"},
      {"layers.{}.norm2", "encoder.layer.{}.layernorm_after"},
      {"layers.{}.attention.scale", "encoder.layer.{}.lambda_1"},
      {"layers.{}.mlp.scale", "encoder.layer.{}.lambda_2"},
      {"layers.{}.attention.query", "encoder.layer.{}.attention.q_proj"},
      {"layers.{}.attention.key", "encoder.layer.{}.attention.k_proj"},
      {"layers.{}.attention.value", "encoder.layer.{}.attention.v_proj"},
      {"layers.{}.attention.query_norm", "encoder.layer.{}.attention.q_norm"},
      {"layers.{}.attention.key_norm", "encoder.layer.{}.attention.k_norm"},
      {"layers.{}.attention.output",
       "encoder.layer.{}.attention.projection_layer"},
      {"layers.{}.mlp", "encoder.layer.{}.mlp"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("vision.") + ours, prefixes, theirs);
  const spec::VisionTransformer &vision =
      model.components(0).vision_transformer();
  for (const std::string &prefix : prefixes) {
    model.add_ignored_tensors(prefix + "embeddings.mask_token");
    if (!vision.post_norm())
      model.add_ignored_tensors(prefix + "layernorm");
    for (int64_t i = vision.blocks().layers(); i < allLayers; ++i)
      model.add_ignored_tensors(prefix + "encoder.layer." + std::to_string(i));
  }
  const std::vector<std::string> projector = {"multi_modal_projector.",
                                              "model.multi_modal_projector."};
  addRule(model, "projector.norm", projector, "layer_norm");
  addRule(model, "projector.layers.0", projector, "linear_1");
  addRule(model, "projector.layers.1", projector, "linear_2");
  addLanguageModelRules(model);
}

/// Pictures are always cut; the model takes any number of tiles.
static void readImage(const CheckpointConfig &config, ConfigLog &log,
                      spec::ModelSpec &model) {
  const int64_t side = model.components(0).vision_transformer().image_size();
  ImageProcessorClass known;
  known.names = {"GotOcr2ImageProcessor"};
  known.defaultToSquare = true;
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = 384;
  known.defaults.doCenterCrop = false;
  known.defaults.stretchesTiles = true;
  readTowerImage(config.folder, known, side, log, model);
}

spec::ModelSpec readInternVLModel(const CheckpointConfig &config,
                                  const InternVLLayout &layout,
                                  ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(layout.family));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  spec::VisionTransformer &tower = *vision->mutable_vision_transformer();
  readTower(top.object("vision_config"), config, log, tower);
  const int64_t allLayers = tower.blocks().layers();
  if (log.errors.empty())
    readLayer(top, config.json, tower);
  std::string strategy =
      top.string("vision_feature_select_strategy", "default");
  if (strategy != "default")
    top.error("vision_feature_select_strategy",
              "expected \"default\", found \"" + strategy +
                  "\"; the class token has no place in the squares");
  tower.set_drop_class_token(true);

  spec::Component *text = model.add_components();
  text->set_name("text");
  const Json *given = top.object("text_config");
  Json words = given ? *given : Json::object();
  if (!words.contains("model_type"))
    words["model_type"] = "qwen2";
  DecoderFacts facts =
      readDecoder(words, config.file, layout.wordsPath, /*tied=*/false, log,
                  *text->mutable_decoder());
  text->mutable_decoder()->set_tied_head(readModelTie(top, config.json));
  text->mutable_decoder()->set_features("projector");

  spec::Component *projector = model.add_components();
  projector->set_name("projector");
  readProjector(top, model, *projector->mutable_projector());
  projector->mutable_projector()->set_transposed_unshuffle(
      layout.isTransposed && projector->projector().unshuffle() > 1);
  model.mutable_generation()->set_image_token_id(
      top.optionalInteger("image_token_id", 0, maxId)
          .value_or(top.integer("image_token_index", 151667, 0, maxId)));
  readGenerationConfig(facts, config.folder, log, *model.mutable_generation());
  for (const char *key :
       {"vision_feature_layer", "image_seq_length", "vocab_size"})
    top.ignore(key);
  top.finish();
  (layout.addNames ? layout.addNames : addNames)(model, allLayers);
  model.mutable_text()->set_max_tokens(text->decoder().max_tokens());
  if (log.errors.empty() && layout.image)
    *model.mutable_image() = toSpec(*layout.image);
  else if (log.errors.empty())
    readImage(config, log, model);
  // The frames of a video are pictures of one tile.
  if (log.errors.empty() && !layout.image) {
    model.mutable_generation()->set_names_frames(true);
    readTowerVideo(config.folder, tower.image_size(), log, model);
  }
  *model.mutable_generation()->mutable_grid() = model.image().grid();
  model.mutable_generation()->set_tile_size(tower.image_size());
  return model;
}

static spec::ModelSpec readInternVL(const CheckpointConfig &config,
                                    ConfigLog &log) {
  return readInternVLModel(config, {}, log);
}

std::string internVLConfigKey(std::string_view component,
                              std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component == "projector")
    return field == "unshuffle" ? "downsample_ratio"
                                : "text_config.hidden_size";
  return towerKey(component, field);
}

extern const Family familyInternVL;
const Family familyInternVL = {"internvl", readInternVL, internVLConfigKey};

} // namespace vlmc
