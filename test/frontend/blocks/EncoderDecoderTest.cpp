//===- EncoderDecoderTest.cpp - Tests of models with an encoder -----------===//
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

namespace {
class EncoderDecoder : public GraphFixture {
protected:
  void SetUp() override {
    spec::Component *component = model.add_components();
    component->set_name("text");
    spec::EncoderDecoder *text = component->mutable_encoder_decoder();
    text->set_hidden_size(8);
    text->set_intermediate_size(12);
    text->set_encoder_layers(2);
    text->set_decoder_layers(3);
    text->set_heads(2);
    text->set_head_size(3);
    text->set_vocabulary_size(30);
    text->set_max_tokens(50);
    text->set_activation(spec::RELU);
    text->set_norm_epsilon(1e-6);
    text->set_position_buckets(8);
    text->set_position_distance(9);
    text->set_tied_head(true);
    text->set_scaled_head(true);
  }
  spec::EncoderDecoder &text() {
    return *model.mutable_components(0)->mutable_encoder_decoder();
  }
  /// The rows of the table, by distance.
  std::vector<int64_t> bucketsOf(const std::string &stack) {
    auto weight = module->lookupSymbol<vlm::WeightOp>(
        "text." + stack + ".position_bias.weight.by_distance");
    return weight.getRecipe().getInputs()[0].getParams().vec();
  }
};
} // namespace

TEST_F(EncoderDecoder, HasTwoEntryPoints) {
  ASSERT_TRUE(build()) << errors.front();
  EXPECT_EQ(typeOf("encode_prompt"), "(tensor<1x?xi64>) -> tensor<1x?x8xf32>");
  EXPECT_EQ(typeOf("decode"),
            "(tensor<1x?xi64>, tensor<1x?xi32>, tensor<1x?xi32>, "
            "tensor<3x2x2x3xf32, #vlm.cache>, tensor<1x?x8xf32>, "
            "tensor<1x?xi32>, tensor<1x?xi32>, tensor<1x?xi32>, "
            "tensor<1x?xi32>, tensor<3x2x2x3xf32, #vlm.cache>, "
            "tensor<1x?xi32>) -> tensor<1x?x30xf32>");
  EXPECT_TRUE(hasWeight("text.encoder.layers.1.mlp.down.weight"));
  EXPECT_FALSE(hasWeight("text.encoder.layers.2.mlp.down.weight"));
  EXPECT_TRUE(hasWeight("text.decoder.layers.2.cross_attention.key.weight"));
  EXPECT_FALSE(hasWeight("text.encoder.layers.0.mlp.gate.weight"));
  EXPECT_FALSE(hasWeight("text.head.weight"));
}

TEST_F(EncoderDecoder, ScalesTiesAndGatesAsTold) {
  auto countScales = [&] {
    int64_t count = 0;
    module->walk([&](vlm::ScaleOp scale) {
      EXPECT_DOUBLE_EQ(scale.getFactor().convertToDouble(), 1 / std::sqrt(8.0));
      ++count;
    });
    return count;
  };
  ASSERT_TRUE(build());
  EXPECT_EQ(countScales(), 1);
  text().set_scaled_head(false);
  text().set_tied_head(false);
  text().set_gated_mlp(true);
  ASSERT_TRUE(buildWithTaps({"all"}));
  EXPECT_EQ(countScales(), 0);
  EXPECT_TRUE(hasWeight("text.head.weight"));
  EXPECT_TRUE(hasWeight("text.decoder.layers.0.mlp.gate.weight"));
  EXPECT_EQ(typeOf("encode_prompt"),
            "(tensor<1x?xi64>) -> (tensor<1x?x8xf32>, tensor<1x?x8xf32>)");
}

/// Of T5Attention._relative_position_bucket in transformers, for distances of
/// -9 to 9.
TEST_F(EncoderDecoder, BucketsAreThoseOfTransformers) {
  ASSERT_TRUE(build());
  EXPECT_EQ(bucketsOf("encoder"),
            (std::vector<int64_t>{3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 5, 6, 6, 6, 7,
                                  7, 7, 7, 7}));
  EXPECT_EQ(bucketsOf("decoder"),
            (std::vector<int64_t>{7, 7, 6, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0,
                                  0, 0, 0, 0}));
}

TEST_F(EncoderDecoder, TellsFaultsOfTheMessage) {
  text().set_features("nobody");
  text().set_position_distance(4);
  text().clear_activation();
  EXPECT_FALSE(build());
  EXPECT_EQ(errors,
            (std::vector<std::string>{
                "model spec: component 'text': position_distance: expected 5 "
                "to 65536, found 4",
                "model spec: component 'text': activation: expected an "
                "activation function, found none",
                "model spec: component 'text': features: expected the name of "
                "a projector, Q-Former or resampler, found 'nobody'"}));
}
