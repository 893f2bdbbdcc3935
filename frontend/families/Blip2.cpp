//===- Blip2.cpp - The BLIP-2 family --------------------------------------===//
//
// A vision transformer, a Q-Former and a language model (arXiv:2301.12597),
// `Blip2ForConditionalGeneration` of transformers, or for retrieval without the
// last, `Blip2ForImageTextRetrieval`. Defaults are those of
// configuration_blip_2.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Blip2.h"

#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/OptConfig.h"
#include "frontend/families/T5Config.h"

#include <algorithm>

namespace vlmc {

static const Json &visionDefaults() {
  static const Json defaults = {
      {"hidden_act", "gelu"},    {"hidden_size", 1408},
      {"image_size", 224},       {"intermediate_size", 6144},
      {"layer_norm_eps", 1e-6},  {"num_attention_heads", 16},
      {"num_hidden_layers", 39}, {"patch_size", 14},
      {"qkv_bias", true}};
  return defaults;
}

static const Json &qformerDefaults() {
  static const Json defaults = {{"cross_attention_frequency", 2},
                                {"hidden_act", "gelu"},
                                {"hidden_size", 768},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-12},
                                {"max_position_embeddings", 512},
                                {"num_attention_heads", 12},
                                {"num_hidden_layers", 12},
                                {"pad_token_id", 0},
                                {"use_qformer_text_input", false},
                                {"vocab_size", 30522}};
  return defaults;
}

static Json completed(const Json &defaults, const Json *given) {
  Json values = defaults;
  if (given)
    values.update(*given);
  return values;
}

//===----------------------------------------------------------------------===//
// The components
//===----------------------------------------------------------------------===//

static void readVision(ConfigSection &top, const std::string &file,
                       ConfigLog &log, spec::VisionTransformer &vision) {
  const Json values = completed(visionDefaults(), top.object("vision_config"));
  ConfigSection section(values, file, "vision_config", log);
  readBlocks(section, *vision.mutable_blocks());
  readPatches(section, vision);
  vision.mutable_blocks()->set_unbiased_attention(
      !section.flag("qkv_bias", true));
  // Of old files, without effect.
  section.ignore("projection_dim");
  section.finish();
  vision.set_class_token(true);
  vision.set_patch_bias(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::TOKENS);
}

/// Returns whether the Q-Former has layers for words, read or not.
static bool readQFormer(ConfigSection &top, const std::string &file,
                        const Blip2Variant &variant, ConfigLog &log,
                        spec::QFormer &qformer) {
  const Json values =
      completed(qformerDefaults(), top.object("qformer_config"));
  ConfigSection section(values, file, "qformer_config", log);
  readBlocks(section, *qformer.mutable_blocks());
  qformer.set_tower("vision");
  qformer.set_queries(top.integer("num_query_tokens", 32, 1, 1 << 16));
  qformer.set_cross_attention_step(
      section.integer("cross_attention_frequency", 2, 1, 4096));
  bool hasWords =
      section.flag("use_qformer_text_input", false) || variant.readsPrompt;
  section.ignore("encoder_hidden_size"); // vision_config.hidden_size counts
  section.ignore("pad_token_id");
  section.ignore("position_embedding_type");
  section.ignore("classifier_dropout");
  int64_t vocabulary = section.integer("vocab_size", 1, 1, maxId);
  int64_t tokens =
      section.integer("max_position_embeddings", 1, 1, maxFeatures);
  if (hasWords && (variant.readsPrompt || qformer.retrieval())) {
    qformer.set_vocabulary_size(vocabulary);
    qformer.set_max_tokens(tokens);
  }
  section.finish();
  return hasWords;
}

static bool isOpt(const Json &text) {
  return text.value("model_type", Json("opt")) == "opt";
}

