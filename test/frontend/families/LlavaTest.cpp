//===- LlavaTest.cpp - Tests of reading LLaVA's config.json ---------------===//
//
// Values and messages of config.json, of the decoder inside as well. What is
// expected of values was read off transformers' LlavaConfig and the configs of
// its decoders.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class LlavaConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "llava"},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", 32},
                {"patch_size", 8}}},
              {"text_config",
               {{"model_type", "llama"},
                {"hidden_size", 24},
                {"intermediate_size", 20},
                {"num_attention_heads", 4},
                {"num_key_value_heads", 2},
                {"num_hidden_layers", 2},
                {"vocab_size", 100}}}};
  }
  spec::Decoder decoder() { return component(1).decoder(); }
  spec::VisionTransformer tower() { return component(0).vision_transformer(); }
};
} // namespace

TEST_F(LlavaConfig, HasTheDefaultsOfItsClasses) {
  EXPECT_EQ(tower().blocks().layers(), 2); // -2 leaves the last block out
  EXPECT_TRUE(tower().drop_class_token());
  spec::Decoder llama = decoder();
  EXPECT_EQ(llama.max_tokens(), 2048);
  EXPECT_EQ(llama.head_size(), 6);
  EXPECT_EQ(llama.rotary().size(), 6);
  EXPECT_EQ(llama.rotary().theta(), 10000);
  EXPECT_EQ(llama.window(), 0);
  EXPECT_FALSE(llama.query_bias() || llama.head_norm() || llama.tied_head());
  config["text_config"]["model_type"] = "mistral";
  EXPECT_EQ(decoder().window(), 4096);
  EXPECT_EQ(decoder().max_tokens(), 131072);
  config["text_config"]["model_type"] = "qwen2";
  EXPECT_TRUE(decoder().query_bias());
  EXPECT_EQ(decoder().window(), 0); // use_sliding_window is false
  config["text_config"]["model_type"] = "qwen3";
  EXPECT_TRUE(decoder().head_norm());
  EXPECT_EQ(decoder().head_size(), 128);
}

TEST_F(LlavaConfig, TakesKeysOfVersions4And5) {
  Json &text = config["text_config"];
  text["rope_theta"] = 5000;
  text["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  spec::RotaryEmbedding old = decoder().rotary();
  EXPECT_EQ(old.kind(), spec::RotaryEmbedding::LINEAR);
  EXPECT_EQ(old.factor(), 4);
  EXPECT_EQ(old.theta(), 5000);
  text.erase("rope_theta");
  text.erase("rope_scaling");
  text["rope_parameters"] = {
      {"rope_type", "linear"}, {"factor", 4}, {"rope_theta", 5000}};
  EXPECT_EQ(decoder().rotary().SerializeAsString(), old.SerializeAsString());
}

// The last one is of transformers 5.5.4.
TEST_F(LlavaConfig, KnowsTheNamesOfVersions) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  for (const spec::WeightRule &rule : model->weights())
    if (rule.canonical() == "text.final_norm")
      EXPECT_EQ(
          std::vector<std::string>(rule.names().begin(), rule.names().end()),
          (std::vector<std::string>{
              "language_model.model.norm", "model.language_model.norm",
              "language_model.norm", "model.language_model.model.norm"}));
}

TEST_F(LlavaConfig, TakesFrequenciesThatDependOnTheLength) {
  Json &text = config["text_config"];
  text["max_position_embeddings"] = 40;
  text["rope_scaling"] = {{"type", "dynamic"}, {"factor", 2.5}};
  EXPECT_EQ(decoder().rotary().kind(), spec::RotaryEmbedding::DYNAMIC);
  EXPECT_EQ(decoder().rotary().original_max_tokens(), 40);
  EXPECT_EQ(decoder().max_tokens(), 100);
  text["rope_scaling"] = {{"rope_type", "longrope"},
                          {"short_factor", {1, 2, 3}},
                          {"long_factor", {4, 5, 6.5}},
                          {"original_max_position_embeddings", 20}};
  spec::RotaryEmbedding rotary = decoder().rotary();
  EXPECT_EQ(rotary.kind(), spec::RotaryEmbedding::LONGROPE);
  EXPECT_EQ(rotary.original_max_tokens(), 20);
  EXPECT_EQ(rotary.factor(), 2);
  EXPECT_EQ(rotary.long_factors(2), 6.5);
  // sqrt(1 + ln 2 / ln 20)
  EXPECT_NEAR(rotary.attention_scale(), 1.10967, 1e-5);
  // Beside the scaling it goes first; the scaling before rope_parameters.
  text["original_max_position_embeddings"] = 10;
  text["rope_parameters"] = {{"rope_type", "default"}};
  text["rope_scaling"]["attention_factor"] = 1.5;
  EXPECT_EQ(decoder().rotary().original_max_tokens(), 10);
  EXPECT_EQ(decoder().rotary().attention_scale(), 1.5);
}

