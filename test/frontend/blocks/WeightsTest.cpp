//===- WeightsTest.cpp - Tests of binding weights -------------------------===//
#include "frontend/Frontend.h"
#include "frontend/blocks/BindWeights.h"
#include "frontend/checkpoint/Checkpoint.h"
#include "test/frontend/blocks/TinyModel.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

#include <map>

using namespace vlmc;

namespace {
/// Tensors without values.
class Tensors : public WeightSource {
public:
  void add(const std::string &name, std::vector<int64_t> shape,
           StoredType type = StoredType::F32) {
    WeightTensor tensor;
    tensor.name = name;
    tensor.shape = std::move(shape);
    tensor.type = type;
    tensor.file = "w.safetensors";
    tensors[name] = tensor;
  }
  const WeightTensor *find(std::string_view name) const override {
    auto found = tensors.find(std::string(name));
    return found == tensors.end() ? nullptr : &found->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &[name, tensor] : tensors)
      result.push_back(name);
    return result;
  }
  std::map<std::string, WeightTensor> tensors;
};

class Weights : public testing::Test {
protected:
  void SetUp() override {
    context.checkpoint = "w";
    auto bound = bindWeights(model, nullptr);
    for (const BoundWeight &weight : *bound)
      tensors.add(weight.tensor, weight.shape);
  }
  std::string messageOf() {
    auto fault = checkWeights(model, tensors, context, warnings);
    return fault ? fault->message : "";
  }

  spec::ModelSpec model = tinyModel();
  Tensors tensors;
  BindContext context;
  std::vector<std::string> warnings;
};
} // namespace

TEST_F(Weights, HaveCanonicalNamesAndShapes) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const WeightInfo &info : listWeights(model))
    EXPECT_TRUE(shapes.emplace(info.name, info.shape).second) << info.name;
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shapes.at("vision.class_token"), Shape{16});
  EXPECT_EQ(shapes.at("vision.patch_embed.weight"), (Shape{16, 3, 8, 8}));
  EXPECT_EQ(shapes.at("vision.positions.weight"), (Shape{5, 16}));
  EXPECT_EQ(shapes.at("vision.layers.1.attention.query.weight"),
            (Shape{16, 16}));
  EXPECT_EQ(shapes.at("vision.layers.0.mlp.fc1.weight"), (Shape{24, 16}));
  EXPECT_EQ(shapes.at("text.tokens.weight"), (Shape{100, 12}));
  EXPECT_EQ(shapes.at("text.projection.weight"), (Shape{8, 12}));
  EXPECT_EQ(shapes.at("similarity.log_scale"), Shape{});
  EXPECT_EQ(shapes.size(), 3u + 2 + 2 * 16 + 2 + 1 + 2 + 16 + 2 + 1 + 1);
}

TEST_F(Weights, AreBoundByTheFirstRuleThatFits) {
  auto bound = bindWeights(model, nullptr);
  ASSERT_TRUE(bound);
  std::map<std::string, std::string> names;
  for (const BoundWeight &weight : *bound)
    names[weight.info.name] = weight.tensor;
  EXPECT_EQ(names["vision.layers.1.mlp.fc1.weight"], "v.h.1.mlp.fc1.weight");
  EXPECT_EQ(names["vision.layers.1.norm1.bias"], "v.layers.1.norm1.bias");
  EXPECT_EQ(names["vision.class_token"], "v.class_token");
  model.clear_weights();
  EXPECT_EQ((*bindWeights(model, nullptr))[0].tensor, "vision.class_token");
}

TEST_F(Weights, TakeTheFirstNameThatIsThere) {
  tensors.tensors.erase("v.class_token");
  tensors.add("old.v.class_token", {16}, StoredType::BF16);
  auto bound = bindWeights(model, &tensors);
  ASSERT_TRUE(bound) << bound.message();
  EXPECT_EQ((*bound)[0].tensor, "old.v.class_token");
  EXPECT_EQ((*bound)[0].type, StoredType::BF16);
}

