//===- OpenFlamingoTest.cpp - Tests of reading OpenFlamingo's config ------===//
//
// Values and messages of config.json. What is expected of language models was
// read off transformers' MptConfig and GPTNeoXConfig, their modeling files, and
// llm-foundry's models/mpt.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <cmath>

using namespace vlmc;

namespace {
class OpenFlamingoConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "open_flamingo"},
              {"cross_attn_every_n_layers", 2},
              {"vision_config",
               {{"image_size", 28},
                {"layers", 1},
                {"width", 12},
                {"patch_size", 7},
                {"head_width", 4}}},
              {"text_config", mpt()}};
  }
  static Json mpt() {
    return {{"model_type", "mpt"}, {"d_model", 24},     {"n_heads", 6},
            {"n_layers", 4},       {"vocab_size", 300}, {"max_seq_len", 100}};
  }
  spec::Decoder decoder() { return component(2).decoder(); }
  std::vector<double> slopes() {
    spec::Decoder text = decoder();
    return {text.distance_slopes().begin(), text.distance_slopes().end()};
  }
  /// The names of the rule for a weight.
  std::vector<std::string> namesOf(const std::string &canonical) {
    auto model = import();
    EXPECT_TRUE(model) << model.message();
    for (const spec::WeightRule &rule : model->weights())
      if (rule.canonical() == canonical)
        return {rule.names().begin(), rule.names().end()};
    return {};
  }
};
} // namespace

TEST_F(OpenFlamingoConfig, ReadsMpt) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  const spec::Decoder text = decoder();
  EXPECT_EQ(text.hidden_size(), 24);
  EXPECT_EQ(text.intermediate_size(), 96);
  EXPECT_EQ(text.layers(), 4);
  EXPECT_EQ(text.heads(), 6);
  EXPECT_EQ(text.kv_heads(), 6);
  EXPECT_EQ(text.head_size(), 4);
  EXPECT_EQ(text.max_tokens(), 100);
  EXPECT_EQ(text.activation(), spec::GELU);
  EXPECT_TRUE(text.layer_norm() && text.unbiased_norm() && text.plain_mlp());
  EXPECT_TRUE(text.tied_head());
  EXPECT_FALSE(text.query_bias() || text.output_bias() || text.mlp_bias());
  EXPECT_FALSE(text.has_position_offset() || text.query_norm());
  EXPECT_EQ(text.query_clip(), 0);
  EXPECT_EQ(text.attention_scale(), 0);
  EXPECT_EQ(text.cross_attention().feature_size(), 12);
  EXPECT_EQ(model->generation().attended(), spec::Generation::LATEST);
  EXPECT_FALSE(model->generation().reads_videos());
}

/// Of eight slopes each second one comes first, and six are taken.
TEST_F(OpenFlamingoConfig, HasSlopesForAnyNumberOfHeads) {
  EXPECT_EQ(slopes(), (std::vector<double>{0.25, 0.0625, 1.0 / 64, 1.0 / 256,
                                           0.5, 0.125}));
  config["text_config"]["n_heads"] = 4;
  EXPECT_EQ(slopes(), (std::vector<double>{0.25, 0.0625, 1.0 / 64, 1.0 / 256}));
  config["text_config"]["attn_config"] = {{"alibi_bias_max", 4}};
  EXPECT_EQ(slopes(), (std::vector<double>{0.5, 0.25, 0.125, 0.0625}));
  config["text_config"]["n_heads"] = 1;
  EXPECT_EQ(slopes(), (std::vector<double>{0.0625}));
}

