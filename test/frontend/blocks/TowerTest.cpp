//===- TowerTest.cpp - Tests of towers that are no transformers -----------===//
#include "frontend/Frontend.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

using namespace vlmc;
using namespace mlir;

/// A tower of the given text, and a projector from it.
static spec::ModelSpec withTower(const std::string &tower, int width) {
  return *parseSpec("components { name: 'vision' " + tower +
                        " } components { name: 'projector' projector { tower: "
                        "'vision' layers: 1 output_size: 7 input_size: " +
                        std::to_string(width) + " } }",
                    "tiny.textproto");
}

static std::string messageOf(const spec::ModelSpec &model) {
  return checkSpec(model).value_or(Failure{}).message;
}

/// The type of the only entry.
static std::string typeOf(const spec::ModelSpec &model) {
  MLIRContext context;
  auto module = buildGraph(model, nullptr, {}, context);
  if (failed(module) || failed(verify(**module)))
    return "no graph";
  std::string text;
  for (auto entry : (*module)->getOps<func::FuncOp>())
    llvm::raw_string_ostream(text) << entry.getFunctionType();
  return text;
}

static const std::string network =
    "residual_network { width: 2 layers: [1, 1, 1, 1] image_size: 96 "
    "channels: 3 norm_epsilon: 1e-05 tokens: true }";
static const std::string normFree =
    "norm_free_network { image_size: 64 channels: 3 widths: [32, 48, 64, 64] "
    "layers: [1, 2, 1, 2] inner: 0.5 group_width: 8 squeeze: 0.5 "
    "residual_scale: 0.2 activation: GELU_TANH activation_scale: 1.7 "
    "output_size: 40 }";
static const std::string patches =
    "patch_projector { patch_size: 4 channels: 2 output_size: 9 image_size: 12 "
    "}";

TEST(Tower, IsWhatAProjectorBuildsOn) {
  EXPECT_EQ(typeOf(withTower(network, 64)),
            "(tensor<?x3x96x96xf32>) -> tensor<?x9x7xf32>");
  EXPECT_EQ(typeOf(withTower(patches, 9)),
            "(tensor<?x2x12x12xf32>) -> tensor<?x9x7xf32>");
  EXPECT_EQ(typeOf(withTower(normFree, 40)),
            "(tensor<?x3x64x64xf32>) -> tensor<?x4x7xf32>");
}

TEST(Tower, TellsFaultsOfNetworksWithoutNorms) {
  const std::string where = "model spec: component 'vision': ";
  auto messageFor = [](auto change) {
    spec::ModelSpec model = withTower(normFree, 40);
    change(*model.mutable_components(0)->mutable_norm_free_network());
    return messageOf(model);
  };
  using Network = spec::NormFreeNetwork;
  EXPECT_EQ(messageFor([](Network &network) { network.set_image_size(70); }),
            where + "image_size: expected a multiple of 32, found 70");
  EXPECT_EQ(messageFor([](Network &network) { network.set_widths(0, 40); }),
            where + "widths: expected a multiple of 16 first, as the stem has "
                    "sixteenths of it, found 40");
  EXPECT_EQ(messageFor([](Network &network) { network.add_layers(1); }),
            where + "widths: expected those of 4 stages, as many as layers, "
                    "found 4 and 5");
  EXPECT_EQ(messageFor([](Network &network) { network.set_group_width(20); }),
            where + "group_width: expected at most the channels within a "
                    "bottleneck, found 20");
  EXPECT_EQ(messageFor([](Network &network) { network.set_squeeze(0); }),
            where + "squeeze: expected 0.001 to 1000, found 0.000000");
  EXPECT_EQ(messageFor([](Network &network) { network.clear_activation(); }),
            where + "activation: expected an activation function, found none");
}

