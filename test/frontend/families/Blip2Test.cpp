//===- Blip2Test.cpp - Tests of reading BLIP-2's config.json --------------===//
//
// Values and messages of config.json, of OPT inside as well, and the reference
// specs of the line. What is expected of values was read off transformers'
// Blip2Config, InstructBlipConfig and OPTConfig.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class Blip2Config : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "blip-2"},
              {"image_token_index", 99},
              {"num_query_tokens", 4},
              {"vision_config",
               {{"hidden_size", 16},
                {"intermediate_size", 24},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 3},
                {"image_size", 384},
                {"patch_size", 16}}},
              {"qformer_config",
               {{"hidden_size", 12},
                {"intermediate_size", 20},
                {"num_attention_heads", 3},
                {"num_hidden_layers", 2}}},
              {"text_config",
               {{"model_type", "opt"},
                {"hidden_size", 24},
                {"ffn_dim", 20},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 2},
                {"vocab_size", 100}}}};
  }
  spec::ModelSpec model() {
    auto result = import();
    EXPECT_TRUE(result) << result.message();
    return result ? *result : spec::ModelSpec();
  }
  spec::Decoder decoder() { return component(1).decoder(); }
};
} // namespace

TEST_F(Blip2Config, GivesTowerDecoderAndQFormer) {
  spec::ModelSpec read = model();
  ASSERT_EQ(read.components_size(), 3);
  EXPECT_EQ(checkSpec(read).value_or(Failure{}).message, "");
  const spec::VisionTransformer &vision =
      read.components(0).vision_transformer();
  EXPECT_TRUE(vision.class_token() && vision.patch_bias() &&
              vision.post_norm());
  EXPECT_FALSE(vision.pre_norm() || vision.drop_class_token());
  EXPECT_EQ(vision.pool(), spec::VisionTransformer::TOKENS);
  EXPECT_EQ(vision.blocks().norm_epsilon(), 1e-6);
  EXPECT_FALSE(vision.blocks().unbiased_attention());
  const spec::QFormer &qformer = read.components(2).q_former();
  EXPECT_EQ(qformer.queries(), 4);
  EXPECT_EQ(qformer.cross_attention_step(), 2);
  EXPECT_EQ(qformer.blocks().norm_epsilon(), 1e-12);
  EXPECT_EQ(qformer.tower_size(), 16);
  EXPECT_EQ(qformer.output_size(), 24);
  EXPECT_EQ(qformer.vocabulary_size(), 0);
  EXPECT_EQ(read.generation().image_token_id(), 99);
  EXPECT_EQ(read.image().height(), 384);
  EXPECT_FALSE(read.image().do_center_crop());
}

TEST_F(Blip2Config, ReadsOptAsItsClassDoes) {
  spec::Decoder read = decoder();
  EXPECT_TRUE(read.layer_norm() && read.plain_mlp() && read.tied_head());
  EXPECT_TRUE(read.query_bias() && read.output_bias() && read.mlp_bias());
  EXPECT_FALSE(read.post_norm() || read.no_final_norm());
  EXPECT_EQ(read.position_offset(), 2);
  EXPECT_EQ(read.max_tokens(), 2048);
  EXPECT_EQ(read.activation(), spec::RELU);
  EXPECT_EQ(read.embedding_size(), 0);
  EXPECT_FALSE(read.has_rotary());
  EXPECT_EQ(model().generation().end_token_ids(0), 2);
  EXPECT_EQ(model().generation().pad_token_id(), 1);
}

TEST_F(Blip2Config, ReadsWhatVariantsOfOptSay) {
  config["text_config"].update({{"do_layer_norm_before", false},
                                {"enable_bias", false},
                                {"tie_word_embeddings", false},
                                {"eos_token_id", {5, 6}},
                                {"activation_function", "gelu"}});
  spec::Decoder read = decoder();
  EXPECT_TRUE(read.post_norm() && read.no_final_norm());
  EXPECT_FALSE(read.query_bias() || read.output_bias() || read.mlp_bias());
  EXPECT_FALSE(read.tied_head());
  EXPECT_EQ(read.activation(), spec::GELU);
  EXPECT_EQ(model().generation().end_token_ids_size(), 2);
  config["text_config"].update(
      {{"do_layer_norm_before", true}, {"_remove_final_layer_norm", true}});
  EXPECT_TRUE(decoder().no_final_norm());
  EXPECT_FALSE(decoder().post_norm());
}

TEST_F(Blip2Config, ReadsOtherDecoders) {
  config["text_config"] = {
      {"model_type", "llama"},   {"hidden_size", 24},
      {"intermediate_size", 20}, {"num_attention_heads", 4},
      {"num_hidden_layers", 2},  {"vocab_size", 100}};
  EXPECT_TRUE(decoder().has_rotary());
  EXPECT_FALSE(decoder().layer_norm());
}

TEST_F(Blip2Config, ReadsRetrieval) {
  config["architectures"] = {"Blip2ForImageTextRetrieval"};
  config["qformer_config"]["use_qformer_text_input"] = true;
  config["image_text_hidden_size"] = 7;
  spec::ModelSpec read = model();
  ASSERT_EQ(read.components_size(), 2);
  EXPECT_EQ(checkSpec(read).value_or(Failure{}).message, "");
  const spec::QFormer &qformer = read.components(1).q_former();
  EXPECT_TRUE(qformer.retrieval());
  EXPECT_EQ(qformer.output_size(), 7);
  EXPECT_EQ(qformer.vocabulary_size(), 30522);
  EXPECT_EQ(qformer.max_tokens(), 512);
  EXPECT_EQ(read.text().max_tokens(), 512);
  EXPECT_EQ(read.generation().image_token_id(), 99);
  config["qformer_config"]["use_qformer_text_input"] = false;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: qformer_config.use_qformer_text_input: expected "
            "true, as texts are compared with pictures, found false; mend the "
            "file");
}