TEST_F(Weights, MayHoldAScalarAsOneElement) {
  tensors.add("s.log_scale", {1});
  EXPECT_EQ(messageOf(), "");
  tensors.add("s.log_scale", {2});
  EXPECT_EQ(messageOf(),
            "w.safetensors: tensor 's.log_scale': expected shape [], found "
            "[2]; take the config that belongs to these weights");
}

TEST_F(Weights, TellWhatIsMissing) {
  tensors.tensors.erase("v.h.0.mlp.fc1.weight");
  tensors.tensors.erase("t.final_norm.bias");
  tensors.tensors.erase("v.class_token");
  tensors.tensors.erase("s.log_scale");
  EXPECT_EQ(
      messageOf(),
      "w: tensor 'v.class_token' or 'old.v.class_token' is missing, expected "
      "shape [16] as hidden_size of component 'vision' says; complete the "
      "checkpoint or mend its config\n"
      "w: tensor 'v.h.0.mlp.fc1.weight' is missing, expected shape [24, 16] as "
      "intermediate_size of component 'vision' and hidden_size of component "
      "'vision' say; complete the checkpoint or mend its config\n"
      "w: tensor 't.final_norm.bias' is missing, expected shape [12] as "
      "hidden_size of component 'text' says; complete the checkpoint or mend "
      "its config\n"
      "w: tensor 's.log_scale' is missing, expected shape []; complete the "
      "checkpoint or mend its config");
}

TEST_F(Weights, MayBePartsOfATensor) {
  spec::WeightRule rule;
  rule.set_canonical("text.layers.{}.attention.key");
  rule.add_names("t.h.{}.qkv");
  rule.set_part(1);
  rule.set_parts(3);
  // Of several rules the first that fits counts.
  *model.add_weights() = rule;
  for (int i = model.weights_size() - 1; i > 0; --i)
    model.mutable_weights()->SwapElements(i, i - 1);
  EXPECT_EQ(messageOf().substr(0, messageOf().find('\n')),
            "w: tensor 't.h.0.qkv.weight' is missing, expected shape [36, 12] "
            "as hidden_size of component 'text' says; complete the checkpoint "
            "or mend its config");
  tensors.add("t.h.0.qkv.weight", {36, 12});
  tensors.add("t.h.0.qkv.bias", {12});
  EXPECT_EQ(messageOf(),
            "w.safetensors: tensor 't.h.0.qkv.bias': expected shape [36], "
            "decided by hidden_size of component 'text', found [12]; take the "
            "config that belongs to these weights");
  tensors.add("t.h.0.qkv.bias", {36});
  auto bound = bindWeights(model, &tensors, context);
  ASSERT_TRUE(bound) << bound.message();
  const BoundWeight *key = nullptr;
  for (const BoundWeight &weight : *bound)
    if (weight.info.name == "text.layers.0.attention.key.weight")
      key = &weight;
  ASSERT_TRUE(key);
  EXPECT_EQ(key->part, 1);
  EXPECT_EQ(key->parts, 3);
  EXPECT_EQ(key->info.shape, (std::vector<int64_t>{12, 12}));
  EXPECT_EQ(key->shape, (std::vector<int64_t>{36, 12}));
}

