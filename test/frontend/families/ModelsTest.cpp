//===- ModelsTest.cpp - Tests of models/*.textproto -----------------------===//
//
// The reference specs are what importing such a checkpoint gives. The configs
// below have the keys of the published files that count.
//
//===----------------------------------------------------------------------===//
#include "frontend/Frontend.h"
#include "frontend/support/Json.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
struct Published {
  const char *name;
  int vision, layers, patch, image, text, projection;
  /// Whether the files have the *_dict forms.
  bool hasDicts;
};
class Models : public testing::TestWithParam<Published> {};
} // namespace

/// A tower as wide as given; all have heads of 64 features and an MLP of 4.
static Json tower(int width, int layers) {
  return {{"hidden_size", width},
          {"intermediate_size", 4 * width},
          {"num_attention_heads", width / 64},
          {"num_hidden_layers", layers}};
}

TEST_P(Models, AreWhatImportGives) {
  const Published &published = GetParam();
  Json text = tower(published.text, 12);
  Json vision = tower(published.vision, published.layers);
  vision["patch_size"] = published.patch;
  vision["image_size"] = published.image;
  Json config = {{"model_type", "clip"},
                 {"architectures", {"CLIPModel"}},
                 {"projection_dim", published.projection},
                 {"text_config", text},
                 {"vision_config", vision},
                 {"text_config_dict", nullptr},
                 {"vision_config_dict", nullptr}};
  config["text_config"]["eos_token_id"] = 2;
  if (published.hasDicts)
    config.update({{"text_config_dict", text}, {"vision_config_dict", vision}});
  Json processor = {{"crop_size", published.image},
                    {"size", published.image},
                    {"do_center_crop", true},
                    {"do_normalize", true},
                    {"do_resize", true},
                    {"feature_extractor_type", "CLIPFeatureExtractor"},
                    {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
                    {"image_std", {0.26862954, 0.26130258, 0.27577711}},
                    {"resample", 3}};
  TestFolder folder;
  std::string name = published.name;
  folder.write(name + "/config.json", config.dump());
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

namespace {
/// A published model whose towers are alike but for the pictures.
struct Alike {
  const char *name;
  Json blocks;
  int vocabulary, patch, image;
};
class AlikeModels : public testing::TestWithParam<Alike> {};
} // namespace

TEST_P(AlikeModels, AreWhatImportGives) {
  const Alike &published = GetParam();
  Json text = published.blocks, vision = published.blocks;
  text["vocab_size"] = published.vocabulary;
  // The files name what differs from the class.
  if (published.image != 224)
    vision.update(
        {{"image_size", published.image}, {"patch_size", published.patch}});
  Json config = {{"model_type", "siglip"},
                 {"architectures", {"SiglipModel"}},
                 {"text_config", text},
                 {"vision_config", vision}};
  Json processor = {
      {"do_normalize", true},
      {"do_rescale", true},
      {"do_resize", true},
      {"image_mean", {0.5, 0.5, 0.5}},
      {"image_processor_type", "SiglipImageProcessor"},
      {"image_std", {0.5, 0.5, 0.5}},
      {"resample", 3},
      {"rescale_factor", 0.00392156862745098},
      {"size", {{"height", published.image}, {"width", published.image}}}};
  Json tokenizer = {{"model_input_names", {"input_ids"}},
                    {"model_max_length", 64}};
  TestFolder folder;
  std::string name = published.name;
  folder.write(name + "/config.json", config.dump());
  folder.write(name + "/preprocessor_config.json", processor.dump());
  folder.write(name + "/tokenizer_config.json", tokenizer.dump());
  std::vector<std::string> warnings;
  auto imported = importCheckpoint(folder.path(name), warnings);
  ASSERT_TRUE(imported) << imported.message();
  auto model =
      readSpec(std::string(VLMC_SOURCE_DIR) + "/models/" + name + ".textproto");
  ASSERT_TRUE(model) << model.message();
  EXPECT_EQ(printSpec(*model), printSpec(*imported));
  EXPECT_EQ(checkSpec(*model).value_or(Failure{}).message, "");
}

static const Json so400m = {{"hidden_size", 1152},
                            {"intermediate_size", 4304},
                            {"num_attention_heads", 16},
                            {"num_hidden_layers", 27}};

INSTANTIATE_TEST_SUITE_P(
    All, AlikeModels,
    testing::Values(Alike{"siglip-b16", Json::object(), 32000, 16, 224},
                    Alike{"siglip-so400m", so400m, 32000, 14, 384},
                    Alike{"siglip2-b16", Json::object(), 256000, 16, 224}),
    [](const auto &info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

INSTANTIATE_TEST_SUITE_P(
    All, Models,
    testing::Values(
        Published{"clip-vit-b16", 768, 12, 16, 224, 512, 512, false},
        Published{"clip-vit-b32", 768, 12, 32, 224, 512, 512, false},
        Published{"clip-vit-l14", 1024, 24, 14, 224, 768, 768, true},
        Published{"clip-vit-l14-336", 1024, 24, 14, 336, 768, 768, true}),
    [](const auto &info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });
