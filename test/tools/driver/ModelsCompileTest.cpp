//===-- ModelsCompileTest.cpp - every reference spec compiles -------------===//
//
// The specs of models/ with one or two layers and narrower widths, compiled
// with random weights. What makes a model its own stays: kinds of components
// and how they are joined, norms, activations, windows, sizes of heads.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Tower.h"
#include "frontend/spec/Spec.h"
#include "test/codegen/package/Support.h"
#include "tools/driver/Compile.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

using namespace vlmc;
using namespace vlmc::test;

static const std::string models = std::string(VLMC_SOURCE_DIR) + "/models";
static constexpr int64_t fewHeads = 2, narrow = 64;

static std::vector<std::string> listModels() {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(models))
    if (entry.path().extension() == ".textproto")
      names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

/// Two layers, and heads of the same size but fewer of them.
static void shrink(spec::TransformerBlocks &blocks) {
  int64_t head = blocks.hidden_size() / std::max<int64_t>(1, blocks.heads());
  blocks.set_heads(std::min<int64_t>(fewHeads, blocks.heads()));
  blocks.set_hidden_size(blocks.heads() * head);
  blocks.set_intermediate_size(narrow);
  blocks.set_layers(std::min<int64_t>(2, blocks.layers()));
}

static void shrink(spec::Decoder &decoder) {
  int64_t group = decoder.heads() / std::max<int64_t>(1, decoder.kv_heads());
  decoder.set_kv_heads(1);
  decoder.set_heads(std::min<int64_t>(4, group));
  decoder.set_hidden_size(narrow);
  if (decoder.embedding_size())
    decoder.set_embedding_size(narrow / 2);
  decoder.set_intermediate_size(narrow);
  decoder.set_layers(2);
  decoder.set_vocabulary_size(512);
  decoder.set_max_tokens(std::min<int64_t>(decoder.max_tokens(), 4096));
  if (!decoder.masked_ids().empty()) {
    decoder.clear_masked_ids();
    decoder.add_masked_ids(4);
    decoder.add_masked_ids(20);
  }
  if (!decoder.window_layers().empty()) {
    decoder.clear_window_layers();
    decoder.add_window_layers(1);
  }
  if (decoder.has_cross_attention()) {
    spec::CrossAttention &cross = *decoder.mutable_cross_attention();
    cross.clear_layers();
    cross.add_layers(1);
    cross.set_heads(fewHeads);
    cross.set_kv_heads(1);
    cross.set_intermediate_size(narrow);
  }
}

/// Towers and decoders; false for a kind that is not known here.
static bool shrinkEnds(spec::Component &component) {
  switch (component.kind_case()) {
  case spec::Component::kVisionTransformer: {
    auto &vision = *component.mutable_vision_transformer();
    shrink(*vision.mutable_blocks());
    for (auto &layer : *vision.mutable_feature_layers())
      layer = std::min<int64_t>(layer, vision.blocks().layers());
    return true;
  }
  case spec::Component::kTextTransformer:
    shrink(*component.mutable_text_transformer()->mutable_blocks());
    component.mutable_text_transformer()->set_vocabulary_size(512);
    component.mutable_text_transformer()->set_end_token_id(2);
    return true;
  case spec::Component::kResidualNetwork: {
    auto &network = *component.mutable_residual_network();
    network.set_width(8);
    for (auto &layers : *network.mutable_layers())
      layers = 1;
    network.set_heads(4);
    return true;
  }
  case spec::Component::kInvertedNetwork: {
    auto &network = *component.mutable_inverted_network();
    for (auto &stage : *network.mutable_stages())
      stage.set_blocks(1);
    network.clear_centered_blocks();
    return true;
  }
  case spec::Component::kDecoder:
    shrink(*component.mutable_decoder());
    return true;
  case spec::Component::kPictureTokenizer: {
    auto &encoder = *component.mutable_picture_tokenizer();
    encoder.set_width(encoder.groups());
    encoder.set_blocks(1);
    encoder.set_latent_size(narrow);
    encoder.set_code_size(narrow);
    encoder.set_codes(16);
    encoder.clear_ids();
    for (int64_t id = 0; id < encoder.codes(); ++id)
      encoder.add_ids(4 + id);
    return true;
  }
  case spec::Component::kEncoderDecoder: {
    auto &text = *component.mutable_encoder_decoder();
    text.set_hidden_size(narrow);
    text.set_intermediate_size(narrow);
    text.set_encoder_layers(2);
    text.set_decoder_layers(2);
    text.set_heads(fewHeads);
    text.set_vocabulary_size(512);
    return true;
  }
  case spec::Component::kTiledTower: {
    auto &tower = *component.mutable_tiled_tower();
    shrink(*tower.mutable_blocks());
    tower.set_gated_layers(1);
    tower.clear_feature_layers();
    tower.add_feature_layers(1);
    return true;
  }
  case spec::Component::kContrastiveHead:
  case spec::Component::kProjector:
  case spec::Component::kQFormer:
  case spec::Component::kPerceiverResampler:
  case spec::Component::kPatchProjector:
    return true;
  default:
    return false;
  }
}

