//===- InternVL.h - What the layouts of InternVL share ----------*- C++ -*-===//
//
// The model in the form of transformers' InternVLConfig; a layout says what it
// spells in another way.
//
//   InternVLLayout layout;
//   layout.family = "foo";
//   layout.addNames = addFooNames;
//   return readInternVLModel(config, layout, log);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_INTERNVL_H
#define VLMC_FRONTEND_FAMILIES_INTERNVL_H

#include "frontend/families/Family.h"
#include "frontend/image/ImageProcessing.h"

namespace vlmc {

struct InternVLLayout {
  std::string_view family = "internvl";
  /// The key of the language model's section, for messages.
  std::string wordsPath = "text_config";
  /// Squares are joined column by column.
  bool isTransposed = false;
  /// How tensors are named, where the file's tower has `allLayers` blocks;
  /// null: as transformers does.
  void (*addNames)(spec::ModelSpec &model, int64_t allLayers) = nullptr;
  /// What is done to pictures; nothing: what the checkpoint's files say.
  std::optional<ImageProcessing> image = {};
};

spec::ModelSpec readInternVLModel(const CheckpointConfig &config,
                                  const InternVLLayout &layout, ConfigLog &log);

/// `configKey` of transformers' layout.
std::string internVLConfigKey(std::string_view component,
                              std::string_view field);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_INTERNVL_H
