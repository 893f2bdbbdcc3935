//===- QFormerTest.cpp - Tests of Q-Formers and the decoders behind them --===//
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

/// A tower, a Q-Former, and a decoder with learned positions.
static spec::ModelSpec tinyQFormer() {
  return *parseSpec(R"(
    name: "tiny"
    components {
      name: "vision"
      vision_transformer {
        blocks { hidden_size: 16 intermediate_size: 24 layers: 1 heads: 4
                 activation: GELU norm_epsilon: 1e-06 unbiased_attention: true }
        image_size: 16 patch_size: 8 channels: 3
        class_token: true patch_bias: true post_norm: true pool: TOKENS
      }
    }
    components {
      name: "text"
      decoder {
        hidden_size: 20 intermediate_size: 30 layers: 2 heads: 2 kv_heads: 2
        head_size: 10 vocabulary_size: 50 max_tokens: 40 activation: RELU
        norm_epsilon: 1e-05 query_bias: true output_bias: true mlp_bias: true
        tied_head: true features: "qformer" layer_norm: true plain_mlp: true
        position_offset: 2
      }
    }
    components {
      name: "qformer"
      q_former {
        blocks { hidden_size: 12 intermediate_size: 18 layers: 3 heads: 3
                 activation: GELU norm_epsilon: 1e-12 }
        tower: "vision" tower_size: 16 queries: 5 cross_attention_step: 2
        output_size: 20
      }
    }
  )",
                    "tiny.textproto");
}

namespace {
class QFormerGraph : public GraphFixture {
protected:
  QFormerGraph() : GraphFixture(tinyQFormer()) {}

  std::string message() { return build() || errors.empty() ? "" : errors[0]; }
  spec::QFormer &qformer() {
    return *model.mutable_components(2)->mutable_q_former();
  }
  spec::Decoder &decoder() {
    return *model.mutable_components(1)->mutable_decoder();
  }
};
} // namespace

TEST_F(QFormerGraph, LooksAtTheTowerInSomeLayers) {
  ASSERT_TRUE(buildWithTaps({"qformer_features", "vision_features"}));
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x16x16xf32>) -> (tensor<?x5x20xf32>, "
            "tensor<?x5x16xf32>, tensor<?x5x12xf32>)");
  EXPECT_TRUE(hasWeight("qformer.layers.0.cross_attention.key.weight"));
  EXPECT_FALSE(hasWeight("qformer.layers.1.cross_attention.key.weight"));
  EXPECT_TRUE(hasWeight("qformer.layers.2.cross_attention.key.weight"));
  EXPECT_FALSE(hasWeight("qformer.layers.0.text_mlp.fc1.weight"));
  EXPECT_FALSE(hasWeight("vision.layers.0.attention.query.bias"));
  EXPECT_TRUE(hasWeight("vision.layers.0.attention.output.bias"));
}

TEST_F(QFormerGraph, ReadsWordsBesideTheQueries) {
  qformer().set_vocabulary_size(30);
  qformer().set_max_tokens(7);
  ASSERT_TRUE(build());
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x16x16xf32>, tensor<?x?xi64>, tensor<?x?xi64>) -> "
            "tensor<?x5x20xf32>");
  auto entry = module->lookupSymbol<func::FuncOp>("encode_image");
  auto symbols = entry->getAttrOfType<ArrayAttr>(vlm::names::symbols);
  auto words = cast<vlm::SymbolInfoAttr>(symbols[1]);
  EXPECT_EQ(words.getMin(), 6);
  EXPECT_EQ(words.getMax(), 12);
  EXPECT_TRUE(hasWeight("qformer.layers.1.text_mlp.fc1.weight"));
  EXPECT_FALSE(hasWeight("qformer.layers.2.text_mlp.fc1.weight"));
}

