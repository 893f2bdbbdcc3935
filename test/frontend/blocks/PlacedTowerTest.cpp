//===- PlacedTowerTest.cpp - Tests of connectors of pictures of any grid --===//
#include "frontend/Frontend.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

using namespace vlmc;
using namespace mlir;

static const std::string blocks =
    "blocks { hidden_size: 8 intermediate_size: 12 layers: 1 heads: 2 "
    "activation: GELU norm_epsilon: 1e-06 }";

/// A tower whose features a connector reads.
static spec::ModelSpec withConnector(const std::string &tower,
                                     const std::string &connector) {
  return *parseSpec(
      "components { name: 'vision' vision_transformer { " + blocks +
          " patch_size: 2 channels: 3 pool: TOKENS patch_bias: "
          "true " +
          tower + " } } components { name: 'connector' " + connector + " }",
      "tiny.textproto");
}

static const std::string anyGrid = "image_size: 8 grid: BUCKETED";
static const std::string resampler =
    "perceiver_resampler { tower: 'vision' hidden_size: 6 latents: 5 layers: 1 "
    "heads: 4 kv_heads: 2 head_size: 3 intermediate_size: 10 activation: SILU "
    "norm_epsilon: 1e-06 rms_norm: true gated_mlp: true input_size: 8 "
    "input_intermediate_size: 9 input_activation: GELU }";

static std::string messageOf(const spec::ModelSpec &model) {
  return checkSpec(model).value_or(Failure{}).message;
}

namespace {
struct Built {
  explicit Built(const spec::ModelSpec &model) {
    auto made = buildGraph(model, nullptr, {}, context);
    if (succeeded(made) && succeeded(verify(**made)))
      module = std::move(*made);
  }
  std::string type() {
    std::string text;
    for (auto entry : module->getOps<func::FuncOp>())
      llvm::raw_string_ostream(text) << entry.getFunctionType();
    return text;
  }
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

TEST(PlacedTower, HasLatentsThatSeeAnyNumberOfPlaces) {
  spec::ModelSpec model = withConnector(anyGrid, resampler);
  EXPECT_EQ(messageOf(model), "");
  Built built(model);
  ASSERT_TRUE(built.module);
  EXPECT_EQ(built.type(),
            "(tensor<?x?x12xf32>, tensor<?x?xi64>, tensor<?x2xi64>, "
            "tensor<?x?xi32>, tensor<?x?xi64>) -> tensor<?x5x6xf32>");
  int masked = 0;
  built.module->walk(
      [&](vlm::AttentionOp op) { masked += !!op.getKeyValid(); });
  EXPECT_EQ(masked, 2); // of the tower and of the latents
  EXPECT_TRUE(built.module->lookupSymbol("connector.input_mlp.gate.weight"));
}

TEST(PlacedTower, HasAProjectorOfEachPatch) {
  Built built(withConnector(anyGrid, "projector { tower: 'vision' layers: 1 "
                                     "input_size: 8 output_size: 7 }"));
  ASSERT_TRUE(built.module);
  EXPECT_EQ(built.type(), "(tensor<?x?x12xf32>, tensor<?x?xi64>, "
                          "tensor<?x2xi64>) -> tensor<?x?x7xf32>");
}

TEST(PlacedTower, HasPositionsOfATableOfAnotherSide) {
  const std::string projector =
      "projector { tower: 'vision' layers: 1 input_size: 8 output_size: 7 }";
  // 3 of 7 places along a side: numbers 0, 2 and 4.
  Built built(withConnector("image_size: 6 position_side: 7", projector));
  ASSERT_TRUE(built.module);
  auto weight =
      built.module->lookupSymbol<vlm::WeightOp>("vision.positions.placed");
  ASSERT_TRUE(weight);
  std::string text;
  llvm::raw_string_ostream(text) << Attribute(weight.getRecipe());
  for (const char *run :
       {"slice [0, 0, 1]", "slice [0, 2, 3]", "slice [0, 4, 5]",
        "slice [0, 14, 15]", "slice [0, 32, 33]"})
    EXPECT_NE(text.find(run), std::string::npos) << run << " " << text;
}

TEST(PlacedTower, TellsFaults) {
  std::string projector = "projector { tower: 'vision' layers: 1 input_size: "
                          "32 output_size: 7 unshuffle: 2 }";
  EXPECT_EQ(messageOf(withConnector(anyGrid, projector)),
            "model spec: component 'connector': unshuffle: expected 0, as "
            "pictures have grids of their own, found 2");
  EXPECT_EQ(messageOf(withConnector(
                anyGrid, "projector { tower: 'vision' layers: 1 input_size: 8 "
                         "output_size: 7 newline: true }")),
            "model spec: component 'connector': tower: expected a vision "
            "transformer with a FIXED grid, as all tokens are read");
  spec::ModelSpec model =
      withConnector(anyGrid + " position_side: 3", resampler);
  EXPECT_EQ(messageOf(model),
            "model spec: component 'vision': position_side: expected 0 beside "
            "a class token, no_positions or grids that are not FIXED, found 3");
  model = withConnector(anyGrid, resampler);
  auto &latents = *model.mutable_components(1)->mutable_perceiver_resampler();
  latents.set_input_activation(spec::ACTIVATION_UNSPECIFIED);
  EXPECT_EQ(messageOf(model),
            "model spec: component 'connector': input_activation: expected an "
            "activation function, found none");
  latents.set_input_activation(spec::GELU);
  latents.set_input_size(9);
  EXPECT_EQ(messageOf(model),
            "model spec: component 'connector': input_size: expected 8, the "
            "features of 'vision', found 9");
}
