//===- MllamaTest.cpp - Tests of reading Mllama's config.json -------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' MllamaConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class MllamaConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"MllamaForConditionalGeneration"}},
              {"model_type", "mllama"},
              {"image_token_index", 100},
              {"text_config",
               {{"model_type", "mllama_text_model"},
                {"hidden_size", 32},
                {"intermediate_size", 50},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 6},
                {"cross_attention_layers", {1, 2, 5}},
                {"vocab_size", 100}}},
              {"vision_config",
               {{"model_type", "mllama_vision_model"},
                {"hidden_size", 24},
                {"intermediate_size", 40},
                {"attention_heads", 3},
                {"num_hidden_layers", 4},
                {"num_global_layers", 2},
                {"intermediate_layers_indices", {0, -1}},
                {"vision_output_dim", 72},
                {"image_size", 28},
                {"patch_size", 7}}}};
    processor = {{"image_processor_type", "MllamaImageProcessor"},
                 {"size", {{"height", 28}, {"width", 28}}}};
  }
  static std::vector<int64_t> listOf(const auto &field) {
    return {field.begin(), field.end()};
  }
  const spec::WeightRule &ruleOf(const spec::ModelSpec &model,
                                 const std::string &canonical) {
    for (const spec::WeightRule &rule : model.weights())
      if (rule.canonical() == canonical)
        return rule;
    ADD_FAILURE() << "no rule " << canonical;
    return model.weights(0);
  }
};
} // namespace

TEST_F(MllamaConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  const spec::TiledTower &tower = model->components(0).tiled_tower();
  EXPECT_EQ(tower.blocks().heads(), 3);
  EXPECT_EQ(tower.blocks().layers(), 4);
  EXPECT_TRUE(tower.blocks().unbiased_output());
  EXPECT_EQ(tower.gated_layers(), 2);
  EXPECT_EQ(tower.tiles(), 4);
  EXPECT_EQ(tower.arrangements(), 8);
  EXPECT_EQ(listOf(tower.feature_layers()), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(tower.output_size(), 32);
  const spec::Decoder &text = model->components(1).decoder();
  EXPECT_EQ(text.layers(), 3);
  EXPECT_EQ(text.unscored_tokens(), 8);
  EXPECT_EQ(text.rotary().theta(), 500000);
  EXPECT_EQ(text.max_tokens(), 131072);
  const spec::CrossAttention &cross = text.cross_attention();
  EXPECT_EQ(listOf(cross.layers()), (std::vector<int64_t>{1, 1, 3}));
  EXPECT_EQ(cross.kv_heads(), 2);
  EXPECT_TRUE(cross.head_norm() && cross.skips_mlp());
  EXPECT_EQ(listOf(ruleOf(*model, "text.layers.{}.norm1").numbers()),
            (std::vector<int64_t>{0, 3, 4}));
  EXPECT_EQ(listOf(ruleOf(*model, "text.cross_layers.{}.norm1").numbers()),
            (std::vector<int64_t>{1, 2, 5}));
  EXPECT_EQ(model->generation().attended(), spec::Generation::GROUP);
  EXPECT_EQ(model->generation().image_token_id(), 100);
  EXPECT_TRUE(model->image().fit_tiles());
  ASSERT_EQ(model->image().grid_size(), 8);
  EXPECT_EQ(model->image().grid(3).width(), 112);
  EXPECT_EQ(model->image().grid(6).height(), 84);
  EXPECT_EQ(model->image().resample(), 2);
}

TEST_F(MllamaConfig, HasTheClassDefaults) {
  processor = {{"size", {{"height", 448}, {"width", 448}}}};
  config = {{"model_type", "mllama"}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::TiledTower &tower = model->components(0).tiled_tower();
  EXPECT_EQ(tower.blocks().hidden_size(), 1280);
  EXPECT_EQ(tower.blocks().layers(), 32);
  EXPECT_EQ(tower.gated_layers(), 8);
  EXPECT_EQ(listOf(tower.feature_layers()),
            (std::vector<int64_t>{3, 7, 15, 23, 30}));
  const spec::Decoder &text = model->components(1).decoder();
  EXPECT_EQ(text.layers(), 32);
  EXPECT_EQ(text.kv_heads(), 8);
  EXPECT_EQ(text.vocabulary_size(), 128256);
  EXPECT_EQ(text.cross_attention().layers_size(), 8);
  EXPECT_EQ(model->generation().image_token_id(), 128256);
}

TEST_F(MllamaConfig, TellsFaultsOfTheTower) {
  Json &vision = config["vision_config"];
  vision["vision_output_dim"] = 48;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.vision_output_dim: expected 72, hidden_size times "
            "one more than the layers of intermediate_layers_indices, found "
            "48; mend the file");
  vision["vision_output_dim"] = 72;
  vision["intermediate_layers_indices"] = {0, 4};
  EXPECT_EQ(shortMessageOf(),
            "vision_config.intermediate_layers_indices: expected layers from "
            "-4 to 3 (num_hidden_layers), found 4; mend the file");
  vision["intermediate_layers_indices"] = Json::array();
  EXPECT_EQ(shortMessageOf(),
            "vision_config.intermediate_layers_indices: expected a list of 1 "
            "to 64 layers, found []; mend the file");
  vision["intermediate_layers_indices"] = {0, 1};
  vision["attention_heads"] = 5;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.attention_heads: expected a divisor of hidden_size "
            "24, found 5; mend the file");
  vision["attention_heads"] = 3;
  vision["max_num_tiles"] = 3;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.max_num_tiles: expected 4 where "
            "supported_aspect_ratios is not given, found 3; mend the file");
}

