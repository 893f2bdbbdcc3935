//===- OpenClipTest.cpp - Tests of reading open_clip_config.json ----------===//
//
// Values and messages. What is expected of values was read off CLIPVisionCfg
// and CLIPTextCfg in open_clip.model 3.3.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class OpenClipConfig : public ConfigFixture {
protected:
  OpenClipConfig() : ConfigFixture("open_clip_config.json") {}
  void SetUp() override {
    config = {{"model_cfg",
               {{"embed_dim", 16},
                {"quick_gelu", true},
                {"vision_cfg",
                 {{"image_size", 64},
                  {"layers", {1, 2, 1, 1}},
                  {"width", 4},
                  {"head_width", 16}}},
                {"text_cfg",
                 {{"context_length", 9},
                  {"vocab_size", 100},
                  {"width", 12},
                  {"heads", 3},
                  {"layers", 2}}}}}};
  }
  Json &vision() { return config["model_cfg"]["vision_cfg"]; }
  Json &text() { return config["model_cfg"]["text_cfg"]; }
  void makeTransformer() {
    vision() = {
        {"image_size", 32}, {"layers", 2}, {"width", 128}, {"patch_size", 8}};
  }
};
} // namespace

TEST_F(OpenClipConfig, BecomesAResidualNetwork) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "open_clip");
  const spec::ResidualNetwork &network =
      model->components(0).residual_network();
  EXPECT_EQ(network.layers_size(), 4);
  EXPECT_EQ(network.layers(1), 2);
  EXPECT_EQ(network.heads(), 8); // 32 * 4 features in heads of 16
  EXPECT_EQ(network.projection_size(), 16);
  EXPECT_EQ(network.norm_epsilon(), 1e-5);
  const spec::TextTransformer &words = model->components(1).text_transformer();
  EXPECT_EQ(words.blocks().activation(), spec::QUICK_GELU);
  EXPECT_EQ(words.blocks().intermediate_size(), 48);
  EXPECT_EQ(words.pool(), spec::TextTransformer::LARGEST_ID);
  EXPECT_TRUE(words.causal());
  EXPECT_EQ(model->text().pad_token_id(), 0);
  EXPECT_TRUE(model->text().own_pad_token());
  EXPECT_TRUE(model->text().pad_to_max_tokens());
  EXPECT_EQ(model->image().shortest_edge(), 64);
  EXPECT_TRUE(model->image().crop_half_to_even());
  EXPECT_EQ(model->image().backend(), spec::ImageProcessing::PIL);
}

TEST_F(OpenClipConfig, BecomesATransformer) {
  makeTransformer();
  config["model_cfg"]["quick_gelu"] = false;
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  const spec::VisionTransformer &tower =
      model->components(0).vision_transformer();
  EXPECT_EQ(tower.blocks().heads(), 2); // of 64 features
  EXPECT_EQ(tower.blocks().intermediate_size(), 512);
  EXPECT_EQ(tower.blocks().activation(), spec::GELU);
  EXPECT_TRUE(tower.class_token() && tower.pre_norm() && tower.post_norm());
  EXPECT_FALSE(tower.patch_bias());
}

