//===- PaliGemma.cpp - The PaliGemma family -------------------------------===//
//
// A SigLIP tower, one linear layer and a Gemma or Gemma 2 whose prompt tokens
// see each other: PaliGemma (arXiv:2407.07726) and PaliGemma 2
// (arXiv:2412.03555), `PaliGemmaForConditionalGeneration` of transformers.
// Defaults are those of configuration_paligemma.py. Its positions begin at 1,
// which rotary positions, being differences, do not show.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"
#include "frontend/families/Siglip.h"

namespace vlmc {

/// The tower where there is no vision_config at all.
static const Json &absentTower() {
  static const Json tower = {
      {"hidden_size", 1152},       {"image_size", 224},
      {"intermediate_size", 4096}, {"num_attention_heads", 16},
      {"num_hidden_layers", 27},   {"patch_size", 14}};
  return tower;
}

/// The decoder where there is no text_config at all.
static const Json &absentDecoder() {
  static const Json decoder = {
      {"model_type", "gemma"},    {"hidden_size", 2048},
      {"num_hidden_layers", 18},  {"intermediate_size", 16384},
      {"num_attention_heads", 8}, {"num_key_value_heads", 1},
      {"vocab_size", 257152}};
  return decoder;
}

static void addNames(spec::ModelSpec &model) {
  addSiglipTokensRules(model);
  addRule(model, "projector.layers.0",
          {"multi_modal_projector.", "model.multi_modal_projector."}, "linear");
  addLanguageModelRules(model);
}

/// The top level's own size is that of what the projector gives.
static void readProjector(ConfigSection &top, const spec::ModelSpec &model,
                          spec::Projector &projector) {
  const spec::Decoder &decoder = model.components(1).decoder();
  int64_t size = top.integer("projection_dim", 2048, 1, maxFeatures);
  if (size != decoder.hidden_size())
    top.error("projection_dim", "expected " +
                                    std::to_string(decoder.hidden_size()) +
                                    ", the hidden_size of text_config, found " +
                                    std::to_string(size) + "; mend the file");
  projector.set_tower("vision");
  projector.set_layers(1);
  projector.set_input_size(
      model.components(0).vision_transformer().blocks().hidden_size());
  projector.set_output_size(size);
  projector.set_bias(true);
}

static void readDecoderOf(ConfigSection &top, const CheckpointConfig &config,
                          ConfigLog &log, spec::ModelSpec &model) {
  const Json *given = top.object("text_config");
  Json words = given ? *given : absentDecoder();
  if (!words.contains("model_type"))
    words["model_type"] = "gemma";
  if (words["model_type"] != "gemma" && words["model_type"] != "gemma2") {
    log.errors.push_back(config.file +
                         ": text_config.model_type: expected "
                         "\"gemma\" or \"gemma2\", found " +
                         describe(words["model_type"]) +
                         "; other decoders are not supported");
    return;
  }
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  DecoderFacts facts = readDecoder(words, config.file, "text_config",
                                   /*tied=*/false, log, decoder);
  decoder.set_tied_head(readModelTie(top, config.json));
  decoder.set_features("projector");
  decoder.set_sees_prompt(true);
  model.mutable_generation()->set_image_token_id(
      top.optionalInteger("image_token_id", 0, maxId)
          .value_or(top.integer("image_token_index", 256000, 0, maxId)));
  readGenerationConfig(facts, config.folder, log, *model.mutable_generation());
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
}

static spec::ModelSpec readPaliGemma(const CheckpointConfig &config,
                                     ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family("paligemma");
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  const Json *tower = top.object("vision_config");
  // Numbers of other parts, and of a pooling that is not read.
  readSiglipTokens(tower ? *tower : absentTower(),
                   {"num_image_tokens", "num_positions", "projection_dim",
                    "projector_hidden_act", "vision_use_head", "vocab_size"},
                   config.file, log, *vision->mutable_vision_transformer());
  readDecoderOf(top, config, log, model);
  if (model.components_size() < 2)
    return model;
  spec::Component *projector = model.add_components();
  projector->set_name("projector");
  readProjector(top, model, *projector->mutable_projector());
  // Copies of numbers of the parts, and what only training reads.
  for (const char *key :
       {"bos_token_id", "eos_token_id", "hidden_size", "ignore_index",
        "num_hidden_layers", "pad_token_id", "vocab_size", "_vocab_size"})
    top.ignore(key);
  top.finish();
  addNames(model);
  const int64_t side = model.components(0).vision_transformer().image_size();
  if (log.errors.empty())
    readTowerImage(config.folder, siglipProcessor(side), side, log, model);
  return model;
}

static std::string paliGemmaConfigKey(std::string_view component,
                                      std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component == "projector")
    return "projection_dim";
  return towerKey(component, field);
}

extern const Family familyPaliGemma;
const Family familyPaliGemma = {"paligemma", readPaliGemma, paliGemmaConfigKey};

} // namespace vlmc