static DecoderFacts readText(const Json &text, const std::string &file,
                             ConfigLog &log, spec::Decoder &decoder) {
  if (isOpt(text))
    return readOpt(text, file, "text_config", log, decoder);
  return readDecoder(text, file, "text_config", /*tied=*/false, log, decoder);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static void addVisionNames(spec::ModelSpec &model) {
  const char *parts[][2] = {
      {"class_token", "embeddings.class_embedding"},
      {"patch_embed", "embeddings.patch_embedding"},
      {"positions.weight", "embeddings.position_embedding"},
      {"post_norm", "post_layernorm"},
      {"layers.{}.norm1", "encoder.layers.{}.layer_norm1"},
      {"layers.{}.norm2", "encoder.layers.{}.layer_norm2"},
      {"layers.{}.attention.output", "encoder.layers.{}.self_attn.projection"},
      {"layers.{}.mlp", "encoder.layers.{}.mlp"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("vision.") + ours,
            std::string("vision_model.") + theirs);
  int64_t part = 0;
  for (const char *each : {"query", "key", "value"}) {
    addRule(model, std::string("vision.layers.{}.attention.") + each,
            "vision_model.encoder.layers.{}.self_attn.qkv");
    spec::WeightRule *rule = model.mutable_weights(model.weights_size() - 1);
    rule->set_part(part++);
    rule->set_parts(3);
  }
}

static void addQFormerNames(spec::ModelSpec &model, bool hasWords) {
  const char *parts[][2] = {{"query", "attention.query"},
                            {"key", "attention.key"},
                            {"value", "attention.value"},
                            {"output", "output.dense"},
                            {"norm", "output.LayerNorm"}};
  const std::string layer = "qformer.encoder.layer.{}.";
  for (auto [ours, theirs] : parts) {
    addRule(model, std::string("qformer.layers.{}.attention.") + ours,
            layer + "attention." + theirs);
    addRule(model, std::string("qformer.layers.{}.cross_attention.") + ours,
            layer + "crossattention." + theirs);
  }
  for (auto [ours, theirs] :
       {std::pair("query_mlp.", "_query"), std::pair("text_mlp.", "")}) {
    const std::string mlp = std::string("qformer.layers.{}.") + ours;
    addRule(model, mlp + "fc1", layer + "intermediate" + theirs + ".dense");
    addRule(model, mlp + "fc2", layer + "output" + theirs + ".dense");
    addRule(model, mlp + "norm", layer + "output" + theirs + ".LayerNorm");
  }
  addRule(model, "qformer.queries", "query_tokens");
  addRule(model, "qformer.norm",
          {"qformer.layernorm", "qformer.embeddings.layernorm"}, "");
  addRule(model, "qformer.projection",
          {"language_projection", "vision_projection"}, "");
  addRule(model, "qformer.text_projection", "text_projection");
  addRule(model, "qformer.match", "itm_head");
  const std::vector<std::string> embeddings = {"embeddings.",
                                               "qformer.embeddings."};
  addRule(model, "qformer.tokens", embeddings, "word_embeddings");
  addRule(model, "qformer.positions", embeddings, "position_embeddings");
  for (const std::string &prefix : embeddings)
    model.add_ignored_tensors(prefix + "position_ids");
  // Layers whose values for words nobody reads.
  if (hasWords)
    for (const char *unread : {"intermediate", "output"})
      model.add_ignored_tensors(layer + unread);
}

static void addTextNames(spec::ModelSpec &model, bool isOptDecoder) {
  const std::vector<std::string> heads = {"language_model.lm_head"};
  if (isOptDecoder)
    addOptRules(model, {"language_model.model.decoder."}, heads);
  else
    addDecoderRules(model, {"language_model.model."}, heads);
  for (const spec::Component &component : model.components())
    if (component.has_decoder() && component.decoder().tied_head())
      model.add_ignored_tensors(heads.front());
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

static void readGeneration(ConfigSection &top, const DecoderFacts &facts,
                           spec::Generation &generation) {
  auto image = top.optionalInteger("image_token_index", 0, maxId);
  auto renamed = top.optionalInteger("image_token_id", 0, maxId);
  if (!image && !renamed)
    return top.error("image_token_index",
                     "expected an integer, found none; old files lack it: add "
                     "the id of the token '<image>'");
  generation.set_image_token_id(renamed ? *renamed : *image);
  // transformers generates with the language model's own settings.
  for (int64_t id : facts.endTokens)
    generation.add_end_token_ids(id);
  if (facts.padToken && *facts.padToken >= 0)
    generation.set_pad_token_id(*facts.padToken);
}

/// A picture is resized to both sides.
static void readImage(const CheckpointConfig &config, int64_t side,
                      ConfigLog &log, spec::ModelSpec &model) {
  ImageProcessorClass known;
  known.names = {"BlipImageProcessor"};
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = 384;
  known.defaults.doCenterCrop = false;
  readTowerImage(config.folder, known, side, log, model);
}

static void readRetrieval(ConfigSection &top, spec::ModelSpec &model,
                          spec::QFormer &qformer) {
  qformer.set_output_size(
      top.integer("image_text_hidden_size", 256, 1, maxFeatures));
  qformer.set_retrieval(true);
  // Where a token is named, texts begin with places for the queries.
  auto image = top.optionalInteger("image_token_index", 0, maxId);
  auto renamed = top.optionalInteger("image_token_id", 0, maxId);
  if (image || renamed)
    model.mutable_generation()->set_image_token_id(renamed ? *renamed : *image);
}

/// Retrieval has no language model, and "architectures" alone tells.
static bool isRetrieval(const Blip2Variant &variant, ConfigSection &top) {
  const std::string name(variant.className);
  const Json *classes = top.find("architectures");
  if (classes && classes->is_array() && !variant.readsPrompt &&
      std::ranges::find(*classes, Json(name + "ForImageTextRetrieval")) !=
          classes->end())
    return true;
  checkArchitecture(top, name + "ForConditionalGeneration");
  return false;
}

/// Reads a language model with an encoder; the features go in there.
static void readT5Model(ConfigSection &top, const CheckpointConfig &config,
                        const Json &words, ConfigLog &log,
                        spec::ModelSpec &model, spec::QFormer &qformer) {
  static constexpr const char *prefix = "language_model.";
  spec::Component *text = model.add_components();
  text->set_name("t5");
  spec::EncoderDecoder &message = *text->mutable_encoder_decoder();
  DecoderFacts facts = readT5(words, config, "text_config", prefix, log,
                              message, *model.mutable_generation());
  message.set_features("qformer");
  qformer.set_output_size(message.hidden_size());
  readGeneration(top, facts, *model.mutable_generation());
  model.mutable_text()->set_max_tokens(message.max_tokens());
  addT5Rules(model, prefix);
}

/// Reads the language model and what the Q-Former has to know of it.
static void readLanguageModel(ConfigSection &top,
                              const CheckpointConfig &config, ConfigLog &log,
                              spec::ModelSpec &model, spec::QFormer &qformer) {
  top.ignore("image_text_hidden_size");
  const Json *given = top.object("text_config");
  const Json words = given ? *given : Json::object();
  if (words.value("model_type", Json()) == "t5")
    return readT5Model(top, config, words, log, model, qformer);
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  DecoderFacts facts = readText(words, config.file, log, decoder);
  decoder.set_features("qformer");
  qformer.set_output_size(decoder.hidden_size());
  readGeneration(top, facts, *model.mutable_generation());
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
  addTextNames(model, isOpt(words));
}

spec::ModelSpec readBlip2Model(const CheckpointConfig &config,
                               const Blip2Variant &variant, ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(variant.family));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  readVision(top, config.file, log, *vision->mutable_vision_transformer());
  const int64_t side = vision->vision_transformer().image_size();

  spec::QFormer qformer;
  qformer.set_tower_size(vision->vision_transformer().blocks().hidden_size());
  const bool retrieves = isRetrieval(variant, top);
  if (retrieves)
    readRetrieval(top, model, qformer);
  const bool hasWords = readQFormer(top, config.file, variant, log, qformer);
  if (!retrieves)
    readLanguageModel(top, config, log, model, qformer);
  else if (!hasWords)
    top.error("qformer_config.use_qformer_text_input",
              "expected true, as texts are compared with pictures, found "
              "false; mend the file");
  else
    model.mutable_text()->set_max_tokens(qformer.max_tokens());
  top.ignore("text_config");
  top.ignore("use_decoder_only_language_model"); // text_config tells it
  top.ignore("tie_word_embeddings");
  top.finish();
  spec::Component *queries = model.add_components();
  queries->set_name("qformer");
  *queries->mutable_q_former() = qformer;
  addVisionNames(model);
  addQFormerNames(model, hasWords);
  if (log.errors.empty())
    readImage(config, side, log, model);
  return model;
}

std::string blip2ConfigKey(std::string_view component, std::string_view field) {
  if (component == "text")
    return optKey(field);
  if (component == "t5")
    return t5Key(field);
  if (component == "vision")
    return towerKey(component, field);
  for (auto [ours, theirs] :
       {std::pair("queries", "num_query_tokens"),
        std::pair("output_size", "text_config.hidden_size"),
        std::pair("tower_size", "vision_config.hidden_size"),
        std::pair("cross_attention_step",
                  "qformer_config.cross_attention_frequency")})
    if (field == ours)
      return theirs;
  return towerKey(component, field);
}

static spec::ModelSpec readBlip2(const CheckpointConfig &config,
                                 ConfigLog &log) {
  Blip2Variant variant;
  variant.family = "blip-2";
  variant.className = "Blip2";
  return readBlip2Model(config, variant, log);
}

extern const Family familyBlip2;
const Family familyBlip2 = {"blip-2", readBlip2, blip2ConfigKey};

} // namespace vlmc
