//===- LlavaOnevisionTest.cpp - Tests of reading LLaVA-OneVision's config -===//
//
// What is expected of values was read off transformers' LlavaOnevisionConfig
// and its processors.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class LlavaOnevisionConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "llava_onevision"},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", 384},
                {"patch_size", 96}}},
              {"text_config",
               {{"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 2},
                {"vocab_size", 100}}}};
  }
};
} // namespace

TEST_F(LlavaOnevisionConfig, HasTheDefaultsOfItsClass) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &tower =
      model->components(0).vision_transformer();
  // SigLIP's, all blocks, no norm behind them.
  EXPECT_EQ(tower.blocks().layers(), 3);
  EXPECT_TRUE(tower.patch_bias());
  EXPECT_FALSE(tower.class_token() || tower.post_norm() ||
               tower.drop_class_token());
  EXPECT_TRUE(model->components(1).decoder().query_bias()); // Qwen2's
  EXPECT_TRUE(model->components(2).projector().newline());
  const spec::Generation &generation = model->generation();
  EXPECT_EQ(generation.image_token_id(), 151646);
  EXPECT_EQ(generation.video_token_id(), 151647);
  EXPECT_EQ(generation.most_tiles(), 9);
  EXPECT_EQ(generation.tile_features(), 4);
  ASSERT_EQ(generation.grid_size(), 36);
  EXPECT_EQ(generation.grid(35).height(), 2304);
  EXPECT_TRUE(generation.groups_whole() && generation.reads_videos() &&
              generation.pools_frames());
  EXPECT_TRUE(model->image().pad_groups());
  EXPECT_EQ(model->image().height(), 384);
  EXPECT_FALSE(model->image().do_center_crop());
  EXPECT_EQ(model->video().width(), 384);
  EXPECT_EQ(model->video().grid_size(), 0);
}

TEST_F(LlavaOnevisionConfig, HasATowerWithoutAConfig) {
  config.erase("vision_config");
  config["text_config"]["model_type"] = "qwen2";
  spec::VisionTransformer tower = component(0).vision_transformer();
  EXPECT_EQ(tower.blocks().hidden_size(), 1152);
  EXPECT_EQ(tower.blocks().layers(), 26);
  EXPECT_EQ(tower.patch_size(), 14);
}

TEST_F(LlavaOnevisionConfig, ReadsItsOwnKeys) {
  config["vision_aspect_ratio"] = "anyres_max_4";
  config["video_token_index"] = 7;
  config["vision_feature_layer"] = -2;
  config["image_grid_pinpoints"] = {{384, 768}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->generation().most_tiles(), 4);
  EXPECT_EQ(model->generation().video_token_id(), 7);
  EXPECT_EQ(model->generation().grid_size(), 1);
  EXPECT_EQ(model->components(0).vision_transformer().blocks().layers(), 2);
}

TEST_F(LlavaOnevisionConfig, TellsWhatItCannotRead) {
  for (const char *ratio : {"anyres", "anyres_max_0", "pad", "anyres_max_x"}) {
    config["vision_aspect_ratio"] = ratio;
    EXPECT_EQ(messageOf(), std::string("DIR/config.json: vision_aspect_ratio: "
                                       "expected \"anyres_max_\" and a number "
                                       "of tiles, found \"") +
                               ratio + "\"; mend the file");
  }
  config.erase("vision_aspect_ratio");
  config["vision_feature_select_strategy"] = "default";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_feature_select_strategy: expected "
            "\"full\" for this tower, found \"default\"; the features of a "
            "tile would be no square; mend the file");
}