TEST_F(Blip2Config, ReadsTheInstructionBesideTheQueries) {
  config["model_type"] = "instructblip";
  const spec::ModelSpec read = model();
  const spec::QFormer &qformer = read.components(2).q_former();
  EXPECT_EQ(qformer.vocabulary_size(), 30522);
  EXPECT_EQ(qformer.max_tokens(), 512);
  EXPECT_FALSE(qformer.retrieval());
}

TEST_F(Blip2Config, TellsWhatIsMissingOrNotSupported) {
  config.erase("image_token_index");
  EXPECT_EQ(messageOf(),
            "DIR/config.json: image_token_index: expected an integer, found "
            "none; old files lack it: add the id of the token '<image>'");
  config["image_token_index"] = 99;
  config["text_config"]["layer_norm_elementwise_affine"] = false;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.layer_norm_elementwise_affine: "
            "expected true, found false; norms without weights are not "
            "supported");
  config["text_config"].erase("layer_norm_elementwise_affine");
  config["text_config"]["enable_bias"] = 3;
  EXPECT_EQ(messageOf(), "DIR/config.json: text_config.enable_bias: expected "
                         "true or false, found 3; mend the file");
  config["text_config"].erase("enable_bias");
  config["text_config"]["num_attention_heads"] = 5;
  EXPECT_EQ(messageOf(),
            "DIR/config.json: text_config.num_attention_heads: expected a "
            "divisor of hidden_size 24, found 5; mend the file");
  config["text_config"]["num_attention_heads"] = 4;
  config["vision_config"]["qkv_bias"] = "no";
  EXPECT_EQ(messageOf(), "DIR/config.json: vision_config.qkv_bias: expected "
                         "true or false, found \"no\"; mend the file");
}

namespace {
/// A published model: its file of models/, and the keys of its config that
/// differ from the classes' defaults.
struct Published {
  const char *name;
  Json config;
  int image;
};
class QFormerModels : public testing::TestWithParam<Published> {};
} // namespace

TEST_P(QFormerModels, AreWhatImportGives) {
  const Published &published = GetParam();
  TestFolder folder;
  std::string name = published.name;
  folder.write(name + "/config.json", published.config.dump());
  Json processor = {
      {"do_convert_rgb", true},
      {"do_normalize", true},
      {"do_rescale", true},
      {"do_resize", true},
      {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
      {"image_processor_type", "BlipImageProcessor"},
      {"image_std", {0.26862954, 0.26130258, 0.27577711}},
      {"resample", 3},
      {"rescale_factor", 0.00392156862745098},
      {"size", {{"height", published.image}, {"width", published.image}}}};
  folder.write(name + "/preprocessor_config.json", processor.dump());
  std::vector<std::string> warnings;
  auto imported = importCheckpoint(folder.path(name), warnings);
  ASSERT_TRUE(imported) << imported.message();
  auto model =
      readSpec(std::string(VLMC_SOURCE_DIR) + "/models/" + name + ".textproto");
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(printSpec(*model), printSpec(*imported));
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
}

static Json generating(const char *type, int imageToken, const Json &text) {
  return {{"model_type", type},
          {"image_token_index", imageToken},
          {"text_config", text}};
}

static const Json opt27 = {
    {"model_type", "opt"},     {"hidden_size", 2560},
    {"ffn_dim", 10240},        {"num_attention_heads", 32},
    {"num_hidden_layers", 32}, {"word_embed_proj_dim", 2560},
    {"vocab_size", 50304},     {"eos_token_id", 50118}};
static const Json vicuna7 = {
    {"model_type", "llama"},      {"hidden_size", 4096},
    {"intermediate_size", 11008}, {"num_attention_heads", 32},
    {"num_hidden_layers", 32},    {"vocab_size", 32001},
    {"eos_token_id", 2},          {"pad_token_id", 0}};
// As its conversion wrote it: T5Config of google/flan-t5-xl with another GELU.
static const Json flanXl = {{"model_type", "t5"},
                            {"d_model", 2048},
                            {"d_ff", 5120},
                            {"d_kv", 64},
                            {"num_heads", 32},
                            {"num_layers", 24},
                            {"num_decoder_layers", 24},
                            {"feed_forward_proj", "gated-gelu"},
                            {"dense_act_fn", "gelu"},
                            {"tie_word_embeddings", false},
                            {"decoder_start_token_id", 0},
                            {"vocab_size", 32128}};
static const Json matching = {
    {"model_type", "blip-2"},
    {"architectures", {"Blip2ForImageTextRetrieval"}},
    {"image_token_index", 30523},
    {"qformer_config",
     {{"use_qformer_text_input", true}, {"vocab_size", 30524}}}};

INSTANTIATE_TEST_SUITE_P(
    All, QFormerModels,
    testing::Values(
        Published{"blip2-opt-2.7b", generating("blip-2", 50265, opt27), 224},
        Published{"blip2-itm-vit-g", matching, 224},
        Published{"blip2-flan-t5-xl", generating("blip-2", 32100, flanXl), 224},
        Published{"instructblip-flan-t5-xl",
                  generating("instructblip", 32100, flanXl), 224},
        Published{"instructblip-vicuna-7b",
                  generating("instructblip", 32000, vicuna7), 224}),
    [](const auto &info) {
      std::string name = info.param.name;
      std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
      return name;
    });