TEST_F(QFormerGraph, ComparesAndMatchesForRetrieval) {
  model.mutable_components()->DeleteSubrange(1, 1);
  spec::QFormer &retrieval = *model.mutable_components(1)->mutable_q_former();
  retrieval.set_retrieval(true);
  retrieval.set_vocabulary_size(30);
  retrieval.set_max_tokens(7);
  ASSERT_TRUE(build());
  EXPECT_EQ(typeOf("encode_image"), "(tensor<?x3x16x16xf32>) -> "
                                    "(tensor<?x5x20xf32>, tensor<?x5x16xf32>)");
  EXPECT_EQ(typeOf("encode_text"),
            "(tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x20xf32>");
  EXPECT_EQ(typeOf("match"), "(tensor<?x5x16xf32>, tensor<?x?xi64>, "
                             "tensor<?x?xi64>) -> tensor<?x2xf32>");
}

TEST_F(QFormerGraph, TellsFaults) {
  qformer().set_tower("text");
  EXPECT_EQ(message(), "model spec: component 'qformer': tower: expected the "
                       "name of a vision transformer, residual network or "
                       "patch projector, found 'text'");
  model = tinyQFormer();
  qformer().set_tower_size(17);
  EXPECT_EQ(message(), "model spec: component 'qformer': tower_size: expected "
                       "16, the features of 'vision', found 17");
  model = tinyQFormer();
  qformer().set_queries(0);
  EXPECT_EQ(message(), "model spec: component 'qformer': queries: expected 1 "
                       "to 65536, found 0");
  model = tinyQFormer();
  qformer().set_cross_attention_step(0);
  EXPECT_EQ(message(), "model spec: component 'qformer': "
                       "cross_attention_step: expected 1 to 4096, found 0");
  model = tinyQFormer();
  qformer().set_retrieval(true);
  EXPECT_EQ(message(), "model spec: component 'qformer': vocabulary_size: "
                       "expected 1 to 2147483647, found 0");
  model = tinyQFormer();
  qformer().set_vocabulary_size(30);
  EXPECT_EQ(message(), "model spec: component 'qformer': max_tokens: expected "
                       "1 to 1048576, found 0");
  model = tinyQFormer();
  model.mutable_components(0)->mutable_vision_transformer()->set_pool(
      spec::VisionTransformer::CLASS_TOKEN);
  EXPECT_EQ(message(), "model spec: component 'qformer': tower: expected a "
                       "vision transformer with pool TOKENS");
  model = tinyQFormer();
  qformer().set_output_size(24);
  EXPECT_EQ(message(), "model spec: component 'text': hidden_size: expected "
                       "24, the features of 'qformer', found 20");
}

TEST_F(QFormerGraph, HasLearnedPositionsBehindTheirOffset) {
  ASSERT_TRUE(build());
  // The table's first two rows belong to no position.
  auto table = module->lookupSymbol<vlm::WeightOp>("text.positions.weight[2]");
  ASSERT_TRUE(table);
  EXPECT_EQ(cast<RankedTensorType>(table.getType()).getShape(),
            (ArrayRef<int64_t>{40, 20}));
  EXPECT_FALSE(hasWeight("text.layers.0.mlp.gate.weight"));
  EXPECT_TRUE(hasWeight("text.layers.0.norm1.bias"));
  EXPECT_TRUE(hasWeight("text.final_norm.bias"));
  decoder().set_post_norm(true);
  decoder().set_no_final_norm(true);
  ASSERT_TRUE(build());
  EXPECT_FALSE(hasWeight("text.final_norm.bias"));
}

TEST_F(QFormerGraph, LeadsFromSmallerEmbeddingsAndBack) {
  decoder().clear_features();
  model.mutable_components()->DeleteSubrange(2, 1);
  model.mutable_components()->DeleteSubrange(0, 1);
  spec::Decoder &alone = *model.mutable_components(0)->mutable_decoder();
  alone.set_embedding_size(8);
  ASSERT_TRUE(build());
  auto tokens = module->lookupSymbol<vlm::WeightOp>("text.tokens.weight");
  EXPECT_EQ(cast<RankedTensorType>(tokens.getType()).getShape(),
            (ArrayRef<int64_t>{50, 8}));
  EXPECT_TRUE(hasWeight("text.project_in.weight"));
  EXPECT_TRUE(hasWeight("text.project_out.weight"));
}
