//===- OpenFlamingo.cpp - The OpenFlamingo family -------------------------===//
//
// OpenFlamingo (arXiv:2308.01390) in the layout of its own package: the state
// of its class `Flamingo`, with `vision_encoder` from open_clip, `perceiver`
// and `lang_encoder`. The package has no config.json; here it holds what
// create_model_and_transforms() is given:
//
//   {"model_type": "open_flamingo", "cross_attn_every_n_layers": 4,
//    "media_token_id": 32001, "eoc_token_id": 32000,
//    "vision_config": {"image_size": 224, "layers": 24, "width": 1024,
//                      "patch_size": 14, "quick_gelu": true},
//    "text_config": {"model_type": "llama", ...}}
//
// `vision_config` has the keys of open_clip's `vision_cfg`, `text_config` is
// that of the language model, with the tokens that were added counted in: a
// Llama or what is built like it, MPT or GPT-NeoX. There may be also what the
// package's classes are made with: `only_attend_immediate_media`, and
// `perceiver_config` with the arguments of its PerceiverResampler.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/MptConfig.h"
#include "frontend/families/NeoxConfig.h"

namespace vlmc {

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// What the cross-attention of the package is made with.
static constexpr int64_t heads = 8, headSize = 64, mlpFactor = 4;
static constexpr double epsilon = 1e-5;

/// The features are the patches behind the last block, unnormed.
static void readTower(const Json *given, const std::string &file,
                      ConfigLog &log, spec::VisionTransformer &vision) {
  static const Json none = Json::object();
  ConfigSection section(given ? *given : none, file, "vision_config", log);
  spec::TransformerBlocks &blocks = *vision.mutable_blocks();
  blocks.set_hidden_size(section.integer("width", 768, 1, maxFeatures));
  blocks.set_layers(section.integer("layers", 12, 1, 4096));
  int64_t headWidth = section.integer("head_width", 64, 1, maxFeatures);
  blocks.set_heads(blocks.hidden_size() / headWidth);
  if (blocks.hidden_size() % headWidth != 0)
    section.error("head_width", "expected a divisor of width " +
                                    std::to_string(blocks.hidden_size()) +
                                    ", found " + std::to_string(headWidth) +
                                    "; mend the file");
  double ratio = section.number("mlp_ratio", mlpFactor, 1e-3, 1e3);
  blocks.set_intermediate_size(
      static_cast<int64_t>(static_cast<double>(blocks.hidden_size()) * ratio));
  const Json *quick = section.find("quick_gelu");
  blocks.set_activation(quick && *quick == true ? spec::QUICK_GELU
                                                : spec::GELU);
  blocks.set_norm_epsilon(epsilon);
  vision.set_image_size(section.integer("image_size", 224, 1, 65536));
  vision.set_patch_size(section.integer("patch_size", 16, 1, 65536));
  vision.set_channels(3);
  section.finish();
  vision.set_class_token(true);
  vision.set_pre_norm(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
  vision.set_drop_class_token(true);
}

/// The arguments of PerceiverResampler, with its defaults.
static void readResampler(const Json *given, const std::string &file,
                          int64_t width, ConfigLog &log,
                          spec::PerceiverResampler &resampler) {
  static const Json none = Json::object();
  ConfigSection section(given ? *given : none, file, "perceiver_config", log);
  resampler.set_tower("vision");
  resampler.set_hidden_size(width);
  resampler.set_latents(section.integer("num_latents", 64, 1, maxFeatures));
  resampler.set_layers(section.integer("depth", 6, 1, 4096));
  resampler.set_heads(section.integer("heads", 8, 1, maxFeatures));
  resampler.set_kv_heads(resampler.heads());
  resampler.set_head_size(section.integer("dim_head", 64, 1, 4096));
  resampler.set_intermediate_size(
      width * section.integer("ff_mult", mlpFactor, 1, 1024));
  resampler.set_max_frames(
      section.optionalInteger("max_num_frames", 1, maxFeatures).value_or(0));
  resampler.set_max_media(
      section.optionalInteger("max_num_media", 1, maxFeatures).value_or(0));
  resampler.set_activation(spec::GELU);
  resampler.set_norm_epsilon(epsilon);
  section.finish();
}

/// Layers number `every` - 1, 2 * `every` - 1 and so on are conditioned.
static void setCrossAttention(int64_t width, int64_t every,
                              spec::Decoder &decoder) {
  spec::CrossAttention &cross = *decoder.mutable_cross_attention();
  cross.set_feature_size(width);
  for (int64_t layer = every - 1; layer < decoder.layers(); layer += every)
    cross.add_layers(layer);
  cross.set_heads(heads);
  cross.set_kv_heads(heads);
  cross.set_head_size(headSize);
  cross.set_intermediate_size(mlpFactor * decoder.hidden_size());
  cross.set_activation(spec::GELU);
  cross.set_norm_epsilon(epsilon);
  cross.set_layer_norm(true);
  cross.set_plain_mlp(true);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// `weight` is part `part` of `parts` of a tensor.
static void addPart(spec::ModelSpec &model, const std::string &weight,
                    const std::vector<std::string> &names, int64_t part,
                    int64_t parts) {
  spec::WeightRule *rule = model.add_weights();
  rule->set_canonical(weight);
  for (const std::string &name : names)
    rule->add_names(name);
  rule->set_part(part);
  rule->set_parts(parts);
}

static void addTowerNames(spec::ModelSpec &model) {
  const std::string tower = "vision_encoder.";
  addRule(model, "vision.class_token", tower + "class_embedding");
  addRule(model, "vision.positions.weight", tower + "positional_embedding");
  addRule(model, "vision.patch_embed", tower + "conv1");
  addRule(model, "vision.pre_norm", tower + "ln_pre");
  const std::string ours = "vision.layers.{}.";
  const std::string theirs = tower + "transformer.resblocks.{}.";
  addRule(model, ours + "norm1", theirs + "ln_1");
  addRule(model, ours + "norm2", theirs + "ln_2");
  int64_t part = 0;
  for (const char *name : {"query", "key", "value"}) {
    const std::string projection = ours + "attention." + name;
    addPart(model, projection + ".weight", {theirs + "attn.in_proj_weight"},
            part, 3);
    addPart(model, projection + ".bias", {theirs + "attn.in_proj_bias"}, part++,
            3);
  }
  addRule(model, ours + "attention.output", theirs + "attn.out_proj");
  addRule(model, ours + "mlp.fc1", theirs + "mlp.c_fc");
  addRule(model, ours + "mlp.fc2", theirs + "mlp.c_proj");
  model.add_ignored_tensors(tower + "proj"); // of the pooled token
  model.add_ignored_tensors(tower + "ln_post");
}

static void addResamplerNames(spec::ModelSpec &model) {
  addRule(model, "resampler.latents", "perceiver.latents");
  addRule(model, "resampler.final_norm", "perceiver.norm");
  addRule(model, "resampler.frames.weight", "perceiver.frame_embs");
  addRule(model, "resampler.media.weight", "perceiver.media_time_embs");
  const std::string ours = "resampler.layers.{}.";
  const std::string theirs = "perceiver.layers.{}.";
  addRule(model, ours + "context_norm", theirs + "0.norm_media");
  addRule(model, ours + "norm1", theirs + "0.norm_latents");
  addRule(model, ours + "attention.query", theirs + "0.to_q");
  addPart(model, ours + "attention.key", {theirs + "0.to_kv"}, 0, 2);
  addPart(model, ours + "attention.value", {theirs + "0.to_kv"}, 1, 2);
  addRule(model, ours + "attention.output", theirs + "0.to_out");
  addRule(model, ours + "norm2", theirs + "1.0");
  addRule(model, ours + "mlp.up", theirs + "1.1");
  addRule(model, ours + "mlp.down", theirs + "1.3");
}

namespace {
/// A language model of transformers or of its own code.
struct LanguageModel {
  std::vector<const char *> types; ///< model_type; none: all others
  const char *body;                ///< its prefix in the package's state
  std::vector<std::string> heads;
  const char *layers; ///< the list of layers there
  DecoderFacts (*read)(const Json &config, const std::string &file,
                       const std::string &path, ConfigLog &log,
                       spec::Decoder &decoder);
  void (*addRules)(spec::ModelSpec &model,
                   const std::vector<std::string> &bodies,
                   const std::vector<std::string> &heads,
                   const std::vector<std::string> &layers);
};
} // namespace

static DecoderFacts readUntied(const Json &config, const std::string &file,
                               const std::string &path, ConfigLog &log,
                               spec::Decoder &decoder) {
  return readDecoder(config, file, path, /*tied=*/false, log, decoder);
}

static void addUsualRules(spec::ModelSpec &model,
                          const std::vector<std::string> &bodies,
                          const std::vector<std::string> &heads,
                          const std::vector<std::string> &layers) {
  addDecoderRules(model, bodies, heads, layers);
}

static const LanguageModel &findLanguageModel(const Json *config) {
  static const std::vector<LanguageModel> models = {
      {{"gpt_neox"},
       "gpt_neox.",
       {"lang_encoder.embed_out", "lang_encoder.lm_head"},
       "gpt_neox.layers.{}.",
       readNeox,
       addNeoxRules},
      {{"mpt", "mosaic_gpt"},
       "transformer.",
       {"lang_encoder.lm_head"},
       "transformer.blocks.{}.",
       readMpt,
       addMptRules},
      {{},
       "model.",
       {"lang_encoder.lm_head"},
       "model.layers.{}.",
       readUntied,
       addUsualRules}};
  for (const LanguageModel &model : models)
    for (const char *type : model.types)
      if (config && config->contains("model_type") &&
          (*config)["model_type"] == type)
        return model;
  return models.back();
}

/// The package's class reaches a layer in several ways; a file has one of them
/// or all.
static void addCrossNames(spec::ModelSpec &model, const LanguageModel &language,
                          const spec::CrossAttention &cross) {
  const std::string layers =
      std::string("lang_encoder.") + language.layers + "gated_cross_attn_layer";
  for (int i = 0; i < cross.layers_size(); ++i) {
    const std::string number = std::to_string(cross.layers(i));
    std::string beside = layers;
    beside.replace(beside.find("{}"), 2, number);
    const std::vector<std::string> theirs = {
        "lang_encoder.gated_cross_attn_layers." + number + ".", beside + "."};
    const std::string ours = "text.cross_layers." + std::to_string(i) + ".";
    for (auto [canonical, name] :
         {std::pair("norm1", "attn.norm"),
          std::pair("attention.query", "attn.to_q"),
          std::pair("attention.output", "attn.to_out"),
          std::pair("attention_gate", "attn_gate"), std::pair("norm2", "ff.0"),
          std::pair("mlp.up", "ff.1"), std::pair("mlp.down", "ff.3"),
          std::pair("mlp_gate", "ff_gate")})
      addRule(model, ours + canonical, theirs, name);
    std::vector<std::string> fused;
    for (const std::string &prefix : theirs)
      fused.push_back(prefix + "attn.to_kv");
    addPart(model, ours + "attention.key", fused, 0, 2);
    addPart(model, ours + "attention.value", fused, 1, 2);
  }
  model.add_ignored_tensors(layers);
}

static void addNames(spec::ModelSpec &model, const LanguageModel &language,
                     const spec::Decoder &decoder) {
  const std::string prefix = "lang_encoder.";
  addTowerNames(model);
  addResamplerNames(model);
  addCrossNames(model, language, decoder.cross_attention());
  const std::string layer = prefix + language.layers;
  language.addRules(
      model, {prefix + language.body}, language.heads,
      {prefix + "old_decoder_blocks.{}.", layer + "decoder_layer.", layer});
  // The other way to what is read by one.
  model.add_ignored_tensors(layer + "decoder_layer");
  if (decoder.tied_head())
    for (const std::string &head : language.heads)
      model.add_ignored_tensors(head);
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

extern const Family familyOpenFlamingo;

static spec::ModelSpec readOpenFlamingo(const CheckpointConfig &config,
                                        ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(familyOpenFlamingo.name));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  spec::VisionTransformer &tower = *vision->mutable_vision_transformer();
  readTower(top.object("vision_config"), config.file, log, tower);
  const int64_t width = tower.blocks().hidden_size();
  spec::Component *resampler = model.add_components();
  resampler->set_name("resampler");
  readResampler(top.object("perceiver_config"), config.file, width, log,
                *resampler->mutable_perceiver_resampler());

  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  const Json *words = top.object("text_config");
  const LanguageModel &language = findLanguageModel(words);
  DecoderFacts facts = language.read(words ? *words : Json::object(),
                                     config.file, "text_config", log, decoder);
  decoder.set_features("resampler");
  int64_t every = top.integer("cross_attn_every_n_layers", 1, 1, 4096);
  if (log.errors.empty() && every > decoder.layers())
    top.error("cross_attn_every_n_layers",
              "expected at most num_hidden_layers " +
                  std::to_string(decoder.layers()) + ", found " +
                  std::to_string(every) + "; mend the file");
  setCrossAttention(width, every, decoder);

  spec::Generation &generation = *model.mutable_generation();
  generation.set_image_token_id(
      top.optionalInteger("media_token_id", 0, maxId).value_or(32001));
  generation.add_end_token_ids(
      top.optionalInteger("eoc_token_id", 0, maxId).value_or(32000));
  if (facts.padToken && *facts.padToken >= 0)
    generation.set_pad_token_id(*facts.padToken);
  // Otherwise tokens before the first picture attend to all of them alike.
  const bool isLatest = top.flag("only_attend_immediate_media", true);
  generation.set_attended(isLatest ? spec::Generation::LATEST
                                   : spec::Generation::AHEAD);
  decoder.mutable_cross_attention()->set_alike(!isLatest);
  generation.set_reads_videos(resampler->perceiver_resampler().max_frames() !=
                              0);
  top.finish();
  addNames(model, language, decoder);
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
  if (log.errors.empty()) {
    ImageProcessorClass known{{"CLIPImageProcessor"}, ImageProcessing()};
    known.defaults.shortestEdge = tower.image_size();
    known.defaults.cropHeight = known.defaults.cropWidth = tower.image_size();
    readTowerImage(config.folder, known, tower.image_size(), log, model);
  }
  return model;
}

/// Keys of the language model are told by the names that transformers has for
/// those of all of them.
static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "text")
    return field == "feature_size" ? "vision_config.width" : decoderKey(field);
  if (component == "resampler")
    for (auto [ours, theirs] :
         {std::pair("latents", "num_latents"), std::pair("layers", "depth"),
          std::pair("heads", "heads"), std::pair("head_size", "dim_head"),
          std::pair("intermediate_size", "ff_mult"),
          std::pair("max_frames", "max_num_frames"),
          std::pair("max_media", "max_num_media")})
      if (field == ours)
        return std::string("perceiver_config.") + theirs;
  return "vision_config." +
         std::string(field == "hidden_size" ? "width" : field);
}

const Family familyOpenFlamingo = {"open_flamingo", readOpenFlamingo,
                                   configKey};

} // namespace vlmc
