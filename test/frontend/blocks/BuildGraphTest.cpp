//===- BuildGraphTest.cpp - Tests of building graphs ----------------------===//
//
// The whole graph of a checkpoint is a lit test of `vlmc import`; here are its
// borders: entries, recipes, taps and messages.
//
//===----------------------------------------------------------------------===//
#include "test/frontend/blocks/GraphFixture.h"
#include "test/frontend/blocks/TinyModel.h"

using namespace vlmc;
using namespace mlir;

namespace {
class Graph : public GraphFixture {
protected:
  Graph() : GraphFixture(tinyModel()) {}

  std::vector<std::string> resultNames(StringRef name) {
    std::vector<std::string> names;
    func::FuncOp function = entry(name);
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      names.push_back(
          function.getResultAttrOfType<StringAttr>(i, vlm::names::name).str());
    return names;
  }
};
} // namespace

TEST_F(Graph, HasTheEntriesOfTheModel) {
  ASSERT_TRUE(build());
  EXPECT_EQ((*module)->getAttrOfType<StringAttr>(vlm::names::model), "tiny");
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x8xf32>");
  EXPECT_EQ(typeOf("encode_text"),
            "(tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x8xf32>");
  EXPECT_EQ(typeOf("similarity"),
            "(tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x?xf32>");
  EXPECT_EQ(resultNames("encode_image"),
            std::vector<std::string>{"image_embeds"});
  func::FuncOp text = entry("encode_text");
  EXPECT_TRUE(text->hasAttr(vlm::names::entry));
  auto range = text.getArgAttrOfType<DenseI64ArrayAttr>(0, vlm::names::range);
  EXPECT_EQ(range.asArrayRef(), (ArrayRef<int64_t>{0, 99}));
  EXPECT_EQ(text.getArgAttrOfType<IntegerAttr>(1, vlm::names::fill).getInt(),
            1);
  auto symbols = text->getAttrOfType<ArrayAttr>(vlm::names::symbols);
  auto tokens = cast<vlm::SymbolInfoAttr>(symbols[1]);
  EXPECT_EQ(tokens.getName(), "T");
  EXPECT_EQ(tokens.getMax(), 9);
}

TEST_F(Graph, LabelsEveryOpOnce) {
  ASSERT_TRUE(build());
  module->walk([](func::FuncOp function) {
    function.walk([](Operation *op) {
      if (!isa<func::FuncOp, func::ReturnOp, vlm::GetWeightOp>(op))
        EXPECT_TRUE(op->hasAttr(vlm::names::label))
            << op->getName().getStringRef().str();
    });
  });
}

TEST_F(Graph, ReadsWeightsByTheirStoredTypes) {
  class Halves : public WeightSource {
  public:
    explicit Halves(const WeightSource &like) {
      for (const std::string &name : like.names()) {
        tensors[name] = *like.find(name);
        tensors[name].type = StoredType::F16;
      }
    }
    const WeightTensor *find(std::string_view name) const override {
      auto found = tensors.find(std::string(name));
      return found == tensors.end() ? nullptr : &found->second;
    }
    std::vector<std::string> names() const override { return {}; }
    std::map<std::string, WeightTensor> tensors;
  };
  Halves halves(*makeRandomWeights(model, 1));
  ASSERT_TRUE(build({}, &halves));
  auto recipeOf = [&](StringRef name) {
    std::string text;
    llvm::raw_string_ostream(text)
        << Attribute(module->lookupSymbol<vlm::WeightOp>(name).getRecipe());
    return text;
  };
  EXPECT_EQ(recipeOf("vision.layers.0.mlp.fc1.bias"),
            "#vlm.recipe<convert (#vlm.recipe<read \"v.h.0.mlp.fc1.bias\" : "
            "tensor<24xf16>>) : tensor<24xf32>>");
  EXPECT_EQ(recipeOf("vision.class_token"),
            "#vlm.recipe<reshape (#vlm.recipe<convert (#vlm.recipe<read "
            "\"v.class_token\" : tensor<16xf16>>) : tensor<16xf32>>) : "
            "tensor<1x16xf32>>");
  EXPECT_EQ(recipeOf("similarity.log_scale"),
            "#vlm.recipe<reshape (#vlm.recipe<convert (#vlm.recipe<read "
            "\"s.log_scale\" : tensor<f16>>) : tensor<f32>>) : "
            "tensor<1xf32>>");
  // Every weight is there once.
  size_t count = 0;
  module->walk([&](vlm::WeightOp) { ++count; });
  EXPECT_EQ(count, halves.tensors.size());
}

