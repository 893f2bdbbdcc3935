//===- InternVLTest.cpp - Tests of reading InternVL's config.json ---------===//
//
// What is expected of values was read off transformers' InternVLConfig and
// GotOcr2ImageProcessor.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class InternVLConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "internvl"},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", {32, 32}},
                {"patch_size", {8, 8}}}},
              {"text_config",
               {{"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 2},
                {"vocab_size", 100}}}};
    processor = {{"image_processor_type", "GotOcr2ImageProcessor"},
                 {"size", {{"height", 32}, {"width", 32}}}};
  }
};
} // namespace

TEST_F(InternVLConfig, HasTheDefaultsOfItsClasses) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &tower =
      model->components(0).vision_transformer();
  EXPECT_TRUE(tower.class_token() && tower.drop_class_token());
  EXPECT_FALSE(tower.post_norm() || tower.no_positions());
  EXPECT_TRUE(tower.blocks().layer_scale() &&
              tower.blocks().unbiased_attention());
  EXPECT_FALSE(tower.blocks().query_norm() || tower.blocks().rms_norm());
  EXPECT_TRUE(model->components(1).decoder().query_bias()); // Qwen2
  EXPECT_TRUE(model->components(1).decoder().tied_head());
  const spec::Projector &projector = model->components(2).projector();
  EXPECT_EQ(projector.unshuffle(), 2);
  EXPECT_EQ(projector.input_size(), 64);
  EXPECT_EQ(projector.norm_epsilon(), 1e-5);
  EXPECT_EQ(model->generation().image_token_id(), 151667);
}

TEST_F(InternVLConfig, ListsTheResolutionsInTheirOrder) {
  processor["min_patches"] = 2;
  processor["max_patches"] = 4;
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_TRUE(model->image().stretch_tiles());
  std::string sizes;
  for (const spec::Resolution &size : model->generation().grid())
    sizes += std::to_string(size.width() / 32) + "x" +
             std::to_string(size.height() / 32) + " ";
  EXPECT_EQ(sizes, "1x2 2x1 1x3 3x1 1x4 2x2 4x1 ");
  EXPECT_EQ(model->generation().tile_size(), 32);
}

TEST_F(InternVLConfig, ReadsAnEarlierStateWithoutTheNorm) {
  config["vision_config"]["use_mean_pooling"] = false;
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_TRUE(model->components(0).vision_transformer().post_norm());
  config["vision_feature_layer"] = -2;
  model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_FALSE(model->components(0).vision_transformer().post_norm());
  EXPECT_EQ(model->components(0).vision_transformer().blocks().layers(), 2);
}

TEST_F(InternVLConfig, TellsOfWhatItCannotDo) {
  config["downsample_ratio"] = 0.3;
  EXPECT_EQ(messageOf(), "DIR/config.json: downsample_ratio: expected one over "
                         "an integer, found 0.300000; mend the file");
  config["downsample_ratio"] = 0.5;
  config["vision_feature_layer"] = 5;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_feature_layer: expected one layer from -3 "
            "to 3 other than 0, found 5; mend the file");
  config["vision_feature_layer"] = -1;
  config["vision_feature_select_strategy"] = "full";
  EXPECT_EQ(messageOf(), "DIR/config.json: vision_feature_select_strategy: "
                         "expected \"default\", found \"full\"; the class "
                         "token has no place in the squares");
  config.erase("vision_feature_select_strategy");
  config["vision_config"]["norm_type"] = "batch_norm";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_config.norm_type: expected \"layer_norm\" "
            "or \"rms_norm\", found \"batch_norm\"; mend the file");
  config["vision_config"].erase("norm_type");
  processor["max_patches"] = 100;
  EXPECT_NE(messageOf().find("max_patches: expected an integer from 1 to 64, "
                             "found 100"),
            std::string::npos)
      << messageOf();
}
