//===- AlignDual.cpp - The ALIGN family -----------------------------------===//
//
// A convolutional tower (EfficientNet, arXiv:1905.11946) and BERT's encoder,
// compared by a learned temperature: `AlignModel` of transformers, after
// arXiv:2102.05918. Defaults are those of configuration_align.py, the
// arithmetic is that of modeling_align.py, pictures are processed by
// EfficientNetImageProcessor. The first word of its name alone is one of
// English as well, which code is full of.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

/// What AlignProcessor pads texts to, and cuts them to where it is told to cut.
static constexpr int64_t paddedTokens = 64;

/// A list of integers, or the class's own; none where the value is wrong.
static std::vector<int64_t> readList(ConfigSection &section,
                                     const std::string &key,
                                     std::vector<int64_t> fallback, int64_t min,
                                     int64_t max) {
  const Json *value = section.find(key);
  if (!value)
    return fallback;
  std::vector<int64_t> list;
  bool isGood = value->is_array();
  for (const Json &each : isGood ? *value : Json::array()) {
    isGood = isGood && each.is_number_integer() && each >= min && each <= max;
    if (isGood)
      list.push_back(each.get<int64_t>());
  }
  if (!isGood)
    section.error(key, "expected a list of integers from " +
                           std::to_string(min) + " to " + std::to_string(max) +
                           ", found " + describe(*value) + "; mend the file");
  return isGood ? list : std::vector<int64_t>();
}

/// As round_filters of modeling_align.py.
static int64_t roundChannels(int64_t channels, double width, int64_t divisor) {
  double wanted = static_cast<double>(channels) * width;
  auto half = static_cast<double>(divisor) / 2;
  int64_t rounded = std::max(divisor, static_cast<int64_t>(wanted + half) /
                                          divisor * divisor);
  // Not more than a tenth is rounded away.
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + divisor
                                                     : rounded;
}

namespace {
/// The lists that tell stages, one element each.
struct StageLists {
  std::vector<int64_t> inputs, outputs, kernels, strides, repeats, expansions;
};
} // namespace

static StageLists readLists(ConfigSection &section) {
  StageLists lists;
  auto read = [&](const char *key, std::vector<int64_t> fallback, int64_t min,
                  int64_t max) {
    return readList(section, key, std::move(fallback), min, max);
  };
  lists.inputs =
      read("in_channels", {32, 16, 24, 40, 80, 112, 192}, 1, 1 << 16);
  lists.outputs =
      read("out_channels", {16, 24, 40, 80, 112, 192, 320}, 1, 1 << 16);
  lists.kernels = read("kernel_sizes", {3, 3, 5, 3, 5, 5, 3}, 1, 64);
  lists.strides = read("strides", {1, 2, 2, 2, 1, 2, 1}, 1, 2);
  lists.repeats = read("num_block_repeats", {1, 2, 2, 3, 3, 4, 1}, 1, 4096);
  lists.expansions = read("expand_ratios", {1, 6, 6, 6, 6, 6, 6}, 1, 64);
  for (auto [key, list] : {std::pair("out_channels", &lists.outputs),
                           std::pair("kernel_sizes", &lists.kernels),
                           std::pair("strides", &lists.strides),
                           std::pair("num_block_repeats", &lists.repeats),
                           std::pair("expand_ratios", &lists.expansions)})
    if (list->empty() || lists.inputs.empty()) {
      list->resize(lists.inputs.size(), 1);
    } else if (list->size() != lists.inputs.size()) {
      section.error(key, "expected " + std::to_string(lists.inputs.size()) +
                             " elements, as in_channels has, found " +
                             std::to_string(list->size()) + "; mend the file");
      list->resize(lists.inputs.size(), 1);
    }
  return lists;
}

