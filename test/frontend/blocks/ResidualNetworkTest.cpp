//===- ResidualNetworkTest.cpp - Tests of residual networks ---------------===//
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

namespace {
class ResidualGraph : public GraphFixture {
protected:
  ResidualGraph()
      : GraphFixture(*parseSpec(R"(
    name: "tiny"
    components {
      name: "vision"
      residual_network {
        width: 4 layers: 1 layers: 2 layers: 1 layers: 1 image_size: 64
        channels: 3 heads: 8 projection_size: 10 norm_epsilon: 1e-05
        normalize: true
      }
    }
  )",
                                "tiny.textproto")) {}

  spec::ResidualNetwork &network() {
    return *model.mutable_components(0)->mutable_residual_network();
  }
};
} // namespace

TEST_F(ResidualGraph, IsBuiltOfConvolutionsAndProducts) {
  ASSERT_TRUE(buildWithTaps({"vision.layers.4", "vision_features"}));
  auto entry = module->lookupSymbol<func::FuncOp>("encode_image");
  std::string type;
  llvm::raw_string_ostream(type) << entry.getFunctionType();
  EXPECT_EQ(type, "(tensor<?x3x64x64xf32>) -> (tensor<?x10xf32>, "
                  "tensor<?x4x128xf32>, tensor<?x4x128xf32>)");
  // Three of the stem, one of each of 5 bottlenecks; the others are products:
  // two of each, a shortcut of each stage, four of the attention.
  EXPECT_EQ(count<vlm::Conv2dOp>(), 8);
  EXPECT_EQ(count<vlm::LinearOp>(), 2 * 5 + 4 + 4);
  // The stem's, two of each of three stages, the mean.
  EXPECT_EQ(count<vlm::AveragePoolOp>(), 1 + 2 * 3 + 1);
}

TEST_F(ResidualGraph, FoldsBatchNorms) {
  ASSERT_TRUE(build());
  std::string factors =
      "#vlm.recipe<scale_rows (#vlm.recipe<read \"vision.stem.norm1.weight\" : "
      "tensor<2xf32>>, #vlm.recipe<inverse_root 1.000000e-05 "
      "(#vlm.recipe<read \"vision.stem.norm1.running_var\" : tensor<2xf32>>) : "
      "tensor<2xf32>>) : tensor<2xf32>>";
  EXPECT_EQ(recipeOf("vision.stem.conv1.folded"),
            "#vlm.recipe<scale_rows (#vlm.recipe<transpose [0, 2, 3, 1] "
            "(#vlm.recipe<read \"vision.stem.conv1.weight\" : "
            "tensor<2x3x3x3xf32>>) : tensor<2x3x3x3xf32>>, " +
                factors + ") : tensor<2x3x3x3xf32>>");
  EXPECT_EQ(recipeOf("vision.stem.conv1.folded_bias"),
            "#vlm.recipe<add (#vlm.recipe<read \"vision.stem.norm1.bias\" : "
            "tensor<2xf32>>, #vlm.recipe<scale -1.000000e+00 "
            "(#vlm.recipe<scale_rows (#vlm.recipe<read "
            "\"vision.stem.norm1.running_mean\" : tensor<2xf32>>, " +
                factors +
                ") : tensor<2xf32>>) : tensor<2xf32>>) : "
                "tensor<2xf32>>");
}

TEST_F(ResidualGraph, TellsFaults) {
  network().set_width(5);
  network().set_image_size(40);
  network().set_heads(7);
  network().set_projection_size(0);
  network().set_norm_epsilon(2);
  network().clear_layers();
  network().add_layers(0);
  EXPECT_FALSE(build());
  const std::string where = "model spec: component 'vision': ";
  EXPECT_EQ(errors,
            (std::vector<std::string>{
                where + "width: expected an even number, as the stem has half "
                        "of it, found 5",
                where + "layers: expected those of 4 stages, found 1",
                where + "layers: expected 1 to 4096, found 0",
                where + "image_size: expected a multiple of 32, found 40",
                where + "heads: expected a divisor of 32 * width, which is "
                        "160, found 7",
                where + "projection_size: expected 1 to 1048576, found 0",
                where + "norm_epsilon: expected 0 to 1, found 2.000000"}));
}
