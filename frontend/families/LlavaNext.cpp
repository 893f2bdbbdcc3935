//===- LlavaNext.cpp - The LLaVA-NeXT family ------------------------------===//
//
// LLaVA whose pictures are cut into tiles, besides the whole picture, by the
// best of some resolutions (AnyRes), and a learned feature behind each line of
// the tiles' features: LLaVA-NeXT (LLaVA-1.6),
// `LlavaNextForConditionalGeneration` of transformers. Defaults are those of
// configuration_llava_next.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Llava.h"

namespace vlmc {

using Grid = std::vector<std::array<int64_t, 2>>;

static const Grid &defaultGrid() {
  static const Grid grid = {
      {336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  return grid;
}

/// Heights and widths that tiles of `tile` pixels make up.
static Grid readGrid(ConfigSection &top, int64_t tile) {
  const std::string key = "image_grid_pinpoints";
  const Json *given = top.find(key);
  if (!given)
    return defaultGrid();
  auto isSide = [&](const Json &side) {
    return side.is_number_integer() && side > 0 && side <= 65536 &&
           side.get<int64_t>() % tile == 0;
  };
  Grid grid;
  if (given->is_array())
    for (const Json &each : *given)
      if (each.is_array() && each.size() == 2 && isSide(each[0]) &&
          isSide(each[1]))
        grid.push_back({each[0].get<int64_t>(), each[1].get<int64_t>()});
  if (!given->is_array() || grid.empty() || grid.size() != given->size())
    top.error(key, "expected pairs of a height and a width, multiples of "
                   "vision_config.image_size, " +
                       std::to_string(tile) + ", found " + describe(*given) +
                       "; mend the file");
  return grid;
}

void readLlavaTiles(ConfigSection &top, spec::ModelSpec &model) {
  // In the published files; no class has it.
  top.ignore("use_image_newline_parameter");
  const spec::VisionTransformer &vision =
      model.components(0).vision_transformer();
  if (vision.image_size() < 1 || vision.patch_size() < 1)
    return;
  spec::Generation &generation = *model.mutable_generation();
  for (auto [height, width] : readGrid(top, vision.image_size())) {
    spec::Resolution *resolution = generation.add_grid();
    resolution->set_height(height);
    resolution->set_width(width);
  }
  generation.set_tile_size(vision.image_size());
  generation.set_tile_features(vision.image_size() / vision.patch_size());
  // A tile's features make up a square.
  if (vision.class_token() != vision.drop_class_token()) {
    std::string wanted = vision.class_token() ? "default" : "full";
    top.error("vision_feature_select_strategy",
              "expected \"" + wanted + "\" for this tower, found \"" +
                  (vision.class_token() ? "full" : "default") +
                  "\"; the features of a tile would be no square; mend the "
                  "file");
  }
  model.mutable_components(2)->mutable_projector()->set_newline(true);
  addRule(model, "projector.newline", {"", "model."}, "image_newline");
}

static spec::ModelSpec readLlavaNext(const CheckpointConfig &config,
                                     ConfigLog &log) {
  LlavaVariant variant;
  variant.family = "llava_next";
  variant.processor.names = {"LlavaNextImageProcessor"};
  variant.processor.cutsTiles = true;
  variant.processor.defaults.grid = defaultGrid();
  variant.readRest = readLlavaTiles;
  return readLlavaModel(config, variant, log);
}

extern const Family familyLlavaNext;
const Family familyLlavaNext = {"llava_next", readLlavaNext, llavaConfigKey};

} // namespace vlmc
