//===- ChameleonTest.cpp - Tests of reading Chameleon's config.json -------===//
//
// Values and messages. What is expected of values was read off transformers'
// ChameleonConfig, ChameleonVQVAEConfig and ChameleonImageProcessor.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class ChameleonConfig : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "chameleon"},
              {"hidden_size", 32},
              {"intermediate_size", 40},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"num_hidden_layers", 2},
              {"vocab_size", 100},
              {"vocabulary_map",
               {{"<image>", 90},
                {"IMGIMGAZ", 12},
                {"IMGIMGBZ", 10},
                {"IMGIMGCZ", 11},
                {"IMGIMGBAZ", 20},
                {"word", 3}}},
              {"vq_config",
               {{"num_embeddings", 3},
                {"resolution", 24},
                {"base_channels", 32},
                {"channel_multiplier", {1, 2}}}}};
    processor = {{"image_processor_type", "ChameleonImageProcessor"},
                 {"size", {{"shortest_edge", 24}}},
                 {"crop_size", {{"height", 24}, {"width", 24}}}};
  }
  spec::PictureTokenizer encoder() { return component(0).picture_tokenizer(); }
  spec::Decoder decoder() { return component(1).decoder(); }
};

/// The numbers of a list.
template <class List> std::vector<int64_t> numbers(const List &list) {
  return {list.begin(), list.end()};
}
} // namespace

TEST_F(ChameleonConfig, BecomesASpec) {
  auto model = import();
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
  const spec::PictureTokenizer tokenizer = encoder();
  EXPECT_EQ(tokenizer.blocks(), 2);
  EXPECT_EQ(tokenizer.latent_size(), 256);
  EXPECT_EQ(tokenizer.code_size(), 256);
  EXPECT_EQ(tokenizer.groups(), 32);
  EXPECT_TRUE(tokenizer.middle_attention());
  EXPECT_TRUE(tokenizer.attention_sizes().empty());
  EXPECT_EQ(numbers(tokenizer.multipliers()), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(numbers(tokenizer.ids()), (std::vector<int64_t>{12, 10, 11}));
  const spec::Decoder text = decoder();
  EXPECT_TRUE(text.head_norm() && text.head_layer_norm());
  EXPECT_FALSE(text.branch_norm() || text.layer_norm() || text.query_bias());
  EXPECT_EQ(numbers(text.masked_ids()), (std::vector<int64_t>{10, 13, 20, 21}));
  EXPECT_EQ(text.max_tokens(), 4096);
  EXPECT_EQ(model->generation().image_token_id(), 90);
  EXPECT_EQ(model->image().resample(), 1);
  EXPECT_EQ(model->image().rescale_factor(), 0.0078);
  EXPECT_EQ(model->image().mean(0), 1);
}

TEST_F(ChameleonConfig, TakesTheOptions) {
  config["swin_norm"] = true;
  config["attention_bias"] = true;
  config["tie_word_embeddings"] = true;
  config["vq_config"]["attn_resolutions"] = {12, 24};
  spec::Decoder text = decoder();
  EXPECT_TRUE(text.branch_norm() && text.no_pre_norm());
  EXPECT_TRUE(text.query_bias() && text.output_bias() && text.tied_head());
  EXPECT_EQ(numbers(encoder().attention_sizes()),
            (std::vector<int64_t>{12, 24}));
  // Without attention there is none at resolutions either.
  config["vq_config"]["attn_type"] = "none";
  EXPECT_TRUE(encoder().attention_sizes().empty());
  EXPECT_FALSE(encoder().middle_attention());
}

TEST_F(ChameleonConfig, TellsWhatIsWrong) {
  auto fault = [&](const std::string &text) {
    EXPECT_EQ(shortMessageOf(), text);
    SetUp();
  };
  config.erase("vocabulary_map");
  fault("vocabulary_map: expected an object of tokens and ids, found nothing; "
        "mend the file");
  config["vocabulary_map"].erase("<image>");
  fault("vocabulary_map: expected the token <image>, found none; mend the "
        "file");
  config["vocabulary_map"]["IMGIMGBZ"] = 100;
  fault("vocabulary_map.IMGIMGBZ: expected an id below vocab_size 100 and a "
        "name with a number in letters, found 100; mend the file");
  config["vocabulary_map"]["IMGIMGxZ"] = 5;
  fault("vocabulary_map.IMGIMGxZ: expected an id below vocab_size 100 and a "
        "name with a number in letters, found 5; mend the file");
  config["vq_config"]["num_embeddings"] = 12;
  fault("vocabulary_map: expected tokens IMGIMG... for all of the 12 codes "
        "(vq_config.num_embeddings), found them for those up to 10; mend the "
        "file");
  config["vq_config"]["double_latent"] = true;
  fault("vq_config.double_latent: expected false, found true; transformers "
        "reads no such pictures either");
  config["vq_config"]["channel_multiplier"] = {1, 0};
  fault("vq_config.channel_multiplier: expected integers from 1 to 65536, "
        "found [1,0]; mend the file");
  config["vq_config"]["quantizer"] = 3;
  EXPECT_NE(messageOf().find("quantizer"), std::string::npos);
}