TEST_F(Graph, MakesTapsOutputs) {
  EXPECT_EQ(listTaps(model),
            (std::vector<std::string>{
                "vision.embeddings", "vision.layers.0", "vision.layers.1",
                "vision_features", "vision.projection", "text.embeddings",
                "text.layers.0", "text_features", "text.projection"}));
  ASSERT_TRUE(build({.taps = {"vision_features", "text.embeddings"}}));
  EXPECT_EQ(resultNames("encode_image"),
            (std::vector<std::string>{"image_embeds", "vision_features"}));
  EXPECT_EQ(typeOf("encode_text"),
            "(tensor<?x?xi64>, tensor<?x?xi64>) -> (tensor<?x8xf32>, "
            "tensor<?x?x12xf32>)");
  ASSERT_TRUE(build({.taps = {"all"}}));
  EXPECT_EQ(resultNames("encode_image"),
            (std::vector<std::string>{"image_embeds", "vision.embeddings",
                                      "vision.layers.0", "vision.layers.1",
                                      "vision_features", "vision.projection"}));
  EXPECT_FALSE(build({.taps = {"vision.layers.2"}}));
  EXPECT_EQ(errors, std::vector<std::string>{
                        "unknown tap 'vision.layers.2'; this model has "
                        "vision.embeddings, vision.layers.0, vision.layers.1, "
                        "vision_features, vision.projection, "
                        "text.embeddings, text.layers.0, text_features, "
                        "text.projection, and all for all of them"});
}

TEST_F(Graph, PoolsTextAsTheSpecSays) {
  auto pool = [&] {
    vlm::TokenIndexOp found;
    module->walk([&](vlm::TokenIndexOp op) { found = op; });
    return found;
  };
  ASSERT_TRUE(build());
  EXPECT_EQ(pool().getKind(), vlm::TokenIndexKind::FirstEqual);
  EXPECT_EQ(pool().getId(), 99u);
  model.mutable_components(1)->mutable_text_transformer()->set_pool(
      spec::TextTransformer::LARGEST_ID);
  ASSERT_TRUE(build());
  EXPECT_EQ(pool().getKind(), vlm::TokenIndexKind::ArgMax);
}

TEST_F(Graph, PoolsTheLastTokenOfTexts) {
  auto *text = model.mutable_components(1)->mutable_text_transformer();
  text->set_pool(spec::TextTransformer::LAST_TOKEN);
  text->set_projection_bias(true);
  ASSERT_TRUE(build());
  vlm::TakeTokensOp take;
  module->walk([&](vlm::TakeTokensOp op) {
    if (op->getParentOfType<func::FuncOp>().getSymName() == "encode_text")
      take = op;
  });
  ASSERT_TRUE(take);
  EXPECT_EQ(int64_t(*take.getPosition()), -1);
  EXPECT_TRUE(module->lookupSymbol("text.projection.bias"));
  text->clear_projection_size();
  EXPECT_FALSE(build());
  EXPECT_EQ(errors[0], "model spec: component 'text': projection_bias: "
                       "expected false, as there is no projection_size, found "
                       "true");
}

TEST_F(Graph, PoolsPicturesByAttention) {
  auto *vision = model.mutable_components(0)->mutable_vision_transformer();
  vision->set_pool(spec::VisionTransformer::ATTENTION);
  vision->set_class_token(false);
  ASSERT_TRUE(build({.taps = {"vision_features"}}));
  vlm::AttentionOp pool;
  module->walk([&](vlm::AttentionOp op) {
    if (op.isQueryShared())
      pool = op;
  });
  ASSERT_TRUE(pool);
  std::string type;
  llvm::raw_string_ostream(type)
      << pool->getOperandTypes()[0] << " " << pool.getType();
  EXPECT_EQ(type, "tensor<1x1x16xf32> tensor<?x1x16xf32>");
  EXPECT_EQ(pool.getNumHeads(), 4u);
  // The post-norm works on all tokens, and the tap is behind it.
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> (tensor<?x8xf32>, "
            "tensor<?x4x16xf32>)");
  auto key = pool.getKey().getDefiningOp<vlm::LinearOp>();
  ASSERT_TRUE(key);
  EXPECT_TRUE(key.getInput().getDefiningOp<vlm::LayerNormOp>());
}

