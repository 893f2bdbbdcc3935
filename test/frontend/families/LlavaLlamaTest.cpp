//===- LlavaLlamaTest.cpp - Tests of LLaVA's own layout -------------------===//
//
// What is expected of values was read off the configs of LLaVA's repository and
// what transformers' conversion makes of them.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/families/ConfigFixture.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class OriginalLlava : public ConfigFixture {
protected:
  void SetUp() override {
    config = {{"model_type", "llava"},
              {"architectures", {"LlavaLlamaForCausalLM"}},
              {"hidden_size", 24},
              {"intermediate_size", 20},
              {"num_attention_heads", 4},
              {"num_hidden_layers", 2},
              {"vocab_size", 100},
              {"mm_vision_tower", "some/tower"},
              {"mm_projector_type", "mlp2x_gelu"},
              {"mm_vision_select_layer", -2}};
    tower = {{"model_type", "clip"},
             {"vision_config",
              {{"hidden_size", 16},
               {"intermediate_size", 24},
               {"num_attention_heads", 4},
               {"num_hidden_layers", 3},
               {"image_size", 32},
               {"patch_size", 8}}}};
    writeTower("tower");
  }
  void writeTower(const std::string &name) {
    folder.write(name + "/config.json", tower.dump());
  }
  spec::ModelSpec model() {
    auto result = import();
    EXPECT_TRUE(result) << result.message();
    return result ? *result : spec::ModelSpec();
  }
  /// The checkpoint's name of a weight.
  std::string nameOf(const std::string &canonical) {
    const spec::ModelSpec spec = model();
    for (const spec::WeightRule &rule : spec.weights())
      if (rule.canonical() == canonical)
        return rule.names(0);
    return "";
  }
  Json tower;
};
} // namespace

TEST_F(OriginalLlava, IsReadAsTransformersReadsItConverted) {
  spec::ModelSpec spec = model();
  EXPECT_EQ(spec.family(), "llava_llama");
  const spec::VisionTransformer &vision =
      spec.components(0).vision_transformer();
  EXPECT_EQ(vision.blocks().layers(), 2);
  EXPECT_TRUE(vision.drop_class_token());
  EXPECT_EQ(spec.components(1).decoder().hidden_size(), 24);
  EXPECT_EQ(spec.components(2).projector().layers(), 2);
  EXPECT_EQ(spec.components(2).projector().activation(), spec::GELU);
  EXPECT_EQ(spec.generation().image_token_id(), 100);
  EXPECT_FALSE(spec.image().pad_to_square());
  EXPECT_EQ(spec.image().shortest_edge(), 32);
  EXPECT_EQ(nameOf("projector.layers.1"), "model.mm_projector.2");
  EXPECT_EQ(nameOf("text.layers.{}.norm1"), "model.layers.{}.input_layernorm");
  EXPECT_EQ(nameOf("vision.layers.{}.norm1"),
            "model.vision_tower.vision_tower.vision_model.encoder.layers.{}."
            "layer_norm1");
}

TEST_F(OriginalLlava, HasItsProjectors) {
  config.erase("mm_projector_type"); // the first LLaVA's
  EXPECT_EQ(component(2).projector().layers(), 1);
  EXPECT_EQ(nameOf("projector.layers.0"), "model.mm_projector");
  config["mm_projector_type"] = "mlp3x_gelu";
  EXPECT_EQ(component(2).projector().layers(), 3);
  EXPECT_EQ(nameOf("projector.layers.2"), "model.mm_projector.4");
  config["mm_projector_type"] = "identity";
  config["hidden_size"] = 16;
  EXPECT_EQ(component(2).projector().layers(), 0);
  config["mm_projector_type"] = "mlp0x_gelu";
  EXPECT_EQ(shortMessageOf(),
            "mm_projector_type: expected \"linear\", \"identity\" or "
            "\"mlpNx_gelu\", found \"mlp0x_gelu\"; other projectors are not "
            "supported");
}

TEST_F(OriginalLlava, FitsPicturesInItsWays) {
  config["image_aspect_ratio"] = "pad";
  EXPECT_TRUE(model().image().pad_to_square());
  config["image_aspect_ratio"] = "anyres";
  EXPECT_EQ(shortMessageOf(),
            "mm_patch_merge_type: expected \"spatial_unpad\", as "
            "image_aspect_ratio is \"anyres\", found \"flat\"; other ways to "
            "join tiles are not supported");
  config["mm_patch_merge_type"] = "spatial_unpad";
  config["image_grid_pinpoints"] = "[(32, 64), (64, 32)]";
  spec::ModelSpec spec = model();
  ASSERT_EQ(spec.image().grid_size(), 2);
  EXPECT_EQ(spec.image().grid(0).width(), 64);
  EXPECT_EQ(spec.generation().tile_size(), 32);
  EXPECT_TRUE(spec.components(2).projector().newline());
  config["image_aspect_ratio"] = "anyres_max_9";
  EXPECT_EQ(shortMessageOf(),
            "image_aspect_ratio: expected \"pad\", \"anyres\" or \"square\", "
            "found \"anyres_max_9\"; other ways to fit pictures are not "
            "supported");
}

