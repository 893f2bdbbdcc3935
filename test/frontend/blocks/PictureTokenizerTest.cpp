//===- PictureTokenizerTest.cpp - Tests of pictures as ids ----------------===//
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

namespace {
class PictureTokens : public GraphFixture {
protected:
  PictureTokens()
      : GraphFixture(*parseSpec(R"(
    name: "tiny"
    components {
      name: "tokenizer"
      picture_tokenizer {
        image_size: 16 channels: 3 width: 8 multipliers: [1, 2] blocks: 2
        attention_sizes: 8 middle_attention: true latent_size: 6 code_size: 5
        codes: 3 groups: 4 norm_epsilon: 1e-06 decoder: "text" ids: [7, 4, 9]
      }
    }
    components {
      name: "text"
      decoder {
        hidden_size: 12 intermediate_size: 20 layers: 2 heads: 3 kv_heads: 1
        head_size: 4 vocabulary_size: 30 max_tokens: 99 activation: SILU
        norm_epsilon: 1e-05 rotary { theta: 10000 size: 4 }
        features: "tokenizer" head_norm: true head_layer_norm: true
        branch_norm: true no_pre_norm: true masked_ids: [4, 5, 7, 10]
      }
    }
  )",
                                "tiny.textproto")) {}

  spec::PictureTokenizer &encoder() {
    return *model.mutable_components(0)->mutable_picture_tokenizer();
  }
  spec::Decoder &decoder() {
    return *model.mutable_components(1)->mutable_decoder();
  }
  std::string message() { return checkSpec(model).value_or(Failure{}).message; }
};
} // namespace

TEST_F(PictureTokens, AreNearestCodes) {
  ASSERT_TRUE(buildWithTaps({"vision_features", "image_token_ids"}));
  auto entry = module->lookupSymbol<func::FuncOp>("encode_image");
  std::string type;
  llvm::raw_string_ostream(type) << entry.getFunctionType();
  EXPECT_EQ(type, "(tensor<?x3x16x16xf32>) -> (tensor<?x64x12xf32>, "
                  "tensor<?x64x6xf32>, tensor<?x64xi32>)");
  // The first and the last, two of each of 6 blocks, the halving; shortcuts
  // and what attention and codes take are products.
  EXPECT_EQ(count<vlm::Conv2dOp>(), 2 + 2 * 6 + 1);
  EXPECT_EQ(count<vlm::AttentionOp>(), 2 + 1);
  EXPECT_EQ(count<vlm::GroupNormOp>(), 2 * 6 + 3 + 1);
  EXPECT_EQ(count<vlm::LeastFeatureOp>(), 1);
  module->walk([](vlm::LeastFeatureOp least) {
    EXPECT_EQ(*least.getIds(), ArrayRef<int32_t>({7, 4, 9}));
  });
  module->walk([](vlm::Conv2dOp conv) {
    if (conv.getStride() == 2)
      EXPECT_EQ(conv.getPadding(), ArrayRef<int64_t>({0, 0, 1, 1}));
  });
}

TEST_F(PictureTokens, GoWithNormsOfHeadsAndHiddenLogits) {
  ASSERT_TRUE(build());
  EXPECT_EQ(count<vlm::RmsNormOp>(), 2 * 2 + 1);
  EXPECT_EQ(count<vlm::LayerNormOp>(), 2 * 2);
  module->walk([](vlm::LayerNormOp norm) { EXPECT_EQ(norm.getGroup(), 4U); });
  EXPECT_FALSE(module->lookupSymbol("text.layers.0.norm1.weight"));
  EXPECT_TRUE(module->lookupSymbol("text.layers.0.attention.norm.weight"));
  EXPECT_EQ(count<vlm::MaskFeaturesOp>(), 1);
  module->walk([](vlm::MaskFeaturesOp mask) {
    EXPECT_EQ(mask.getRanges(), ArrayRef<int64_t>({4, 5, 7, 10}));
  });
}

TEST_F(PictureTokens, TellFaults) {
  const spec::ModelSpec right = model;
  const std::string where = "model spec: component 'tokenizer': ";
  auto fault = [&](const std::string &text) {
    EXPECT_EQ(message(), where + text);
    model = right;
  };
  encoder().set_groups(3);
  fault("groups: expected a divisor of all numbers of channels, as of 8, found "
        "3");
  encoder().set_decoder("words");
  fault("decoder: expected the name of a decoder, found 'words'");
  encoder().add_ids(3);
  fault("ids: expected one for each of the 3 codes, found 4");
  encoder().set_ids(1, 30);
  fault("ids: expected ids below the vocabulary_size 30 of 'text', found 30");
  encoder().clear_multipliers();
  fault("multipliers: expected those of 1 to 16 resolutions, found 0");
  encoder().set_image_size(1);
  fault("image_size: expected at least 1 place at the last resolution");
  encoder().set_norm_epsilon(2);
  fault("norm_epsilon: expected 0 to 1, found 2.000000");
}

TEST_F(PictureTokens, TellFaultsOfTheDecoder) {
  const spec::ModelSpec right = model;
  const std::string where = "model spec: component 'text': ";
  auto fault = [&](const std::string &text) {
    EXPECT_EQ(message(), where + text);
    model = right;
  };
  decoder().set_branch_norm(false);
  fault("no_pre_norm: expected branch_norm beside it, found none");
  decoder().set_head_norm(false);
  fault("head_layer_norm: expected head_norm beside it, found none");
  decoder().set_masked_ids(3, 31);
  fault("masked_ids: expected ascending pairs of begin and end within the "
        "vocabulary of 30, with an id outside of them");
  decoder().set_features("nothing");
  EXPECT_NE(message().find("picture tokenizer"), std::string::npos);
  EXPECT_NE(message().find("found 'nothing'"), std::string::npos);
}