TEST_F(Graph, CutsPartsOutOfTensors) {
  for (auto [name, part] : {std::pair("query", 0), std::pair("value", 2)}) {
    spec::WeightRule rule;
    rule.set_canonical("text.layers.{}.attention." + std::string(name));
    rule.add_names("t.h.{}.qkv");
    rule.set_part(part);
    rule.set_parts(3);
    // Of several rules the first that fits counts.
    *model.add_weights() = rule;
    auto *rules = model.mutable_weights();
    for (int i = rules->size() - 1; i > 0; --i)
      rules->SwapElements(i, i - 1);
  }
  ASSERT_TRUE(build());
  std::string text;
  llvm::raw_string_ostream(text) << Attribute(
      module
          ->lookupSymbol<vlm::WeightOp>("text.layers.0.attention.value.weight")
          .getRecipe());
  EXPECT_EQ(text, "#vlm.recipe<slice [0, 24, 36] (#vlm.recipe<read "
                  "\"t.h.0.qkv.weight\" : tensor<36x12xf32>>) : "
                  "tensor<12x12xf32>>");
}

TEST_F(Graph, LeavesOutWhatTheSpecLeavesOut) {
  auto *vision = model.mutable_components(0)->mutable_vision_transformer();
  vision->clear_projection_size();
  vision->set_pre_norm(false);
  vision->set_post_norm(false);
  vision->set_normalize(false);
  vision->set_patch_bias(true);
  model.mutable_components()->DeleteSubrange(1, 2);
  ASSERT_TRUE(build());
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x16xf32>");
  EXPECT_FALSE(module->lookupSymbol("vision.pre_norm.weight"));
  EXPECT_TRUE(module->lookupSymbol("vision.patch_embed.bias"));
  EXPECT_FALSE(module->lookupSymbol("encode_text"));
}

TEST_F(Graph, TellsFaultsOfTheSpec) {
  auto *vision = model.mutable_components(0)->mutable_vision_transformer();
  vision->mutable_blocks()->set_heads(5);
  vision->mutable_blocks()->set_layers(0);
  vision->mutable_blocks()->clear_activation();
  vision->mutable_blocks()->set_norm_epsilon(-1);
  vision->set_patch_size(21);
  vision->clear_class_token();
  vision->set_projection_size(4);
  auto *text = model.mutable_components(1)->mutable_text_transformer();
  text->clear_pool();
  text->set_vocabulary_size(0);
  model.add_components()->set_name("text");
  EXPECT_FALSE(build());
  EXPECT_EQ(
      errors,
      (std::vector<std::string>{
          "model spec: component 'vision': layers: expected 1 to 4096, found "
          "0",
          "model spec: component 'vision': heads: expected a divisor of "
          "hidden_size 16, found 5",
          "model spec: component 'vision': activation: expected an activation "
          "function, found none",
          "model spec: component 'vision': norm_epsilon: expected 0 to 1, "
          "found -1.000000",
          "model spec: component 'vision': patch_size: expected 1 to 20, found "
          "21",
          "model spec: component 'vision': class_token: expected true, as it "
          "is pooled, found false",
          "model spec: component 'text': vocabulary_size: expected 1 to "
          "2147483647, found 0",
          "model spec: component 'text': pool: expected FIRST_END_TOKEN, "
          "LARGEST_ID, LAST_TOKEN or FIRST_TOKEN, found none",
          "model spec: component 'similarity': image: expected embeddings of "
          "one size, found 4 of 'vision' and 8 of 'text'",
          "model spec: component 'text': name: expected a name of its own",
          "model spec: component 'text': expected a kind such as "
          "vision_transformer, found none"}));
  model.clear_components();
  EXPECT_FALSE(build());
  EXPECT_EQ(errors, std::vector<std::string>{
                        "model spec: components: expected at least one, found "
                        "none"});
}

TEST_F(Graph, TellsFaultsOfAHead) {
  model.mutable_components(2)->mutable_contrastive_head()->set_image("x");
  model.mutable_components(2)->mutable_contrastive_head()->set_text("vision");
  EXPECT_FALSE(build());
  EXPECT_EQ(errors, (std::vector<std::string>{
                        "model spec: component 'similarity': image: expected "
                        "the name of a vision_transformer, "
                        "residual_network or inverted_network, found 'x'",
                        "model spec: component 'similarity': text: expected "
                        "the name of a text_transformer, found 'vision'"}));
}

