//===- ClipTest.cpp - Tests of reading CLIP's config.json -----------------===//
//
// Values and messages of config.json. What is expected of values was read off
// transformers' CLIPConfig.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Family.h"
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class ClipConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"architectures", {"CLIPModel"}},
              {"model_type", "clip"},
              {"projection_dim", 8},
              {"text_config",
               {{"hidden_size", 12},
                {"intermediate_size", 20},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 2},
                {"vocab_size", 100},
                {"max_position_embeddings", 9},
                {"eos_token_id", 99}}},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 1},
                {"image_size", 32},
                {"patch_size", 8}}}};
  }
  const spec::TextTransformer &text() {
    model = std::move(*import());
    return model.components(1).text_transformer();
  }
  const spec::VisionTransformer &vision() {
    model = std::move(*import());
    return model.components(0).vision_transformer();
  }

  spec::ModelSpec model;
};
} // namespace

TEST_F(ClipConfig, BecomesASpec) {
  auto result = import();
  ASSERT_TRUE(result) << result.message();
  EXPECT_EQ(result->family(), "clip");
  EXPECT_EQ(folder.path(),
            "" +
                std::string(folder.path().substr(
                    0, folder.path().size() - result->name().size())) +
                result->name());
  ASSERT_EQ(result->components_size(), 3);
  const auto &vision = result->components(0).vision_transformer();
  EXPECT_EQ(result->components(0).name(), "vision");
  EXPECT_EQ(vision.blocks().hidden_size(), 16);
  EXPECT_EQ(vision.blocks().intermediate_size(), 24);
  EXPECT_EQ(vision.blocks().heads(), 4);
  EXPECT_EQ(vision.blocks().layers(), 1);
  EXPECT_EQ(vision.blocks().activation(), spec::QUICK_GELU);
  EXPECT_EQ(vision.blocks().norm_epsilon(), 1e-5);
  EXPECT_EQ(vision.image_size(), 32);
  EXPECT_EQ(vision.patch_size(), 8);
  EXPECT_EQ(vision.projection_size(), 8);
  const auto &text = result->components(1).text_transformer();
  EXPECT_EQ(text.vocabulary_size(), 100);
  EXPECT_EQ(text.max_tokens(), 9);
  EXPECT_EQ(text.end_token_id(), 99);
  EXPECT_EQ(text.pool(), spec::TextTransformer::FIRST_END_TOKEN);
  EXPECT_TRUE(text.causal());
  EXPECT_EQ(result->components(2).contrastive_head().probability(),
            spec::ContrastiveHead::SOFTMAX);
  EXPECT_EQ(result->text().max_tokens(), 9);
  EXPECT_EQ(result->text().pad_token_id(), 1);
  EXPECT_EQ(result->image().crop_height(), 32);
}

TEST_F(ClipConfig, HasTheClassDefaults) {
  config.erase("text_config");
  config["vision_config"] = nullptr;
  config.erase("projection_dim");
  config.erase("architectures");
  auto result = import();
  ASSERT_TRUE(result) << result.message();
  const auto &vision = result->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().hidden_size(), 768);
  EXPECT_EQ(vision.blocks().intermediate_size(), 3072);
  EXPECT_EQ(vision.blocks().layers(), 12);
  EXPECT_EQ(vision.blocks().heads(), 12);
  EXPECT_EQ(vision.image_size(), 224);
  EXPECT_EQ(vision.patch_size(), 32);
  EXPECT_EQ(vision.projection_size(), 512);
  const auto &text = result->components(1).text_transformer();
  EXPECT_EQ(text.blocks().hidden_size(), 512);
  EXPECT_EQ(text.blocks().intermediate_size(), 2048);
  EXPECT_EQ(text.blocks().layers(), 12);
  EXPECT_EQ(text.blocks().heads(), 8);
  EXPECT_EQ(text.vocabulary_size(), 49408);
  EXPECT_EQ(text.max_tokens(), 77);
  EXPECT_EQ(text.end_token_id(), 49407);
}

TEST_F(ClipConfig, PoolsAtTheLargestIdForOldConfigs) {
  config["text_config"]["eos_token_id"] = 2;
  EXPECT_EQ(text().pool(), spec::TextTransformer::LARGEST_ID);
}