TEST_F(LlavaConfig, TellsWhichLayersHaveTheWindow) {
  Json &text = config["text_config"];
  text["model_type"] = "qwen2";
  text["use_sliding_window"] = true;
  text["sliding_window"] = 7;
  text["max_window_layers"] = 1;
  ASSERT_EQ(decoder().window_layers_size(), 1);
  EXPECT_EQ(decoder().window_layers(0), 1);
  text["layer_types"] = {"sliding_attention", "full_attention"};
  ASSERT_EQ(decoder().window_layers_size(), 1);
  EXPECT_EQ(decoder().window_layers(0), 0);
}

TEST_F(LlavaConfig, TakesTokensOfTheGenerationConfig) {
  config["image_token_index"] = 99;
  folder.write("generation_config.json",
               R"({"eos_token_id": [2, 7], "pad_token_id": 0})");
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  ASSERT_EQ(model->generation().end_token_ids_size(), 2);
  EXPECT_EQ(model->generation().end_token_ids(1), 7);
  EXPECT_EQ(model->generation().pad_token_id(), 0);
  EXPECT_EQ(model->generation().image_token_id(), 99);
}

TEST_F(LlavaConfig, TakesRulesOfTheGenerationConfig) {
  folder.write("generation_config.json", R"({
    "eos_token_id": 2, "max_length": 50, "temperature": 0.3, "do_sample": true,
    "repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_length": 4,
    "bad_words_ids": [[2], [5, 6]], "sequence_bias": [[[7], 1.5], [[7], -2]],
    "forced_eos_token_id": [2], "forced_bos_token_id": 9,
    "suppress_tokens": [11, 12], "exponential_decay_length_penalty": [6, 1.1]
  })");
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->generation().max_length(), 50);
  const spec::TokenRules &rules = model->generation().rules();
  EXPECT_EQ(rules.repetition_penalty(), 1.2);
  EXPECT_EQ(rules.ngram(), 3);
  EXPECT_EQ(rules.min_tokens(), 4);
  ASSERT_EQ(rules.forbidden_size(), 1); // an end token stays
  EXPECT_EQ(rules.forbidden(0).ids(1), 6);
  ASSERT_EQ(rules.biased_size(), 1); // the last one counts
  EXPECT_EQ(rules.biased(0).bias(), -2);
  EXPECT_EQ(rules.forced_begin(), 9);
  EXPECT_EQ(rules.forced_end(0), 2);
  EXPECT_EQ(rules.suppressed(1), 12);
  EXPECT_EQ(rules.decay_start(), 6);
  folder.write("generation_config.json", R"({"repetition_penalty": 1.0})");
  model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_FALSE(model->generation().has_rules());
}

TEST_F(LlavaConfig, TakesOldKeysWhereThereIsNoGenerationConfig) {
  auto generation = [&] {
    auto model = import();
    EXPECT_TRUE(model) << messageOf();
    return model ? model->generation() : spec::Generation();
  };
  // What no file says is nothing, whatever the default of the class.
  EXPECT_EQ(generation().end_token_ids_size(), 0);
  config["text_config"].update({{"eos_token_id", 9},
                                {"pad_token_id", 4},
                                {"repetition_penalty", 1.5},
                                {"no_repeat_ngram_size", 2},
                                {"max_length", 33}});
  EXPECT_EQ(generation().end_token_ids(0), 9);
  EXPECT_EQ(generation().pad_token_id(), 4);
  EXPECT_EQ(generation().max_length(), 33);
  // The keys of the whole go first.
  config["eos_token_id"] = {5, 6};
  config["repetition_penalty"] = 1.25;
  config["max_length"] = nullptr;
  EXPECT_EQ(generation().end_token_ids_size(), 2);
  EXPECT_EQ(generation().rules().repetition_penalty(), 1.25);
  EXPECT_EQ(generation().rules().ngram(), 2);
  EXPECT_EQ(generation().max_length(), 33);
  // And none of them where there is a file of their own.
  folder.write("generation_config.json", R"({"max_new_tokens": 3})");
  EXPECT_EQ(generation().end_token_ids_size(), 0);
  EXPECT_FALSE(generation().has_rules() || generation().has_pad_token_id());
  EXPECT_EQ(generation().max_new_tokens(), 3);
}

