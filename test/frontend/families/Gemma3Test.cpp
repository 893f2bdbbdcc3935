//===- Gemma3Test.cpp - Tests of reading Gemma 3's config.json ------------===//
//
// What is expected of values was read off transformers' Gemma3Config and
// Gemma3TextConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class Gemma3Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "gemma3"},
              {"mm_tokens_per_image", 4},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"layer_norm_eps", 1e-5},
                {"image_size", 224},
                {"patch_size", 32}}},
              {"text_config",
               {{"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 7},
                {"vocab_size", 100}}}};
  }
  spec::Decoder decoder() { return component(1).decoder(); }
};
} // namespace

TEST_F(Gemma3Config, HasTheDefaultsOfItsText) {
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.head_size(), 256);
  EXPECT_EQ(gemma.max_tokens(), 131072);
  EXPECT_EQ(gemma.norm_offset(), 1);
  EXPECT_EQ(gemma.attention_scale(), 1 / 16.0);
  EXPECT_EQ(gemma.attention_softcap(), 0);
  EXPECT_EQ(gemma.logit_softcap(), 0);
  EXPECT_EQ(gemma.activation(), spec::GELU_TANH);
  EXPECT_TRUE(gemma.branch_norm() && gemma.head_norm() && gemma.tied_head());
  EXPECT_TRUE(gemma.sees_pictures());
  EXPECT_FALSE(gemma.sees_prompt());
  EXPECT_EQ(gemma.window(), 4096);
  // Each sixth layer has none.
  EXPECT_EQ(std::vector<int64_t>(gemma.window_layers().begin(),
                                 gemma.window_layers().end()),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 6}));
  EXPECT_EQ(gemma.rotary().theta(), 1e6);
  EXPECT_EQ(gemma.window_rotary().theta(), 1e4);
}

TEST_F(Gemma3Config, ScalesRotaryPositionsOfFullLayersAlone) {
  Json &text = config["text_config"];
  text["rope_theta"] = 5e5;
  text["rope_local_base_freq"] = 2e4;
  text["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.rotary().theta(), 5e5);
  EXPECT_EQ(gemma.rotary().kind(), spec::RotaryEmbedding::LINEAR);
  EXPECT_EQ(gemma.rotary().factor(), 8);
  EXPECT_EQ(gemma.window_rotary().theta(), 2e4);
  EXPECT_EQ(gemma.window_rotary().kind(), spec::RotaryEmbedding::DEFAULT);
}

TEST_F(Gemma3Config, TakesRotaryPositionsByKindsOfLayers) {
  Json &text = config["text_config"];
  text["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 2.0}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 77.0}}}};
  text["layer_types"] = {"full_attention",   "sliding_attention",
                         "full_attention",   "full_attention",
                         "full_attention",   "full_attention",
                         "sliding_attention"};
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.rotary().theta(), 1e6);
  EXPECT_EQ(gemma.rotary().factor(), 2);
  EXPECT_EQ(gemma.window_rotary().theta(), 77);
  ASSERT_EQ(gemma.window_layers_size(), 2);
  EXPECT_EQ(gemma.window_layers(1), 6);
}

TEST_F(Gemma3Config, HasNoWindowWhereAllLayersAreFull) {
  config["text_config"]["sliding_window_pattern"] = 1;
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.window(), 0);
  EXPECT_FALSE(gemma.has_window_rotary());
}

TEST_F(Gemma3Config, PoolsTheTowersTokens) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::Projector &projector = model->components(2).projector();
  EXPECT_EQ(projector.pool(), 3); // of 7 patches along a side, one left over
  EXPECT_TRUE(projector.rms_norm());
  EXPECT_EQ(projector.norm_epsilon(), 1e-5);
  EXPECT_EQ(projector.norm_offset(), 1);
  EXPECT_FALSE(projector.bias());
  EXPECT_TRUE(model->components(0).vision_transformer().post_norm());
  EXPECT_EQ(model->generation().image_token_id(), 262144);
  EXPECT_TRUE(model->generation().sees_pictures());
  // Crops are the processor's affair, whatever the files of pictures say.
  EXPECT_EQ(model->image().pan_crops(), 4);
  EXPECT_EQ(model->image().pan_side(), 256);
  EXPECT_FALSE(model->image().pans());
}

TEST_F(Gemma3Config, TellsWhatItCannotRead) {
  config["mm_tokens_per_image"] = 5;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: mm_tokens_per_image: expected the square of a "
            "number up to 7, the patches along a side, found 5; mend the file");
  config["mm_tokens_per_image"] = 64;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: mm_tokens_per_image: expected the square of a "
            "number up to 7, the patches along a side, found 64; mend the "
            "file");
  config["mm_tokens_per_image"] = 4;
  config["text_config"]["model_type"] = "gemma2";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.model_type: expected "
            "\"gemma3_text\", found \"gemma2\"; other decoders are not "
            "supported");
  config["text_config"]["model_type"] = "gemma3_text";
  config["text_config"]["use_bidirectional_attention"] = true;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.use_bidirectional_attention: "
            "expected false, found true; decoders whose tokens all see each "
            "other are not supported");
  config["text_config"].erase("use_bidirectional_attention");
  config["text_config"]["sliding_window"] = nullptr;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.sliding_window: expected the tokens "
            "of a window, found none; mend the file");
  config["text_config"].erase("sliding_window");
  config["vision_config"]["model_type"] = "clip_vision_model";
  EXPECT_EQ(messageOf(), "DIR/config.json: vision_config.model_type: expected "
                         "\"siglip_vision_model\", found "
                         "\"clip_vision_model\"; other towers are not "
                         "supported");
}
