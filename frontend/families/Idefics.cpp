//===- Idefics.cpp - The Idefics family -----------------------------------===//
//
// A CLIP-like tower, a Perceiver Resampler where the config asks for it, and a
// Llama with gated cross-attention before each so many layers: an open Flamingo
// (arXiv:2204.14198, arXiv:2306.16527), `IdeficsForVisionText2Text` of
// transformers. Defaults are those of configuration_idefics.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Activations.h"
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"

namespace vlmc {

//===----------------------------------------------------------------------===//
// Tower and resampler
//===----------------------------------------------------------------------===//

static const Json &towerDefaults() {
  static const Json defaults = {
      {"hidden_act", "gelu"},   {"hidden_size", 768},
      {"image_size", 224},      {"intermediate_size", 5120},
      {"layer_norm_eps", 1e-5}, {"num_attention_heads", 16},
      {"num_channels", 3},      {"num_hidden_layers", 32},
      {"patch_size", 14}};
  return defaults;
}

/// The features are all tokens behind the last block, unnormed.
static void readTower(const Json *given, const std::string &file,
                      ConfigLog &log, spec::VisionTransformer &vision) {
  Json values = towerDefaults();
  if (given)
    values.update(*given);
  if (auto width = values.find("embed_dim"); width != values.end()) {
    values["hidden_size"] = *width;
    values.erase("embed_dim");
  }
  ConfigSection section(values, file, "vision_config", log);
  section.ignore("model_type");
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  section.finish();
  vision.set_class_token(true);
  vision.set_pre_norm(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
}

static void readResampler(const Json *given, const std::string &file,
                          const spec::VisionTransformer &vision, ConfigLog &log,
                          spec::PerceiverResampler &resampler) {
  static const Json none = Json::object();
  ConfigSection section(given ? *given : none, file, "perceiver_config", log);
  section.ignore("model_type");
  section.ignore("use_resampler"); // the model's own counts
  const int64_t width = vision.blocks().hidden_size();
  resampler.set_tower("vision");
  resampler.set_hidden_size(width);
  resampler.set_latents(
      section.integer("resampler_n_latents", 64, 1, maxFeatures));
  resampler.set_layers(section.integer("resampler_depth", 6, 1, 4096));
  resampler.set_heads(section.integer("resampler_n_heads", 16, 1, maxFeatures));
  resampler.set_kv_heads(resampler.heads());
  resampler.set_head_size(section.integer("resampler_head_dim", 96, 1, 4096));
  resampler.set_intermediate_size(4 * width);
  resampler.set_activation(spec::RELU);
  resampler.set_norm_epsilon(1e-5);
  resampler.set_head_norm(section.flag("qk_layer_norms_perceiver", false));
  section.finish();
}

//===----------------------------------------------------------------------===//
// The decoder
//===----------------------------------------------------------------------===//

/// The keys that a Llama has, out of those of the whole.
static Json decoderConfig(ConfigSection &top, const Json &config) {
  Json text = {{"model_type", "llama"}};
  for (const char *key :
       {"hidden_act", "hidden_size", "intermediate_size",
        "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
        "rms_norm_eps", "rope_parameters", "rope_scaling", "rope_theta",
        "vocab_size", "eos_token_id", "pad_token_id"}) {
    top.ignore(key);
    if (auto found = config.find(key); found != config.end())
      text[key] = *found;
  }
  if (!text.contains("pad_token_id"))
    text["pad_token_id"] = 0;
  return text;
}

static void readCrossAttention(ConfigSection &top, int64_t featureSize,
                               spec::Decoder &decoder) {
  spec::CrossAttention &cross = *decoder.mutable_cross_attention();
  cross.set_feature_size(featureSize);
  int64_t interval = top.integer("cross_layer_interval", 1, 1, 4096);
  if (decoder.layers() % interval != 0)
    top.error("cross_layer_interval",
              "expected a divisor of num_hidden_layers " +
                  std::to_string(decoder.layers()) + ", found " +
                  std::to_string(interval) + "; mend the file");
  for (int64_t layer = 0; layer < decoder.layers(); layer += interval)
    cross.add_layers(layer);
  cross.set_heads(decoder.heads());
  cross.set_kv_heads(decoder.heads());
  cross.set_head_size(decoder.head_size());
  cross.set_intermediate_size(decoder.intermediate_size());
  cross.set_activation(decoder.activation());
  cross.set_norm_epsilon(decoder.norm_epsilon());
  cross.set_head_norm(top.flag("qk_layer_norms", false));
  std::string gates = top.string("alpha_type", "float");
  if (gates != "float" && gates != "vector")
    top.error("alpha_type", "expected \"float\" or \"vector\", found \"" +
                                gates + "\"; mend the file");
  cross.set_vector_gate(gates == "vector");
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

using Names = std::initializer_list<std::pair<const char *, const char *>>;

static void addNames(spec::ModelSpec &model, const std::string &ours,
                     const std::string &theirs, Names names) {
  for (auto [canonical, name] : names)
    addRule(model, ours + canonical, theirs + name);
}

static void addTowerNames(spec::ModelSpec &model) {
  const std::string tower = "model.vision_model.";
  addNames(model, "vision.", tower,
           {{"class_token", "embeddings.class_embedding"},
            {"patch_embed", "embeddings.patch_embedding"},
            {"positions", "embeddings.position_embedding"},
            {"pre_norm", "pre_layrnorm"}});
  addEncoderRules(model, "vision", {tower});
  model.add_ignored_tensors(tower + "post_layernorm"); // of the pooled token
}

static void addResamplerNames(spec::ModelSpec &model) {
  const std::string resampler = "model.perceiver_resampler.";
  addNames(model, "resampler.", resampler,
           {{"latents", "latents"}, {"final_norm", "layer_norm"}});
  addNames(model, "resampler.layers.{}.", resampler + "blocks.{}.",
           {{"context_norm", "0.context_layer_norm"},
            {"norm1", "0.latents_layer_norm"},
            {"attention.query_norm", "0.q_layer_norm"},
            {"attention.key_norm", "0.k_layer_norm"},
            {"attention.query", "0.q_proj"},
            {"attention.key", "0.k_proj"},
            {"attention.value", "0.v_proj"},
            {"attention.output", "0.output_proj"},
            {"norm2", "1.ln"},
            {"mlp.up", "1.fc"},
            {"mlp.down", "1.c_proj"}});
}

static void addDecoderNames(spec::ModelSpec &model) {
  addDecoderRules(model, {"model."}, {"lm_head"});
  const std::string cross = "model.gated_cross_attn_layers.{}.";
  addNames(model, "text.", "",
           {{"extra_tokens", "model.embed_tokens.additional_embedding"},
            {"extra_head", "lm_head.additional_fc"}});
  addNames(model, "text.cross_layers.{}.", cross,
           {{"norm1", "input_layernorm"},
            {"attention.query", "cross_attn.q_proj"},
            {"attention.key", "cross_attn.k_proj"},
            {"attention.value", "cross_attn.v_proj"},
            {"attention.output", "cross_attn.o_proj"},
            {"attention.query_norm", "cross_attn.q_layer_norm"},
            {"attention.key_norm", "cross_attn.k_layer_norm"},
            {"attention_gate", "alpha_cross_attn"},
            {"norm2", "post_attention_layernorm"},
            {"mlp.gate", "mlp.gate_proj"},
            {"mlp.up", "mlp.up_proj"},
            {"mlp.down", "mlp.down_proj"},
            {"mlp_gate", "alpha_dense"}});
  model.add_ignored_tensors(cross + "cross_attn.rotary_emb");
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

/// What says how weights were made or trained has no effect on them.
static void ignoreTraining(ConfigSection &top) {
  for (const char *key :
       {"alpha_initializer", "alphas_initializer_range",
        "cross_layer_activation_function", "dropout", "ffn_dim",
        "freeze_lm_head", "freeze_text_layers", "freeze_text_module_exceptions",
        "freeze_vision_layers", "freeze_vision_module_exceptions",
        "max_new_tokens", "max_sequence_length", "word_embed_proj_dim"})
    top.ignore(key);
}

/// The placeholder stands in the additional vocabulary; the tokenizer says
/// which number it has.
static std::optional<int64_t> findImageToken(const std::string &folder) {
  for (const char *name : {"tokenizer.json", "added_tokens.json"}) {
    Result<Json> file = readJsonFile(folder + "/" + name);
    if (!file || !file->is_object())
      continue;
    if (auto id = file->find("<image>");
        id != file->end() && id->is_number_integer())
      return id->get<int64_t>();
    auto added = file->find("added_tokens");
    if (added == file->end() || !added->is_array())
      continue;
    for (const Json &token : *added)
      if (token.is_object() && token.value("content", Json()) == "<image>" &&
          token.value("id", Json()).is_number_integer())
        return token["id"].get<int64_t>();
  }
  return std::nullopt;
}

static void readImage(const CheckpointConfig &config, int64_t side,
                      ConfigLog &log, spec::ModelSpec &model) {
  ImageProcessorClass known{{"IdeficsImageProcessor"}, ImageProcessing()};
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = 224;
  known.defaults.doCenterCrop = false;
  known.defaultToSquare = true;
  known.sizeAlias = "image_size";
  readTowerImage(config.folder, known, side, log, model);
}

extern const Family familyIdefics;

static spec::ModelSpec readIdefics(const CheckpointConfig &config,
                                   ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(familyIdefics.name));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  spec::VisionTransformer &tower = *vision->mutable_vision_transformer();
  readTower(top.object("vision_config"), config.file, log, tower);

  const Json *perceiver = top.object("perceiver_config");
  const bool hasResampler = top.flag("use_resampler", false);
  if (hasResampler) {
    spec::Component *component = model.add_components();
    component->set_name("resampler");
    readResampler(perceiver, config.file, tower, log,
                  *component->mutable_perceiver_resampler());
    addResamplerNames(model);
  }

  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  const bool tied = top.flag("tie_word_embeddings", false);
  DecoderFacts facts = readDecoder(decoderConfig(top, config.json), config.file,
                                   "", tied, log, decoder);
  decoder.set_features(hasResampler ? "resampler" : "vision");
  decoder.set_extra_vocabulary_size(
      top.integer("additional_vocab_size", 0, 0, maxId));
  // A faulty config has no heads to divide by.
  if (log.errors.empty())
    readCrossAttention(top, tower.blocks().hidden_size(), decoder);
  ignoreTraining(top);

  spec::Generation &generation = *model.mutable_generation();
  readGenerationConfig(facts, config.folder, log, generation);
  if (auto token = findImageToken(config.folder))
    generation.set_image_token_id(*token);
  generation.set_attended(spec::Generation::LATEST);
  generation.set_attended_until_end(true);
  if (log.errors.empty())
    top.finish();

  addTowerNames(model);
  addDecoderNames(model);
  if (tied)
    model.add_ignored_tensors("lm_head");
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
  if (log.errors.empty())
    readImage(config, tower.image_size(), log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "vision")
    return field == "hidden_size" ? "vision_config.embed_dim"
                                  : towerKey(component, field);
  if (component == "resampler")
    for (auto [ours, theirs] :
         {std::pair("latents", "perceiver_config.resampler_n_latents"),
          std::pair("layers", "perceiver_config.resampler_depth"),
          std::pair("heads", "perceiver_config.resampler_n_heads"),
          std::pair("kv_heads", "perceiver_config.resampler_n_heads"),
          std::pair("head_size", "perceiver_config.resampler_head_dim"),
          std::pair("hidden_size", "vision_config.embed_dim"),
          std::pair("intermediate_size", "vision_config.embed_dim")})
      if (field == ours)
        return theirs;
  if (field == "feature_size")
    return "vision_config.embed_dim";
  if (field == "extra_vocabulary_size")
    return "additional_vocab_size";
  std::string key = decoderKey(field);
  return key.substr(key.find('.') + 1);
}

const Family familyIdefics = {"idefics", readIdefics, configKey};

} // namespace vlmc
