//===- CrossAttentionTest.cpp - Tests of resamplers and what they feed ----===//
#include "test/frontend/blocks/GraphFixture.h"
#include "test/frontend/blocks/TinyModel.h"

using namespace vlmc;
using namespace mlir;

namespace {
/// A tower of 5 tokens of 16 features, a resampler to 3 of them, and a decoder
/// of 3 layers, which attend to these before the first and the last.
class CrossAttention : public GraphFixture {
protected:
  CrossAttention() : GraphFixture(tinyModel()) {}

  void SetUp() override {
    model.mutable_components()->DeleteSubrange(1, 2);
    auto *vision = model.mutable_components(0)->mutable_vision_transformer();
    vision->set_pool(spec::VisionTransformer::TOKENS);
    vision->clear_post_norm();
    vision->clear_projection_size();
    vision->clear_normalize();
    spec::Component *component = model.add_components();
    component->set_name("resampler");
    auto *perceiver = component->mutable_perceiver_resampler();
    perceiver->set_tower("vision");
    perceiver->set_hidden_size(16);
    perceiver->set_latents(3);
    perceiver->set_layers(2);
    perceiver->set_heads(2);
    perceiver->set_kv_heads(2);
    perceiver->set_head_size(6);
    perceiver->set_intermediate_size(20);
    perceiver->set_activation(spec::RELU);
    perceiver->set_norm_epsilon(1e-5);
    addDecoder();
  }

  void addDecoder() {
    spec::Component *component = model.add_components();
    component->set_name("text");
    spec::Decoder *text = component->mutable_decoder();
    text->set_hidden_size(8);
    text->set_intermediate_size(12);
    text->set_layers(3);
    text->set_heads(2);
    text->set_kv_heads(1);
    text->set_head_size(4);
    text->set_vocabulary_size(30);
    text->set_extra_vocabulary_size(2);
    text->set_max_tokens(50);
    text->set_activation(spec::SILU);
    text->set_norm_epsilon(1e-6);
    text->mutable_rotary()->set_theta(10000);
    text->mutable_rotary()->set_size(4);
    text->set_features("resampler");
    spec::CrossAttention *cross = text->mutable_cross_attention();
    cross->set_feature_size(16);
    cross->add_layers(0);
    cross->add_layers(2);
    cross->set_heads(2);
    cross->set_kv_heads(2);
    cross->set_head_size(4);
    cross->set_intermediate_size(12);
    cross->set_activation(spec::SILU);
    cross->set_norm_epsilon(1e-6);
  }

  spec::PerceiverResampler &resampler() {
    return *model.mutable_components(1)->mutable_perceiver_resampler();
  }
  spec::Decoder &decoder() {
    return *model.mutable_components(2)->mutable_decoder();
  }

  /// The ops of an entry that have such a label.
  std::vector<std::string> opsOf(StringRef entry, StringRef prefix) {
    std::vector<std::string> ops;
    module->lookupSymbol<func::FuncOp>(entry).walk([&](Operation *op) {
      auto label = op->getAttrOfType<StringAttr>(vlm::names::label);
      if (label && label.getValue().starts_with(prefix))
        ops.push_back((op->getName().stripDialect() + " " +
                       label.getValue().drop_front(prefix.size()))
                          .str());
    });
    return ops;
  }
};
} // namespace

TEST_F(CrossAttention, ResamplesTheTokensOfATower) {
  ASSERT_TRUE(build());
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x3x16xf32>");
  EXPECT_EQ(
      opsOf("encode_image", "resampler.layers.1."),
      (std::vector<std::string>{
          "layer_norm norm1", "layer_norm context_norm",
          "prepend_tokens attention.tokens", "linear attention.query",
          "linear attention.key", "linear attention.value",
          "attention attention", "linear attention.output",
          "add attention.residual", "layer_norm norm2", "linear mlp.up",
          "activation mlp.activation", "linear mlp.down", "add mlp.residual"}));
  EXPECT_FALSE(hasWeight("resampler.layers.0.attention.query_norm.weight"));
  EXPECT_FALSE(hasWeight("resampler.layers.0.attention.query.bias"));
}