TEST_F(Weights, MayBeSeveralPartsOfEachGroup) {
  // Two groups of three parts, of which a weight of 12 rows takes the last two.
  spec::WeightRule rule;
  rule.set_canonical("text.layers.{}.attention.key");
  rule.add_names("t.h.{}.qkv");
  rule.set_part(1);
  rule.set_parts(3);
  rule.set_groups(2);
  rule.set_span(2);
  *model.add_weights() = rule;
  for (int i = model.weights_size() - 1; i > 0; --i)
    model.mutable_weights()->SwapElements(i, i - 1);
  tensors.add("t.h.0.qkv.weight", {18, 12});
  tensors.add("t.h.0.qkv.bias", {18});
  auto bound = bindWeights(model, &tensors, context);
  EXPECT_TRUE(bound) << bound.message();
  model.mutable_weights(0)->set_groups(5);
  EXPECT_EQ(messageOf().substr(0, messageOf().find('\n')),
            "w: weight 'text.layers.0.attention.key.weight': expected rows for "
            "2 parts in 5 groups, found 12; mend the spec's rule");
  model.mutable_weights(0)->set_groups(2);
  EXPECT_EQ(checkSpec(model).value_or(Failure{}).message, "");
  model.mutable_weights(0)->set_part(2);
  EXPECT_EQ(
      checkSpec(model).value_or(Failure{}).message,
      "model spec: weights 'text.layers.{}.attention.key': part: expected "
      "2 (span) from 0 to parts 3, found them from 2 on");
}

TEST_F(Weights, TellTenFaultsInFull) {
  tensors.tensors.clear();
  std::string message = messageOf();
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 10);
  EXPECT_TRUE(message.ends_with("\nw: and 52 more such faults")) << message;
}

TEST_F(Weights, TellWrongShapesAndTypes) {
  tensors.add("t.positions.weight", {77, 12});
  tensors.add("v.positions.weight", {17, 16});
  tensors.add("t.tokens.weight", {100, 12}, StoredType::I8);
  EXPECT_EQ(
      messageOf(),
      "w.safetensors: tensor 'v.positions.weight': expected shape [5, 16], "
      "decided by image_size of component 'vision' and patch_size of component "
      "'vision' and hidden_size of component 'vision', found [17, 16]; take "
      "the config that belongs to these weights\n"
      "w.safetensors: tensor 't.tokens.weight': expected F32, F16 or BF16, "
      "found I8; save the model with float weights\n"
      "w.safetensors: tensor 't.positions.weight': expected shape [9, 12], "
      "decided by max_tokens of component 'text' and hidden_size of component "
      "'text', found [77, 12]; take the config that belongs to these weights");
}

