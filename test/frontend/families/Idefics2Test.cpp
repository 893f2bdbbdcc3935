//===- Idefics2Test.cpp - Tests of reading Idefics2's and 3's config.json -===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' Idefics2Config, Idefics3Config and SmolVLMConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class Idefics2Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"Idefics2ForConditionalGeneration"}},
              {"model_type", "idefics2"},
              {"image_token_id", 99},
              {"perceiver_config",
               {{"resampler_n_latents", 5},
                {"rms_norm_eps", 1e-3},
                {"num_key_value_heads", 8}}},
              {"text_config",
               {{"model_type", "mistral"},
                {"hidden_size", 32},
                {"intermediate_size", 50},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 2},
                {"rms_norm_eps", 1e-4},
                {"vocab_size", 100}}},
              {"vision_config",
               {{"hidden_size", 24},
                {"intermediate_size", 40},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 1},
                {"image_size", 28},
                {"patch_size", 7}}}};
    folder.write("preprocessor_config.json",
                 R"({"image_processor_type": "Idefics2ImageProcessor",
                     "do_image_splitting": true, "do_pad": true,
                     "size": {"shortest_edge": 27, "longest_edge": 70}})");
  }
};

class Idefics3Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"Idefics3ForConditionalGeneration"}},
              {"model_type", "idefics3"},
              {"image_token_id", 99},
              {"scale_factor", 4},
              {"text_config",
               {{"hidden_size", 32},
                {"intermediate_size", 50},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 2},
                {"is_llama_config", true},
                {"pixel_shuffle_factor", 4},
                {"vocab_size", 100}}},
              {"vision_config",
               {{"hidden_size", 24},
                {"num_attention_heads", 3},
                {"image_size", 64},
                {"patch_size", 4},
                {"size", {{"longest_edge", 2048}}}}}};
    folder.write("preprocessor_config.json",
                 R"({"image_processor_type": "Idefics3ImageProcessor",
                     "size": {"longest_edge": 128},
                     "max_image_size": {"longest_edge": 48}})");
  }
};
} // namespace

TEST_F(Idefics2Config, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "idefics2");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.grid(), spec::VisionTransformer::BUCKETED);
  EXPECT_EQ(vision.pool(), spec::VisionTransformer::TOKENS);
  EXPECT_TRUE(vision.post_norm() && vision.patch_bias());
  EXPECT_FALSE(vision.class_token() || vision.pre_norm());
  const spec::PerceiverResampler &resampler =
      model->components(1).perceiver_resampler();
  EXPECT_EQ(resampler.hidden_size(), 32);
  // The width is not the class's, so that epsilon is the decoder's.
  EXPECT_EQ(resampler.norm_epsilon(), 1e-4);
  EXPECT_EQ(resampler.latents(), 5);
  EXPECT_EQ(resampler.layers(), 3);
  EXPECT_EQ(resampler.heads(), 16);
  EXPECT_EQ(resampler.kv_heads(), 8);
  EXPECT_EQ(resampler.head_size(), 96);
  EXPECT_EQ(resampler.intermediate_size(), 128);
  EXPECT_EQ(resampler.input_size(), 24);
  EXPECT_EQ(resampler.input_intermediate_size(), 50);
  EXPECT_TRUE(resampler.rms_norm() && resampler.gated_mlp());
  const spec::Decoder &text = model->components(2).decoder();
  EXPECT_EQ(text.features(), "resampler");
  EXPECT_FALSE(text.tied_head());
  EXPECT_EQ(model->generation().image_token_id(), 99);
  EXPECT_TRUE(model->image().quarters() && model->image().cap_edges());
  EXPECT_EQ(model->image().longest_edge(), 70);
}