TEST_F(ClipConfig, TakesTheProjectionOfTheTopLevel) {
  config["vision_config"]["projection_dim"] = 5;
  config["text_config"]["projection_dim"] = nullptr;
  EXPECT_EQ(vision().projection_size(), 8);
  EXPECT_EQ(text().projection_size(), 8);
}

TEST_F(ClipConfig, LetsTheOldFormsWinAsAWhole) {
  config["text_config"]["layer_norm_eps"] = 0.5;
  config["text_config"]["hidden_act"] = "relu";
  config["text_config_dict"] = {{"hidden_size", 16}, {"hidden_act", "gelu"}};
  config["vision_config_dict"] = nullptr;
  const spec::TextTransformer &read = text();
  EXPECT_EQ(read.blocks().hidden_size(), 16);
  EXPECT_EQ(read.blocks().activation(), spec::GELU);
  EXPECT_EQ(read.blocks().norm_epsilon(), 1e-5);
  EXPECT_EQ(read.blocks().layers(), 12);
  EXPECT_EQ(read.vocabulary_size(), 49408);
  EXPECT_EQ(model.components(0).vision_transformer().image_size(), 32);
  ASSERT_FALSE(warnings.empty());
  EXPECT_EQ(folder.relative(warnings[1]),
            "DIR/config.json: text_config.hidden_act: \"relu\" is ignored, "
            "text_config_dict counts (\"gelu\")");
  config["text_config_dict"] = Json::object();
  EXPECT_EQ(text().blocks().hidden_size(), 512);
}

TEST_F(ClipConfig, KnowsTheNamesOfActivations) {
  const std::pair<const char *, spec::Activation> names[] = {
      {"gelu", spec::GELU},
      {"gelu_accurate", spec::GELU_TANH},
      {"gelu_fast", spec::GELU_TANH},
      {"gelu_new", spec::GELU_TANH},
      {"gelu_python", spec::GELU},
      {"gelu_python_tanh", spec::GELU_TANH},
      {"gelu_pytorch_tanh", spec::GELU_TANH},
      {"leaky_relu", spec::LEAKY_RELU},
      {"linear", spec::IDENTITY},
      {"mish", spec::MISH},
      {"quick_gelu", spec::QUICK_GELU},
      {"relu", spec::RELU},
      {"relu2", spec::RELU2},
      {"relu6", spec::RELU6},
      {"sigmoid", spec::SIGMOID},
      {"silu", spec::SILU},
      {"swish", spec::SILU},
      {"tanh", spec::TANH}};
  for (auto [name, kind] : names) {
    config["vision_config"]["hidden_act"] = name;
    EXPECT_EQ(vision().blocks().activation(), kind) << name;
  }
  config["vision_config"]["hidden_act"] = "prelu";
  EXPECT_EQ(shortMessageOf(),
            "vision_config.hidden_act: expected an activation function that "
            "vlmc knows (gelu, gelu_accurate, gelu_fast, gelu_new, "
            "gelu_python, gelu_python_tanh, gelu_pytorch_tanh, leaky_relu, "
            "linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, "
            "swish, tanh), found \"prelu\"; mend the file if it means one of "
            "them");
}

TEST_F(ClipConfig, TakesKeysWithoutEffect) {
  config["text_config"].update({{"attention_dropout", 0.1},
                                {"dropout", 0.0},
                                {"top_p", 1.0},
                                {"transformers_version", "4.24.0"},
                                {"pruned_heads", Json::object()}});
  config.update({{"torch_dtype", "float16"},
                 {"dtype", "float32"},
                 {"logit_scale_init_value", 2.6592},
                 {"initializer_factor", 1.0}});
  auto result = import();
  ASSERT_TRUE(result) << result.message();
  ASSERT_EQ(warnings.size(), 1u) << warnings[0];
  EXPECT_NE(warnings[0].find("preprocessor_config.json"), std::string::npos);
}