TEST_F(LlavaConfig, TellsWhatTheGenerationConfigMayNotSay) {
  auto messageFor = [&](const char *text) {
    folder.write("generation_config.json", text);
    return messageOf();
  };
  const std::string file = "DIR/generation_config.json: ";
  EXPECT_EQ(messageFor(R"({"eos_token_id": [1,2,3,4,5,6,7,8,9]})"),
            file + "eos_token_id: expected at most 8 tokens, found 9; leave "
                   "those out that never end an answer");
  EXPECT_EQ(messageFor(R"({"suppress_tokens": [1, "a"]})"),
            file + "suppress_tokens: expected token ids, found \"a\"; mend the "
                   "file");
  EXPECT_EQ(messageFor(R"({"bad_words_ids": [3]})"),
            file + "bad_words_ids: expected lists of token ids, found 3; mend "
                   "the file");
  EXPECT_EQ(messageFor(R"({"sequence_bias": [[[3], "x"]]})"),
            file + "sequence_bias: expected pairs of a list of token ids and a "
                   "number, found [[3],\"x\"]; mend the file");
  EXPECT_EQ(messageFor(R"({"exponential_decay_length_penalty": [3]})"),
            file + "exponential_decay_length_penalty: expected a number of "
                   "tokens and a factor, found [3]; mend the file");
  EXPECT_EQ(messageFor(R"({"num_beams": 2, "early_stopping": "soon"})"),
            file + "early_stopping: expected true, false or \"never\", found "
                   "\"soon\"; mend the file");
  folder.write("generation_config.json",
               R"({"num_beams": 4, "num_beam_groups": 2})");
  warnings.clear();
  ASSERT_TRUE(import());
  ASSERT_FALSE(warnings.empty());
  EXPECT_EQ(folder.relative(warnings[0]),
            file + "num_beam_groups: is not obeyed: vlmc searches with one "
                   "group of beams");
}

TEST_F(LlavaConfig, ReadsHowAnswersAreSearchedFor) {
  auto generation = [&](const char *text) {
    folder.write("generation_config.json", text);
    auto read = import();
    EXPECT_TRUE(read) << read.message();
    return read ? read->generation() : spec::Generation();
  };
  spec::Generation read = generation(
      R"({"num_beams": 5, "length_penalty": -1.5, "early_stopping": "never"})");
  EXPECT_EQ(read.beams(), 5);
  EXPECT_EQ(read.length_penalty(), -1.5);
  EXPECT_EQ(read.beam_end(), spec::Generation::IMPOSSIBLE);
  read = generation(R"({"num_beams": 2, "early_stopping": true})");
  EXPECT_EQ(read.beam_end(), spec::Generation::FULL);
  EXPECT_FALSE(read.has_length_penalty());
  read = generation(R"({"num_beams": 1, "length_penalty": 2.0})");
  EXPECT_EQ(read.beams(), 0);
  EXPECT_FALSE(read.has_length_penalty());
}