TEST_F(OriginalLlava, FindsItsTower) {
  auto layers = [&] {
    return component(0).vision_transformer().blocks().layers();
  };
  EXPECT_EQ(layers(), 2); // below, by the last part of the name
  tower["vision_config"]["num_hidden_layers"] = 9;
  writeTower("some/tower");
  EXPECT_EQ(layers(), 8); // by the whole name
  tower["vision_config"]["num_hidden_layers"] = 5;
  writeTower("mine");
  folder.write("config.json", config.dump());
  auto given = importCheckpoint(folder.path(), warnings, {folder.path("mine")});
  ASSERT_TRUE(given) << given.message();
  EXPECT_EQ(given->components(0).vision_transformer().blocks().layers(), 4);
  EXPECT_EQ(otherFolder(folder.path()), folder.path("some/tower"));
  auto none = importCheckpoint(folder.path(), warnings, {folder.path("no")});
  EXPECT_EQ(folder.relative(none.message()),
            "DIR/no/config.json: no such file; give the folder of the vision "
            "tower with --vision-tower DIR");
  config["mm_vision_tower"] = "nobody/else";
  EXPECT_EQ(shortMessageOf(),
            "mm_vision_tower: expected a folder with the vision tower "
            "\"nobody/else\", found none below the checkpoint, beside it or of "
            "that path; fetch it and give it with --vision-tower DIR");
  // Sizes of OpenAI's are known.
  config["mm_vision_tower"] = "openai/clip-vit-large-patch14-336";
  EXPECT_EQ(layers(), 23);
  folder.write("model.safetensors", safetensors("{}", 0));
  EXPECT_EQ(shortMessageOf(),
            "mm_vision_tower: expected a folder with the vision tower "
            "\"openai/clip-vit-large-patch14-336\", found none below the "
            "checkpoint, beside it or of that path; fetch it and give it with "
            "--vision-tower DIR");
}

TEST_F(OriginalLlava, FindsItsTowerBehindASlash) {
  config["mm_vision_tower"] = "some/tower//";
  EXPECT_EQ(component(0).vision_transformer().blocks().layers(), 2);
}

TEST_F(OriginalLlava, TellsATowerOfNoKind) {
  tower["vision_config"]["model_type"] = 5;
  writeTower("tower");
  EXPECT_EQ(messageOf(), "DIR/tower/config.json: vision_config.model_type: "
                         "expected a string, found 5; mend the file");
}

TEST_F(OriginalLlava, TakesASiglipTowerBeforeItsLastBlock) {
  tower["model_type"] = "siglip";
  writeTower("tower");
  config["mm_vision_select_layer"] = -1;
  spec::VisionTransformer vision = component(0).vision_transformer();
  EXPECT_EQ(vision.blocks().layers(), 2);
  EXPECT_FALSE(vision.drop_class_token() || vision.class_token());
}

TEST_F(OriginalLlava, KnowsItsDecoders) {
  config["num_key_value_heads"] = 2;
  config["architectures"] = {"LlavaMistralForCausalLM"};
  EXPECT_EQ(component(1).decoder().window(), 4096);
  config["architectures"] = {"LlavaQwenForCausalLM"};
  EXPECT_TRUE(component(1).decoder().query_bias());
  config.erase("architectures");
  config["model_type"] = "llava_mistral";
  EXPECT_EQ(component(1).decoder().window(), 4096);
  config["model_type"] = "llava_qwen";
  EXPECT_TRUE(component(1).decoder().query_bias());
  config["architectures"] = {"LlavaMptForCausalLM"};
  EXPECT_EQ(shortMessageOf(),
            "architectures: expected LlavaLlamaForCausalLM, "
            "LlavaMistralForCausalLM or LlavaQwenForCausalLM, found "
            "\"LlavaMptForCausalLM\"; other language models are not supported");
}

TEST_F(OriginalLlava, TellsOtherKeys) {
  config["mm_resampler_type"] = "perceiver";
  EXPECT_EQ(shortMessageOf(), "mm_resampler_type: expected none, found "
                              "\"perceiver\"; resamplers are not supported");
  config.erase("mm_resampler_type");
  config["mm_vision_select_feature"] = "cls";
  EXPECT_EQ(shortMessageOf(),
            "mm_vision_select_feature: expected \"patch\" or \"cls_patch\", "
            "found \"cls\"; mend the file");
  config.erase("mm_vision_select_feature");
  config["mm_something"] = 3;
  EXPECT_EQ(shortMessageOf(), "mm_something: unknown key with the value 3, "
                              "which may change the result; remove it if it "
                              "does not");
  config.erase("mm_something");
  config["num_hidden_layers"] = 0;
  EXPECT_EQ(shortMessageOf(),
            "num_hidden_layers: expected an integer from 1 to 4096, found 0; "
            "mend the file");
}
