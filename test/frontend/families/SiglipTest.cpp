//===- SiglipTest.cpp - Tests of reading SigLIP's config.json -------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' SiglipConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class SiglipConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"SiglipModel"}},
              {"model_type", "siglip"},
              {"text_config",
               {{"hidden_size", 12},
                {"intermediate_size", 20},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 2},
                {"vocab_size", 100},
                {"max_position_embeddings", 9},
                {"projection_size", 16}}},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 1},
                {"image_size", 32},
                {"patch_size", 8}}}};
  }
  /// What the tokenizer's config makes of the words.
  spec::TextProcessing wordsWith(const Json &tokenizer) {
    folder.write("tokenizer_config.json", tokenizer.dump());
    return import()->text();
  }
};
} // namespace

TEST_F(SiglipConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "siglip");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 16);
  EXPECT_EQ(vision.blocks().activation(), spec::GELU_TANH);
  EXPECT_EQ(vision.blocks().norm_epsilon(), 1e-6);
  EXPECT_TRUE(vision.patch_bias() && vision.post_norm() && vision.normalize());
  EXPECT_FALSE(vision.class_token() || vision.pre_norm());
  EXPECT_EQ(vision.pool(), spec::VisionTransformer::ATTENTION);
  EXPECT_FALSE(vision.has_projection_size());
  const spec::TextTransformer &text = model->components(1).text_transformer();
  EXPECT_EQ(text.pool(), spec::TextTransformer::LAST_TOKEN);
  EXPECT_EQ(text.projection_size(), 16);
  EXPECT_TRUE(text.projection_bias() && text.normalize());
  EXPECT_FALSE(text.causal());
  const spec::ContrastiveHead &head = model->components(2).contrastive_head();
  EXPECT_EQ(head.probability(), spec::ContrastiveHead::SIGMOID);
  EXPECT_TRUE(head.bias());
  EXPECT_EQ(model->image().height(), 32);
  EXPECT_FALSE(model->image().do_center_crop());
  EXPECT_EQ(model->image().mean(0), 0.5);
}

TEST_F(SiglipConfig, HasTheClassDefaults) {
  config = {{"model_type", "siglip"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 768);
  EXPECT_EQ(vision.blocks().layers(), 12);
  EXPECT_EQ(vision.image_size(), 224);
  EXPECT_EQ(vision.patch_size(), 16);
  const spec::TextTransformer &text = model->components(1).text_transformer();
  EXPECT_EQ(text.vocabulary_size(), 32000);
  EXPECT_EQ(text.max_tokens(), 64);
  // The text's own width where nothing else is said.
  EXPECT_EQ(text.projection_size(), 768);
  EXPECT_EQ(model->text().pad_token_id(), 1);
}

TEST_F(SiglipConfig, PadsAsTheTokenizerSays) {
  spec::TextProcessing words = import()->text();
  EXPECT_TRUE(words.pad_to_max_tokens());
  EXPECT_EQ(words.max_tokens(), 9);
  EXPECT_FALSE(words.unmasked_padding());
  words = wordsWith({{"model_input_names", {"input_ids"}}});
  EXPECT_TRUE(words.unmasked_padding());
  words = wordsWith({{"model_input_names", {"input_ids", "attention_mask"}}});
  EXPECT_FALSE(words.unmasked_padding());
  EXPECT_EQ(wordsWith({{"model_max_length", 7}}).max_tokens(), 7);
  EXPECT_EQ(wordsWith({{"model_max_length", 64}}).max_tokens(), 9);
  EXPECT_EQ(wordsWith({{"model_max_length", 1e30}}).max_tokens(), 9);
}

TEST_F(SiglipConfig, NeedsThePoolingHead) {
  config["vision_config"]["vision_use_head"] = true;
  EXPECT_EQ(shortMessageOf(), "");
  config["vision_config"]["vision_use_head"] = false;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.vision_use_head: expected true, found false; "
            "without the pooling head there is no image embedding to compare "
            "with texts");
}

TEST_F(SiglipConfig, TellsWrongValues) {
  config["architectures"] = {"SiglipVisionModel"};
  config["vision_config"]["patch_size"] = {8, 8};
  config["text_config"]["num_attention_heads"] = 5;
  config["text_config"]["rope_theta"] = 1;
  EXPECT_EQ(shortMessageOf(),
            "architectures: expected [\"SiglipModel\"], found "
            "[\"SiglipVisionModel\"]; vlmc takes the pair of towers, not one "
            "alone or with another head\n"
            "vision_config.patch_size: expected an integer from 1 to 65536, "
            "found [8,8]; mend the file\n"
            "text_config.num_attention_heads: expected a divisor of "
            "hidden_size 12, found 5; mend the file\n"
            "text_config.rope_theta: unknown key with the value 1, which may "
            "change the result; remove it if it does not");
}

TEST_F(SiglipConfig, TellsPicturesOfAnotherSize) {
  folder.write("preprocessor_config.json",
               R"({"image_processor_type": "SiglipImageProcessor",
                   "size": {"height": 48, "width": 32}})");
  auto model = import();
  EXPECT_EQ(folder.relative(model.message()),
            "DIR: image processing: expected pictures of 32x32 "
            "(vision_config.image_size), found 48x32; mend size in "
            "preprocessor_config.json");
}
