//===- AlignTest.cpp - Tests of reading ALIGN's config.json ---------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' AlignModel.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class AlignConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"AlignModel"}},
              {"model_type", "align"},
              {"projection_dim", 24},
              {"text_config",
               {{"hidden_size", 12},
                {"intermediate_size", 20},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 2},
                {"vocab_size", 100},
                {"max_position_embeddings", 90}}},
              {"vision_config",
               {{"width_coefficient", 1.0},
                {"depth_coefficient", 1.5},
                {"in_channels", {32, 16}},
                {"out_channels", {16, 24}},
                {"kernel_sizes", {3, 5}},
                {"strides", {1, 2}},
                {"num_block_repeats", {1, 2}},
                {"expand_ratios", {1, 6}},
                {"depthwise_padding", {1}}}}};
    processor = {{"image_processor_type", "EfficientNetImageProcessor"},
                 {"size", {{"height", 40}, {"width", 50}}}};
  }
};
} // namespace

TEST_F(AlignConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "align");
  const spec::InvertedNetwork &vision = model->components(0).inverted_network();
  EXPECT_EQ(vision.image_height(), 40);
  EXPECT_EQ(vision.image_width(), 50);
  EXPECT_EQ(vision.stem(), 32);
  ASSERT_EQ(vision.stages_size(), 2);
  EXPECT_EQ(vision.stages(1).inputs(), 16);
  EXPECT_EQ(vision.stages(1).outputs(), 24);
  EXPECT_EQ(vision.stages(1).blocks(), 3);
  EXPECT_EQ(vision.stages(0).blocks(), 2);
  EXPECT_EQ(vision.stages(1).expansion(), 6);
  EXPECT_EQ(vision.centered_blocks(0), 1);
  EXPECT_EQ(vision.activation(), spec::SILU);
  EXPECT_EQ(vision.norm_epsilon(), 1e-3);
  EXPECT_EQ(vision.pool(), spec::InvertedNetwork::MEAN);
  const spec::TextTransformer &text = model->components(1).text_transformer();
  EXPECT_TRUE(text.blocks().post_norm() && text.embedding_norm() &&
              text.no_final_norm() && text.projection_bias());
  EXPECT_EQ(text.pool(), spec::TextTransformer::FIRST_TOKEN);
  EXPECT_EQ(text.token_types(), 2);
  EXPECT_EQ(text.blocks().norm_epsilon(), 1e-12);
  const spec::ContrastiveHead &head = model->components(2).contrastive_head();
  EXPECT_EQ(head.probability(), spec::ContrastiveHead::SOFTMAX);
  EXPECT_TRUE(head.temperature());
  EXPECT_TRUE(model->text().pad_to_max_tokens());
  EXPECT_EQ(model->text().max_tokens(), 64);
  EXPECT_EQ(text.max_tokens(), 90);
  EXPECT_TRUE(model->image().divide_again());
  EXPECT_FALSE(model->image().rescale_offset());
}

TEST_F(AlignConfig, RoundsChannelsAsTheClassDoes) {
  config = {{"model_type", "align"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::InvertedNetwork &vision = model->components(0).inverted_network();
  EXPECT_EQ(vision.stem(), 64);
  const int64_t outputs[] = {32, 48, 80, 160, 224, 384, 640};
  const int64_t blocks[] = {4, 7, 7, 10, 10, 13, 4};
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(vision.stages(i).outputs(), outputs[i]) << i;
    EXPECT_EQ(vision.stages(i).blocks(), blocks[i]) << i;
  }
}

TEST_F(AlignConfig, CropsAndOffsetsAsTheProcessorSays) {
  processor.update({{"do_center_crop", true},
                    {"crop_size", {{"height", 30}, {"width", 20}}},
                    {"rescale_offset", true},
                    {"include_top", false}});
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->components(0).inverted_network().image_height(), 30);
  EXPECT_EQ(model->components(0).inverted_network().image_width(), 20);
  EXPECT_TRUE(model->image().rescale_offset());
  EXPECT_FALSE(model->image().divide_again());
}

TEST_F(AlignConfig, HasTheConfigsPicturesWithoutAProcessor) {
  processor = nullptr;
  config["vision_config"]["image_size"] = {32, 48};
  EXPECT_EQ(import()->components(0).inverted_network().image_width(), 48);
  config["vision_config"]["image_size"] = "large";
  EXPECT_EQ(shortMessageOf(),
            "vision_config.image_size: expected an integer or [height, width] "
            "from 2 to 65536, found \"large\"; mend the file");
}

TEST_F(AlignConfig, TellsWrongValues) {
  Json &vision = config["vision_config"];
  vision["in_channels"] = {32, 24};
  vision["strides"] = {1, 3};
  vision["expand_ratios"] = {1};
  vision["pooling_type"] = "sum";
  config["projection_dim"] = 23;
  config["text_config"]["position_embedding_type"] = "relative_key";
  EXPECT_EQ(shortMessageOf(),
            "vision_config.strides: expected a list of integers from 1 to 2, "
            "found [1,3]; mend the file\n"
            "vision_config.expand_ratios: expected 2 elements, as in_channels "
            "has, found 1; mend the file\n"
            "vision_config.in_channels: expected element 1 to come to 16 "
            "channels, those before it, found 24; mend the file\n"
            "vision_config.pooling_type: expected \"mean\" or \"max\", found "
            "\"sum\"; mend the file\n"
            "projection_dim: expected 24, the channels that the vision tower "
            "comes to, found 23; mend the file\n"
            "text_config.position_embedding_type: expected \"absolute\", found "
            "\"relative_key\"; the model of transformers has no others");
}

TEST_F(AlignConfig, TellsPicturesOfSizesOfTheirOwn) {
  processor["size"] = {{"shortest_edge", 40}};
  EXPECT_EQ(messageOf(),
            "DIR: image processing: expected pictures of one size, found sizes "
            "that follow the picture's own; set size to {\"height\", "
            "\"width\"} with do_resize, or do_center_crop with crop_size, in "
            "preprocessor_config.json");
}
