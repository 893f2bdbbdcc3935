//===- TiledTower.cpp - A vision transformer over a picture's tiles -------===//
//
// Entry `encode_image`: pixel_values [B, C, T * S, S], the T tiles of a picture
// one below the other, to image_features [B, T * P, D]: of each tile its class
// token and its patches. Their order is that of the entry's tokens: `fill` rows
// that fill each tile up to a multiple of 8 (which are no features), the class
// tokens of all tiles, then the patches tile by tile. Further inputs:
//
// - `tile_row` [B, T * (P + fill)]: for each token the row of its tile in
//   tables of A + 1 arrangements with T tiles each;
// - `place_row` [B, T * P]: arrangement * T * P + the token's number;
// - `token_valid` [B, T * (P + fill)]: 0 for what fills up, and in tiles that
//   are not there. Such tokens do not see each other; all others see all.
//
// The tap `vision_features` is the last state; with it comes
// `vision_features.states`, those behind `feature_layers` side by side.
//
// Source: MllamaVisionModel in transformers.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/EncoderBlock.h"
#include "frontend/blocks/GraphBuilder.h"

namespace vlmc {

using mlir::Value;
using vlm::RecipeAttr;
using Message = spec::TiledTower;

static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

/// Patches and the class token.
static int64_t tokensOfTile(const Message &tower) {
  int64_t side = tower.image_size() / tower.patch_size();
  return side * side + 1;
}

static int64_t fillOfTile(const Message &tower) {
  return (8 - tokensOfTile(tower) % 8) % 8;
}

static spec::TransformerBlocks gatedBlocks(const Message &tower) {
  spec::TransformerBlocks blocks = tower.blocks();
  blocks.set_layers(tower.gated_layers());
  blocks.set_gated(true);
  return blocks;
}

static void check(const spec::ModelSpec &, const spec::Component &component,
                  const FaultSink &fault) {
  const Message &tower = component.tiled_tower();
  checkEncoderBlocks(tower.blocks(), fault);
  checkRange(fault, "image_size", tower.image_size(), 1, 65536);
  checkRange(fault, "patch_size", tower.patch_size(), 1,
             std::max<int64_t>(tower.image_size(), 1));
  checkRange(fault, "channels", tower.channels(), 1, 64);
  checkRange(fault, "tiles", tower.tiles(), 1, 64);
  checkRange(fault, "arrangements", tower.arrangements(), 1, 4096);
  checkRange(fault, "gated_layers", tower.gated_layers(), 0, 4096);
  checkRange(fault, "output_size", tower.output_size(), 1, 1 << 20);
  if (tower.feature_layers_size() > 64)
    fault("feature_layers", "expected at most 64 layers");
  for (int64_t layer : tower.feature_layers())
    checkRange(fault, "feature_layers", layer, 0, tower.blocks().layers() - 1);
  if (!(tower.norm_epsilon() >= 0 && tower.norm_epsilon() <= 1))
    fault("norm_epsilon",
          "expected 0 to 1, found " + std::to_string(tower.norm_epsilon()));
}

static void listWeights(const spec::Component &component, WeightList &weights) {
  const Message &tower = component.tiled_tower();
  const int64_t width = tower.blocks().hidden_size();
  WeightDim hidden = {width, {"hidden_size"}};
  WeightDim channels = {tower.channels(), {"channels"}};
  WeightDim patch = {tower.patch_size(), {"patch_size"}};
  WeightDim arrangements = {tower.arrangements() + 1, {"arrangements"}};
  WeightDim tiles = {tower.tiles() * width, {"tiles", "hidden_size"}};
  const int64_t tokens = tokensOfTile(tower);
  weights.add("patch_embed.weight", {hidden, channels, patch, patch});
  weights.add("class_token", {hidden});
  weights.add("positions.weight",
              {{tokens, {"image_size", "patch_size"}}, hidden});
  weights.add("positions.gate", {});
  weights.add("tile_positions.weight",
              {arrangements,
               {tower.tiles() * tokens * width,
                {"tiles", "image_size", "patch_size", "hidden_size"}}});
  for (const char *part : {"tiles_before", "tiles_behind"}) {
    weights.add(std::string(part) + ".weight", {arrangements, tiles});
    weights.add(std::string(part) + ".gate", {});
  }
  weights.addNorm("pre_norm", hidden);
  listEncoderWeights(tower.blocks(), weights);
  weights.addNorm("post_norm", hidden);
  listEncoderWeights(gatedBlocks(tower), weights, "global.");
  weights.addLinear("projection", {tower.output_size(), {"output_size"}},
                    {(1 + tower.feature_layers_size()) * width,
                     {"hidden_size", "feature_layers"}});
}

static std::vector<std::string> listTaps(const spec::Component &component) {
  std::vector<std::string> taps;
  listEncoderTaps(component.name(), component.tiled_tower().blocks(), taps);
  listEncoderTaps(component.name() + ".global",
                  gatedBlocks(component.tiled_tower()), taps);
  taps.emplace_back("vision_features");
  return taps;
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

namespace {
class TowerBuilder {
public:
  TowerBuilder(GraphBuilder &builder, const spec::Component &component)
      : builder(builder), tower(component.tiled_tower()),
        name(component.name()), width(tower.blocks().hidden_size()),
        tiles(tower.tiles()), tokens(tokensOfTile(tower)),
        fill(fillOfTile(tower)) {}
  void build();

private:
  Value column(llvm::StringRef what, int64_t size);
  Value addTiles(Value value, const std::string &part, bool onPatches);
  Value addPositions(Value value);
  Value embed();
  Value project(Value value);

  GraphBuilder &builder;
  const Message &tower;
  const std::string &name;
  const int64_t width, tiles, tokens, fill;
  Value pixels, tileRow, placeRow, valid;
};
} // namespace

Value TowerBuilder::column(llvm::StringRef what, int64_t size) {
  auto type = mlir::RankedTensorType::get({dynamic, size},
                                          builder.types().getI64Type());
  return builder.argument(what, type, {"B", ""});
}

/// value + tanh(gate) * the embedding of each token's tile.
Value TowerBuilder::addTiles(Value value, const std::string &part,
                             bool onPatches) {
  const std::string label = name + "." + part;
  Value table = builder.weight(label + ".weight",
                               {(tower.arrangements() + 1) * tiles, width});
  Value branch = builder.embedding(tileRow, table, label);
  if (onPatches)
    branch = builder.sliceTokens(branch, tiles * (fill + 1),
                                 tiles * (fill + tokens), label + ".patches");
  return builder.gatedAdd(value, branch, builder.weight(label + ".gate", {1}),
                          label + ".sum");
}

/// Adds (1 - tanh(gate)) * the token's position + tanh(gate) * its position in
/// this arrangement of tiles.
Value TowerBuilder::addPositions(Value value) {
  const std::string label = name + ".positions";
  // What stands in the checkpoint tile by tile, in the order of the tokens.
  RecipeAttr stored = builder.storedWeight(label + ".weight");
  llvm::SmallVector<RecipeAttr> parts(size_t(tiles),
                                      RecipeAttr::slice(0, 0, 1, stored));
  parts.append(size_t(tiles), RecipeAttr::slice(0, 1, tokens, stored));
  RecipeAttr all = RecipeAttr::concat(0, parts);
  Value own = builder.madeWeight(label + ".tokens", all);
  Value minus =
      builder.madeWeight(label + ".minus", RecipeAttr::scale(-1, all));
  const int64_t rows = tower.arrangements() + 1;
  RecipeAttr placed = RecipeAttr::reshape(
      {rows, tiles, tokens, width},
      builder.storedWeight(name + ".tile_positions.weight"));
  RecipeAttr classes = RecipeAttr::reshape({rows, tiles, width},
                                           RecipeAttr::slice(2, 0, 1, placed));
  RecipeAttr patches =
      RecipeAttr::reshape({rows, tiles * (tokens - 1), width},
                          RecipeAttr::slice(2, 1, tokens, placed));
  Value table = builder.madeWeight(
      name + ".tile_positions.tokens",
      RecipeAttr::reshape({rows * tiles * tokens, width},
                          RecipeAttr::concat(1, {classes, patches})));
  Value branch = builder.embedding(placeRow, table, name + ".tile_positions");
  branch = builder.add(branch, minus, name + ".tile_positions.difference");
  value = builder.add(value, own, label);
  return builder.gatedAdd(value, branch, builder.weight(label + ".gate", {1}),
                          name + ".tile_positions.sum");
}

/// The class tokens and patches of all tiles, with what fills them up in front.
Value TowerBuilder::embed() {
  Value value = builder.patchEmbed(pixels, name + ".patch_embed",
                                   /*bias=*/false);
  value = addTiles(value, "tiles_before", /*onPatches=*/true);
  RecipeAttr token = RecipeAttr::reshape(
      {1, width}, builder.storedWeight(name + ".class_token"));
  auto repeated = [&](int64_t count) {
    return RecipeAttr::concat(
        0, llvm::SmallVector<RecipeAttr>(size_t(count), token));
  };
  value = builder.prependTokens(
      builder.madeWeight(name + ".class_tokens", repeated(tiles)), value,
      name + ".class_token");
  value = addPositions(value);
  value = builder.layerNorm(value, name + ".pre_norm", tower.norm_epsilon());
  if (fill == 0)
    return value;
  Value zeros = builder.madeWeight(
      name + ".fill", RecipeAttr::scale(0, repeated(tiles * fill)));
  return builder.prependTokens(zeros, value, name + ".fill");
}

/// The linear layer's columns belong to the features one by one, each with its
/// states behind the last one; here states stand behind each other.
Value TowerBuilder::project(Value value) {
  const std::string label = name + ".projection";
  const int64_t states = tower.feature_layers_size();
  Value matrix;
  if (states == 0) {
    matrix = builder.weight(label + ".weight");
  } else {
    RecipeAttr stored = builder.storedWeight(label + ".weight");
    RecipeAttr others = RecipeAttr::reshape(
        {tower.output_size(), width, states},
        RecipeAttr::slice(1, width, (1 + states) * width, stored));
    others = RecipeAttr::reshape({tower.output_size(), states * width},
                                 RecipeAttr::transpose({0, 2, 1}, others));
    matrix = builder.madeWeight(
        label + ".states",
        RecipeAttr::concat(1,
                           {RecipeAttr::slice(1, 0, width, stored), others}));
  }
  return builder.linear(value, matrix, builder.weight(label + ".bias"), label);
}

void TowerBuilder::build() {
  builder.beginEntry("encode_image", {{"B", 1, 1, maxBatch}});
  // Pixels that make no whole patch are left out.
  const int64_t side =
      tower.image_size() / tower.patch_size() * tower.patch_size();
  pixels = builder.argument(
      "pixel_values",
      builder.floats({dynamic, tower.channels(), tiles * side, side}),
      {"B", "", "", ""});
  const int64_t rows = tower.arrangements() + 1;
  tileRow = column("tile_row", tiles * (tokens + fill));
  builder.range(0, rows * tiles - 1);
  placeRow = column("place_row", tiles * tokens);
  builder.range(0, rows * tiles * tokens - 1);
  valid = column("token_valid", tiles * (tokens + fill));
  builder.range(0, 1);
  EncoderMask mask;
  mask.keyValid = valid;
  mask.amongInvalid = true;
  std::vector<Value> states;
  Value value =
      buildEncoderBlocks(builder, name, tower.blocks(), embed(), mask, &states);
  value = builder.layerNorm(value, name + ".post_norm", tower.norm_epsilon());
  value = addTiles(value, "tiles_behind", /*onPatches=*/false);
  if (tower.gated_layers())
    value = buildEncoderBlocks(builder, name + ".global", gatedBlocks(tower),
                               value, mask);
  auto withoutFill = [&](Value all, const std::string &label) {
    return fill ? builder.sliceTokens(all, tiles * fill,
                                      tiles * (fill + tokens), label)
                : all;
  };
  value = withoutFill(value, name + ".tokens");
  builder.tap("vision_features", value);
  std::vector<Value> chosen;
  for (int64_t layer : tower.feature_layers())
    chosen.push_back(states[size_t(layer) + 1]);
  if (!chosen.empty()) {
    Value others = chosen[0];
    if (chosen.size() > 1)
      others = builder.concatFeatures(chosen, name + ".states");
    others = withoutFill(others, name + ".states.tokens");
    builder.tap("vision_features.states", others, "vision_features");
    value = builder.concatFeatures({value, others}, name + ".features");
  }
  builder.result("image_features", project(value));
  builder.endEntry();
}

static void build(const spec::ModelSpec &, const spec::Component &component,
                  GraphBuilder &builder) {
  TowerBuilder(builder, component).build();
}

extern const Block blockTiledTower;
const Block blockTiledTower = {check, listWeights, listTaps, build};

} // namespace vlmc
