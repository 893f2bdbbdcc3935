//===- PaliGemmaTest.cpp - Tests of reading PaliGemma's config.json -------===//
//
// What is expected of values was read off transformers' PaliGemmaConfig,
// GemmaConfig and Gemma2Config.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class PaliGemmaConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "paligemma"},
              {"projection_dim", 24},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", 32},
                {"patch_size", 8}}},
              {"text_config",
               {{"model_type", "gemma2"},
                {"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 3},
                {"vocab_size", 100}}}};
  }
  spec::Decoder decoder() { return component(1).decoder(); }
};
} // namespace

TEST_F(PaliGemmaConfig, HasTheDefaultsOfGemma2) {
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.head_size(), 256);
  EXPECT_EQ(gemma.norm_offset(), 1);
  EXPECT_NEAR(gemma.embedding_scale(), 4.898979, 1e-6);
  EXPECT_EQ(gemma.attention_scale(), 1 / 16.0);
  EXPECT_EQ(gemma.attention_softcap(), 50);
  EXPECT_EQ(gemma.logit_softcap(), 30);
  EXPECT_EQ(gemma.activation(), spec::GELU_TANH);
  EXPECT_TRUE(gemma.branch_norm() && gemma.tied_head() && gemma.sees_prompt());
  EXPECT_EQ(gemma.window(), 4096);
  ASSERT_EQ(gemma.window_layers_size(), 2);
  EXPECT_EQ(gemma.window_layers(1), 2);
}

TEST_F(PaliGemmaConfig, HasTheDefaultsOfGemma) {
  Json &text = config["text_config"];
  text["model_type"] = "gemma";
  text["hidden_act"] = "gelu"; // which means the tanh form
  spec::Decoder gemma = decoder();
  EXPECT_EQ(gemma.activation(), spec::GELU_TANH);
  EXPECT_EQ(gemma.attention_scale(), 0); // by the size of a head
  EXPECT_EQ(gemma.attention_softcap(), 0);
  EXPECT_EQ(gemma.window(), 0);
  EXPECT_FALSE(gemma.branch_norm() || gemma.query_bias());
}

TEST_F(PaliGemmaConfig, TakesTheModelsOwnFlagOfTiedEmbeddings) {
  config["text_config"]["tie_word_embeddings"] = false;
  EXPECT_TRUE(decoder().tied_head());
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(decoder().tied_head());
}

TEST_F(PaliGemmaConfig, ReadsTheTowersTokensBehindItsNorm) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &tower =
      model->components(0).vision_transformer();
  EXPECT_TRUE(tower.post_norm() && tower.patch_bias());
  EXPECT_EQ(tower.pool(), spec::VisionTransformer::TOKENS);
  EXPECT_EQ(tower.blocks().layers(), 3);
  EXPECT_EQ(model->generation().image_token_id(), 256000);
}

TEST_F(PaliGemmaConfig, TellsOfOtherDecodersTowersAndSizes) {
  config["text_config"]["model_type"] = "llama";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.model_type: expected \"gemma\" or "
            "\"gemma2\", found \"llama\"; other decoders are not supported");
  config["text_config"]["model_type"] = "gemma";
  config["vision_config"]["model_type"] = "clip_vision_model";
  EXPECT_EQ(messageOf(), "DIR/config.json: vision_config.model_type: expected "
                         "\"siglip_vision_model\", found "
                         "\"clip_vision_model\"; other towers are not "
                         "supported");
  config["vision_config"].erase("model_type");
  config["projection_dim"] = 32;
  EXPECT_EQ(messageOf(), "DIR/config.json: projection_dim: expected 24, the "
                         "hidden_size of text_config, found 32; mend the file");
}
