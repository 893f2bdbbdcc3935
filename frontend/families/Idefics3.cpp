//===- Idefics3.cpp - The Idefics3 family ---------------------------------===//
//
// SigLIP's tower over squares of one size that pictures are cut into, whose
// tokens are joined in squares, one linear layer and a Llama
// (arXiv:2408.12637), `Idefics3ForConditionalGeneration` of transformers.
// Defaults are those of configuration_idefics3.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Idefics3.h"

#include "frontend/families/DualEncoder.h"
#include "frontend/families/Idefics2.h"
#include "frontend/families/ImageSpec.h"

#include <filesystem>

namespace vlmc {

static const Json &towerDefaults() {
  static const Json defaults = {{"hidden_act", "gelu_pytorch_tanh"},
                                {"hidden_size", 1152},
                                {"image_size", 224},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-6},
                                {"num_attention_heads", 16},
                                {"num_channels", 3},
                                {"num_hidden_layers", 12},
                                {"patch_size", 32}};
  return defaults;
}

/// Whether the checkpoint says what is done to pictures.
static bool hasProcessor(const std::string &folder) {
  Result<Json> nested = readJsonFile(folder + "/processor_config.json");
  std::error_code ignored;
  return (nested && nested->is_object() &&
          nested->contains("image_processor")) ||
         std::filesystem::exists(folder + "/preprocessor_config.json", ignored);
}

/// The squares that pictures become need not be of image_size, which is the
/// side of the table of positions.
static void readImage(const CheckpointConfig &config, ConfigLog &log,
                      spec::ModelSpec &model) {
  spec::VisionTransformer &tower =
      *model.mutable_components(0)->mutable_vision_transformer();
  tower.set_position_side(tower.image_size() / tower.patch_size());
  ImageProcessorClass known{{"Idefics3ImageProcessor", "SmolVLMImageProcessor"},
                            ImageProcessing()};
  known.defaults.shortestEdge.reset();
  known.defaults.longestEdge = 4 * 364;
  known.defaults.tileSize =
      hasProcessor(config.folder) ? 364 : tower.image_size();
  known.defaults.cutsLines = true;
  known.defaults.resample = Resample::Lanczos;
  known.defaults.doCenterCrop = false;
  known.defaults.mean = known.defaults.std = {0.5, 0.5, 0.5};
  Result<ImageProcessing> image =
      readImageProcessing(config.folder, known, log.warnings);
  if (!image)
    return log.errors.push_back(image.message());
  const int64_t square =
      std::max<int64_t>(1, model.components(1).projector().unshuffle());
  const int64_t side = image->tileSize / tower.patch_size();
  if (side < 1 || side % square)
    log.errors.push_back(
        config.folder + ": image processing: max_image_size: expected whole " +
        std::to_string(square * tower.patch_size()) +
        " pixels (vision_config.patch_size * scale_factor) along a side, "
        "found " +
        std::to_string(image->tileSize) + "; mend preprocessor_config.json");
  tower.set_image_size(image->tileSize);
  *model.mutable_image() = toSpec(*image);
}

spec::ModelSpec readIdefics3Model(const CheckpointConfig &config,
                                  std::string_view family, ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(family));
  spec::Component *vision = model.add_components();
  vision->set_name("vision");
  spec::VisionTransformer &tower = *vision->mutable_vision_transformer();
  readPlacedTower(top.object("vision_config"), towerDefaults(), config.file,
                  log, tower);

  spec::Component *component = model.add_components();
  component->set_name("projector");
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  DecoderFacts facts = readOwnWords(
      top, config, {"llama", {{"rms_norm_eps", 1e-5}}}, log, decoder);
  decoder.set_features("projector");

  spec::Projector &projector = *component->mutable_projector();
  const int64_t square = top.integer("scale_factor", 2, 1, 64);
  projector.set_tower("vision");
  projector.set_layers(1);
  projector.set_unshuffle(square > 1 ? square : 0);
  projector.set_input_size(tower.blocks().hidden_size() * square * square);
  projector.set_output_size(decoder.hidden_size());
  readOwnGeneration(top, facts, config, 128257, log, model);
  ignoreRest(top);
  top.finish();
  addPlacedNames(model);
  addRule(model, "projector.layers.0",
          "model.connector.modality_projection.proj");
  if (log.errors.empty())
    readImage(config, log, model);
  return model;
}

std::string idefics3ConfigKey(std::string_view component,
                              std::string_view field) {
  if (component == "text")
    return decoderKey(field);
  if (component == "projector")
    return field == "unshuffle" ? "scale_factor" : "text_config.hidden_size";
  return field == "position_side" ? "vision_config.image_size"
                                  : towerKey(component, field);
}

static spec::ModelSpec readIdefics3(const CheckpointConfig &config,
                                    ConfigLog &log) {
  return readIdefics3Model(config, "idefics3", log);
}

extern const Family familyIdefics3;
const Family familyIdefics3 = {"idefics3", readIdefics3, idefics3ConfigKey};

} // namespace vlmc