/// The class of transformers takes no notice of what is no default.
TEST_F(OpenFlamingoConfig, TellsTheClassesOfMptApart) {
  Json &text = config["text_config"];
  text.update({{"expansion_ratio", 2},
               {"no_bias", false},
               {"norm_type", "rmsnorm"},
               {"logit_scale", "inv_sqrt_d_model"},
               {"attn_config",
                {{"alibi_bias_max", 4}, {"qk_ln", true}, {"clip_qkv", 6}}}});
  text["architectures"] = {"MptForCausalLM"};
  spec::Decoder made = decoder();
  EXPECT_EQ(made.intermediate_size(), 96);
  EXPECT_FALSE(made.query_bias() || made.query_norm());
  EXPECT_TRUE(made.layer_norm() && made.unbiased_norm());
  EXPECT_EQ(made.logit_scale(), 0);
  EXPECT_EQ(made.query_clip(), 6);
  EXPECT_EQ(made.distance_slopes(0), 0.25);
  for (const char *name : {"MPTForCausalLM", ""}) {
    text["architectures"] = {name};
    made = decoder();
    EXPECT_EQ(made.intermediate_size(), 48);
    EXPECT_TRUE(made.query_bias() && made.mlp_bias() && made.output_bias());
    EXPECT_TRUE(made.query_norm());
    EXPECT_FALSE(made.layer_norm() || made.unbiased_norm());
    EXPECT_DOUBLE_EQ(made.logit_scale(), 1 / std::sqrt(24.0));
    EXPECT_EQ(made.query_clip(), 6);
  }
  // Its defaults: learned positions, and biases everywhere.
  text = mpt();
  text["architectures"] = {"MPTForCausalLM"};
  made = decoder();
  EXPECT_TRUE(made.has_position_offset() && made.query_bias());
  EXPECT_FALSE(made.unbiased_norm());
  EXPECT_EQ(made.distance_slopes_size(), 0);
  text["learned_pos_emb"] = false;
  made = decoder();
  EXPECT_FALSE(made.has_position_offset());
  EXPECT_EQ(slopes(), std::vector<double>(6, 0.0));
}

