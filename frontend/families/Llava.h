//===- Llava.h - What the families of LLaVA's line share --------*- C++ -*-===//
//
// A CLIP tower, a projector and a language model, with the names that
// transformers gives their keys and tensors; a family adds what is its own.
//
//   LlavaVariant variant;
//   variant.family = "foo";
//   variant.readRest = [](ConfigSection &top, spec::ModelSpec &model) { ... };
//   return readLlavaModel(config, variant, log);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_LLAVA_H
#define VLMC_FRONTEND_FAMILIES_LLAVA_H

#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"

#include <optional>

namespace vlmc {

/// Prefixes, and names of the language model's head; those of transformers.
struct LlavaNames {
  std::vector<std::string> tower = {"vision_tower.vision_model.",
                                    "model.vision_tower.vision_model.",
                                    "vision_tower.", "model.vision_tower."};
  /// The last is how some of version 5 (5.5.4) wrote it.
  std::vector<std::string> bodies = {"language_model.model.",
                                     "model.language_model.", "language_model.",
                                     "model.language_model.model."};
  std::vector<std::string> heads = {"language_model.lm_head", "lm_head"};
  std::vector<std::string> projector = {"multi_modal_projector.",
                                        "model.multi_modal_projector."};
  /// Of the projector's layers.
  std::vector<std::string> layers = {"linear_1", "linear_2"};
};

struct LlavaVariant {
  std::string_view family;
  ImageProcessorClass processor;
  /// Where config.json has no vision_feature_layer.
  Json featureLayers = -2;
  /// Whether vision_feature_select_strategy counts; else it is "default".
  bool hasStrategy = true;
  /// Whether the projector may be one matrix.
  bool hasLinear = false;
  /// The layers of the projector, where the config says so; 0 is none at all.
  std::optional<int64_t> projectorLayers = {};
  /// Where the config of the tower and that of the language model stand, for
  /// messages: a file, "" for config.json, and a key.
  std::string towerFile = {};
  std::string towerPath = "vision_config";
  std::string wordsPath = "text_config";
  /// The folder of the tower's image processor; "": the checkpoint's.
  std::string imageFolder = {};
  /// How tensors are named in the checkpoint.
  LlavaNames names = {};
  /// Reads keys of the whole that only this family has and adds what they
  /// mean; components are vision, text, projector. May be null.
  void (*readRest)(ConfigSection &top, spec::ModelSpec &model) = nullptr;
};

spec::ModelSpec readLlavaModel(const CheckpointConfig &config,
                               const LlavaVariant &variant, ConfigLog &log);

/// Sets the grid of pictures that are cut (AnyRes): image_grid_pinpoints.
void readLlavaTiles(ConfigSection &top, spec::ModelSpec &model);

/// The checkpoints of LLaVA's own code, whose config.json is that of the
/// language model, with keys of its own: whether this is one.
bool isOriginalLlava(const Json &config);
spec::ModelSpec readOriginalLlava(const CheckpointConfig &config,
                                  ConfigLog &log);
/// The folder of the tower that such a checkpoint names; "": there is none.
std::string findOriginalTower(const CheckpointConfig &config);

/// `configKey` of these families.
std::string llavaConfigKey(std::string_view component, std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_LLAVA_H
