//===- Llava.cpp - The LLaVA family ---------------------------------------===//
//
// A CLIP tower, an MLP of two layers and a language model: LLaVA-1.5
// (arXiv:2310.03744), `LlavaForConditionalGeneration` of transformers. Defaults
// are those of configuration_llava.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Llava.h"
#include "frontend/checkpoint/Checkpoint.h"
#include "frontend/families/Activations.h"
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"
#include "frontend/families/Siglip.h"

#include <algorithm>

namespace vlmc {

/// The tower where there is no vision_config at all.
static const Json &absentTower() {
  static const Json tower = {
      {"hidden_size", 1024},       {"image_size", 336},
      {"intermediate_size", 4096}, {"num_attention_heads", 16},
      {"num_hidden_layers", 24},   {"patch_size", 14}};
  return tower;
}

//===----------------------------------------------------------------------===//
// The tower
//===----------------------------------------------------------------------===//

/// Reads the hidden states that the features are: number 0 is before the first
/// block, -1 behind the last one. Tells the tower which blocks run.
static void readFeatureLayers(ConfigSection &top, const LlavaVariant &variant,
                              spec::VisionTransformer &vision) {
  const int64_t layers = vision.blocks().layers();
  std::string key = "vision_feature_layer";
  const Json *given = top.find(key);
  if (const Json *old = top.find("vision_feature_layers"); old && !given) {
    key = "vision_feature_layers";
    given = old;
  }
  const Json &value = given ? *given : variant.featureLayers;
  std::vector<int64_t> states;
  for (const Json &each : value.is_array() ? value : Json::array({value})) {
    int64_t state = each.is_number_integer() ? each.get<int64_t>() : layers + 1;
    state = state < 0 ? layers + 1 + state : state;
    if (state < 0 || state > layers)
      return top.error(key, "expected layers from " + std::to_string(-layers) +
                                " to " + std::to_string(layers) + ", found " +
                                describe(value) + "; mend the file");
    states.push_back(state);
  }
  int64_t last = states.empty() ? 0 : *std::ranges::max_element(states);
  if (last == 0)
    return top.error(key, "expected a layer other than 0, which is behind no "
                          "block, found " +
                              describe(value) + "; mend the file");
  vision.mutable_blocks()->set_layers(last);
  if (value.is_array() && states.size() > 1)
    vision.mutable_feature_layers()->Assign(states.begin(), states.end());
}

/// Whether the tower is SigLIP's and not CLIP's.
static bool hasSiglipTower(const Json *tower) {
  return tower && tower->value("model_type", Json()) == "siglip_vision_model";
}

/// Reads the tower as far as it runs; returns how many blocks the file has.
static int64_t readTower(ConfigSection &top, const Json *given,
                         const CheckpointConfig &config,
                         const LlavaVariant &variant, ConfigLog &log,
                         spec::VisionTransformer &vision) {
  const bool isSiglip = hasSiglipTower(given);
  Json values = isSiglip ? siglipVisionDefaults() : clipVisionDefaults();
  values.update(given ? *given : absentTower());
  ConfigSection section(
      values, variant.towerFile.empty() ? config.file : variant.towerFile,
      variant.towerPath, log);
  std::string type = section.string("model_type", "clip_vision_model");
  if (!isSiglip && type != "clip_vision_model")
    section.error("model_type", "expected \"clip_vision_model\" or "
                                "\"siglip_vision_model\", found \"" +
                                    type +
                                    "\"; other towers are not supported yet");
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  section.ignore("projection_dim");
  section.ignore("vocab_size");
  section.ignore("vision_use_head"); // its pooling is not read
  section.finish();
  vision.set_class_token(!isSiglip);
  vision.set_pre_norm(!isSiglip);
  vision.set_patch_bias(isSiglip);
  vision.set_pool(spec::VisionTransformer::TOKENS);
  const int64_t all = vision.blocks().layers();
  // A wrong number of blocks says nothing of the layer.
  if (log.errors.empty())
    readFeatureLayers(top, variant, vision);
  for (const char *key : {"vision_feature_layer", "vision_feature_layers"})
    top.ignore(key);
  std::string strategy =
      variant.hasStrategy
          ? top.string("vision_feature_select_strategy", "default")
          : "default";
  if (strategy != "default" && strategy != "full")
    top.error("vision_feature_select_strategy",
              "expected \"default\" or \"full\", found \"" + strategy +
                  "\"; mend the file");
  vision.set_drop_class_token(strategy == "default");
  return all;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// `blocks` of `all` run; the weights of the others are in the file too.
static void addTowerNames(spec::ModelSpec &model,
                          const std::vector<std::string> &prefixes,
                          int64_t blocks, int64_t all) {
  const char *parts[][2] = {{"class_token", "embeddings.class_embedding"},
                            {"patch_embed", "embeddings.patch_embedding"},
                            {"positions", "embeddings.position_embedding"},
                            {"pre_norm", "pre_layrnorm"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("vision.") + ours, prefixes, theirs);
  addEncoderRules(model, "vision", prefixes);
  for (const std::string &prefix : prefixes) {
    model.add_ignored_tensors(prefix + "post_layernorm");
    model.add_ignored_tensors(prefix + "head"); // SigLIP's pooling
    for (int64_t i = blocks; i < all; ++i)
      model.add_ignored_tensors(prefix + "encoder.layers." + std::to_string(i));
  }
}

static void addProjectorNames(spec::ModelSpec &model, const LlavaNames &names) {
  for (size_t i = 0; i < names.layers.size(); ++i)
    addRule(model, "projector.layers." + std::to_string(i), names.projector,
            names.layers[i]);
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

/// Whether the projector is the single matrix of the first LLaVA
/// (arXiv:2304.08485), which no class of transformers has and no key tells: the
/// weights have the first layer and not the second.
static bool isLinear(const std::string &folder) {
  if (!Checkpoint::hasWeights(folder))
    return false;
  std::vector<std::string> ignored;
  auto weights = Checkpoint::open(folder, ignored);
  if (!weights)
    return false; // which is told when they are bound
  auto has = [&](const char *layer) {
    const LlavaNames names;
    return std::ranges::any_of(names.projector, [&](const auto &prefix) {
      return (*weights)->find(prefix + layer + ".weight");
    });
  };
  return has("linear_1") && !has("linear_2");
}

static void readProjector(ConfigSection &top, const spec::ModelSpec &model,
                          const Json &config, int64_t layers,
                          spec::Projector &projector) {
  projector.set_tower("vision");
  projector.set_layers(layers);
  int64_t width = model.components(1).decoder().hidden_size();
  const spec::VisionTransformer &tower =
      model.components(0).vision_transformer();
  projector.set_input_size(tower.blocks().hidden_size() *
                           std::max(1, tower.feature_layers_size()));
  projector.set_hidden_size(width);
  projector.set_output_size(width);
  projector.set_activation(readActivation(top, "projector_hidden_act", "gelu"));
  top.ignore("multimodal_projector_bias");
  auto bias = config.find("multimodal_projector_bias");
  projector.set_bias(bias == config.end() || *bias != false);
}

static void readGeneration(ConfigSection &top, const DecoderFacts &facts,
                           const std::string &folder, ConfigLog &log,
                           spec::Generation &generation) {
  auto image = top.optionalInteger("image_token_index", 0, maxId);
  auto renamed = top.optionalInteger("image_token_id", 0, maxId);
  generation.set_image_token_id(renamed ? *renamed : image.value_or(32000));
  readGenerationConfig(facts, folder, log, generation);
}

/// A checkpoint with SigLIP's tower may have its processor.
static bool hasSiglipProcessor(const std::string &folder) {
  for (const char *name : {"processor_config.json", "preprocessor_config.json"})
    if (Result<Json> file = readJsonFile(folder + "/" + name);
        file && file->is_object()) {
      const Json &own = file->contains("image_processor")
                            ? (*file)["image_processor"]
                            : *file;
      if (own.is_object() && own.contains("image_processor_type"))
        return own["image_processor_type"].is_string() &&
               own["image_processor_type"].get<std::string>().starts_with(
                   "Siglip");
    }
  return false;
}

static void readImage(const std::string &folder, ImageProcessorClass known,
                      bool isSiglip, int64_t side, ConfigLog &log,
                      spec::ModelSpec &model) {
  if (isSiglip && !known.cutsTiles && hasSiglipProcessor(folder)) {
    bool pads = known.defaults.padsToSquare;
    known = siglipProcessor(side);
    known.defaults.padsToSquare = pads;
    readTowerImage(folder, known, side, log, model);
    return;
  }
  if (known.defaults.doCenterCrop) {
    known.defaults.shortestEdge = side;
    known.defaults.cropHeight = known.defaults.cropWidth = side;
  }
  readTowerImage(folder, known, side, log, model);
}

spec::ModelSpec readLlavaModel(const CheckpointConfig &config,
                               const LlavaVariant &variant, ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(variant.family));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  const Json *tower = top.object("vision_config");
  const int64_t all = readTower(top, tower, config, variant, log,
                                *vision->mutable_vision_transformer());

  spec::Component *text = model.add_components();
  text->set_name("text");
  const Json *words = top.object("text_config");
  top.ignore("tie_word_embeddings");
  auto tie = config.json.find("tie_word_embeddings");
  bool tied = tie != config.json.end() && *tie == true;
  DecoderFacts facts =
      readDecoder(words ? *words : Json::object(), config.file,
                  variant.wordsPath, tied, log, *text->mutable_decoder());
  text->mutable_decoder()->set_features("projector");

  spec::Component *projector = model.add_components();
  projector->set_name("projector");
  const bool isMatrix = variant.hasLinear && isLinear(config.folder);
  readProjector(top, model, config.json,
                variant.projectorLayers.value_or(isMatrix ? 1 : 2),
                *projector->mutable_projector());
  readGeneration(top, facts, config.folder, log, *model.mutable_generation());
  if (variant.readRest)
    variant.readRest(top, model);
  top.ignore("image_seq_length");
  top.ignore("ignore_index");
  top.ignore("vocab_size");
  top.finish();
  addTowerNames(model, variant.names.tower,
                vision->vision_transformer().blocks().layers(), all);
  addProjectorNames(model, variant.names);
  addDecoderRules(model, variant.names.bodies, variant.names.heads);
  if (text->decoder().tied_head())
    for (const std::string &head : variant.names.heads)
      model.add_ignored_tensors(head);
  model.mutable_text()->set_max_tokens(text->decoder().max_tokens());
  if (log.errors.empty())
    readImage(variant.imageFolder.empty() ? config.folder : variant.imageFolder,
              variant.processor, hasSiglipTower(tower),
              vision->vision_transformer().image_size(), log, model);
  return model;
}

std::string llavaConfigKey(std::string_view component, std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component == "projector")
    return "text_config.hidden_size";
  return towerKey(component, field);
}

static spec::ModelSpec readLlava(const CheckpointConfig &config,
                                 ConfigLog &log) {
  if (isOriginalLlava(config.json))
    return readOriginalLlava(config, log);
  LlavaVariant variant;
  variant.family = "llava";
  variant.hasLinear = true;
  variant.processor.names = {"CLIPImageProcessor", "LlavaImageProcessor"};
  variant.processor.padsAs = "LlavaImageProcessor";
  return readLlavaModel(config, variant, log);
}

extern const Family familyLlava;
const Family familyLlava = {"llava", readLlava,        llavaConfigKey,
                            nullptr, nullptr,          nullptr,
                            nullptr, findOriginalTower};

} // namespace vlmc