TEST_F(CrossAttention, HasTheKindsOfResamplers) {
  resampler().set_head_norm(true);
  resampler().set_rms_norm(true);
  resampler().set_gated_mlp(true);
  resampler().set_kv_heads(1);
  ASSERT_TRUE(build()) << errors[0];
  std::vector<std::string> ops = opsOf("encode_image", "resampler.layers.0.");
  for (const char *op :
       {"rms_norm attention.query_norm", "rms_norm attention.key_norm",
        "linear mlp.gate", "multiply mlp.product"})
    EXPECT_NE(std::ranges::find(ops, op), ops.end()) << op;
  EXPECT_FALSE(hasWeight("resampler.final_norm.bias"));
  module->walk([&](vlm::AttentionOp attention) {
    if (attention->getAttrOfType<StringAttr>(vlm::names::label).getValue() ==
        "resampler.layers.0.attention")
      EXPECT_EQ(attention.getNumKvHeads(), 1U);
  });
}

TEST_F(CrossAttention, StandsBeforeLayersOfADecoder) {
  ASSERT_TRUE(build());
  std::vector<std::string> ops = opsOf("decode", "text.cross_layers.1.");
  EXPECT_EQ(ops, (std::vector<std::string>{
                     "rms_norm norm1", "linear attention.query",
                     "linear attention.key", "linear attention.value",
                     "cached_attention attention", "linear attention.output",
                     "gated_add attention_gate", "rms_norm norm2",
                     "linear mlp.gate", "activation mlp.activation",
                     "linear mlp.up", "multiply mlp.product", "linear mlp.down",
                     "gated_add mlp_gate"}));
  // Before the last layer.
  std::vector<std::string> all = opsOf("decode", "text.");
  auto at = [&](const char *op) { return std::ranges::find(all, op); };
  EXPECT_LT(at("add layers.1.mlp.residual"),
            at("rms_norm cross_layers.1.norm1"));
  EXPECT_LT(at("gated_add cross_layers.1.mlp_gate"),
            at("rms_norm layers.2.norm1"));
  std::vector<std::string> names;
  auto entry = module->lookupSymbol<func::FuncOp>("decode");
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    names.push_back(
        entry.getArgAttrOfType<StringAttr>(i, vlm::names::name).str());
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "input_ids", "features", "feature_sequence", "feature_position",
                "first_feature", "last_feature", "feature_cache", "sequence",
                "position", "cache", "rows"}));
}

TEST_F(CrossAttention, JoinsTheExtraVocabulary) {
  ASSERT_TRUE(build());
  auto tokens = module->lookupSymbol<vlm::WeightOp>(
      "text.tokens.weight+text.extra_tokens.weight");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(cast<RankedTensorType>(tokens.getType()).getDimSize(0), 32);
  EXPECT_TRUE(hasWeight("text.head.weight+text.extra_head.weight"));
  decoder().set_tied_head(true);
  ASSERT_TRUE(build());
  EXPECT_FALSE(hasWeight("text.head.weight+text.extra_head.weight"));
}

TEST_F(CrossAttention, ReadsATowerWithoutResampler) {
  model.mutable_components()->DeleteSubrange(1, 1);
  model.mutable_components(1)->mutable_decoder()->set_features("vision");
  ASSERT_TRUE(build()) << errors[0];
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x5x16xf32>");
}

