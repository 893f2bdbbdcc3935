//===- IdeficsTest.cpp - Tests of reading Idefics' config.json ------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' IdeficsConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class IdeficsConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"IdeficsForVisionText2Text"}},
              {"model_type", "idefics"},
              {"hidden_size", 32},
              {"intermediate_size", 50},
              {"num_attention_heads", 4},
              {"num_hidden_layers", 4},
              {"vocab_size", 100},
              {"additional_vocab_size", 2},
              {"cross_layer_interval", 2},
              {"alpha_type", "vector"},
              {"freeze_text_layers", true},
              {"use_resampler", true},
              {"perceiver_config",
               {{"resampler_n_latents", 5}, {"resampler_depth", 2}}},
              {"vision_config",
               {{"embed_dim", 24},
                {"intermediate_size", 40},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 1},
                {"image_size", 28},
                {"patch_size", 7}}}};
    folder.write("preprocessor_config.json",
                 R"({"image_processor_type": "IdeficsImageProcessor",
                     "image_size": 28})");
  }
};
} // namespace

TEST_F(IdeficsConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "idefics");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 24);
  EXPECT_EQ(vision.pool(), spec::VisionTransformer::TOKENS);
  EXPECT_TRUE(vision.class_token() && vision.pre_norm());
  EXPECT_FALSE(vision.post_norm() || vision.drop_class_token());
  const spec::PerceiverResampler &resampler =
      model->components(1).perceiver_resampler();
  EXPECT_EQ(resampler.latents(), 5);
  EXPECT_EQ(resampler.heads(), 16);
  EXPECT_EQ(resampler.head_size(), 96);
  EXPECT_EQ(resampler.intermediate_size(), 96);
  EXPECT_FALSE(resampler.head_norm());
  const spec::Decoder &text = model->components(2).decoder();
  EXPECT_EQ(text.features(), "resampler");
  EXPECT_EQ(text.extra_vocabulary_size(), 2);
  EXPECT_EQ(text.max_tokens(), 2048);
  EXPECT_FALSE(text.tied_head());
  const spec::CrossAttention &cross = text.cross_attention();
  EXPECT_EQ(cross.feature_size(), 24);
  EXPECT_EQ(std::vector<int64_t>(cross.layers().begin(), cross.layers().end()),
            (std::vector<int64_t>{0, 2}));
  EXPECT_TRUE(cross.vector_gate());
  EXPECT_FALSE(cross.head_norm());
  EXPECT_EQ(model->generation().attended(), spec::Generation::LATEST);
  EXPECT_TRUE(model->generation().attended_until_end());
  // As in transformers: the files name none, and the class is not asked.
  EXPECT_EQ(model->generation().end_token_ids_size(), 0);
  EXPECT_EQ(model->generation().pad_token_id(), 0);
  EXPECT_EQ(model->image().height(), 28);
  EXPECT_FALSE(model->image().do_center_crop());
}

TEST_F(IdeficsConfig, HasTheClassDefaults) {
  folder.write("preprocessor_config.json", "{}");
  config = {{"model_type", "idefics"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  ASSERT_EQ(model->components_size(), 2); // no resampler
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 768);
  EXPECT_EQ(vision.blocks().layers(), 32);
  EXPECT_EQ(vision.blocks().activation(), spec::GELU);
  const spec::Decoder &text = model->components(1).decoder();
  EXPECT_EQ(text.features(), "vision");
  EXPECT_EQ(text.hidden_size(), 4096);
  EXPECT_EQ(text.vocabulary_size(), 32000);
  EXPECT_EQ(text.extra_vocabulary_size(), 0);
  EXPECT_EQ(text.cross_attention().layers_size(), 32);
  EXPECT_FALSE(text.cross_attention().vector_gate());
}

TEST_F(IdeficsConfig, FindsTheImageToken) {
  folder.write("tokenizer.json",
               R"({"added_tokens": [{"id": 0, "content": "<unk>"},
                                    {"id": 101, "content": "<image>"}]})");
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->generation().image_token_id(), 101);
}

TEST_F(IdeficsConfig, TellsFaults) {
  config["cross_layer_interval"] = 3;
  EXPECT_EQ(shortMessageOf(), "cross_layer_interval: expected a divisor of "
                              "num_hidden_layers 4, found 3; mend the file");
  config["cross_layer_interval"] = 1;
  config["alpha_type"] = "scalar";
  EXPECT_EQ(shortMessageOf(),
            "alpha_type: expected \"float\" or \"vector\", found "
            "\"scalar\"; mend the file");
  config["alpha_type"] = "float";
  config["qk_layer_norms"] = 1;
  EXPECT_EQ(shortMessageOf(),
            "qk_layer_norms: expected true or false, found 1; mend the file");
}

TEST_F(IdeficsConfig, TellsUnknownKeys) {
  config["perceiver_config"]["resampler_new"] = 3;
  EXPECT_NE(shortMessageOf().find("perceiver_config.resampler_new"),
            std::string::npos)
      << shortMessageOf();
}

TEST_F(IdeficsConfig, TellsPicturesOfAnotherSize) {
  folder.write("preprocessor_config.json", R"({"image_size": 30})");
  EXPECT_EQ(shortMessageOf(),
            "DIR: image processing: expected pictures of 28x28 "
            "(vision_config.image_size), found 30x30; mend size in "
            "preprocessor_config.json");
}