static void readStages(ConfigSection &section, spec::InvertedNetwork &vision) {
  double width = section.number("width_coefficient", 2.0, 1e-3, 1e3);
  double depth = section.number("depth_coefficient", 3.1, 1e-3, 1e3);
  int64_t divisor = section.integer("depth_divisor", 8, 1, 1 << 16);
  auto channels = [&](int64_t count) {
    return roundChannels(count, width, divisor);
  };
  vision.set_stem(channels(32));
  StageLists lists = readLists(section);
  int64_t given = vision.stem();
  for (size_t i = 0; i < lists.inputs.size(); ++i) {
    spec::InvertedNetwork::Stage &stage = *vision.add_stages();
    stage.set_inputs(channels(lists.inputs[i]));
    stage.set_outputs(channels(lists.outputs[i]));
    stage.set_kernel(lists.kernels[i]);
    stage.set_stride(lists.strides[i]);
    stage.set_expansion(lists.expansions[i]);
    stage.set_blocks(static_cast<int64_t>(
        std::ceil(depth * static_cast<double>(lists.repeats[i]))));
    if (stage.inputs() != given)
      section.error("in_channels", "expected element " + std::to_string(i) +
                                       " to come to " + std::to_string(given) +
                                       " channels, those before it, found " +
                                       std::to_string(stage.inputs()) +
                                       "; mend the file");
    given = stage.outputs();
  }
  for (int64_t block : readList(section, "depthwise_padding", {}, 0, 1 << 20))
    vision.add_centered_blocks(block);
}

static void readVision(ConfigSection section, spec::InvertedNetwork &vision) {
  // Pictures are decoded to red, green and blue.
  vision.set_channels(section.integer("num_channels", 3, 3, 3));
  readStages(section, vision);
  vision.set_activation(readActivation(section, "hidden_act", "swish"));
  vision.set_squeeze(section.number("squeeze_expansion_ratio", 0.25, 0, 64));
  vision.set_norm_epsilon(section.number("batch_norm_eps", 1e-3, 0, 1));
  std::string pool = section.string("pooling_type", "mean");
  if (pool != "mean" && pool != "max")
    section.error("pooling_type", "expected \"mean\" or \"max\", found " +
                                      describe(Json(pool)) + "; mend the file");
  vision.set_pool(pool == "max" ? spec::InvertedNetwork::MAX
                                : spec::InvertedNetwork::MEAN);
  vision.set_normalize(true);
  // The pooling window is as large as hidden_dim, and so the whole map; the
  // number of blocks follows from the lists; the others are for training.
  for (const char *key : {"hidden_dim", "num_hidden_layers", "image_size",
                          "batch_norm_momentum", "drop_connect_rate"})
    section.ignore(key);
  section.finish();
}

static Json withDefaults(ConfigSection &top, const std::string &name,
                         const Json &defaults) {
  Json values = defaults;
  if (const Json *section = top.object(name))
    values.update(*section);
  return values;
}

static const Json &textDefaults() {
  static const Json defaults = {
      {"hidden_act", "gelu"},           {"hidden_size", 768},
      {"intermediate_size", 3072},      {"layer_norm_eps", 1e-12},
      {"max_position_embeddings", 512}, {"num_attention_heads", 12},
      {"num_hidden_layers", 12},        {"pad_token_id", 0},
      {"type_vocab_size", 2},           {"vocab_size", 30522}};
  return defaults;
}