/// A tower whose tokens a projector of two layers takes, and nothing else.
static spec::ModelSpec modelWithProjector() {
  spec::ModelSpec model = tinyModel();
  model.mutable_components()->DeleteSubrange(1, 2);
  auto *vision = model.mutable_components(0)->mutable_vision_transformer();
  vision->set_pool(spec::VisionTransformer::TOKENS);
  vision->set_drop_class_token(true);
  vision->clear_post_norm();
  vision->clear_projection_size();
  vision->clear_normalize();
  spec::Component *component = model.add_components();
  component->set_name("projector");
  spec::Projector &projector = *component->mutable_projector();
  projector.set_tower("vision");
  projector.set_layers(2);
  projector.set_input_size(16);
  projector.set_hidden_size(24);
  projector.set_output_size(12);
  projector.set_activation(spec::GELU);
  projector.set_bias(true);
  return model;
}

TEST_F(Graph, ProjectsTheTokensOfATower) {
  model = modelWithProjector();
  ASSERT_TRUE(build());
  EXPECT_EQ(typeOf("encode_image"),
            "(tensor<?x3x20x20xf32>) -> tensor<?x4x12xf32>");
  EXPECT_EQ(resultNames("encode_image"),
            std::vector<std::string>{"image_features"});
  std::vector<std::string> ops;
  entry("encode_image").walk([&](Operation *op) {
    auto label = op->getAttrOfType<StringAttr>(vlm::names::label);
    if (label && label.getValue().starts_with("projector."))
      ops.push_back(
          (op->getName().stripDialect() + " " + label.getValue()).str());
  });
  EXPECT_EQ(
      ops, (std::vector<std::string>{"linear projector.layers.0",
                                     "activation projector.layers.1.activation",
                                     "linear projector.layers.1"}));
  EXPECT_TRUE(module->lookupSymbol("projector.layers.1.bias"));
  spec::Projector &projector =
      *model.mutable_components(1)->mutable_projector();
  projector.set_bias(false);
  projector.set_layers(1);
  ASSERT_TRUE(build());
  EXPECT_FALSE(module->lookupSymbol("projector.layers.0.bias"));
  EXPECT_FALSE(module->lookupSymbol("projector.layers.1.weight"));
}

TEST_F(Graph, TellsFaultsOfAProjector) {
  model = modelWithProjector();
  spec::Projector &projector =
      *model.mutable_components(1)->mutable_projector();
  projector.set_layers(65);
  projector.set_hidden_size(0);
  projector.set_output_size(-1);
  projector.clear_activation();
  model.mutable_components(0)->mutable_vision_transformer()->set_pool(
      spec::VisionTransformer::CLASS_TOKEN);
  EXPECT_FALSE(build());
  EXPECT_EQ(errors, (std::vector<std::string>{
                        "model spec: component 'projector': tower: expected a "
                        "vision transformer with pool TOKENS",
                        "model spec: component 'projector': layers: expected 0 "
                        "to 64, found 65",
                        "model spec: component 'projector': output_size: "
                        "expected 1 to 1048576, found -1",
                        "model spec: component 'projector': hidden_size: "
                        "expected 1 to 1048576, found 0",
                        "model spec: component 'projector': activation: "
                        "expected an activation function, found none"}));
  projector = *modelWithProjector().mutable_components(1)->mutable_projector();
  projector.set_tower("text");
  EXPECT_FALSE(build());
  EXPECT_EQ(errors, std::vector<std::string>{
                        "model spec: component 'projector': tower: expected "
                        "the name of a vision transformer, residual network or "
                        "patch projector, found 'text'"});
  model = modelWithProjector();
  model.mutable_components(1)->mutable_projector()->set_input_size(12);
  EXPECT_FALSE(build());
  EXPECT_EQ(errors, std::vector<std::string>{
                        "model spec: component 'projector': input_size: "
                        "expected 16, the features of 'vision', found 12"});
}

TEST_F(Graph, TellsMissingWeights) {
  spec::ModelSpec other = model;
  other.mutable_components(2)->mutable_contrastive_head()->set_bias(true);
  std::unique_ptr<WeightSource> weights = makeRandomWeights(model, 1);
  model = other;
  EXPECT_FALSE(build({}, weights.get()));
  EXPECT_EQ(errors, std::vector<std::string>{
                        "checkpoint: tensor 's.bias' is missing, expected "
                        "shape []; complete the checkpoint or mend its "
                        "config"});
}
