//===- TiledTowerTest.cpp - Tests of towers over a picture's tiles --------===//
#include "test/frontend/blocks/GraphFixture.h"
#include "test/frontend/blocks/TinyModel.h"

using namespace vlmc;
using namespace mlir;

namespace {
/// Two tiles of 2 x 2 patches, of which there are three arrangements, and a
/// decoder of two layers that attend to words: before the first and behind the
/// last of them stand layers that see the pictures.
class TiledTower : public GraphFixture {
protected:
  TiledTower() : GraphFixture(tinyModel()) {}

  void SetUp() override {
    const spec::TransformerBlocks blocks =
        model.components(0).vision_transformer().blocks();
    model.clear_components();
    spec::Component *component = model.add_components();
    component->set_name("vision");
    spec::TiledTower &own = *component->mutable_tiled_tower();
    *own.mutable_blocks() = blocks;
    own.mutable_blocks()->set_unbiased_attention(true);
    own.mutable_blocks()->set_unbiased_output(true);
    own.mutable_blocks()->set_layers(2);
    own.set_image_size(9);
    own.set_patch_size(4);
    own.set_channels(3);
    own.set_tiles(2);
    own.set_arrangements(3);
    own.set_gated_layers(1);
    own.add_feature_layers(1);
    own.set_norm_epsilon(1e-5);
    own.set_output_size(8);
    addDecoder();
  }

  void addDecoder() {
    spec::Component *component = model.add_components();
    component->set_name("text");
    spec::Decoder &text = *component->mutable_decoder();
    text.set_hidden_size(8);
    text.set_intermediate_size(12);
    text.set_layers(2);
    text.set_heads(2);
    text.set_kv_heads(1);
    text.set_head_size(4);
    text.set_vocabulary_size(30);
    text.set_unscored_tokens(8);
    text.set_max_tokens(50);
    text.set_activation(spec::SILU);
    text.set_norm_epsilon(1e-6);
    text.mutable_rotary()->set_theta(10000);
    text.mutable_rotary()->set_size(4);
    text.set_features("vision");
    spec::CrossAttention &cross = *text.mutable_cross_attention();
    cross.set_feature_size(8);
    for (int64_t layer : {0, 0, 2})
      cross.add_layers(layer);
    cross.set_heads(2);
    cross.set_kv_heads(2);
    cross.set_head_size(4);
    cross.set_intermediate_size(12);
    cross.set_activation(spec::SILU);
    cross.set_norm_epsilon(1e-6);
    cross.set_skips_mlp(true);
  }

  spec::TiledTower &tower() {
    return *model.mutable_components(0)->mutable_tiled_tower();
  }
  spec::Decoder &decoder() {
    return *model.mutable_components(1)->mutable_decoder();
  }

  /// The labels of an entry's ops of one kind, in their order.
  template <class OpType> std::vector<std::string> labelsOf(StringRef entry) {
    std::vector<std::string> labels;
    module->lookupSymbol<func::FuncOp>(entry).walk([&](OpType op) {
      auto label = op->template getAttrOfType<StringAttr>(vlm::names::label);
      labels.push_back(label ? label.str() : "");
    });
    return labels;
  }
};
} // namespace

TEST_F(TiledTower, TakesAllTilesAsOneSequence) {
  ASSERT_TRUE(build()) << errors[0];
  // 5 tokens of a tile, filled up to 8; a row of pixels is left out.
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x16x8xf32>, tensor<?x16xi64>, tensor<?x10xi64>, "
            "tensor<?x16xi64>) -> tensor<?x10x8xf32>");
  EXPECT_EQ(labelsOf<vlm::GatedAddOp>("encode_image"),
            (std::vector<std::string>{
                "vision.tiles_before.sum", "vision.tile_positions.sum",
                "vision.tiles_behind.sum",
                "vision.global.layers.0.attention.residual",
                "vision.global.layers.0.mlp.residual"}));
  int64_t masked = 0;
  module->lookupSymbol<func::FuncOp>("encode_image")
      .walk([&](vlm::AttentionOp op) { masked += op.getAmongInvalid(); });
  EXPECT_EQ(masked, 3);
  // The last state and the one behind the second block.
  auto matrix = module->lookupSymbol<vlm::WeightOp>("vision.projection.states");
  ASSERT_TRUE(matrix);
  EXPECT_EQ(cast<RankedTensorType>(matrix.getType()).getShape(),
            (ArrayRef<int64_t>{8, 32}));
}

TEST_F(TiledTower, FeedsLayersSideBySideAndBehindTheLast) {
  ASSERT_TRUE(build()) << errors[0];
  EXPECT_EQ(labelsOf<vlm::CachedAttentionOp>("decode"),
            (std::vector<std::string>{
                "text.cross_layers.0.attention",
                "text.cross_layers.1.attention", "text.layers.0.attention",
                "text.layers.1.attention", "text.cross_layers.2.attention"}));
  int64_t shown = 0;
  module->lookupSymbol<func::FuncOp>("decode").walk(
      [&](vlm::GatedAddOp op) { shown += bool(op.getShown()); });
  EXPECT_EQ(shown, 3); // the MLPs
  auto tokens = module->lookupSymbol<vlm::WeightOp>("text.tokens.weight");
  EXPECT_EQ(cast<RankedTensorType>(tokens.getType()).getDimSize(0), 38);
}

TEST_F(TiledTower, TellsFaults) {
  tower().set_tiles(0);
  tower().set_arrangements(0);
  tower().add_feature_layers(2);
  tower().set_norm_epsilon(2);
  decoder().set_tied_head(true);
  decoder().mutable_cross_attention()->set_feature_size(9);
  EXPECT_FALSE(build());
  EXPECT_EQ(errors,
            (std::vector<std::string>{
                "model spec: component 'vision': tiles: expected 1 to 64, "
                "found 0",
                "model spec: component 'vision': arrangements: expected 1 to "
                "4096, found 0",
                "model spec: component 'vision': feature_layers: expected 0 to "
                "1, found 2",
                "model spec: component 'vision': norm_epsilon: expected 0 to "
                "1, found 2.000000",
                "model spec: component 'text': unscored_tokens: expected 0 to "
                "0, found 8",
                "model spec: component 'text': cross_attention.feature_size: "
                "expected 8, the features of 'vision', found 9"}));
}
