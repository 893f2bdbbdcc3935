//===- Idefics2.cpp - The Idefics2 family ---------------------------------===//
//
// SigLIP's tower over pictures of their own aspect, an MLP with a gate and a
// Perceiver Resampler with shared key heads, and a Mistral among whose tokens
// the latents stand (arXiv:2405.02246), `Idefics2ForConditionalGeneration` of
// transformers. Defaults are those of configuration_idefics2.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Idefics2.h"

#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/GenerationConfig.h"
#include "frontend/families/ImageSpec.h"

namespace vlmc {

//===----------------------------------------------------------------------===//
// Shared with followers
//===----------------------------------------------------------------------===//

void readPlacedTower(const Json *given, const Json &defaults,
                     const std::string &file, ConfigLog &log,
                     spec::VisionTransformer &vision) {
  Json values = defaults;
  if (given)
    values.update(*given);
  ConfigSection section(values, file, "vision_config", log);
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  // Of the processor, in some published files.
  for (const char *key : {"max_image_size", "size", "use_base_siglip"})
    section.ignore(key);
  section.finish();
  vision.set_patch_bias(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
}

DecoderFacts readOwnWords(ConfigSection &top, const CheckpointConfig &config,
                          const UsualWords &usual, ConfigLog &log,
                          spec::Decoder &decoder) {
  const Json *given = top.object("text_config");
  Json words = given ? *given : usual.absent;
  if (!words.contains("model_type"))
    words["model_type"] = usual.type;
  // What the code that made some published files wrote, and no decoder reads.
  for (const char *key :
       {"_flash_attn_2_enabled", "is_llama_config", "neftune_noise_alpha",
        "perceiver_config", "pixel_shuffle_factor", "qk_layer_norms",
        "rope_interleaved", "transformers.js_config", "use_resampler"})
    words.erase(key);
  const bool tied = top.flag("tie_word_embeddings", false);
  DecoderFacts facts =
      readDecoder(words, config.file, "text_config", tied, log, decoder);
  decoder.set_tied_head(tied); // whatever text_config says
  return facts;
}

void addPlacedNames(spec::ModelSpec &model) {
  const std::string tower = "model.vision_model.";
  addRule(model, "vision.patch_embed", tower + "embeddings.patch_embedding");
  addRule(model, "vision.positions", tower + "embeddings.position_embedding");
  addRule(model, "vision.post_norm", tower + "post_layernorm");
  addEncoderRules(model, "vision", {tower});
  addDecoderRules(model, {"model.text_model."}, {"lm_head"});
  for (const spec::Component &component : model.components())
    if (component.has_decoder() && component.decoder().tied_head())
      model.add_ignored_tensors("lm_head");
}

void readOwnGeneration(ConfigSection &top, const DecoderFacts &facts,
                       const CheckpointConfig &config, int64_t usual,
                       ConfigLog &log, spec::ModelSpec &model) {
  spec::Generation &generation = *model.mutable_generation();
  generation.set_image_token_id(top.integer("image_token_id", usual, 0, maxId));
  readGenerationConfig(facts, config.folder, log, generation);
  for (const spec::Component &component : model.components())
    if (component.has_decoder())
      model.mutable_text()->set_max_tokens(component.decoder().max_tokens());
}

void ignoreRest(ConfigSection &top) {
  for (const char *key : {"image_seq_len", "transformers.js_config",
                          "use_reentrant_checkpointing", "vocab_size"})
    top.ignore(key);
}

//===----------------------------------------------------------------------===//
// Its own parts
//===----------------------------------------------------------------------===//

static const Json &towerDefaults() {
  static const Json defaults = {{"hidden_act", "gelu_pytorch_tanh"},
                                {"hidden_size", 768},
                                {"image_size", 224},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-6},
                                {"num_attention_heads", 12},
                                {"num_channels", 3},
                                {"num_hidden_layers", 12},
                                {"patch_size", 32}};
  return defaults;
}

/// A resampler of another width than the decoder's takes its width and the
/// epsilon of its norms from there.
static void readResampler(ConfigSection &top, const std::string &file,
                          const spec::Decoder &decoder, int64_t towerSize,
                          ConfigLog &log, spec::PerceiverResampler &resampler) {
  static const Json none = Json::object();
  const Json *given = top.object("perceiver_config");
  ConfigSection section(given ? *given : none, file, "perceiver_config", log);
  resampler.set_tower("vision");
  const int64_t width = section.integer("hidden_size", 4096, 1, maxFeatures);
  const double epsilon = section.number("rms_norm_eps", 1e-6, 0, 1);
  resampler.set_hidden_size(decoder.hidden_size());
  resampler.set_norm_epsilon(
      width == decoder.hidden_size() ? epsilon : decoder.norm_epsilon());
  resampler.set_latents(
      section.integer("resampler_n_latents", 64, 1, maxFeatures));
  resampler.set_layers(section.integer("resampler_depth", 3, 1, 4096));
  resampler.set_heads(section.integer("resampler_n_heads", 16, 1, maxFeatures));
  resampler.set_head_size(section.integer("resampler_head_dim", 96, 1, 4096));
  resampler.set_kv_heads(
      section.integer("num_key_value_heads", 4, 1, maxFeatures));
  if (resampler.heads() % resampler.kv_heads() != 0)
    section.error("num_key_value_heads",
                  "expected a divisor of resampler_n_heads " +
                      std::to_string(resampler.heads()) + ", found " +
                      std::to_string(resampler.kv_heads()) + "; mend the file");
  resampler.set_activation(readActivation(section, "hidden_act", "silu"));
  resampler.set_intermediate_size(4 * decoder.hidden_size());
  resampler.set_rms_norm(true);
  resampler.set_gated_mlp(true);
  resampler.set_input_size(towerSize);
  resampler.set_input_intermediate_size(decoder.intermediate_size());
  resampler.set_input_activation(decoder.activation());
  section.finish();
}

static void addResamplerNames(spec::ModelSpec &model) {
  const std::string connector = "model.connector.";
  const std::string resampler = connector + "perceiver_resampler.";
  const char *parts[][2] = {{"norm1", "input_latents_norm"},
                            {"context_norm", "input_context_norm"},
                            {"attention.query", "self_attn.q_proj"},
                            {"attention.key", "self_attn.k_proj"},
                            {"attention.value", "self_attn.v_proj"},
                            {"attention.output", "self_attn.o_proj"},
                            {"norm2", "post_attention_layernorm"},
                            {"mlp.gate", "mlp.gate_proj"},
                            {"mlp.up", "mlp.up_proj"},
                            {"mlp.down", "mlp.down_proj"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("resampler.layers.{}.") + ours,
            resampler + "layers.{}." + theirs);
  addRule(model, "resampler.latents", resampler + "latents");
  addRule(model, "resampler.final_norm", resampler + "norm");
  for (auto [ours, theirs] :
       {std::pair("gate", "gate_proj"), std::pair("up", "up_proj"),
        std::pair("down", "down_proj")})
    addRule(model, std::string("resampler.input_mlp.") + ours,
            connector + "modality_projection." + theirs);
}

static void readImage(const CheckpointConfig &config, ConfigLog &log,
                      spec::ModelSpec &model) {
  ImageProcessorClass known{{"Idefics2ImageProcessor"}, ImageProcessing()};
  known.defaults.shortestEdge = 378;
  known.defaults.longestEdge = 980;
  known.defaults.capsEdges = true;
  known.defaults.resample = Resample::Bilinear;
  known.defaults.doCenterCrop = false;
  known.defaults.mean = known.defaults.std = {0.5, 0.5, 0.5};
  Result<ImageProcessing> image =
      readImageProcessing(config.folder, known, log.warnings);
  if (image)
    *model.mutable_image() = toSpec(*image);
  else
    log.errors.push_back(image.message());
}

extern const Family familyIdefics2;

static spec::ModelSpec readIdefics2(const CheckpointConfig &config,
                                    ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(familyIdefics2.name));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  spec::VisionTransformer &tower = *vision->mutable_vision_transformer();
  readPlacedTower(top.object("vision_config"), towerDefaults(), config.file,
                  log, tower);
  tower.set_grid(spec::VisionTransformer::BUCKETED);

  spec::Component *resampler = model.add_components();
  resampler->set_name("resampler");
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  const UsualWords usual = {"mistral",
                            {{"max_position_embeddings", 32768},
                             {"rms_norm_eps", 1e-5},
                             {"pad_token_id", 0}}};
  DecoderFacts facts = readOwnWords(top, config, usual, log, decoder);
  decoder.set_features("resampler");
  readResampler(top, config.file, decoder, tower.blocks().hidden_size(), log,
                *resampler->mutable_perceiver_resampler());
  readOwnGeneration(top, facts, config, 32001, log, model);
  ignoreRest(top);
  top.finish();
  addPlacedNames(model);
  addResamplerNames(model);
  if (log.errors.empty())
    readImage(config, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component != "resampler")
    return towerKey(component, field);
  for (auto [ours, theirs] :
       {std::pair("latents", "perceiver_config.resampler_n_latents"),
        std::pair("layers", "perceiver_config.resampler_depth"),
        std::pair("heads", "perceiver_config.resampler_n_heads"),
        std::pair("kv_heads", "perceiver_config.num_key_value_heads"),
        std::pair("head_size", "perceiver_config.resampler_head_dim"),
        std::pair("input_size", "vision_config.hidden_size"),
        std::pair("input_intermediate_size", "text_config.intermediate_size")})
    if (field == ours)
      return theirs;
  return "text_config.hidden_size";
}

const Family familyIdefics2 = {"idefics2", readIdefics2, configKey};

} // namespace vlmc
