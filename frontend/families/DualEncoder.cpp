//===- DualEncoder.cpp - What families of dual encoders share -------------===//
#include "frontend/families/DualEncoder.h"

#include "frontend/families/Activations.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>

namespace vlmc {

static constexpr int64_t maxLayers = 4096;

void checkArchitecture(ConfigSection &top, const std::string &name) {
  std::vector<std::string> names = top.strings("architectures");
  if (names.empty() || std::ranges::find(names, name) != names.end())
    return;
  top.error("architectures", "expected [\"" + name + "\"], found " +
                                 describe(Json(names)) +
                                 "; vlmc takes the pair of towers, not one "
                                 "alone or with another head");
}

//===----------------------------------------------------------------------===//
// Towers
//===----------------------------------------------------------------------===//

const Json &clipVisionDefaults() {
  static const Json defaults = {{"hidden_act", "quick_gelu"},
                                {"hidden_size", 768},
                                {"image_size", 224},
                                {"intermediate_size", 3072},
                                {"layer_norm_eps", 1e-5},
                                {"num_attention_heads", 12},
                                {"num_channels", 3},
                                {"num_hidden_layers", 12},
                                {"patch_size", 32}};
  return defaults;
}

void readBlocks(ConfigSection &section, spec::TransformerBlocks &blocks) {
  blocks.set_hidden_size(section.integer("hidden_size", 1, 1, maxFeatures));
  blocks.set_intermediate_size(
      section.integer("intermediate_size", 1, 1, maxFeatures));
  blocks.set_layers(section.integer("num_hidden_layers", 1, 1, maxLayers));
  blocks.set_heads(section.integer("num_attention_heads", 1, 1, maxFeatures));
  blocks.set_activation(readActivation(section, "hidden_act", ""));
  blocks.set_norm_epsilon(section.number("layer_norm_eps", 1e-5, 0, 1));
  if (blocks.hidden_size() % blocks.heads() != 0)
    section.error("num_attention_heads",
                  "expected a divisor of hidden_size " +
                      std::to_string(blocks.hidden_size()) + ", found " +
                      std::to_string(blocks.heads()) + "; mend the file");
}

void readPatches(ConfigSection &section, spec::VisionTransformer &vision) {
  vision.set_image_size(section.integer("image_size", 1, 1, 65536));
  vision.set_patch_size(section.integer("patch_size", 1, 1, 65536));
  // Pictures are decoded to red, green and blue.
  vision.set_channels(section.integer("num_channels", 3, 3, 3));
  if (vision.patch_size() > vision.image_size())
    section.error("patch_size",
                  "expected at most image_size " +
                      std::to_string(vision.image_size()) + ", found " +
                      std::to_string(vision.patch_size()) + "; mend the file");
}

void readWords(ConfigSection &section, spec::TextTransformer &text,
               spec::TextProcessing &words) {
  text.set_vocabulary_size(section.integer("vocab_size", 1, 1, maxId));
  text.set_max_tokens(
      section.integer("max_position_embeddings", 1, 1, maxFeatures));
  words.set_max_tokens(text.max_tokens());
  if (auto pad = section.optionalInteger("pad_token_id", -1, maxId); pad >= 0)
    words.set_pad_token_id(*pad);
}

spec::ContrastiveHead &
addSimilarity(spec::ModelSpec &model,
              spec::ContrastiveHead::Probability probability) {
  spec::Component *component = model.add_components();
  component->set_name("similarity");
  spec::ContrastiveHead &head = *component->mutable_contrastive_head();
  head.set_image("vision");
  head.set_text("text");
  head.set_probability(probability);
  return head;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

void addRule(spec::ModelSpec &model, const std::string &canonical,
             const std::string &name) {
  spec::WeightRule *rule = model.add_weights();
  rule->set_canonical(canonical);
  rule->add_names(name);
}

void addRule(spec::ModelSpec &model, const std::string &canonical,
             const std::vector<std::string> &prefixes,
             const std::string &name) {
  spec::WeightRule *rule = model.add_weights();
  rule->set_canonical(canonical);
  for (const std::string &prefix : prefixes)
    rule->add_names(prefix + name);
}

void addEncoderRules(spec::ModelSpec &model, const std::string &tower,
                     const std::vector<std::string> &prefixes) {
  const char *parts[][2] = {{"norm1", "layer_norm1"},
                            {"attention.query", "self_attn.q_proj"},
                            {"attention.key", "self_attn.k_proj"},
                            {"attention.value", "self_attn.v_proj"},
                            {"attention.output", "self_attn.out_proj"},
                            {"norm2", "layer_norm2"},
                            {"mlp", "mlp"}};
  for (auto [ours, theirs] : parts)
    addRule(model, tower + ".layers.{}." + ours, prefixes,
            std::string("encoder.layers.{}.") + theirs);
  for (const std::string &prefix : prefixes)
    model.add_ignored_tensors(prefix + "embeddings.position_ids");
}

void addTowerRules(spec::ModelSpec &model, const std::string &tower) {
  addEncoderRules(model, tower, {tower + "_model."});
}

std::string towerKey(std::string_view component, std::string_view field) {
  std::string_view key = field;
  for (auto [ours, theirs] :
       {std::pair("channels", "num_channels"),
        std::pair("heads", "num_attention_heads"),
        std::pair("layers", "num_hidden_layers"),
        std::pair("max_tokens", "max_position_embeddings"),
        std::pair("vocabulary_size", "vocab_size")})
    if (field == ours)
      key = theirs;
  return std::string(component) + "_config." + std::string(key);
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

void readTowerImage(const std::string &folder, const ImageProcessorClass &known,
                    int64_t side, ConfigLog &log, spec::ModelSpec &model) {
  Result<ImageProcessing> image =
      readImageProcessing(folder, known, log.warnings);
  if (!image) {
    log.errors.push_back(image.message());
    return;
  }
  // What comes out must be what the tower takes; without a crop, only resizing
  // to both sides settles it.
  int64_t height =
      image->doCenterCrop ? image->cropHeight : image->height.value_or(0);
  int64_t width =
      image->doCenterCrop ? image->cropWidth : image->width.value_or(0);
  if (height != side || width != side)
    log.errors.push_back(
        folder + ": image processing: expected pictures of " +
        std::to_string(side) + "x" + std::to_string(side) +
        " (vision_config.image_size), found " +
        (height && width
             ? std::to_string(height) + "x" + std::to_string(width)
             : "sizes that follow the picture's aspect (do_center_crop is "
               "false)") +
        "; mend " + (known.defaults.doCenterCrop ? "crop_size" : "size") +
        " in preprocessor_config.json");
  *model.mutable_image() = toSpec(*image);
}

void readTowerVideo(const std::string &folder, int64_t side, ConfigLog &log,
                    spec::ModelSpec &model) {
  ImageProcessorClass known;
  known.isOfVideos = true;
  known.defaults.doCenterCrop = false;
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = 384;
  // Those of pictures are told where pictures are read.
  std::vector<std::string> warnings;
  Result<ImageProcessing> video = readVideoProcessing(folder, known, warnings);
  if (!video) {
    log.errors.push_back(video.message());
    return;
  }
  for (const std::string &warning : warnings)
    if (warning.find("do_sample_frames") != warning.npos)
      log.warnings.push_back(warning);
  const bool isCropped = video->doCenterCrop;
  const int64_t height =
      isCropped ? video->cropHeight : video->height.value_or(0);
  const int64_t width = isCropped ? video->cropWidth : video->width.value_or(0);
  const bool fits =
      height == side && width == side && (isCropped || video->doResize);
  model.mutable_generation()->set_reads_videos(fits);
  if (fits)
    *model.mutable_video() = toSpec(*video);
  else
    log.warnings.push_back(folder + ": video processing: expected frames of " +
                           std::to_string(side) + "x" + std::to_string(side) +
                           " (vision_config.image_size), found others; videos "
                           "are refused");
}

} // namespace vlmc
