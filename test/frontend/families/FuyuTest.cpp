//===- FuyuTest.cpp - Tests of reading Fuyu's config.json -----------------===//
//
// Values and messages. What is expected of values was read off transformers'
// FuyuConfig, PersimmonConfig and FuyuImageProcessor.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class FuyuConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "fuyu"},          {"hidden_size", 32},
              {"intermediate_size", 40},       {"num_attention_heads", 4},
              {"num_hidden_layers", 2},        {"vocab_size", 100},
              {"max_position_embeddings", 64}, {"patch_size", 10},
              {"rope_theta", 25000.0},         {"image_token_id", 90}};
    processor = {{"image_processor_type", "FuyuImageProcessor"},
                 {"patch_size", {{"height", 10}, {"width", 10}}},
                 {"size", {{"height", 60}, {"width", 80}}}};
  }
};
} // namespace

TEST_F(FuyuConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  const spec::Decoder &decoder = model->components(0).decoder();
  EXPECT_EQ(decoder.head_size(), 8);
  EXPECT_EQ(decoder.rotary().size(), 4); // half of a head
  EXPECT_EQ(decoder.rotary().theta(), 25000);
  EXPECT_EQ(decoder.activation(), spec::RELU2);
  EXPECT_TRUE(decoder.layer_norm() && decoder.plain_mlp());
  EXPECT_TRUE(decoder.query_bias() && decoder.output_bias());
  EXPECT_TRUE(decoder.mlp_bias() && decoder.head_norm());
  EXPECT_EQ(decoder.norm_epsilon(), 1e-5);
  const spec::PatchProjector &projector =
      model->components(1).patch_projector();
  EXPECT_EQ(projector.patch_size(), 10);
  EXPECT_EQ(projector.output_size(), 32);
  EXPECT_EQ(model->generation().image_token_id(), 90);
  // As in transformers: the files name none, and the class is not asked.
  EXPECT_EQ(model->generation().end_token_ids_size(), 0);
  EXPECT_EQ(model->image().max_width(), 80);
  EXPECT_TRUE(model->image().only_shrink());
  EXPECT_EQ(model->image().patch_size(), 10);
  EXPECT_EQ(model->image().mean(1), 0.5);
  EXPECT_EQ(model->image().resample(), 2);
}

TEST_F(FuyuConfig, TakesASectionOfItsOwn) {
  config = {{"model_type", "fuyu"},
            {"patch_size", 10},
            {"text_config",
             {{"model_type", "persimmon"},
              {"hidden_size", 24},
              {"num_attention_heads", 2},
              {"num_hidden_layers", 1},
              {"qk_layernorm", false},
              {"rope_parameters",
               {{"rope_theta", 500.0}, {"partial_rotary_factor", 0.34}}}}}};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::Decoder &decoder = model->components(0).decoder();
  EXPECT_EQ(decoder.intermediate_size(), 16384);
  EXPECT_EQ(decoder.vocabulary_size(), 262144);
  EXPECT_EQ(decoder.rotary().size(), 4);
  EXPECT_EQ(decoder.rotary().theta(), 500);
  EXPECT_FALSE(decoder.head_norm());
  EXPECT_EQ(model->generation().image_token_id(), 71011);
}

TEST_F(FuyuConfig, TellsWhatIsWrong) {
  processor["patch_size"] = {{"height", 10}, {"width", 12}};
  processor["size"] = {{"height", 65}, {"width", 80}};
  processor["do_pad"] = false;
  processor["padding_value"] = 0.0;
  processor["padding_mode"] = "edge";
  processor["image_mean"] = {0.5, 0.5};
  EXPECT_EQ(
      messageOf(),
      "DIR/preprocessor_config.json: image_mean: expected a number or 3 of "
      "them, found [0.5,0.5]; mend the file\n"
      "DIR/preprocessor_config.json: patch_size: expected patch_size 10 of "
      "config.json for both sides, found 10 x 12; mend the file\n"
      "DIR/preprocessor_config.json: size: expected multiples of patch_size "
      "10, found 65 x 80; mend the file\n"
      "DIR/preprocessor_config.json: do_pad: expected true, found false; "
      "pictures of whole patches alone are not supported\n"
      "DIR/preprocessor_config.json: padding_value: expected 1.0, found "
      "another number; other borders are not supported\n"
      "DIR/preprocessor_config.json: padding_mode: expected \"constant\", "
      "found \"edge\"; other borders are not supported");
  SetUp();
  processor["size"] = 60;
  EXPECT_EQ(messageOf(),
            "DIR/preprocessor_config.json: size: expected {\"height\": H, "
            "\"width\": W} from 1 to 65536, found 60; mend the file");
  SetUp();
  config["vision_config"] = {{"hidden_size", 7}};
  EXPECT_NE(messageOf().find("vision_config"), std::string::npos);
}
