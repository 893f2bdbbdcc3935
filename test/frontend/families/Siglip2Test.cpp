//===- Siglip2Test.cpp - Tests of reading NaFlex's config.json ------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' Siglip2Config.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class Siglip2Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"Siglip2Model"}},
              {"model_type", "siglip2"},
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
                {"num_patches", 36},
                {"patch_size", 8}}}};
    processor = {{"image_processor_type", "Siglip2ImageProcessor"},
                 {"patch_size", 8},
                 {"max_num_patches", 40}};
  }
};
} // namespace

TEST_F(Siglip2Config, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  EXPECT_EQ(model->family(), "siglip2");
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.grid(), spec::VisionTransformer::RESIZED);
  EXPECT_EQ(vision.image_size() / vision.patch_size(), 6);
  EXPECT_EQ(vision.patch_size(), 8);
  EXPECT_EQ(vision.pool(), spec::VisionTransformer::ATTENTION);
  EXPECT_TRUE(vision.patch_bias() && vision.post_norm() && vision.normalize());
  const spec::TextTransformer &text = model->components(1).text_transformer();
  EXPECT_EQ(text.pool(), spec::TextTransformer::LAST_TOKEN);
  EXPECT_EQ(model->components(2).contrastive_head().probability(),
            spec::ContrastiveHead::SIGMOID);
  EXPECT_EQ(model->image().max_patches(), 40);
  EXPECT_EQ(model->image().patch_size(), 8);
  EXPECT_EQ(model->image().resample(), 2);
  EXPECT_FALSE(model->image().has_height() ||
               model->image().has_shortest_edge());
}

TEST_F(Siglip2Config, HasTheClassDefaults) {
  config = {{"model_type", "siglip2"}};
  processor = {{"image_processor_type", "Siglip2ImageProcessorFast"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.image_size() / vision.patch_size(), 16);
  EXPECT_EQ(vision.patch_size(), 16);
  EXPECT_EQ(vision.blocks().layers(), 12);
  EXPECT_EQ(model->image().max_patches(), 256);
  EXPECT_EQ(model->text().max_tokens(), 64);
  EXPECT_TRUE(model->text().pad_to_max_tokens());
}

TEST_F(Siglip2Config, CutsPatchesOfItsOwnWithoutAProcessor) {
  processor = nullptr;
  EXPECT_EQ(import()->image().patch_size(), 8);
}

TEST_F(Siglip2Config, PadsAsTheProcessorDoes) {
  EXPECT_EQ(import()->text().max_tokens(), 9);
  config["text_config"]["max_position_embeddings"] = 100;
  // The tokenizer's own limit does not count.
  folder.write(
      "tokenizer_config.json",
      R"({"model_max_length": 7, "model_input_names": ["input_ids"]})");
  EXPECT_EQ(import()->text().max_tokens(), 64);
  EXPECT_TRUE(import()->text().unmasked_padding());
}

TEST_F(Siglip2Config, TellsWrongValues) {
  config["vision_config"]["num_patches"] = 40;
  config["vision_config"]["patch_size"] = {8, 8};
  config["vision_config"]["vision_use_head"] = false;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.patch_size: expected an integer from 1 to 4096, "
            "found [8,8]; mend the file\n"
            "vision_config.num_patches: expected the square of a number, as "
            "the positions are a square, found 40; mend the file\n"
            "vision_config.vision_use_head: expected true, found false; "
            "without the pooling head there is no image embedding to compare "
            "with texts");
}

TEST_F(Siglip2Config, TellsPatchesOfAnotherSize) {
  processor.erase("patch_size");
  EXPECT_EQ(messageOf(),
            "DIR: the processor cuts patches of 16 pixels (patch_size), "
            "expected those of the model, 8 (vision_config.patch_size); mend "
            "preprocessor_config.json");
}

TEST_F(Siglip2Config, TellsWrongNumbersOfPatches) {
  processor["max_num_patches"] = 0;
  EXPECT_EQ(messageOf(),
            "DIR/preprocessor_config.json: max_num_patches: expected an "
            "integer from 1 to 65536, found 0; mend the file");
}