TEST_F(OpenClipConfig, ReadsTheKeysThatDiffer) {
  makeTransformer();
  vision()["no_ln_pre"] = true;
  vision()["act_kwargs"] = {{"approximate", "tanh"}};
  vision()["norm_kwargs"] = {{"eps", 1e-6}};
  vision()["mlp_ratio"] = 1.99;
  text()["no_causal_mask"] = true;
  text()["proj_bias"] = true;
  text()["pool_type"] = "eos";
  text()["eos_id"] = 7;
  config["model_cfg"]["quick_gelu"] = false;
  config["model_cfg"]["init_logit_bias"] = -10;
  config["preprocess_cfg"] = {{"size", 32},
                              {"mean", 0.5},
                              {"interpolation", "bilinear"},
                              {"resize_mode", "longest"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &tower =
      model->components(0).vision_transformer();
  EXPECT_FALSE(tower.pre_norm());
  EXPECT_EQ(tower.blocks().activation(), spec::GELU_TANH);
  EXPECT_EQ(tower.blocks().norm_epsilon(), 1e-6);
  EXPECT_EQ(tower.blocks().intermediate_size(), 254); // rounded down
  const spec::TextTransformer &words = model->components(1).text_transformer();
  EXPECT_FALSE(words.causal());
  EXPECT_TRUE(words.projection_bias());
  EXPECT_EQ(words.end_token_id(), 7);
  EXPECT_TRUE(model->components(2).contrastive_head().bias());
  EXPECT_EQ(model->components(2).contrastive_head().probability(),
            spec::ContrastiveHead::SIGMOID);
  EXPECT_TRUE(model->image().round_size());
  EXPECT_EQ(model->image().max_width(), 32);
  EXPECT_EQ(model->image().mean(2), 0.5);
  EXPECT_EQ(model->image().resample(), 2);
}

TEST_F(OpenClipConfig, IsTakenWhereItsWeightsAre) {
  // A folder that holds the config of both; their weights decide.
  folder.write("config.json", R"({"model_type": "no such"})");
  EXPECT_EQ(shortMessageOf().substr(0, 32), "DIR/config.json: model_type: exp");
  folder.write("open_clip_model.safetensors", "");
  EXPECT_EQ(shortMessageOf().substr(0, 32), "DIR/open_clip_model.safetensors:");
}

TEST_F(OpenClipConfig, TellsWhatIsWrong) {
  auto with = [&](const Json &layers, const Json &width, const Json &head) {
    vision()["layers"] = layers;
    vision()["width"] = width;
    vision()["head_width"] = head;
    return shortMessageOf();
  };
  EXPECT_EQ(with({1, 2, 1}, 4, 16),
            "model_cfg.vision_cfg.layers: expected the bottlenecks of 4 "
            "stages, found [1,2,1]; mend the file");
  EXPECT_EQ(with({1, 2, 1, 0}, 4, 16),
            "model_cfg.vision_cfg.layers: expected the bottlenecks of 4 "
            "stages, found [1,2,1,0]; mend the file");
  EXPECT_EQ(with({1, 2, 1, 1}, 4, 48), "");
  EXPECT_EQ(with({1, 2, 1, 1}, 4, 26), "");
  EXPECT_EQ(with({1, 2, 1, 1}, 4, 36),
            "model_cfg.vision_cfg.head_width: expected a number by which the "
            "128 features are whole heads, found 36; mend the file");
  vision()["head_width"] = 16;
  vision()["image_size"] = 60;
  EXPECT_EQ(shortMessageOf(),
            "model_cfg.vision_cfg.image_size: expected a multiple of 32, found "
            "60; mend the file");
  vision()["image_size"] = {64, 32};
  EXPECT_EQ(shortMessageOf(),
            "model_cfg.vision_cfg.image_size: expected one number for both "
            "sides, found [64,32]; other pictures are not supported");
}

TEST_F(OpenClipConfig, RefusesWhatIsNotThere) {
  vision()["timm_model_name"] = "vit_base_patch16_siglip_224";
  text()["hf_model_name"] = "roberta-base";
  text()["qk_norm"] = true;
  text()["pool_type"] = "first";
  config["preprocess_cfg"] = {{"resize_mode", "stretch"}, {"size", 33}};
  EXPECT_EQ(
      shortMessageOf(),
      "model_cfg.vision_cfg.timm_model_name: expected null, found "
      "\"vit_base_patch16_siglip_224\"; a tower of timm is not supported\n"
      "model_cfg.text_cfg.hf_model_name: expected null, found "
      "\"roberta-base\"; a text tower of transformers is not supported\n"
      "model_cfg.text_cfg.qk_norm: expected false, found true; a norm or scale "
      "inside the blocks is not supported\n"
      "model_cfg.text_cfg.pool_type: expected \"argmax\", \"eos\" or \"last\", "
      "found \"first\"; another pooling is not supported\n"
      "preprocess_cfg.resize_mode: expected \"shortest\", \"longest\" or "
      "\"squash\", found \"stretch\"; mend the file\n"
      "preprocess_cfg.size: expected image_size 64, found 33; mend the file");
}

TEST_F(OpenClipConfig, TellsOfMissingWeights) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  auto weights = openWeights(*model, folder.path(), warnings);
  ASSERT_FALSE(weights);
  EXPECT_EQ(folder.relative(weights.message()),
            "DIR: expected open_clip_model.safetensors or model.safetensors, "
            "found neither; complete the folder");
}

TEST_F(OpenClipConfig, TellsOfMissingSections) {
  config["model_cfg"].erase("vision_cfg");
  EXPECT_EQ(shortMessageOf(),
            "model_cfg.vision_cfg: expected an object, found nothing; take the "
            "open_clip_config.json that belongs to these weights");
  config = Json::array();
  EXPECT_NE(shortMessageOf(), "");
}
