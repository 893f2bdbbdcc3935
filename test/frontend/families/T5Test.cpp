//===- T5Test.cpp - Tests of T5 inside of BLIP-2 --------------------------===//
//
// Values and messages. What is expected of values was read off transformers'
// T5Config.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class T5Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "blip-2"},
              {"image_token_index", 99},
              {"use_decoder_only_language_model", false},
              {"vision_config", {{"image_size", 384}, {"patch_size", 16}}},
              {"qformer_config", {{"num_hidden_layers", 1}}},
              {"text_config", {{"model_type", "t5"}}}};
  }
  spec::ModelSpec model() {
    auto result = import();
    EXPECT_TRUE(result) << result.message();
    return result ? *result : spec::ModelSpec();
  }
  spec::EncoderDecoder text() { return component(1).encoder_decoder(); }
  Json &words() { return config["text_config"]; }
};
} // namespace

TEST_F(T5Config, HasTheDefaultsOfItsClass) {
  spec::EncoderDecoder read = text();
  EXPECT_EQ(read.hidden_size(), 512);
  EXPECT_EQ(read.head_size(), 64);
  EXPECT_EQ(read.intermediate_size(), 2048);
  EXPECT_EQ(read.encoder_layers(), 6);
  EXPECT_EQ(read.decoder_layers(), 6);
  EXPECT_EQ(read.heads(), 8);
  EXPECT_EQ(read.vocabulary_size(), 32128);
  EXPECT_EQ(read.position_buckets(), 32);
  EXPECT_EQ(read.position_distance(), 128);
  EXPECT_EQ(read.norm_epsilon(), 1e-6);
  EXPECT_EQ(read.activation(), spec::RELU);
  EXPECT_FALSE(read.gated_mlp());
  EXPECT_TRUE(read.tied_head() && read.scaled_head());
  EXPECT_EQ(read.features(), "qformer");
  spec::ModelSpec whole = model();
  EXPECT_EQ(checkSpec(whole).value_or(Failure{}).message, "");
  EXPECT_EQ(whole.components(2).q_former().output_size(), 512);
  const spec::Generation &generation = whole.generation();
  EXPECT_EQ(generation.end_token_ids(0), 1);
  EXPECT_EQ(generation.pad_token_id(), 0);
  EXPECT_EQ(generation.start_token_id(), 0); // no other token is named
}

TEST_F(T5Config, ReadsWhatVersionsSay) {
  words().update({{"feed_forward_proj", "gated-gelu"},
                  {"tie_word_embeddings", false},
                  {"num_decoder_layers", 2},
                  {"relative_attention_num_buckets", 10},
                  {"decoder_start_token_id", 7},
                  {"eos_token_id", {1, 4}}});
  spec::EncoderDecoder read = text();
  EXPECT_TRUE(read.gated_mlp());
  EXPECT_EQ(read.activation(), spec::GELU_TANH);
  EXPECT_FALSE(read.scaled_head());
  EXPECT_FALSE(read.tied_head()); // without files the flag is all there is
  EXPECT_EQ(read.decoder_layers(), 2);
  EXPECT_EQ(read.position_buckets(), 10);
  EXPECT_EQ(model().generation().start_token_id(), 7);
  EXPECT_EQ(model().generation().end_token_ids_size(), 2);

  // As version 5 of transformers writes it.
  words().update({{"tie_word_embeddings", true},
                  {"scale_decoder_outputs", false},
                  {"feed_forward_proj", "gated-silu"},
                  {"decoder_start_token_id", nullptr},
                  {"bos_token_id", 5}});
  EXPECT_FALSE(text().scaled_head());
  EXPECT_EQ(text().activation(), spec::SILU);
  EXPECT_EQ(model().generation().start_token_id(), 5);
}

// As BLIP-2's files have it, whose derived keys say other things.
TEST_F(T5Config, DerivedKeysCount) {
  words().update({{"feed_forward_proj", "gated-gelu"},
                  {"dense_act_fn", "gelu"},
                  {"is_gated_act", true}});
  EXPECT_EQ(text().activation(), spec::GELU);
  EXPECT_TRUE(text().gated_mlp());
  words().update({{"dense_act_fn", "relu"}, {"is_gated_act", false}});
  EXPECT_EQ(text().activation(), spec::RELU);
  EXPECT_FALSE(text().gated_mlp());
}

TEST_F(T5Config, TellsWhatCannotWork) {
  words()["pad_token_id"] = -1;
  EXPECT_EQ(shortMessageOf(),
            "text_config.decoder_start_token_id: expected the id that answers "
            "begin with, found none, and no bos_token_id or pad_token_id in "
            "its place; add it");
  words()["decoder_start_token_id"] = 0;
  words()["relative_attention_max_distance"] = 16;
  EXPECT_EQ(shortMessageOf().substr(0, 82),
            "text_config.relative_attention_max_distance: expected an integer "
            "from 17 to 65536,");
}

TEST_F(T5Config, TellsFaults) {
  words()["feed_forward_proj"] = "fancy-gelu";
  EXPECT_EQ(shortMessageOf(),
            "text_config.feed_forward_proj: expected an "
            "activation function that vlmc knows, as relu, or one behind a "
            "gate, as gated-gelu, found \"fancy-gelu\"; mend the file if it "
            "means one of them");
  words()["feed_forward_proj"] = "relu";
  words()["num_heads"] = 0;
  words()["is_new"] = true;
  EXPECT_EQ(shortMessageOf(),
            "text_config.num_heads: expected an integer from 1 to "
            "1048576, found 0; mend the file\n"
            "text_config.is_new: unknown key with the value true, "
            "which may change the result; remove it if it does not");
}