TEST_F(CrossAttention, HasTheKindsOfGates) {
  spec::CrossAttention &cross = *decoder().mutable_cross_attention();
  cross.set_vector_gate(true);
  cross.set_layer_norm(true);
  cross.set_plain_mlp(true);
  cross.set_head_norm(true);
  ASSERT_TRUE(build()) << errors[0];
  auto gate =
      module->lookupSymbol<vlm::WeightOp>("text.cross_layers.0.mlp_gate");
  ASSERT_TRUE(gate);
  EXPECT_EQ(cast<RankedTensorType>(gate.getType()).getShape(),
            ArrayRef<int64_t>({8}));
  EXPECT_TRUE(hasWeight("text.cross_layers.0.norm1.bias"));
  EXPECT_TRUE(hasWeight("text.cross_layers.1.attention.key_norm.weight"));
  EXPECT_FALSE(hasWeight("text.cross_layers.0.mlp.gate.weight"));
}

TEST_F(CrossAttention, TellsFaultsOfAResampler) {
  resampler().set_tower("text");
  resampler().set_latents(0);
  resampler().set_kv_heads(3);
  resampler().clear_activation();
  resampler().set_norm_epsilon(2);
  EXPECT_FALSE(build());
  const std::string where = "model spec: component 'resampler': ";
  EXPECT_EQ(
      errors,
      (std::vector<std::string>{
          where + "tower: expected the name of a vision transformer, residual "
                  "network or patch projector, found 'text'",
          where + "latents: expected 1 to 1048576, found 0",
          where + "kv_heads: expected a divisor of heads 2, found 3",
          where + "activation: expected an activation function, found none",
          where + "norm_epsilon: expected 0 to 1, found 2.000000"}));
  SetUp();
}

TEST_F(CrossAttention, TellsWidthsThatDoNotFit) {
  resampler().set_hidden_size(12);
  EXPECT_FALSE(build());
  EXPECT_EQ(errors,
            (std::vector<std::string>{
                "model spec: component 'resampler': hidden_size: expected 16, "
                "the features of 'vision', found 12",
                "model spec: component 'text': cross_attention.feature_size: "
                "expected 12, the features of 'resampler', found 16"}));
}

TEST_F(CrossAttention, TellsFaultsOfLayers) {
  spec::CrossAttention &cross = *decoder().mutable_cross_attention();
  cross.add_layers(1);
  cross.add_layers(4);
  cross.set_heads(0);
  cross.set_kv_heads(0);
  cross.clear_activation();
  EXPECT_FALSE(build());
  const std::string where = "model spec: component 'text': cross_attention.";
  EXPECT_EQ(
      errors,
      (std::vector<std::string>{
          where + "heads: expected 1 to 1048576, found 0",
          where + "kv_heads: expected a divisor of heads 0, found 0",
          where + "layers: expected ascending numbers up to the decoder's 3 "
                  "layers, found 1",
          where + "layers: expected ascending numbers up to the decoder's 3 "
                  "layers, found 4",
          where + "activation: expected an activation function, found none"}));
  cross.clear_layers();
  EXPECT_FALSE(build());
  EXPECT_EQ(errors[2],
            where + "layers: expected at least one layer, found none");
  decoder().clear_features();
  EXPECT_FALSE(build());
  EXPECT_EQ(errors[0], "model spec: component 'text': features: expected what "
                       "the cross-attention attends to, found none");
}

