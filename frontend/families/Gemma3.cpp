//===- Gemma3.cpp - The Gemma 3 family ------------------------------------===//
//
// A SigLIP tower whose tokens are pooled to a few, an RMSNorm, a matrix and a
// Gemma 3, in which the tokens of a picture see each other: Gemma 3
// (arXiv:2503.19786), `Gemma3ForConditionalGeneration` of transformers.
// Defaults are those of configuration_gemma3.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"
#include "frontend/families/Siglip.h"

namespace vlmc {

static void readText(ConfigSection &top, const CheckpointConfig &config,
                     ConfigLog &log, spec::ModelSpec &model) {
  const Json *given = top.object("text_config");
  Json words = given ? *given : Json::object();
  if (!words.contains("model_type"))
    words["model_type"] = "gemma3_text";
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  if (words["model_type"] != "gemma3_text") {
    log.errors.push_back(config.file +
                         ": text_config.model_type: expected "
                         "\"gemma3_text\", found " +
                         describe(words["model_type"]) +
                         "; other decoders are not supported");
    return;
  }
  DecoderFacts facts = readDecoder(words, config.file, "text_config",
                                   /*tied=*/false, log, decoder);
  decoder.set_tied_head(readModelTie(top, config.json));
  decoder.set_features("projector");
  decoder.set_sees_pictures(true);
  spec::Generation &generation = *model.mutable_generation();
  generation.set_sees_pictures(true);
  generation.set_image_token_id(
      top.optionalInteger("image_token_id", 0, maxId)
          .value_or(top.integer("image_token_index", 262144, 0, maxId)));
  readGenerationConfig(facts, config.folder, log, generation);
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
}

/// A side of the pooled tokens: the whole root of their number.
static int64_t pooledSide(int64_t tokens) {
  int64_t side = 1;
  while ((side + 1) * (side + 1) <= tokens)
    ++side;
  return side;
}

static void readProjector(ConfigSection &top, const spec::ModelSpec &model,
                          spec::Projector &projector) {
  const spec::VisionTransformer &vision =
      model.components(0).vision_transformer();
  const int64_t side =
      vision.image_size() / std::max<int64_t>(1, vision.patch_size());
  const int64_t tokens =
      top.integer("mm_tokens_per_image", 256, 1, maxFeatures);
  const int64_t wanted = pooledSide(tokens);
  if (wanted > side || wanted * wanted != tokens)
    top.error("mm_tokens_per_image",
              "expected the square of a number up to " + std::to_string(side) +
                  ", the patches along a side, found " +
                  std::to_string(tokens) + "; mend the file");
  projector.set_tower("vision");
  projector.set_pool(std::max<int64_t>(1, side / wanted));
  projector.set_layers(1);
  projector.set_input_size(vision.blocks().hidden_size());
  projector.set_output_size(model.components(1).decoder().hidden_size());
  projector.set_norm_epsilon(vision.blocks().norm_epsilon());
  projector.set_rms_norm(true);
  projector.set_norm_offset(1);
}

static void addNames(spec::ModelSpec &model) {
  addSiglipTokensRules(model);
  const std::vector<std::string> projector = {"multi_modal_projector.",
                                              "model.multi_modal_projector."};
  addRule(model, "projector.norm", projector, "mm_soft_emb_norm");
  addRule(model, "projector.layers.0.weight", projector,
          "mm_input_projection_weight");
  model.mutable_weights(model.weights_size() - 1)->set_transposed(true);
  addLanguageModelRules(model);
}

/// Crops of long pictures are made where a request asks for them, by the
/// numbers of Gemma3Processor, which count whatever the image processor's files
/// say.
static ImageProcessorClass processorClass() {
  ImageProcessorClass known = siglipProcessor(224);
  known.names = {"Gemma3ImageProcessor"};
  known.defaults.resample = Resample::Bilinear;
  known.defaults.panCrops = 4;
  known.defaults.panSide = 256;
  known.defaults.panRatio = 1.2;
  return known;
}

static spec::ModelSpec readGemma3(const CheckpointConfig &config,
                                  ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family("gemma3");
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  const Json *tower = top.object("vision_config");
  // Of a pooling that is not read.
  readSiglipTokens(tower ? *tower : Json::object(),
                   {"vision_use_head", "projection_dim", "vocab_size"},
                   config.file, log, *vision->mutable_vision_transformer());
  readText(top, config, log, model);
  spec::Component *projector = model.add_components();
  projector->set_name("projector");
  readProjector(top, model, *projector->mutable_projector());
  // Ids that the processor writes, and copies of numbers of the parts.
  for (const char *key :
       {"boi_token_index", "boi_token_id", "eoi_token_index", "eoi_token_id",
        "bos_token_id", "eos_token_id", "pad_token_id", "vocab_size"})
    top.ignore(key);
  top.finish();
  addNames(model);
  const int64_t side = model.components(0).vision_transformer().image_size();
  if (log.errors.empty())
    readTowerImage(config.folder, processorClass(), side, log, model);
  return model;
}

static std::string gemma3ConfigKey(std::string_view component,
                                   std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component == "projector")
    return field == "pool" ? "mm_tokens_per_image" : "text_config.hidden_size";
  return towerKey(component, field);
}

extern const Family familyGemma3;
const Family familyGemma3 = {"gemma3", readGemma3, gemma3ConfigKey};

} // namespace vlmc
