//===- Mllama.cpp - The Mllama family -------------------------------------===//
//
// A tower that takes all tiles of a picture as one sequence, a linear layer,
// and a Llama of whose layers some attend to pictures instead of words:
// Llama 3.2 with vision (arXiv:2407.21783, section 7),
// `MllamaForConditionalGeneration` of transformers. Defaults are those of
// configuration_mllama.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Activations.h"
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"

#include <algorithm>

namespace vlmc {

using Prefixes = std::vector<std::string>;

//===----------------------------------------------------------------------===//
// The tower
//===----------------------------------------------------------------------===//

/// The key of version 4, or the other name of it.
static void readHeads(ConfigSection &section, spec::TransformerBlocks &blocks) {
  auto other = section.optionalInteger("num_attention_heads", 1, maxFeatures);
  blocks.set_heads(
      section.integer("attention_heads", other.value_or(16), 1, maxFeatures));
}

/// Arrangements of tiles count by their number; which they are is the
/// processor's business.
static void readArrangements(ConfigSection &section, spec::TiledTower &tower) {
  constexpr int64_t usual = 8;
  const Json *given = section.find("supported_aspect_ratios");
  tower.set_arrangements(usual);
  if (!given) {
    if (tower.tiles() != 4)
      section.error("max_num_tiles",
                    "expected 4 where supported_aspect_ratios is not given, "
                    "found " +
                        std::to_string(tower.tiles()) + "; mend the file");
    return;
  }
  if (!given->is_array() || given->empty() || given->size() > 4096)
    return section.error("supported_aspect_ratios",
                         "expected pairs of numbers of tiles, found " +
                             describe(*given) + "; mend the file");
  tower.set_arrangements(int64_t(given->size()));
}

/// States behind these layers, counted from the end where they are negative.
static void readStates(ConfigSection &section, spec::TiledTower &tower) {
  const Json usual = {3, 7, 15, 23, 30};
  const Json *given = section.find("intermediate_layers_indices");
  const int64_t layers = tower.blocks().layers();
  const Json &list = given ? *given : usual;
  if (!list.is_array() || list.empty() || list.size() > 64)
    return section.error("intermediate_layers_indices",
                         "expected a list of 1 to 64 layers, found " +
                             describe(list) + "; mend the file");
  for (const Json &each : list) {
    int64_t layer = each.is_number_integer() ? each.get<int64_t>() : layers;
    if (layer < -layers || layer >= layers)
      return section.error("intermediate_layers_indices",
                           "expected layers from " + std::to_string(-layers) +
                               " to " + std::to_string(layers - 1) +
                               " (num_hidden_layers), found " + describe(each) +
                               "; mend the file");
    tower.add_feature_layers(layer < 0 ? layers + layer : layer);
  }
}

static void readTower(const Json *given, const std::string &file,
                      ConfigLog &log, spec::TiledTower &tower) {
  static const Json none = Json::object();
  ConfigSection section(given ? *given : none, file, "vision_config", log);
  section.ignore("model_type");
  spec::TransformerBlocks &blocks = *tower.mutable_blocks();
  blocks.set_hidden_size(section.integer("hidden_size", 1280, 1, maxFeatures));
  blocks.set_intermediate_size(
      section.integer("intermediate_size", 5120, 1, maxFeatures));
  blocks.set_layers(section.integer("num_hidden_layers", 32, 1, 4096));
  readHeads(section, blocks);
  blocks.set_activation(readActivation(section, "hidden_act", "gelu"));
  blocks.set_norm_epsilon(section.number("norm_eps", 1e-5, 0, 1));
  blocks.set_unbiased_attention(true);
  blocks.set_unbiased_output(true);
  if (blocks.hidden_size() % blocks.heads() != 0)
    section.error("attention_heads",
                  "expected a divisor of hidden_size " +
                      std::to_string(blocks.hidden_size()) + ", found " +
                      std::to_string(blocks.heads()) + "; mend the file");
  tower.set_image_size(section.integer("image_size", 448, 1, 65536));
  tower.set_patch_size(
      section.integer("patch_size", 14, 1, tower.image_size()));
  tower.set_channels(section.integer("num_channels", 3, 3, 3));
  tower.set_tiles(section.integer("max_num_tiles", 4, 1, 64));
  tower.set_gated_layers(section.integer("num_global_layers", 8, 0, 4096));
  tower.set_norm_epsilon(1e-5); // torch.nn.LayerNorm's own
  readArrangements(section, tower);
  readStates(section, tower);
  int64_t width = blocks.hidden_size() * (1 + tower.feature_layers_size());
  int64_t found = section.integer("vision_output_dim", 7680, 1, INT32_MAX);
  if (found != width && log.errors.empty())
    section.error("vision_output_dim",
                  "expected " + std::to_string(width) +
                      ", hidden_size times one more than the layers of "
                      "intermediate_layers_indices, found " +
                      std::to_string(found) + "; mend the file");
  section.finish();
}

//===----------------------------------------------------------------------===//
// The decoder
//===----------------------------------------------------------------------===//

namespace {
/// Which layers of the checkpoint attend to words, and which to pictures.
struct Layers {
  std::vector<int64_t> words, pictures;
};
} // namespace

static Layers readLayers(ConfigSection &section, int64_t count) {
  const Json usual = {3, 8, 13, 18, 23, 28, 33, 38};
  const Json *given = section.find("cross_attention_layers");
  const Json &list = given ? *given : usual;
  Layers layers;
  bool isList =
      list.is_array() && std::ranges::all_of(list, [](const Json &each) {
        return each.is_number_integer();
      });
  if (!isList) {
    section.error("cross_attention_layers",
                  "expected a list of layers, found " + describe(list) +
                      "; mend the file");
    return layers;
  }
  for (int64_t i = 0; i < count; ++i) {
    bool sees = std::ranges::find(list, Json(i)) != list.end();
    (sees ? layers.pictures : layers.words).push_back(i);
  }
  if (layers.pictures.empty() || layers.words.empty())
    section.error("cross_attention_layers",
                  "expected some but not all of the layers 0 to " +
                      std::to_string(count - 1) + " (num_hidden_layers), " +
                      "found " + list.dump() + "; mend the file");
  return layers;
}

/// What a Llama of the other layers would say.
static Json wordsConfig(const Json *given) {
  Json words = {{"vocab_size", 128256},
                {"hidden_size", 4096},
                {"hidden_act", "silu"},
                {"num_hidden_layers", 40},
                {"num_attention_heads", 32},
                {"num_key_value_heads", 8},
                {"intermediate_size", 14336},
                {"rms_norm_eps", 1e-5},
                {"max_position_embeddings", 131072},
                {"rope_theta", 500000.0},
                {"eos_token_id", 128001},
                {"pad_token_id", 128004}};
  if (given)
    words.update(*given);
  words["model_type"] = "llama";
  // The head is a matrix of its own, whatever the flag says.
  for (const char *key :
       {"cross_attention_layers", "dropout", "head_dim", "tie_word_embeddings"})
    words.erase(key);
  return words;
}

static void readCrossAttention(const Layers &layers, spec::Decoder &decoder) {
  spec::CrossAttention &cross = *decoder.mutable_cross_attention();
  cross.set_feature_size(decoder.hidden_size());
  for (int64_t layer : layers.pictures)
    cross.add_layers(std::ranges::lower_bound(layers.words, layer) -
                     layers.words.begin());
  cross.set_heads(decoder.heads());
  cross.set_kv_heads(decoder.kv_heads());
  cross.set_head_size(decoder.head_size());
  cross.set_intermediate_size(decoder.intermediate_size());
  cross.set_activation(decoder.activation());
  cross.set_norm_epsilon(decoder.norm_epsilon());
  cross.set_head_norm(true);
  cross.set_skips_mlp(true);
}

static DecoderFacts readText(const Json *given, const std::string &file,
                             ConfigLog &log, Layers &layers,
                             spec::Decoder &decoder) {
  Json words = wordsConfig(given);
  // One of this section reads the number of all layers and which they are.
  const Json own = given ? *given : Json::object();
  ConfigSection section(own, file, "text_config", log);
  int64_t count = section.integer("num_hidden_layers", 40, 1, 4096);
  layers = readLayers(section, count);
  words["num_hidden_layers"] =
      std::max<int64_t>(1, int64_t(layers.words.size()));
  DecoderFacts facts =
      readDecoder(words, file, "text_config", /*tied=*/false, log, decoder);
  decoder.set_unscored_tokens(8);
  decoder.set_features("vision");
  if (log.errors.empty())
    readCrossAttention(layers, decoder);
  return facts;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static void addBlockNames(spec::ModelSpec &model, const std::string &ours,
                          const Prefixes &prefixes, const std::string &theirs,
                          bool gated) {
  std::vector<std::pair<const char *, const char *>> parts = {
      {"norm1", "input_layernorm"},
      {"norm2", "post_attention_layernorm"},
      {"attention.query", "self_attn.q_proj"},
      {"attention.key", "self_attn.k_proj"},
      {"attention.value", "self_attn.v_proj"},
      {"attention.output", "self_attn.o_proj"}};
  if (gated) {
    parts.push_back({"attention.gate", "gate_attn"});
    parts.push_back({"mlp.branch_gate", "gate_ffn"});
  }
  parts.push_back({"mlp", "mlp"});
  for (auto [mine, name] : parts)
    addRule(model, ours + ".layers.{}." + mine, prefixes,
            theirs + ".layers.{}." + name);
}

static void addTowerNames(spec::ModelSpec &model) {
  const Prefixes prefixes = {"vision_model.", "model.vision_model."};
  const std::string places = "gated_positional_embedding.";
  for (auto [ours, theirs] :
       {std::pair("class_token", std::string("class_embedding")),
        std::pair("patch_embed", std::string("patch_embedding")),
        std::pair("positions.weight", places + "embedding"),
        std::pair("positions.gate", places + "gate"),
        std::pair("tile_positions", places + "tile_embedding"),
        std::pair("tiles_before.gate",
                  std::string("pre_tile_positional_embedding.gate")),
        std::pair("tiles_before",
                  std::string("pre_tile_positional_embedding.embedding")),
        std::pair("tiles_behind.gate",
                  std::string("post_tile_positional_embedding.gate")),
        std::pair("tiles_behind",
                  std::string("post_tile_positional_embedding.embedding")),
        std::pair("pre_norm", std::string("layernorm_pre")),
        std::pair("post_norm", std::string("layernorm_post"))})
    addRule(model, std::string("vision.") + ours, prefixes, theirs);
  addBlockNames(model, "vision", prefixes, "transformer", /*gated=*/false);
  addBlockNames(model, "vision.global", prefixes, "global_transformer",
                /*gated=*/true);
  addRule(model, "vision.projection",
          Prefixes{"multi_modal_projector", "model.multi_modal_projector"}, "");
}

/// Layers are numbered together in checkpoints, here each kind by itself.
static void addDecoderNames(spec::ModelSpec &model, const Layers &layers) {
  const Prefixes bodies = {"language_model.model.", "model.language_model.",
                           "language_model."};
  addDecoderRules(model, bodies, {"language_model.lm_head", "lm_head"});
  Prefixes prefixes;
  for (const std::string &body : bodies)
    prefixes.push_back(body + "layers.{}.");
  for (auto [ours, theirs] :
       {std::pair("norm1", "input_layernorm"),
        std::pair("attention.query", "cross_attn.q_proj"),
        std::pair("attention.key", "cross_attn.k_proj"),
        std::pair("attention.value", "cross_attn.v_proj"),
        std::pair("attention.output", "cross_attn.o_proj"),
        std::pair("attention.query_norm", "cross_attn.q_norm"),
        std::pair("attention.key_norm", "cross_attn.k_norm"),
        std::pair("attention_gate", "cross_attn_attn_gate"),
        std::pair("norm2", "post_attention_layernorm"),
        std::pair("mlp.gate", "mlp.gate_proj"),
        std::pair("mlp.up", "mlp.up_proj"),
        std::pair("mlp.down", "mlp.down_proj"),
        std::pair("mlp_gate", "cross_attn_mlp_gate")})
    addRule(model, std::string("text.cross_layers.{}.") + ours, prefixes,
            theirs);
  for (spec::WeightRule &rule : *model.mutable_weights()) {
    auto isOf = [&](const char *kind) {
      return rule.canonical().starts_with(kind);
    };
    if (isOf("text.layers.{}."))
      rule.mutable_numbers()->Add(layers.words.begin(), layers.words.end());
    if (isOf("text.cross_layers.{}."))
      rule.mutable_numbers()->Add(layers.pictures.begin(),
                                  layers.pictures.end());
  }
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

/// The processor cuts pictures as the tower takes them.
static void readImage(const CheckpointConfig &config, ConfigLog &log,
                      spec::ModelSpec &model) {
  const spec::TiledTower &tower = model.components(0).tiled_tower();
  ImageProcessorClass known{{"MllamaImageProcessor"}, ImageProcessing()};
  ImageProcessing &defaults = known.defaults;
  defaults.shortestEdge.reset();
  defaults.height = defaults.width = 224;
  defaults.resample = Resample::Bilinear;
  defaults.doCenterCrop = false;
  defaults.mean = defaults.std = {0.5, 0.5, 0.5};
  defaults.fitsTiles = true;
  known.defaultToSquare = true;
  readTowerImage(config.folder, known, tower.image_size(), log, model);
  if (!log.errors.empty())
    return;
  int64_t most = 0;
  for (const spec::Resolution &each : model.image().grid())
    most = std::max(most, each.height() / tower.image_size() *
                              (each.width() / tower.image_size()));
  if (most != tower.tiles())
    log.errors.push_back(
        config.folder + ": image processing: expected max_image_tiles of " +
        std::to_string(tower.tiles()) +
        " (vision_config.max_num_tiles), found " + std::to_string(most) +
        "; mend max_image_tiles in preprocessor_config.json");
  else if (model.image().grid_size() > tower.arrangements())
    log.errors.push_back(
        config.file +
        ": vision_config.supported_aspect_ratios: expected at least " +
        std::to_string(model.image().grid_size()) +
        " pairs, one for each arrangement of up to max_image_tiles tiles, "
        "found " +
        std::to_string(tower.arrangements()) + "; mend the file");
}

static spec::ModelSpec readMllama(const CheckpointConfig &config,
                                  ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family("mllama");
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  readTower(top.object("vision_config"), config.file, log,
            *vision->mutable_tiled_tower());
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  Layers layers;
  DecoderFacts facts =
      readText(top.object("text_config"), config.file, log, layers, decoder);
  vision->mutable_tiled_tower()->set_output_size(decoder.hidden_size());

  spec::Generation &generation = *model.mutable_generation();
  readGenerationConfig(facts, config.folder, log, generation);
  generation.set_image_token_id(
      top.optionalInteger("image_token_id", 0, maxId)
          .value_or(top.integer("image_token_index", 128256, 0, maxId)));
  generation.set_attended(spec::Generation::GROUP);
  top.ignore("tie_word_embeddings");
  if (log.errors.empty())
    top.finish();

  addTowerNames(model);
  addDecoderNames(model, layers);
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
  if (log.errors.empty())
    readImage(config, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "text")
    return field == "feature_size" ? "text_config.hidden_size"
                                   : decoderKey(field);
  for (auto [ours, theirs] :
       {std::pair("heads", "attention_heads"),
        std::pair("layers", "num_hidden_layers"),
        std::pair("gated_layers", "num_global_layers"),
        std::pair("channels", "num_channels"),
        std::pair("tiles", "max_num_tiles"),
        std::pair("arrangements", "supported_aspect_ratios"),
        std::pair("feature_layers", "intermediate_layers_indices")})
    if (field == ours)
      return std::string("vision_config.") + theirs;
  if (field == "output_size")
    return "text_config.hidden_size";
  return "vision_config." + std::string(field);
}

extern const Family familyMllama;
const Family familyMllama = {"mllama", readMllama, configKey};

} // namespace vlmc