TEST_F(OpenFlamingoConfig, ReadsKeyHeadsOfMpt) {
  Json &text = config["text_config"];
  text["attn_config"] = {{"attn_type", "multiquery_attention"}};
  EXPECT_EQ(decoder().kv_heads(), 1);
  text["attn_config"] = {{"attn_type", "grouped_query_attention"},
                         {"kv_n_heads", 3}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(decoder().kv_heads(), 3);
  for (const spec::WeightRule &rule : model->weights())
    if (rule.canonical() == "text.layers.{}.attention.key") {
      EXPECT_EQ(rule.part(), 6);
      EXPECT_EQ(rule.parts(), 12);
      EXPECT_EQ(rule.span(), 3);
    }
}

TEST_F(OpenFlamingoConfig, ReadsMosaicGpt) {
  config["text_config"] = {{"model_type", "mosaic_gpt"},
                           {"d_model", 16},
                           {"n_heads", 4},
                           {"n_layers", 2},
                           {"mlp_ratio", 3},
                           {"alibi", true},
                           {"attn_qk_ln", true},
                           {"no_bias", true},
                           {"attn_clip_qkv", 2.5},
                           {"vocab_size", 300}};
  spec::Decoder text = decoder();
  EXPECT_EQ(text.intermediate_size(), 48);
  EXPECT_EQ(text.max_tokens(), 2048);
  EXPECT_TRUE(text.query_norm() && text.unbiased_norm());
  EXPECT_EQ(text.query_clip(), 2.5);
  EXPECT_EQ(text.distance_slopes_size(), 4);
  std::vector<std::string> names = namesOf("text.layers.{}.norm1");
  EXPECT_NE(std::ranges::find(
                names, "lang_encoder.transformer.blocks.{}.decoder_layer.ln_1"),
            names.end());
}

TEST_F(OpenFlamingoConfig, ReadsNeox) {
  config["text_config"] = {
      {"model_type", "gpt_neox"}, {"hidden_size", 32},
      {"num_attention_heads", 2}, {"num_hidden_layers", 2},
      {"intermediate_size", 50},  {"vocab_size", 300},
      {"rope_theta", 7},          {"rotary_emb_base", 500}};
  spec::Decoder text = decoder();
  EXPECT_EQ(text.head_size(), 16);
  EXPECT_EQ(text.rotary().size(), 4);
  EXPECT_EQ(text.rotary().theta(), 500);
  EXPECT_TRUE(text.parallel_residual() && text.query_bias() && text.mlp_bias());
  EXPECT_TRUE(text.layer_norm() && text.plain_mlp());
  EXPECT_FALSE(text.unbiased_norm() || text.tied_head());
  EXPECT_EQ(text.activation(), spec::GELU);
  config["text_config"].update({{"rotary_pct", 1},
                                {"use_parallel_residual", false},
                                {"attention_bias", false}});
  text = decoder();
  EXPECT_EQ(text.rotary().size(), 16);
  EXPECT_FALSE(text.parallel_residual() || text.query_bias() ||
               text.output_bias());
  EXPECT_TRUE(text.mlp_bias());
  EXPECT_EQ(namesOf("text.head"),
            (std::vector<std::string>{"lang_encoder.embed_out",
                                      "lang_encoder.lm_head"}));
}

TEST_F(OpenFlamingoConfig, ReadsWhatThePerceiverIsMadeWith) {
  spec::PerceiverResampler made = component(1).perceiver_resampler();
  EXPECT_EQ(made.latents(), 64);
  EXPECT_EQ(made.layers(), 6);
  EXPECT_EQ(made.max_frames(), 0);
  config["perceiver_config"] = {{"depth", 2},        {"num_latents", 5},
                                {"heads", 3},        {"dim_head", 10},
                                {"ff_mult", 2},      {"max_num_frames", 7},
                                {"max_num_media", 9}};
  config["only_attend_immediate_media"] = false;
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  made = component(1).perceiver_resampler();
  EXPECT_EQ(made.latents(), 5);
  EXPECT_EQ(made.layers(), 2);
  EXPECT_EQ(made.heads(), 3);
  EXPECT_EQ(made.head_size(), 10);
  EXPECT_EQ(made.intermediate_size(), 24);
  EXPECT_EQ(made.max_frames(), 7);
  EXPECT_EQ(made.max_media(), 9);
  EXPECT_TRUE(model->generation().reads_videos());
  EXPECT_EQ(model->generation().attended(), spec::Generation::AHEAD);
  EXPECT_TRUE(decoder().cross_attention().alike());
}

TEST_F(OpenFlamingoConfig, TellsFaults) {
  config["text_config"]["n_heads"] = 5;
  EXPECT_EQ(shortMessageOf(), "text_config.n_heads: expected a divisor of "
                              "d_model 24, found 5; mend the file");
  config["text_config"] = mpt();
  config["text_config"]["attn_config"] = {{"prefix_lm", true}};
  EXPECT_EQ(shortMessageOf(), "text_config.attn_config.prefix_lm: expected "
                              "false, found true; this is not supported");
  config["text_config"]["attn_config"] = {{"attn_type", "other"}};
  EXPECT_EQ(shortMessageOf(),
            "text_config.attn_config.attn_type: expected "
            "\"multihead_attention\", \"multiquery_attention\" or, with "
            "kv_n_heads, \"grouped_query_attention\", found \"other\"; others "
            "are not supported");
  config["text_config"]["attn_config"] = {
      {"attn_type", "grouped_query_attention"}, {"kv_n_heads", 4}};
  EXPECT_EQ(shortMessageOf(),
            "text_config.attn_config.kv_n_heads: expected a divisor of n_heads "
            "6, found 4; mend the file");
  config["text_config"]["attn_config"] = {{"sliding_window_size", 8}};
  EXPECT_EQ(shortMessageOf(),
            "text_config.attn_config.sliding_window_size: expected -1, found a "
            "window; this is not supported");
  config["text_config"]["attn_config"] = {{"fused_qkv", false}};
  EXPECT_EQ(shortMessageOf(), "text_config.attn_config.fused_qkv: expected "
                              "true, found false; this is not supported");
  config["text_config"] = mpt();
  config["text_config"]["norm_type"] = "batchnorm";
  EXPECT_EQ(shortMessageOf(),
            "text_config.norm_type: expected \"layernorm\" or \"rmsnorm\", "
            "with \"low_precision_\" before it or not, found \"batchnorm\"; "
            "others are not supported");
  config["text_config"] = mpt();
  config["text_config"]["logit_scale"] = "big";
  EXPECT_EQ(shortMessageOf(),
            "text_config.logit_scale: expected a positive number or "
            "\"inv_sqrt_d_model\", found \"big\"; mend the file");
  config["text_config"] = mpt();
  config["text_config"]["ffn_config"] = {{"ffn_type", "mptglu"}};
  EXPECT_EQ(shortMessageOf(),
            "text_config.ffn_config.ffn_type: expected \"mptmlp\", found "
            "\"mptglu\"; others are not supported");
  config["text_config"] = {{"model_type", "gpt_neox"},
                           {"hidden_size", 30},
                           {"num_attention_heads", 4}};
  EXPECT_EQ(shortMessageOf(),
            "text_config.num_attention_heads: expected a divisor of "
            "hidden_size 30, found 4; mend the file");
}
