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
static const std::string patches =
    "patch_projector { patch_size: 4 channels: 2 output_size: 9 image_size: 12 "
    "}";

TEST(Tower, IsWhatAProjectorBuildsOn) {
  EXPECT_EQ(typeOf(withTower(network, 64)),
            "(tensor<?x3x96x96xf32>) -> tensor<?x9x7xf32>");
  EXPECT_EQ(typeOf(withTower(patches, 9)),
            "(tensor<?x2x12x12xf32>) -> tensor<?x9x7xf32>");
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