TEST_F(MllamaConfig, TellsFaultsOfTheLayersThatSeePictures) {
  Json &text = config["text_config"];
  text["cross_attention_layers"] = {7, 9};
  EXPECT_EQ(shortMessageOf(),
            "text_config.cross_attention_layers: expected some but not all of "
            "the layers 0 to 5 (num_hidden_layers), found [7,9]; mend the "
            "file");
  text["cross_attention_layers"] = "3";
  EXPECT_EQ(shortMessageOf(),
            "text_config.cross_attention_layers: expected a list of layers, "
            "found \"3\"; mend the file");
  text["cross_attention_layers"] = {1};
  text["cross_attention_bias"] = true;
  EXPECT_NE(shortMessageOf().find("text_config.cross_attention_bias"),
            std::string::npos)
      << shortMessageOf();
}

TEST_F(MllamaConfig, TellsTilesThatDoNotFit) {
  processor["max_image_tiles"] = 2;
  EXPECT_EQ(messageOf(),
            "DIR: image processing: expected max_image_tiles of 4 "
            "(vision_config.max_num_tiles), found 2; mend max_image_tiles in "
            "preprocessor_config.json");
  processor["max_image_tiles"] = 0;
  EXPECT_EQ(messageOf(), "DIR/preprocessor_config.json: max_image_tiles: "
                         "expected an integer from 1 to 64, found 0; mend the "
                         "file");
  processor["max_image_tiles"] = 4;
  processor["do_pad"] = false;
  EXPECT_EQ(messageOf(),
            "DIR/preprocessor_config.json: do_pad: expected true, found false; "
            "such tiles cannot be made without this step");
  processor["do_pad"] = true;
  processor["size"] = {{"height", 28}, {"width", 30}};
  EXPECT_EQ(messageOf(), "DIR/preprocessor_config.json: size: expected one "
                         "side for height and width, found others; such tiles "
                         "are not supported");
  processor["size"] = {{"height", 30}, {"width", 30}};
  EXPECT_EQ(messageOf(),
            "DIR: image processing: expected pictures of 28x28 "
            "(vision_config.image_size), found 30x30; mend size in "
            "preprocessor_config.json");
  processor["size"] = {{"height", 28}, {"width", 28}};
  config["vision_config"]["supported_aspect_ratios"] = {{1, 1}, {1, 2}};
  EXPECT_EQ(shortMessageOf(),
            "vision_config.supported_aspect_ratios: expected at least 8 "
            "pairs, one for each arrangement of up to max_image_tiles tiles, "
            "found 2; mend the file");
}