TEST_F(CrossAttention, HasTheKindsOfLayers) {
  decoder().set_layer_norm(true);
  decoder().set_unbiased_norm(true);
  decoder().set_query_norm(true);
  decoder().set_query_clip(2.5);
  decoder().set_parallel_residual(true);
  decoder().set_plain_mlp(true);
  decoder().set_logit_scale(0.25);
  for (double slope : {0.5, 0.25})
    decoder().add_distance_slopes(slope);
  ASSERT_TRUE(build()) << errors[0];
  EXPECT_EQ(opsOf("decode", "text.layers.0."),
            (std::vector<std::string>{"layer_norm norm1",
                                      "linear attention.query",
                                      "scale attention.query.inner",
                                      "activation attention.query.hard_tanh",
                                      "scale attention.query",
                                      "linear attention.key",
                                      "scale attention.key.inner",
                                      "activation attention.key.hard_tanh",
                                      "scale attention.key",
                                      "linear attention.value",
                                      "scale attention.value.inner",
                                      "activation attention.value.hard_tanh",
                                      "scale attention.value",
                                      "layer_norm attention.query_norm",
                                      "layer_norm attention.key_norm",
                                      "cached_attention attention",
                                      "linear attention.output",
                                      "layer_norm norm2",
                                      "linear mlp.up",
                                      "activation mlp.activation",
                                      "linear mlp.down",
                                      "add branches",
                                      "add residual"}));
  EXPECT_EQ(count<vlm::RopeOp>(), 0);
  EXPECT_FALSE(hasWeight("text.layers.0.norm1.bias"));
  EXPECT_EQ(
      recipeOf("text.distance_bias"),
      "#vlm.recipe<concat [0] (#vlm.recipe<scale 5.000000e-01 "
      "(#vlm.recipe<count [-49] : tensor<1x99xf32>>) : tensor<1x99xf32>>, "
      "#vlm.recipe<scale 2.500000e-01 (#vlm.recipe<count [-49] : "
      "tensor<1x99xf32>>) : tensor<1x99xf32>>) : tensor<2x99xf32>>");
}

TEST_F(CrossAttention, FindsFeaturesAlike) {
  decoder().mutable_cross_attention()->set_alike(true);
  ASSERT_TRUE(build()) << errors[0];
  std::vector<std::string> ops = opsOf("decode", "text.cross_layers.1.");
  EXPECT_NE(std::ranges::find(ops, "merge_tokens attention.alike"), ops.end());
}

TEST_F(CrossAttention, ResamplesFrames) {
  resampler().set_max_frames(4);
  resampler().set_max_media(2);
  ASSERT_TRUE(build()) << errors[0];
  EXPECT_EQ(typeOf("encode_frame"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x5x16xf32>");
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x?x16xf32>, tensor<?x?xi32>, tensor<?x?xi32>) -> "
            "tensor<?x3x16xf32>");
  std::vector<std::string> ops = opsOf("encode_image", "resampler.");
  EXPECT_EQ(std::vector<std::string>(ops.begin(), ops.begin() + 4),
            (std::vector<std::string>{"embedding frames", "add frames.sum",
                                      "embedding media", "add media.sum"}));
  EXPECT_NE(std::ranges::find(ops, "replace_tokens layers.0.attention.tokens"),
            ops.end());
}

TEST_F(CrossAttention, TellsFaultsOfFormsOfLayers) {
  decoder().set_query_norm(true);
  decoder().set_head_norm(true);
  decoder().set_unbiased_norm(true);
  decoder().set_parallel_residual(true);
  decoder().set_branch_norm(true);
  decoder().add_distance_slopes(-1);
  decoder().set_position_offset(2);
  decoder().set_query_clip(-1);
  resampler().set_max_frames(3);
  resampler().set_input_intermediate_size(4);
  resampler().set_input_size(16);
  resampler().set_input_activation(spec::RELU);
  EXPECT_FALSE(build());
  const std::string resampler = "model spec: component 'resampler': ";
  const std::string where = "model spec: component 'text': ";
  EXPECT_EQ(
      errors,
      (std::vector<std::string>{
          resampler + "max_frames: expected no input_intermediate_size beside "
                      "max_frames and max_media",
          where + "query_clip: expected 0, for none, or 1e-6 to 1e6, found "
                  "-1.000000",
          where + "query_norm: expected one of query_norm and head_norm",
          where + "unbiased_norm: expected layer_norm beside it, found none",
          where + "parallel_residual: expected neither post_norm nor "
                  "branch_norm beside it",
          where + "distance_slopes: expected one for each of the 2 heads, "
                  "found 1",
          where + "distance_slopes: expected neither position_offset nor "
                  "sees_prompt beside them",
          where + "distance_slopes: expected 0 to 1e6, found -1.000000"}));
}
