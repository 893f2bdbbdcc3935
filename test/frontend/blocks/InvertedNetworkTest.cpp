//===- InvertedNetworkTest.cpp - Tests of inverted residual blocks --------===//
#include "test/frontend/blocks/GraphFixture.h"

using namespace vlmc;
using namespace mlir;

namespace {
class InvertedGraph : public GraphFixture {
protected:
  InvertedGraph()
      : GraphFixture(*parseSpec(R"(
    name: "tiny"
    components {
      name: "vision"
      inverted_network {
        image_height: 33 image_width: 20 channels: 3 stem: 8
        stages { blocks: 1 inputs: 8 outputs: 4 expansion: 1 kernel: 3
                 stride: 1 }
        stages { blocks: 2 inputs: 4 outputs: 6 expansion: 5 kernel: 5
                 stride: 2 }
        activation: SILU squeeze: 0.25 norm_epsilon: 0.001 pool: MEAN
        normalize: true
      }
    }
  )",
                                "tiny.textproto")) {}

  std::string messageWith(void (*change)(spec::InvertedNetwork &)) {
    spec::ModelSpec changed = model;
    change(*changed.mutable_components(0)->mutable_inverted_network());
    std::string message = checkSpec(changed).value_or(Failure{}).message;
    const std::string where = "model spec: component 'vision': ";
    return message.starts_with(where) ? message.substr(where.size()) : message;
  }
};
} // namespace

TEST_F(InvertedGraph, IsBuiltOfConvolutionsAndProducts) {
  ASSERT_TRUE(buildWithTaps({"vision.layers.1", "vision_features"}));
  // 33 x 20 pixels become 16 x 10 places, then 8 x 5.
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x33x20xf32>) -> (tensor<?x6xf32>, "
            "tensor<?x40x6xf32>, tensor<?x40x6xf32>)");
  EXPECT_EQ(count<vlm::Conv2dOp>(), 1);
  EXPECT_EQ(count<vlm::DepthwiseConv2dOp>(), 3);
  // Two for squeezing, one that widens in two blocks, one that narrows.
  EXPECT_EQ(count<vlm::LinearOp>(), 2 * 3 + 2 + 3);
  EXPECT_EQ(count<vlm::ScaleFeaturesOp>(), 3);
  EXPECT_EQ(count<vlm::MeanTokensOp>(), 3 + 1);
  EXPECT_EQ(count<vlm::AddOp>(), 1);
}

TEST_F(InvertedGraph, PadsStridedConvolutionsAsItIsTold) {
  auto paddings = [&] {
    std::vector<std::vector<int64_t>> all;
    module->walk([&](vlm::DepthwiseConv2dOp conv) {
      all.emplace_back(conv.getPadding().begin(), conv.getPadding().end());
    });
    return all;
  };
  ASSERT_TRUE(build());
  EXPECT_EQ(paddings(), (std::vector<std::vector<int64_t>>{
                            {1, 1, 1, 1}, {1, 1, 2, 2}, {2, 2, 2, 2}}));
  model.mutable_components(0)->mutable_inverted_network()->add_centered_blocks(
      1);
  ASSERT_TRUE(build());
  EXPECT_EQ(paddings()[1], (std::vector<int64_t>{2, 2, 2, 2}));
}

TEST_F(InvertedGraph, FoldsBatchNormsOfEachChannel) {
  ASSERT_TRUE(build());
  const std::string read =
      "(#vlm.recipe<read \"vision.layers.0.depthwise.weight\" : "
      "tensor<8x1x3x3xf32>>) : tensor<8x3x3xf32>>";
  EXPECT_EQ(recipeOf("vision.layers.0.depthwise.folded")
                .find("#vlm.recipe<transpose [1, 2, 0] "
                      "(#vlm.recipe<scale_rows (#vlm.recipe<reshape " +
                      read),
            0U)
      << recipeOf("vision.layers.0.depthwise.folded");
}

TEST_F(InvertedGraph, TellsWhatDoesNotFit) {
  EXPECT_EQ(messageWith([](auto &network) { network.clear_stages(); }),
            "stages: expected at least one, found none");
  EXPECT_EQ(messageWith([](auto &network) {
              network.mutable_stages(1)->set_inputs(5);
            }),
            "stages.inputs: expected 4, the channels of what is before it, "
            "found 5");
  EXPECT_EQ(messageWith([](auto &network) {
              network.mutable_stages(1)->set_kernel(1);
            }),
            "stages.kernel: expected at least 2 with a stride of 2, found 1");
  EXPECT_EQ(messageWith([](auto &network) {
              network.mutable_stages(1)->set_stride(3);
            }),
            "stages.stride: expected 1 to 2, found 3");
  EXPECT_EQ(messageWith([](auto &network) {
              network.set_pool(spec::InvertedNetwork::POOL_UNSPECIFIED);
            }),
            "pool: expected MEAN or MAX, found none");
  EXPECT_EQ(messageWith([](auto &network) { network.set_image_height(1); }),
            "image_height: expected 2 to 65536, found 1");
  EXPECT_EQ(messageWith([](auto &network) {
              network.set_image_height(2);
              network.mutable_stages(1)->set_kernel(7);
            }),
            "image_height: expected a larger picture: the map of 1 x 10 places "
            "in front of layers.1 is smaller than its kernel of 7");
}