TEST_F(Weights, TellSurplusTensors) {
  tensors.add("v.position_ids", {1, 5}, StoredType::I64);
  tensors.add("optimizer.step", {1});
  EXPECT_EQ(messageOf(), "");
  EXPECT_EQ(warnings, (std::vector<std::string>{
                          "w: tensor 'optimizer.step' is not part of the "
                          "model and ignored"}));
  tensors.add("v.h.2.mlp.fc1.bias", {24});
  tensors.add("v.head.weight", {2, 16});
  EXPECT_EQ(
      messageOf(),
      "w: tensor 'v.h.2.mlp.fc1.bias' belongs to layer 2, beyond those that "
      "layers of component 'vision' counts; take the config that belongs to "
      "these weights\n"
      "w: tensor 'v.head.weight' is not used, though the part 'v' is modelled: "
      "expected no tensors but those of the model; the checkpoint may be of "
      "another architecture, take the config that "
      "belongs to these weights");
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

/// Writes f32 zeros for all weights of a model but changed ones.
static void writeWeights(const TestFolder &folder, const spec::ModelSpec &model,
                         const std::map<std::string, std::string> &changed) {
  std::string header = "{";
  size_t end = 0;
  auto bound = bindWeights(model, nullptr);
  for (const BoundWeight &weight : *bound) {
    if (changed.count(weight.tensor) && changed.at(weight.tensor).empty())
      continue;
    std::string shape = changed.count(weight.tensor)
                            ? changed.at(weight.tensor)
                            : describeShape(weight.shape);
    size_t count = 1;
    for (size_t at = 1; at + 1 < shape.size();) {
      size_t next = 0;
      count *= std::stoul(shape.substr(at), &next);
      at += next + 2;
    }
    header += "\"" + weight.tensor +
              "\":{\"dtype\":\"F32\",\"shape\":" + shape +
              ",\"data_offsets\":[" + std::to_string(end) + "," +
              std::to_string(end + 4 * count) + "]},";
    end += 4 * count;
  }
  header.back() = '}';
  folder.write("model.safetensors", safetensors(header, end));
}

TEST(WeightsOfAFolder, AreCheckedByTheKeysOfItsConfig) {
  TestFolder folder;
  folder.write("config.json", R"({"model_type": "clip", "projection_dim": 8,
    "text_config": {"hidden_size": 12, "intermediate_size": 20,
      "num_attention_heads": 3, "num_hidden_layers": 1, "vocab_size": 100,
      "max_position_embeddings": 9, "eos_token_id": 99},
    "vision_config": {"hidden_size": 16, "intermediate_size": 24,
      "num_attention_heads": 4, "num_hidden_layers": 1, "image_size": 32,
      "patch_size": 8}})");
  std::vector<std::string> warnings;
  auto model = importCheckpoint(folder.path(), warnings);
  ASSERT_TRUE(model) << model.message();
  writeWeights(folder, *model, {});
  EXPECT_TRUE(importCheckpoint(folder.path(), warnings));
  auto weights = openWeights(*model, folder.path(), warnings);
  ASSERT_TRUE(weights) << weights.message();
  EXPECT_EQ((*weights)->find("visual_projection.weight")->bytes, 8u * 16 * 4);

  writeWeights(folder, *model,
               {{"text_model.embeddings.token_embedding.weight", "[99, 12]"},
                {"visual_projection.weight", ""}});
  EXPECT_EQ(
      folder.relative(importCheckpoint(folder.path(), warnings).message()),
      "DIR: tensor 'visual_projection.weight' is missing, expected shape "
      "[8, 16] as projection_dim and vision_config.hidden_size say; complete "
      "the checkpoint or mend its config\n"
      "DIR/model.safetensors: tensor "
      "'text_model.embeddings.token_embedding.weight': expected shape [100, "
      "12], decided by text_config.vocab_size and text_config.hidden_size, "
      "found [99, 12]; take the config that belongs to these weights");
  folder.write("model.safetensors", "");
  EXPECT_EQ(
      folder.relative(importCheckpoint(folder.path(), warnings).message()),
      "DIR/model.safetensors: expected a safetensors file of at least 8 bytes, "
      "found 0; the file is damaged, fetch or save it again");
}

TEST(WeightsOfAFolder, MayNotBeQuantised) {
  TestFolder folder;
  folder.write(
      "model.safetensors",
      safetensors(
          R"({"s.log_scale":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})",
          1));
  std::vector<std::string> warnings;
  auto checkpoint = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(checkpoint);
  spec::ModelSpec model = tinyModel();
  // The head alone.
  model.mutable_components()->DeleteSubrange(0, 2);
  auto bound = bindWeights(model, checkpoint->get());
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.message(),
            folder.path("model.safetensors") +
                ": tensor 's.log_scale': expected F32, F16 or BF16, found "
                "F8_E4M3; save the model with unquantised weights");
}

TEST(RandomWeightsOfAModel, HaveAllTensorsOnASensibleScale) {
  spec::ModelSpec model = tinyModel();
  std::unique_ptr<WeightSource> weights = makeRandomWeights(model, 5);
  EXPECT_TRUE(bindWeights(model, weights.get()));
  auto first = [&](const char *name) {
    float value = 0;
    weights->make(*weights->find(name), 0, 1, &value);
    return value;
  };
  EXPECT_EQ(first("s.log_scale"), 2.6592F);
  EXPECT_NEAR(first("v.pre_norm.weight"), 1, 0.35);
  EXPECT_NEAR(first("v.pre_norm.bias"), 0, 0.35);
  EXPECT_LE(std::abs(first("t.tokens.weight")), 3.5F / 3.4F);
}