TEST(Tower, TellsTowersWithoutTokens) {
  spec::ModelSpec model = withTower(network, 64);
  auto &resnet = *model.mutable_components(0)->mutable_residual_network();
  resnet.set_tokens(false);
  resnet.set_heads(4);
  resnet.set_projection_size(64);
  EXPECT_EQ(messageOf(model), "model spec: component 'projector': tower: "
                              "expected a residual network with tokens");
  model = withTower(patches, 9);
  model.mutable_components(0)->mutable_patch_projector()->clear_image_size();
  EXPECT_EQ(messageOf(model), "model spec: component 'projector': tower: "
                              "expected a patch projector with an image_size");
  model = withTower(patches, 9);
  model.mutable_components(0)->mutable_patch_projector()->set_image_size(13);
  EXPECT_EQ(messageOf(model), "model spec: component 'vision': image_size: "
                              "expected a multiple of patch_size 4, found 13");
}

TEST(Tower, TellsSquaresThatDoNotFillTheGrid) {
  spec::ModelSpec model = withTower(network, 256);
  model.mutable_components(1)->mutable_projector()->set_unshuffle(2);
  EXPECT_EQ(messageOf(model),
            "model spec: component 'projector': unshuffle: expected a divisor "
            "of 3, the tokens along a side, found 2");
}

TEST(Tower, IsPooledByAProjector) {
  spec::ModelSpec model = withTower(patches, 9);
  spec::Projector &projector =
      *model.mutable_components(1)->mutable_projector();
  projector.set_pool(2); // of 3 along a side, one left over
  projector.set_norm_epsilon(1e-6);
  projector.set_rms_norm(true);
  projector.set_norm_offset(1);
  EXPECT_EQ(typeOf(model), "(tensor<?x2x12x12xf32>) -> tensor<?x1x7xf32>");
  const std::string start = "model spec: component 'projector': ";
  projector.clear_norm_epsilon();
  EXPECT_EQ(messageOf(model),
            start + "rms_norm: expected norm_epsilon beside it, found none");
  projector.set_rms_norm(false);
  projector.set_pool(4);
  EXPECT_EQ(messageOf(model),
            start + "pool: expected 0 beside unshuffle or newline, or for a "
                    "tower whose tokens are no square of as many along a side, "
                    "found 4");
  projector.set_pool(3);
  projector.set_newline(true);
  EXPECT_EQ(messageOf(model),
            start + "pool: expected 0 beside unshuffle or newline, or for a "
                    "tower whose tokens are no square of as many along a side, "
                    "found 3");
}

TEST(Tower, IsReadByADecoderWithTwoKindsOfLayers) {
  spec::ModelSpec model = withTower(patches, 9);
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  decoder =
      parseSpec("components { name: 'text' decoder { hidden_size: 7 "
                "intermediate_size: 5 layers: 2 heads: 2 kv_heads: 1 "
                "head_size: 4 vocabulary_size: 20 max_tokens: 30 "
                "activation: SILU norm_epsilon: 1e-06 features: "
                "'projector' window: 3 window_layers: [1] tied_head: true "
                "rotary { theta: 100 size: 4 } "
                "window_rotary { theta: 10 size: 4 } "
                "sees_pictures: true } }",
                "tiny.textproto")
          ->components(0)
          .decoder();
  EXPECT_EQ(messageOf(model), "");
  const std::string start = "model spec: component 'text': ";
  decoder.mutable_window_rotary()->set_size(6);
  EXPECT_TRUE(messageOf(model).starts_with(start + "window_rotary: "))
      << messageOf(model);
  decoder.mutable_window_rotary()->set_size(4);
  decoder.mutable_window_rotary()->set_kind(spec::RotaryEmbedding::DYNAMIC);
  decoder.mutable_window_rotary()->set_factor(2);
  decoder.mutable_window_rotary()->set_original_max_tokens(9);
  EXPECT_EQ(messageOf(model),
            start + "window_rotary: expected a kind that does not depend on "
                    "the sequence's length");
  decoder.set_window(0);
  EXPECT_EQ(messageOf(model),
            start + "window_rotary: expected none without a window and rotary "
                    "positions");
  decoder.clear_window_rotary();
  decoder.set_sees_prompt(true);
  EXPECT_EQ(messageOf(model),
            start + "sees_pictures: expected false without features, and "
                    "beside sees_prompt and cross_attention");
}