TEST_F(ClipConfig, TellsAllWrongValuesAtOnce) {
  config["projection_dim"] = "8";
  config["vision_config"]["hidden_size"] = 0;
  config["vision_config"]["image_size"] = {32, 32};
  config["text_config"]["num_hidden_layers"] = 2.5;
  config["text_config"]["eos_token_id"] = {49406, 49407};
  config["text_config"]["rope_theta"] = 10000;
  EXPECT_EQ(
      shortMessageOf(),
      "projection_dim: expected an integer from 1 to 1048576, found \"8\"; "
      "mend the file\n"
      "vision_config.hidden_size: expected an integer from 1 to 1048576, found "
      "0; mend the file\n"
      "vision_config.num_attention_heads: expected a divisor of hidden_size 1, "
      "found 4; mend the file\n"
      "vision_config.image_size: expected an integer from 1 to 65536, found "
      "[32,32]; mend the file\n"
      "vision_config.patch_size: expected at most image_size 1, found 8; mend "
      "the file\n"
      "text_config.num_hidden_layers: expected an integer from 1 to 4096, "
      "found 2.5; mend the file\n"
      "text_config.eos_token_id: expected an integer from -2147483647 to "
      "2147483647, found [49406,49407]; mend the file\n"
      "text_config.rope_theta: unknown key with the value 10000, which may "
      "change the result; remove it if it does not");
}

TEST_F(ClipConfig, TellsValuesThatDoNotFitEachOther) {
  config["text_config"]["num_attention_heads"] = 5;
  config["vision_config"]["patch_size"] = 33;
  EXPECT_EQ(shortMessageOf(),
            "vision_config.patch_size: expected at most image_size 32, found "
            "33; mend the file\n"
            "text_config.num_attention_heads: expected a divisor of "
            "hidden_size 12, found 5; mend the file");
}

TEST_F(ClipConfig, TellsPicturesOfAnotherSize) {
  folder.write("preprocessor_config.json", R"({"crop_size": 30, "size": 32})");
  auto result = import();
  ASSERT_FALSE(result);
  EXPECT_EQ(folder.relative(result.message()),
            "DIR: image processing: expected pictures of 32x32 "
            "(vision_config.image_size), found 30x30; mend crop_size in "
            "preprocessor_config.json");
  folder.write("preprocessor_config.json", R"({"do_center_crop": false})");
  result = import();
  ASSERT_FALSE(result);
  EXPECT_EQ(folder.relative(result.message()),
            "DIR: image processing: expected pictures of 32x32 "
            "(vision_config.image_size), found sizes that follow the "
            "picture's aspect (do_center_crop is false); mend crop_size in "
            "preprocessor_config.json");
}

TEST_F(ClipConfig, TellsOtherArchitectures) {
  config["architectures"] = {"CLIPVisionModelWithProjection"};
  EXPECT_EQ(shortMessageOf(),
            "architectures: expected [\"CLIPModel\"], found "
            "[\"CLIPVisionModelWithProjection\"]; vlmc takes the pair of "
            "towers, not one alone or with another head");
  std::string known;
  for (std::string_view name : familyNames())
    known += (known.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  config["model_type"] = "clipseg";
  EXPECT_EQ(shortMessageOf(),
            "model_type: expected a model family that vlmc knows (" + known +
                "), found \"clipseg\"; an architecture of known blocks can be "
                "written as a .textproto");
  config.erase("model_type");
  EXPECT_EQ(shortMessageOf(),
            "model_type: expected a model family that vlmc knows (" + known +
                "), found nothing; name the family in config.json");
  config = Json::array();
  EXPECT_EQ(shortMessageOf(),
            "expected an object, found []; give the config.json "
            "of a checkpoint");
}

TEST_F(ClipConfig, TellsWhatIsMissing) {
  EXPECT_EQ(
      folder.relative(importCheckpoint(folder.path(), warnings).message()),
      "DIR: expected config.json, found none; give a checkpoint folder of "
      "transformers");
  EXPECT_EQ(folder.relative(
                importCheckpoint(folder.path("none"), warnings).message()),
            "DIR/none: no such folder; give a checkpoint folder with "
            "config.json and model.safetensors");
  std::string file = folder.write("file", "x");
  EXPECT_EQ(folder.relative(importCheckpoint(file, warnings).message()),
            "DIR/file: expected a checkpoint folder, found a file; give the "
            "folder that config.json is in");
}
