//===- InternVLChatTest.cpp - Tests of InternVL's own layout --------------===//
//
// What is expected of values was read off the configs of OpenGVLab's
// checkpoints and of the code that comes with them.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class InternVLChat : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "internvl_chat"},
              {"dynamic_image_size", true},
              {"use_thumbnail", true},
              {"max_dynamic_patch", 3},
              {"ps_version", "v2"},
              {"vision_config",
               {{"model_type", "intern_vit_6b"},
                {"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", 32},
                {"patch_size", 8},
                {"norm_type", "layer_norm"},
                {"qkv_bias", true},
                {"qk_normalization", false}}},
              {"llm_config",
               {{"model_type", "internlm2"},
                {"bias", false},
                {"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 2},
                {"vocab_size", 100}}}};
    folder.write("added_tokens.json", R"({"<IMG_CONTEXT>": 97})");
  }
  spec::ModelSpec model() {
    auto result = import();
    EXPECT_TRUE(result) << result.message();
    return result ? *result : spec::ModelSpec();
  }
  spec::WeightRule ruleOf(const std::string &canonical) {
    const spec::ModelSpec spec = model();
    for (const spec::WeightRule &rule : spec.weights())
      if (rule.canonical() == canonical)
        return rule;
    return {};
  }
};
} // namespace

TEST_F(InternVLChat, IsReadAsTransformersReadsItConverted) {
  spec::ModelSpec spec = model();
  EXPECT_EQ(spec.family(), "internvl_chat");
  const spec::VisionTransformer &tower =
      spec.components(0).vision_transformer();
  EXPECT_EQ(tower.blocks().layers(), 3);
  EXPECT_FALSE(tower.blocks().unbiased_attention() ||
               tower.blocks().query_norm() || tower.blocks().rms_norm());
  EXPECT_FALSE(tower.post_norm());
  const spec::Decoder &text = spec.components(1).decoder();
  EXPECT_FALSE(text.query_bias() || text.output_bias() || text.tied_head());
  const spec::Projector &projector = spec.components(2).projector();
  EXPECT_EQ(projector.unshuffle(), 2);
  EXPECT_FALSE(projector.transposed_unshuffle());
  EXPECT_EQ(spec.generation().image_token_id(), 97);
  EXPECT_EQ(spec.image().grid_size(), 5); // of one to three tiles
  EXPECT_EQ(spec.image().mean(0), 0.485);
  EXPECT_TRUE(spec.image().stretch_tiles());
  config.erase("ps_version");
  EXPECT_TRUE(component(2).projector().transposed_unshuffle());
  config["select_layer"] = -2;
  EXPECT_EQ(component(0).vision_transformer().blocks().layers(), 2);
  config.erase("max_dynamic_patch");
  int64_t most = 0; // six tiles, as its class has it
  const spec::ModelSpec six = model();
  for (const auto &grid : six.image().grid())
    most = std::max<int64_t>(most, grid.height() / 32 * (grid.width() / 32));
  EXPECT_EQ(most, 6);
  config["dynamic_image_size"] = false;
  EXPECT_EQ(model().image().grid_size(), 1);
}

TEST_F(InternVLChat, TakesFusedProjectionsApart) {
  spec::WeightRule query = ruleOf("text.layers.{}.attention.query");
  EXPECT_EQ(query.names(0), "language_model.model.layers.{}.attention.wqkv");
  EXPECT_EQ(query.parts(), 4); // two queries, a key and a value
  EXPECT_EQ(query.groups(), 2);
  EXPECT_EQ(query.span(), 2);
  spec::WeightRule value = ruleOf("text.layers.{}.attention.value");
  EXPECT_EQ(value.part(), 3);
  EXPECT_EQ(value.span(), 0);
  spec::WeightRule key = ruleOf("vision.layers.{}.attention.key");
  EXPECT_EQ(key.names(0), "vision_model.encoder.layers.{}.attn.qkv");
  EXPECT_EQ(key.part(), 1);
  EXPECT_EQ(key.parts(), 3);
  config["llm_config"]["model_type"] = "qwen2";
  config["llm_config"].erase("bias");
  EXPECT_EQ(ruleOf("text.layers.{}.attention.query").names(0),
            "language_model.model.layers.{}.self_attn.q_proj");
}

TEST_F(InternVLChat, FindsItsPictureToken) {
  std::filesystem::remove(folder.path("added_tokens.json"));
  EXPECT_EQ(messageOf(),
            "DIR: expected the added token '<IMG_CONTEXT>' in "
            "added_tokens.json, tokenizer_config.json or tokenizer.json, found "
            "none; complete the tokenizer");
  folder.write("tokenizer.json",
               R"({"added_tokens": [{"id": 5, "content": "<IMG_CONTEXT>"}]})");
  EXPECT_EQ(model().generation().image_token_id(), 5);
  folder.write(
      "tokenizer_config.json",
      R"({"added_tokens_decoder": {"6": {"content": "<IMG_CONTEXT>"}}})");
  EXPECT_EQ(model().generation().image_token_id(), 6);
}

TEST_F(InternVLChat, TellsWhatIsNotSupported) {
  config["use_thumbnail"] = false;
  EXPECT_EQ(shortMessageOf(),
            "use_thumbnail: expected true, as pictures are cut "
            "(dynamic_image_size), found false; tiles without the whole "
            "picture are not supported");
  config["use_thumbnail"] = true;
  config["ps_version"] = "v3";
  EXPECT_EQ(shortMessageOf(), "ps_version: expected \"v1\" or \"v2\", found "
                              "\"v3\"; others are not supported");
  config["ps_version"] = "v1";
  config["pad2square"] = true;
  EXPECT_EQ(shortMessageOf(), "pad2square: expected false, found true; padded "
                              "pictures are not supported");
  config["pad2square"] = false;
  config["llm_config"]["model_type"] = "phi3";
  config["llm_config"].erase("bias");
  std::string message = shortMessageOf();
  EXPECT_TRUE(message.starts_with("llm_config.model_type: expected a decoder "
                                  "that vlmc knows"))
      << message;
  config.erase("llm_config");
  EXPECT_EQ(shortMessageOf(), "llm_config: expected the config of the language "
                              "model, found nothing; complete the file");
}