TEST_F(Idefics2Config, HasTheClassDefaults) {
  folder.write("preprocessor_config.json", "{}");
  config = {{"model_type", "idefics2"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 768);
  EXPECT_EQ(vision.blocks().activation(), spec::GELU_TANH);
  EXPECT_EQ(vision.patch_size(), 32);
  const spec::PerceiverResampler &resampler =
      model->components(1).perceiver_resampler();
  EXPECT_EQ(resampler.hidden_size(), 4096);
  EXPECT_EQ(resampler.norm_epsilon(), 1e-6);
  EXPECT_EQ(resampler.kv_heads(), 4);
  const spec::Decoder &text = model->components(2).decoder();
  EXPECT_EQ(text.max_tokens(), 32768);
  EXPECT_EQ(text.norm_epsilon(), 1e-5);
  EXPECT_EQ(text.kv_heads(), 8);
  EXPECT_EQ(model->generation().image_token_id(), 32001);
  EXPECT_EQ(model->generation().pad_token_id(), 0);
  EXPECT_FALSE(model->image().quarters());
  EXPECT_EQ(model->image().shortest_edge(), 378);
  EXPECT_EQ(model->image().longest_edge(), 980);
}

TEST_F(Idefics2Config, TellsFaults) {
  config["perceiver_config"]["num_key_value_heads"] = 5;
  EXPECT_EQ(shortMessageOf(),
            "perceiver_config.num_key_value_heads: expected a divisor of "
            "resampler_n_heads 16, found 5; mend the file");
  config["perceiver_config"].erase("num_key_value_heads");
  folder.write("preprocessor_config.json", R"({"size": {"shortest_edge": 9}})");
  EXPECT_NE(shortMessageOf().find(
                "size: expected {\"shortest_edge\", \"longest_edge\"} or "
                "{\"height\", \"width\"}, found another; such processors are "
                "not supported"),
            std::string::npos)
      << shortMessageOf();
  config["perceiver_config"]["resampler_new"] = 3;
  EXPECT_NE(shortMessageOf().find("perceiver_config.resampler_new"),
            std::string::npos)
      << shortMessageOf();
}

TEST_F(Idefics3Config, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "idefics3");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.image_size(), 48);
  EXPECT_EQ(vision.position_side(), 16);
  EXPECT_EQ(vision.blocks().intermediate_size(), 3072);
  EXPECT_EQ(vision.grid(), spec::VisionTransformer::FIXED);
  const spec::Projector &projector = model->components(1).projector();
  EXPECT_EQ(projector.unshuffle(), 4);
  EXPECT_EQ(projector.layers(), 1);
  EXPECT_EQ(projector.input_size(), 24 * 16);
  EXPECT_FALSE(projector.bias());
  EXPECT_EQ(model->components(2).decoder().features(), "projector");
  EXPECT_EQ(model->image().tile_size(), 48);
  EXPECT_TRUE(model->image().cut_lines());
  EXPECT_EQ(model->image().resample(), 1);
}

TEST_F(Idefics3Config, HasTheClassDefaults) {
  config = {{"model_type", "smolvlm"},
            {"vision_config", {{"image_size", 364}}},
            {"scale_factor", 1}};
  folder.write("preprocessor_config.json", "{}");
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->family(), "smolvlm");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 1152);
  EXPECT_EQ(vision.blocks().heads(), 16);
  EXPECT_EQ(model->components(1).projector().unshuffle(), 0);
  EXPECT_EQ(model->components(2).decoder().norm_epsilon(), 1e-5);
  EXPECT_EQ(model->generation().image_token_id(), 128257);
  EXPECT_EQ(model->image().longest_edge(), 4 * 364);
  EXPECT_EQ(model->image().tile_size(), 364);
}

TEST_F(Idefics3Config, TellsFaults) {
  folder.write("preprocessor_config.json",
               R"({"max_image_size": {"longest_edge": 40}})");
  EXPECT_EQ(shortMessageOf(),
            "DIR: image processing: max_image_size: expected whole 16 pixels "
            "(vision_config.patch_size * scale_factor) along a side, found 40; "
            "mend preprocessor_config.json");
  folder.write("preprocessor_config.json", R"({"max_image_size": 48})");
  EXPECT_NE(shortMessageOf().find(
                "max_image_size: expected {\"longest_edge\"}, found 48"),
            std::string::npos)
      << shortMessageOf();
  folder.write("preprocessor_config.json", R"({"size": 48})");
  EXPECT_NE(shortMessageOf().find("size: expected {\"longest_edge\"} or "
                                  "{\"height\", \"width\"}, found another"),
            std::string::npos)
      << shortMessageOf();
}