TEST_F(LlavaConfig, TellsWhatItDoesNotKnow) {
  config["text_config"]["model_type"] = "gpt9";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.model_type: expected a decoder that "
            "vlmc knows (\"llama\", \"mistral\", \"qwen2\", \"qwen3\", "
            "\"gemma\", \"gemma2\", \"gemma3_text\", \"persimmon\"), found "
            "\"gpt9\"; other decoders are not supported");
  SetUp();
  config["text_config"]["rope_scaling"] = {{"rope_type", "proportional"},
                                           {"factor", 2}};
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.rope_scaling.rope_type: expected "
            "\"default\", \"dynamic\", \"linear\", \"llama3\", \"longrope\" or "
            "\"yarn\", found \"proportional\"; others are not supported");
  config["text_config"]["rope_scaling"] = {{"rope_type", "longrope"},
                                           {"short_factor", {1, 2, 3}},
                                           {"long_factor", {1, 2}}};
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.rope_scaling.long_factor: expected 3 "
            "positive numbers, half of what is turned of a head, found 2 "
            "values; mend the file");
  SetUp();
  config["vision_config"]["num_hidden_layers"] = "3";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_config.num_hidden_layers: expected an "
            "integer from 1 to 4096, found \"3\"; mend the file");
  SetUp();
  config["vision_feature_layer"] = -5;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_feature_layer: expected layers from -3 to "
            "3, found -5; mend the file");
  config["vision_feature_layer"] = {0, -4};
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_feature_layer: expected a layer other "
            "than 0, which is behind no block, found [0,-4]; mend the file");
  SetUp();
  config["text_config"]["num_key_value_heads"] = 3;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.num_key_value_heads: expected a "
            "divisor of num_attention_heads 4, found 3; mend the file");
  SetUp();
  config["vision_config"]["model_type"] = "dinov2";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_config.model_type: expected "
            "\"clip_vision_model\" or \"siglip_vision_model\", found "
            "\"dinov2\"; other towers are not supported yet");
}

TEST_F(LlavaConfig, NextCutsPicturesByItsGrid) {
  config["model_type"] = "llava_next";
  config["image_grid_pinpoints"] = {{32, 64}, {96, 32}};
  folder.write("preprocessor_config.json",
               R"({"image_processor_type": "LlavaNextImageProcessor",
                   "size": {"shortest_edge": 32}, "do_pad": true,
                   "crop_size": {"height": 32, "width": 32},
                   "image_grid_pinpoints": [[64, 64]]})");
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->family(), "llava_next");
  EXPECT_TRUE(model->components(2).projector().newline());
  const spec::Generation &generation = model->generation();
  ASSERT_EQ(generation.grid_size(), 2);
  EXPECT_EQ(generation.grid(1).height(), 96);
  EXPECT_EQ(generation.grid(1).width(), 32);
  EXPECT_EQ(generation.tile_size(), 32);
  EXPECT_EQ(generation.tile_features(), 4);
  ASSERT_EQ(model->image().grid_size(), 1);
  EXPECT_EQ(model->image().grid(0).height(), 64);

  config["image_grid_pinpoints"] = {{32, 65}};
  EXPECT_EQ(messageOf(),
            "DIR/config.json: image_grid_pinpoints: expected pairs of a height "
            "and a width, multiples of vision_config.image_size, 32, found "
            "[[32,65]]; mend the file");
  config["image_grid_pinpoints"] = {{32, 64}};
  config["vision_feature_select_strategy"] = "full";
  EXPECT_EQ(messageOf(),
            "DIR/config.json: vision_feature_select_strategy: expected "
            "\"default\" for this tower, found \"full\"; the features of a "
            "tile would be no square; mend the file");
}

TEST_F(LlavaConfig, FeaturesOfSeveralLayersStandSideBySide) {
  config["vision_feature_layer"] = {-3, 0, 2};
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  const spec::VisionTransformer &vision =
      model->components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().layers(), 2);
  ASSERT_EQ(vision.feature_layers_size(), 3);
  EXPECT_EQ(vision.feature_layers(0), 1);
  EXPECT_EQ(vision.feature_layers(1), 0);
  EXPECT_EQ(vision.feature_layers(2), 2);
  EXPECT_EQ(model->components(2).projector().input_size(), 48);

  config["model_type"] = "vipllava";
  config["projector_layernorm_eps"] = 0.25;
  config.erase("vision_feature_layer");
  config["vision_feature_layers"] = {-1, 1};
  model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(model->family(), "vipllava");
  EXPECT_EQ(model->components(2).projector().norm_epsilon(), 0.25);
  EXPECT_TRUE(model->components(0).vision_transformer().drop_class_token());
  EXPECT_EQ(model->components(0).vision_transformer().feature_layers(0), 3);
}
