//===- GridsTest.cpp - Tests of towers of pictures of any grid ------------===//
#include "frontend/blocks/GraphBuilder.h"
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

namespace {
class Grids : public GraphFixture {
protected:
  Grids()
      : GraphFixture(*parseSpec(R"(
    name: "tiny"
    components {
      name: "vision"
      vision_transformer {
        blocks { hidden_size: 12 intermediate_size: 20 layers: 2 heads: 3
                 activation: GELU_TANH norm_epsilon: 1e-06 }
        image_size: 24 patch_size: 8 channels: 3 patch_bias: true
        post_norm: true pool: ATTENTION normalize: true grid: RESIZED
      }
    }
  )",
                                "tiny.textproto")) {}

  spec::VisionTransformer &vision() {
    return *model.mutable_components(0)->mutable_vision_transformer();
  }
  std::string messageWith(void (*change)(spec::VisionTransformer &)) {
    spec::ModelSpec changed = model;
    change(*changed.mutable_components(0)->mutable_vision_transformer());
    return checkSpec(changed).value_or(Failure{}).message;
  }
};
} // namespace

TEST_F(Grids, AreRowsOfPatchesWithAMask) {
  ASSERT_TRUE(buildWithTaps({"vision_features"}));
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x?x192xf32>, tensor<?x?xi64>, tensor<?x2xi64>) -> "
            "(tensor<?x12xf32>, tensor<?x?x12xf32>)");
  EXPECT_EQ(count<vlm::AddGridPositionsOp>(), 1);
  module->walk(
      [](vlm::AttentionOp attention) { EXPECT_TRUE(attention.getKeyValid()); });
  EXPECT_EQ(recipeOf("vision.patch_embed.weight"),
            "#vlm.recipe<read \"vision.patch_embed.weight\" : "
            "tensor<12x192xf32>>");
}

TEST_F(Grids, AreLookedUpInBuckets) {
  vision().set_grid(spec::VisionTransformer::BUCKETED);
  ASSERT_TRUE(build());
  module->walk([](vlm::AddGridPositionsOp add) {
    ASSERT_TRUE(add.getBoundaries());
    EXPECT_EQ(add.getBoundaries()->size(), 2U);
  });
  // A convolution's weight, whose pixels are in another order.
  EXPECT_EQ(recipeOf("vision.patch_embed.weight.rows"),
            "#vlm.recipe<reshape (#vlm.recipe<transpose [0, 2, 3, 1] "
            "(#vlm.recipe<read \"vision.patch_embed.weight\" : "
            "tensor<12x3x8x8xf32>>) : tensor<12x8x8x3xf32>>) : "
            "tensor<12x192xf32>>");
}

TEST_F(Grids, TellWhatDoesNotGoWithThem) {
  const std::string where = "model spec: component 'vision': ";
  EXPECT_EQ(messageWith([](auto &vision) { vision.set_class_token(true); }),
            where + "class_token: expected false, as grids are not FIXED, "
                    "found true");
  EXPECT_EQ(messageWith([](auto &vision) { vision.set_no_positions(true); }),
            where + "no_positions: expected false, as grids are not FIXED, "
                    "found true");
  EXPECT_EQ(messageWith([](auto &vision) {
              vision.set_pool(spec::VisionTransformer::CLASS_TOKEN);
            }),
            where +
                "class_token: expected true, as it is pooled, found false\n" +
                where +
                "pool: expected ATTENTION or TOKENS, as grids are not FIXED, "
                "found CLASS_TOKEN");
}

TEST_F(Grids, AreNotForConnectorsThatReadAllTokens) {
  vision().set_pool(spec::VisionTransformer::TOKENS);
  spec::Component *component = model.add_components();
  component->set_name("projector");
  spec::Projector &projector = *component->mutable_projector();
  projector.set_tower("vision");
  projector.set_input_size(12);
  projector.set_output_size(7);
  projector.set_layers(1);
  EXPECT_EQ(checkSpec(model), std::nullopt);
  projector.set_newline(true);
  EXPECT_EQ(checkSpec(model).value_or(Failure{}).message,
            "model spec: component 'projector': tower: expected a vision "
            "transformer with a FIXED grid, as all tokens are read");
}

// torch.arange(1 / n, 1, 1 / n), as PyTorch 2 gives it with AVX2.
TEST(Buckets, BeginWherePyTorchSays) {
  EXPECT_EQ(bucketBoundaries(1), std::vector<float>());
  EXPECT_EQ(bucketBoundaries(4), (std::vector<float>{0.25F, 0.5F, 0.75F}));
  std::vector<float> many = bucketBoundaries(70);
  ASSERT_EQ(many.size(), 69U);
  EXPECT_EQ(many[0], 1.0F / 70);
}