static void readText(ConfigSection section, int64_t projection,
                     spec::TextTransformer &text, spec::TextProcessing &words) {
  readBlocks(section, *text.mutable_blocks());
  text.mutable_blocks()->set_post_norm(true);
  readWords(section, text, words);
  text.set_token_types(section.integer("type_vocab_size", 2, 1, 1 << 20));
  std::string positions = section.string("position_embedding_type", "absolute");
  if (positions != "absolute")
    section.error("position_embedding_type",
                  "expected \"absolute\", found " + describe(Json(positions)) +
                      "; the model of transformers has no others");
  for (const char *key :
       {"hidden_dropout_prob", "attention_probs_dropout_prob"})
    section.ignore(key);
  text.set_embedding_norm(true);
  text.set_no_final_norm(true);
  text.set_pool(spec::TextTransformer::FIRST_TOKEN);
  text.set_projection_size(projection);
  text.set_projection_bias(true);
  text.set_normalize(true);
  words.set_pad_to_max_tokens(true);
  words.set_max_tokens(std::min(words.max_tokens(), paddedTokens));
  section.finish();
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static void addVisionNames(spec::ModelSpec &model) {
  addRule(model, "vision.stem", "vision_model.embeddings.convolution");
  addRule(model, "vision.stem_norm", "vision_model.embeddings.batchnorm");
  model.add_ignored_tensors(
      "vision_model.embeddings.batchnorm.num_batches_tracked");
  const std::string block = "vision_model.encoder.blocks.{}.";
  const char *parts[][3] = {
      {"expand", "expansion.expand_conv", "expansion.expand_bn"},
      {"depthwise", "depthwise_conv.depthwise_conv",
       "depthwise_conv.depthwise_norm"},
      {"project", "projection.project_conv", "projection.project_bn"}};
  for (auto [ours, conv, norm] : parts) {
    const std::string canonical = std::string("vision.layers.{}.") + ours;
    addRule(model, canonical, block + conv);
    addRule(model, canonical + "_norm", block + norm);
    model.add_ignored_tensors(block + norm + ".num_batches_tracked");
  }
  addRule(model, "vision.layers.{}.squeeze", block + "squeeze_excite.reduce");
  addRule(model, "vision.layers.{}.excite", block + "squeeze_excite.expand");
}

static void addTextNames(spec::ModelSpec &model) {
  const std::string embeddings = "text_model.embeddings.";
  const std::string layer = "text_model.encoder.layer.{}.";
  const std::string parts[][2] = {
      {"tokens", embeddings + "word_embeddings"},
      {"positions", embeddings + "position_embeddings"},
      {"types", embeddings + "token_type_embeddings"},
      {"embedding_norm", embeddings + "LayerNorm"},
      {"layers.{}.attention.query", layer + "attention.self.query"},
      {"layers.{}.attention.key", layer + "attention.self.key"},
      {"layers.{}.attention.value", layer + "attention.self.value"},
      {"layers.{}.attention.output", layer + "attention.output.dense"},
      {"layers.{}.norm1", layer + "attention.output.LayerNorm"},
      {"layers.{}.mlp.fc1", layer + "intermediate.dense"},
      {"layers.{}.mlp.fc2", layer + "output.dense"},
      {"layers.{}.norm2", layer + "output.LayerNorm"},
      {"projection", "text_projection"}};
  for (const auto &[ours, theirs] : parts)
    addRule(model, "text." + ours, theirs);
  for (const char *buffer : {"position_ids", "token_type_ids"})
    model.add_ignored_tensors(embeddings + buffer);
  // Texts are pooled without it.
  for (const char *kind : {"weight", "bias"})
    model.add_ignored_tensors(std::string("text_model.pooler.dense.") + kind);
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

/// EfficientNetImageProcessor.
static ImageProcessorClass processor() {
  ImageProcessorClass known{{"EfficientNetImageProcessor"}, ImageProcessing()};
  known.defaultToSquare = true;
  known.offsetsRescaled = true;
  known.defaults.shortestEdge.reset();
  known.defaults.height = known.defaults.width = 346;
  known.defaults.doCenterCrop = false;
  known.defaults.cropHeight = known.defaults.cropWidth = 289;
  known.defaults.mean = known.defaults.std = {0.5, 0.5, 0.5};
  known.defaults.dividesAgain = true;
  return known;
}

/// vision_config.image_size, which counts only where no processor is there.
static void readImageSize(const Json &vision, ConfigLog &log,
                          const std::string &file, ImageProcessing &image) {
  auto found = vision.find("image_size");
  if (found == vision.end() || found->is_null()) {
    image.height = image.width = 600;
    return;
  }
  auto isSide = [](const Json &side) {
    return side.is_number_integer() && side >= 2 && side <= 65536;
  };
  const bool isPair = found->is_array() && found->size() == 2 &&
                      isSide((*found)[0]) && isSide((*found)[1]);
  if (!isPair && !isSide(*found)) {
    log.errors.push_back(file +
                         ": vision_config.image_size: expected an integer or "
                         "[height, width] from 2 to 65536, found " +
                         describe(*found) + "; mend the file");
    return;
  }
  image.height = (isPair ? (*found)[0] : *found).get<int64_t>();
  image.width = (isPair ? (*found)[1] : *found).get<int64_t>();
}

/// The tower takes pictures of any size; its own is that of the processor.
static void readPictures(const CheckpointConfig &config, const Json &vision,
                         ConfigLog &log, spec::ModelSpec &model) {
  ImageProcessorClass known = processor();
  if (!hasImageProcessor(config.folder))
    readImageSize(vision, log, config.file, known.defaults);
  Result<ImageProcessing> image =
      readImageProcessing(config.folder, known, log.warnings);
  if (!image) {
    log.errors.push_back(image.message());
    return;
  }
  int64_t height =
      image->doCenterCrop ? image->cropHeight : image->height.value_or(0);
  int64_t width =
      image->doCenterCrop ? image->cropWidth : image->width.value_or(0);
  if (!height || !width || (!image->doResize && !image->doCenterCrop)) {
    log.errors.push_back(
        config.folder +
        ": image processing: expected pictures of one size, found sizes that "
        "follow the picture's own; set size to {\"height\", \"width\"} with "
        "do_resize, or do_center_crop with crop_size, in "
        "preprocessor_config.json");
    return;
  }
  spec::InvertedNetwork &network =
      *model.mutable_components(0)->mutable_inverted_network();
  network.set_image_height(height);
  network.set_image_width(width);
  *model.mutable_image() = toSpec(*image);
}

//===----------------------------------------------------------------------===//
// The family
//===----------------------------------------------------------------------===//

extern const Family familyAlignDual;

static spec::ModelSpec readAlign(const CheckpointConfig &config,
                                 ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  checkArchitecture(top, "AlignModel");
  int64_t projection = top.integer("projection_dim", 640, 1, maxFeatures);
  top.ignore("temperature_init_value");
  Json vision = withDefaults(top, "vision_config", Json::object());
  Json text = withDefaults(top, "text_config", textDefaults());
  top.finish();

  spec::ModelSpec model;
  model.set_family(std::string(familyAlignDual.name));
  spec::Component *component = model.add_components();
  component->set_name("vision");
  spec::InvertedNetwork &network = *component->mutable_inverted_network();
  readVision({vision, config.file, "vision_config", log}, network);
  if (int64_t outputs =
          network.stages().empty() ? 0 : network.stages().rbegin()->outputs();
      outputs != projection)
    log.errors.push_back(config.file + ": projection_dim: expected " +
                         std::to_string(outputs) +
                         ", the channels that the vision tower comes to, "
                         "found " +
                         std::to_string(projection) + "; mend the file");
  component = model.add_components();
  component->set_name("text");
  readText({text, config.file, "text_config", log}, projection,
           *component->mutable_text_transformer(), *model.mutable_text());
  addSimilarity(model, spec::ContrastiveHead::SOFTMAX).set_temperature(true);
  addVisionNames(model);
  addTextNames(model);
  addRule(model, "similarity.temperature", "temperature");
  if (log.errors.empty())
    readPictures(config, vision, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (field == "projection_size")
    return "projection_dim";
  if (component == "text" && field == "token_types")
    return "text_config.type_vocab_size";
  for (auto [ours, theirs] : {std::pair("stem", "width_coefficient"),
                              std::pair("stages", "in_channels"),
                              std::pair("squeeze", "squeeze_expansion_ratio")})
    if (component == "vision" && field == ours)
      return "vision_config." + std::string(theirs);
  return towerKey(component, field);
}

const Family familyAlignDual = {"align", readAlign, configKey};

} // namespace vlmc