/// What stands between a tower and a decoder, by what they have become.
static void shrinkBetween(const spec::ModelSpec &model,
                          spec::Component &component) {
  int64_t width = narrow;
  for (const spec::Component &other : model.components())
    if (other.has_decoder() && other.decoder().embedding_size())
      width = other.decoder().embedding_size();
  auto towerWidth = [&](const std::string &name) {
    const spec::Component *tower = findTower(model, name);
    return tower ? towerFeatures(*tower) : 0;
  };
  if (component.has_projector()) {
    auto &projector = *component.mutable_projector();
    int64_t size = std::max<int64_t>(1, projector.unshuffle());
    projector.set_input_size(towerWidth(projector.tower()) * size * size);
    projector.set_hidden_size(narrow);
    projector.set_output_size(width);
  } else if (component.has_q_former()) {
    auto &qformer = *component.mutable_q_former();
    shrink(*qformer.mutable_blocks());
    qformer.set_tower_size(towerWidth(qformer.tower()));
    if (!qformer.retrieval())
      qformer.set_output_size(width);
  } else if (component.has_perceiver_resampler()) {
    auto &resampler = *component.mutable_perceiver_resampler();
    const int64_t seen = towerWidth(resampler.tower());
    const bool isRefined = resampler.input_intermediate_size() > 0;
    resampler.set_hidden_size(isRefined ? width : seen);
    if (isRefined) {
      resampler.set_input_size(seen);
      resampler.set_input_intermediate_size(narrow);
    }
    resampler.set_layers(1);
    resampler.set_heads(fewHeads);
    resampler.set_kv_heads(1);
    resampler.set_intermediate_size(narrow);
    if (resampler.output_size())
      resampler.set_output_size(width);
  } else if (component.has_patch_projector()) {
    component.mutable_patch_projector()->set_output_size(width);
  } else if (component.has_tiled_tower()) {
    component.mutable_tiled_tower()->set_output_size(width);
  }
}

/// Cross-attention reads features of the width that they have now.
static void shrinkSeen(const spec::ModelSpec &model, spec::Decoder &decoder) {
  for (const spec::Component &other : model.components())
    if (other.name() == decoder.features() && other.has_tiled_tower())
      decoder.mutable_cross_attention()->set_feature_size(
          other.tiled_tower().output_size());
    else if (other.name() == decoder.features() &&
             other.has_perceiver_resampler())
      decoder.mutable_cross_attention()->set_feature_size(
          other.perceiver_resampler().output_size()
              ? other.perceiver_resampler().output_size()
              : other.perceiver_resampler().hidden_size());
}

/// Embeddings are compared as wide as the picture's are now.
static void shrinkCompared(spec::ModelSpec &model) {
  auto find = [&](const std::string &name) {
    return std::ranges::find_if(
        *model.mutable_components(),
        [&](const auto &other) { return other.name() == name; });
  };
  for (const spec::Component &component : model.components()) {
    if (!component.has_contrastive_head())
      continue;
    auto image = find(component.contrastive_head().image());
    auto text = find(component.contrastive_head().text());
    if (!image->has_vision_transformer() ||
        image->vision_transformer().has_projection_size())
      continue;
    text->mutable_text_transformer()->set_projection_size(
        image->vision_transformer().blocks().hidden_size());
  }
}

namespace {
class ModelsCompile : public testing::TestWithParam<std::string> {};
} // namespace

TEST_P(ModelsCompile, AtReducedDepth) {
  auto model = readSpec(models + "/" + GetParam() + ".textproto");
  ASSERT_TRUE(model) << model.message();
  for (spec::Component &component : *model->mutable_components())
    ASSERT_TRUE(shrinkEnds(component))
        << "component '" << component.name()
        << "' is of a kind that shrinkEnds() does not know yet";
  for (spec::Component &component : *model->mutable_components())
    shrinkBetween(*model, component);
  for (spec::Component &component : *model->mutable_components())
    if (component.has_decoder() && component.decoder().has_cross_attention())
      shrinkSeen(*model, *component.mutable_decoder());
  shrinkCompared(*model);
  TemporaryFolder folder;
  CompileRequest request;
  request.model = folder.file(GetParam() + ".textproto");
  std::ofstream(request.model) << printSpec(*model);
  request.output = folder.file("reduced.vlm");
  request.randomSeed = 3;
  request.targets = {"x86-64-v3"};
  request.vlmcHalide = std::string(VLMC_BINARY_DIR) + "/bin/vlmc-halide";
  EXPECT_EQ(messageOf(compileModel(request)), "") << printSpec(*model);
}

INSTANTIATE_TEST_SUITE_P(All, ModelsCompile, testing::ValuesIn(listModels()),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c)))
                               c = '_';
                           return name;
                         });
