//===- Siglip2.cpp - SigLIP 2 models of any resolution --------------------===//
//
// NaFlex: pictures of their own aspect, cut into rows of patches by the
// processor, and a tower whose table of positions is resized to each of them;
// the text side is that of SigLIP. `Siglip2Model` of transformers, arXiv:
// 2502.14786. SigLIP 2 models of fixed resolution are of the type siglip and
// read by Siglip.cpp. Defaults are those of configuration_siglip2.py, the
// arithmetic is that of modeling_siglip2.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/ImageSpec.h"
#include "frontend/families/Siglip.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

/// What Siglip2Processor pads texts to.
static constexpr int64_t paddedTokens = 64;

static const Json &visionDefaults() {
  static const Json defaults = [] {
    Json values = siglipVisionDefaults();
    values.erase("image_size");
    values["num_patches"] = 256;
    return values;
  }();
  return defaults;
}

static void readVision(ConfigSection section, const Json &values,
                       spec::VisionTransformer &vision) {
  readBlocks(section, *vision.mutable_blocks());
  vision.set_patch_size(section.integer("patch_size", 16, 1, 4096));
  vision.set_channels(section.integer("num_channels", 3, 3, 3));
  int64_t patches = section.integer("num_patches", 256, 1, 1 << 20);
  auto side = std::llround(std::sqrt(static_cast<double>(patches)));
  if (side * side != patches)
    section.error("num_patches",
                  "expected the square of a number, as the positions are a "
                  "square, found " +
                      std::to_string(patches) + "; mend the file");
  vision.set_image_size(side * vision.patch_size());
  readSiglipHead(section, values);
  vision.set_grid(spec::VisionTransformer::RESIZED);
  vision.set_patch_bias(true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::ATTENTION);
  vision.set_normalize(true);
  section.finish();
}

/// A file that names no patch_size means that of the class.
static ImageProcessorClass processor(const std::string &folder, int64_t patch) {
  ImageProcessorClass known = siglipProcessor(patch);
  known.names = {"Siglip2ImageProcessor"};
  known.defaults.height.reset();
  known.defaults.width.reset();
  known.defaults.resample = Resample::Bilinear;
  known.defaults.patchSize = hasImageProcessor(folder) ? 16 : patch;
  known.defaults.maxPatches = 256;
  return known;
}

static void readPictures(const std::string &folder, ConfigLog &log,
                         spec::ModelSpec &model) {
  const spec::VisionTransformer &vision =
      model.components(0).vision_transformer();
  Result<ImageProcessing> image = readImageProcessing(
      folder, processor(folder, vision.patch_size()), log.warnings);
  if (!image) {
    log.errors.push_back(image.message());
    return;
  }
  if (image->patchSize != vision.patch_size()) {
    log.errors.push_back(
        folder + ": the processor cuts patches of " +
        std::to_string(image->patchSize) +
        " pixels (patch_size), expected those of the model, " +
        std::to_string(vision.patch_size()) +
        " (vision_config.patch_size); mend preprocessor_config.json");
    return;
  }
  *model.mutable_image() = toSpec(*image);
}

extern const Family familySiglip2;

static spec::ModelSpec readSiglip2(const CheckpointConfig &config,
                                   ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  checkArchitecture(top, "Siglip2Model");
  Json vision = completeSection(top, "vision_config", visionDefaults());
  Json text = completeSection(top, "text_config", siglipTextDefaults());
  top.finish();

  spec::ModelSpec model;
  model.set_family(std::string(familySiglip2.name));
  spec::Component *component = model.add_components();
  component->set_name("vision");
  readVision({vision, config.file, "vision_config", log}, vision,
             *component->mutable_vision_transformer());
  component = model.add_components();
  component->set_name("text");
  readSiglipText({text, config.file, "text_config", log},
                 *component->mutable_text_transformer(), *model.mutable_text());
  addSimilarity(model, spec::ContrastiveHead::SIGMOID).set_bias(true);
  addSiglipRules(model);
  spec::TextProcessing &words = *model.mutable_text();
  words.set_pad_to_max_tokens(true);
  words.set_max_tokens(std::min(words.max_tokens(), paddedTokens));
  readSiglipMask(config.folder, words);
  if (log.errors.empty())
    readPictures(config.folder, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "vision" && field == "image_size")
    return "vision_config.num_patches";
  return towerKey(component, field);
}

const Family familySiglip2 = {"siglip2", readSiglip2, configKey};

} // namespace vlmc
