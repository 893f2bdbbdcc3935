//===- OpenClip.cpp - OpenCLIP's own layout -------------------------------===//
//
// Pairs of towers as open_clip itself writes them: open_clip_config.json and
// open_clip_model.safetensors, with OpenAI's names of tensors. The picture
// tower is a vision transformer, or a residual network where `layers` is a
// list. Defaults are those of CLIPVisionCfg and CLIPTextCfg in
// open_clip.model 3.3, the arithmetic is that of open_clip.transformer and
// open_clip.modified_resnet.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

static constexpr const char *configName = "open_clip_config.json";
static constexpr const char *weightsName = "open_clip_model.safetensors";

//===----------------------------------------------------------------------===//
// Towers
//===----------------------------------------------------------------------===//

/// Refuses the value of a key that asks for another computation than that of
/// its default.
static void expectDefault(ConfigSection &section, const std::string &key,
                          const Json &fallback, const std::string &what) {
  const Json *value = section.find(key);
  if (value && *value != fallback)
    section.error(key, "expected " + describe(fallback) + ", found " +
                           describe(*value) + "; " + what +
                           " is not supported");
}

/// What the towers' transformers could be and are not.
static void expectPlainBlocks(ConfigSection &section) {
  expectDefault(section, "ls_init_value", nullptr, "a scale of each layer");
  expectDefault(section, "block_type", "default", "a block of another kind");
  for (const char *key : {"qk_norm", "scaled_cosine_attn", "scale_heads",
                          "scale_attn_inner", "scale_attn", "scale_fc"})
    expectDefault(section, key, false, "a norm or scale inside the blocks");
  // With a class token, or the text's end, the order makes no difference.
  section.ignore("final_ln_after_pool");
  section.ignore("output_tokens");
}

/// The activation, which the top level tells, and its keywords.
static spec::Activation readAct(ConfigSection &section, bool isQuick) {
  const Json *keywords = section.object("act_kwargs");
  if (!keywords || keywords->empty())
    return isQuick ? spec::QUICK_GELU : spec::GELU;
  if (!isQuick && *keywords == Json{{"approximate", "tanh"}})
    return spec::GELU_TANH;
  if (!isQuick && *keywords == Json{{"approximate", "none"}})
    return spec::GELU;
  section.error("act_kwargs", "expected {\"approximate\": \"tanh\"} of gelu, "
                              "found " +
                                  describe(*keywords) + "; mend the file");
  return spec::GELU;
}

static double readEpsilon(ConfigSection &section) {
  const Json *keywords = section.object("norm_kwargs");
  if (!keywords || keywords->empty())
    return 1e-5;
  auto epsilon = keywords->find("eps");
  if (keywords->size() == 1 && epsilon != keywords->end() &&
      epsilon->is_number() && epsilon->get<double>() >= 0 &&
      epsilon->get<double>() <= 1)
    return epsilon->get<double>();
  section.error("norm_kwargs",
                "expected {\"eps\": NUMBER} from 0 to 1, found " +
                    describe(*keywords) + "; mend the file");
  return 1e-5;
}

static void readBlocksOf(ConfigSection &section, int64_t width, int64_t heads,
                         int64_t layers, bool isQuick,
                         spec::TransformerBlocks &blocks) {
  blocks.set_hidden_size(width);
  blocks.set_layers(layers);
  blocks.set_heads(heads);
  double ratio = section.number("mlp_ratio", 4, 0, 1024);
  blocks.set_intermediate_size(
      static_cast<int64_t>(static_cast<double>(width) * ratio));
  if (blocks.intermediate_size() < 1)
    section.error("mlp_ratio", "expected a number that gives at least one "
                               "feature of width " +
                                   std::to_string(width) + ", found " +
                                   std::to_string(ratio) + "; mend the file");
  blocks.set_activation(readAct(section, isQuick));
  blocks.set_norm_epsilon(readEpsilon(section));
  expectPlainBlocks(section);
}

/// One number, or height and width, which must be equal.
static int64_t readImageSize(ConfigSection &section) {
  const Json *size = section.find("image_size");
  if (!size || !size->is_array())
    return section.integer("image_size", 224, 1, 65536);
  if (size->size() == 2 && (*size)[0] == (*size)[1] &&
      (*size)[0].is_number_integer() && (*size)[0] >= 1 && (*size)[0] <= 65536)
    return (*size)[0].get<int64_t>();
  section.error("image_size", "expected one number for both sides, found " +
                                  describe(*size) +
                                  "; other pictures are not supported");
  return 224;
}

/// Heads of `head_width` features.
static int64_t countHeads(ConfigSection &section, int64_t features) {
  int64_t headWidth = section.integer("head_width", 64, 1, maxFeatures);
  int64_t heads = features / headWidth;
  if (heads < 1 || features % heads != 0)
    section.error("head_width",
                  "expected a number by which the " + std::to_string(features) +
                      " features are whole heads, found " +
                      std::to_string(headWidth) + "; mend the file");
  return std::max<int64_t>(heads, 1);
}

static void readTransformer(ConfigSection &section, int64_t projection,
                            bool isQuick, spec::VisionTransformer &vision) {
  int64_t width = section.integer("width", 768, 1, maxFeatures);
  int64_t layers = section.integer("layers", 12, 1, 4096);
  readBlocksOf(section, width, countHeads(section, width), layers, isQuick,
               *vision.mutable_blocks());
  vision.set_image_size(readImageSize(section));
  vision.set_patch_size(section.integer("patch_size", 16, 1, 65536));
  vision.set_channels(3);
  if (vision.patch_size() > vision.image_size())
    section.error("patch_size",
                  "expected at most image_size " +
                      std::to_string(vision.image_size()) + ", found " +
                      std::to_string(vision.patch_size()) + "; mend the file");
  vision.set_class_token(true);
  const Json *bare = section.find("no_ln_pre");
  vision.set_pre_norm(!bare || *bare != true);
  vision.set_post_norm(true);
  vision.set_pool(spec::VisionTransformer::CLASS_TOKEN);
  expectDefault(section, "pool_type", "tok", "another pooling");
  expectDefault(section, "attentional_pool", false, "another pooling");
  expectDefault(section, "pos_embed_type", "learnable",
                "another kind of positions");
  vision.set_projection_size(projection);
  vision.set_normalize(true);
}

static void readNetwork(ConfigSection &section, const Json &layers,
                        int64_t projection, spec::ResidualNetwork &network) {
  network.set_width(section.integer("width", 64, 1, 1 << 14));
  bool isWhole = layers.size() == 4;
  for (const Json &count : layers) {
    isWhole =
        isWhole && count.is_number_integer() && count >= 1 && count <= 4096;
    if (isWhole)
      network.add_layers(count.get<int64_t>());
  }
  if (!isWhole)
    section.error("layers", "expected the bottlenecks of 4 stages, found " +
                                describe(layers) + "; mend the file");
  network.set_heads(countHeads(section, network.width() * 32));
  network.set_image_size(readImageSize(section));
  if (network.image_size() % 32)
    section.error("image_size", "expected a multiple of 32, found " +
                                    std::to_string(network.image_size()) +
                                    "; mend the file");
  network.set_channels(3);
  network.set_projection_size(projection);
  network.set_norm_epsilon(1e-5); // that of torch.nn.BatchNorm2d
  network.set_normalize(true);
  // What a vision transformer has.
  for (const char *key : {"patch_size", "mlp_ratio", "patch_dropout"})
    section.ignore(key);
}

/// Whether the picture tower is a residual network.
static bool readVision(ConfigSection section, int64_t projection, bool isQuick,
                       spec::Component &component) {
  component.set_name("vision");
  expectDefault(section, "timm_model_name", nullptr, "a tower of timm");
  for (const char *key :
       {"timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias",
        "timm_drop", "timm_drop_path", "patch_dropout", "attn_pooler_queries",
        "attn_pooler_heads", "global_average_pool", "input_patchnorm"})
    section.ignore(key);
  const Json *layers = section.find("layers");
  bool isNetwork = layers && layers->is_array();
  if (isNetwork)
    readNetwork(section, *layers, projection,
                *component.mutable_residual_network());
  else
    readTransformer(section, projection, isQuick,
                    *component.mutable_vision_transformer());
  section.finish();
  return isNetwork;
}

static void readPool(ConfigSection &section, spec::TextTransformer &text) {
  std::string pool = section.string("pool_type", "argmax");
  int64_t end = section.integer("eos_id", 2, 0, maxId);
  if (pool == "argmax") {
    text.set_pool(spec::TextTransformer::LARGEST_ID);
  } else if (pool == "last") {
    text.set_pool(spec::TextTransformer::LAST_TOKEN);
  } else if (pool == "eos") {
    text.set_pool(spec::TextTransformer::FIRST_END_TOKEN);
    text.set_end_token_id(end);
  } else {
    section.error("pool_type",
                  "expected \"argmax\", \"eos\" or \"last\", found \"" + pool +
                      "\"; another pooling is not supported");
  }
}

static void readText(ConfigSection section, int64_t projection, bool isQuick,
                     spec::Component &component, spec::TextProcessing &words) {
  component.set_name("text");
  spec::TextTransformer &text = *component.mutable_text_transformer();
  expectDefault(section, "hf_model_name", nullptr,
                "a text tower of "
                "transformers");
  for (const char *key :
       {"hf_model_pretrained", "hf_proj_type", "hf_pooler_type",
        "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"})
    section.ignore(key);
  int64_t width = section.integer("width", 512, 1, maxFeatures);
  int64_t heads = section.integer("heads", 8, 1, maxFeatures);
  if (width % heads)
    section.error("heads", "expected a divisor of width " +
                               std::to_string(width) + ", found " +
                               std::to_string(heads) + "; mend the file");
  readBlocksOf(section, width, heads, section.integer("layers", 12, 1, 4096),
               isQuick, *text.mutable_blocks());
  text.set_vocabulary_size(section.integer("vocab_size", 49408, 1, maxId));
  text.set_max_tokens(section.integer("context_length", 77, 1, maxFeatures));
  const Json *open = section.find("no_causal_mask");
  text.set_causal(!open || *open != true);
  expectDefault(section, "embed_cls", false, "a class token of texts");
  expectDefault(section, "proj_type", "linear", "another projection");
  const Json *bias = section.find("proj_bias");
  text.set_projection_bias(bias && *bias == true);
  readPool(section, text);
  text.set_projection_size(projection);
  text.set_normalize(true);
  words.set_max_tokens(text.max_tokens());
  words.set_pad_token_id(section.integer("pad_id", 0, 0, maxId));
  words.set_own_pad_token(true);
  words.set_pad_to_max_tokens(true);
  words.set_unmasked_padding(true);
  section.finish();
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

/// Three numbers, or one for all channels.
static void readChannels(ConfigSection &section, const char *key,
                         std::array<double, 3> &values) {
  const Json *found = section.find(key);
  if (!found)
    return;
  bool isList = found->is_array() && found->size() == 3;
  for (size_t i = 0; i < 3; ++i) {
    const Json &value = isList ? (*found)[i] : *found;
    if (value.is_number())
      values[i] = value.get<double>();
    else
      return section.error(key, "expected 3 numbers, found " +
                                    describe(*found) + "; mend the file");
  }
}

/// image_transform of open_clip.transform, which works on pictures of Pillow.
static ImageProcessing readImage(ConfigSection section, int64_t side) {
  ImageProcessing image;
  image.backend = ImageBackend::Pil;
  image.doConvertRgb = false;
  image.cropsHalfToEven = true;
  image.cropHeight = image.cropWidth = side;
  image.shortestEdge = side;
  readChannels(section, "mean", image.mean);
  readChannels(section, "std", image.std);
  const std::string filter = section.string("interpolation", "bicubic");
  if (filter == "bilinear")
    image.resample = Resample::Bilinear;
  else if (filter != "bicubic" && filter != "random")
    section.error("interpolation", "expected \"bicubic\" or \"bilinear\", "
                                   "found \"" +
                                       filter + "\"; mend the file");
  const std::string mode = section.string("resize_mode", "shortest");
  if (mode == "squash") {
    image.shortestEdge.reset();
    image.height = image.width = side;
    image.doCenterCrop = false;
  } else if (mode == "longest") {
    image.shortestEdge.reset();
    image.maxHeight = image.maxWidth = side;
    image.roundsSize = true;
    expectDefault(section, "fill_color", 0, "another border");
  } else if (mode != "shortest") {
    section.error("resize_mode", "expected \"shortest\", \"longest\" or "
                                 "\"squash\", found \"" +
                                     mode + "\"; mend the file");
  }
  section.ignore("fill_color");
  expectDefault(section, "mode", "RGB", "another kind of picture");
  if (const Json *size = section.find("size"); size && *size != side &&
                                               *size != Json{side, side} &&
                                               *size != Json{3, side, side})
    section.error("size", "expected image_size " + std::to_string(side) +
                              ", found " + describe(*size) + "; mend the file");
  section.finish();
  return image;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// The names of a tensor of the text tower, which stands by itself or in a
/// module of its own (`custom_text`).
static void addTextRule(spec::ModelSpec &model, const std::string &canonical,
                        const std::string &name) {
  addRule(model, canonical, {"", "text."}, name);
}

static spec::WeightRule &lastRule(spec::ModelSpec &model) {
  return *model.mutable_weights()->rbegin();
}

static void addBlockRules(spec::ModelSpec &model, const std::string &tower,
                          const std::vector<std::string> &prefixes) {
  const std::string canonical = tower + ".layers.{}.";
  const std::string name = "transformer.resblocks.{}.";
  addRule(model, canonical + "norm1", prefixes, name + "ln_1");
  for (const std::string kind : {"weight", "bias"})
    for (int64_t part = 0; part < 3; ++part) {
      const char *parts[] = {"query.", "key.", "value."};
      addRule(model, canonical + "attention." + (parts[part] + kind), prefixes,
              name + "attn.in_proj_" + kind);
      lastRule(model).set_part(part);
      lastRule(model).set_parts(3);
    }
  addRule(model, canonical + "attention.output", prefixes,
          name + "attn.out_proj");
  addRule(model, canonical + "norm2", prefixes, name + "ln_2");
  addRule(model, canonical + "mlp.fc1", prefixes, name + "mlp.c_fc");
  addRule(model, canonical + "mlp.fc2", prefixes, name + "mlp.c_proj");
}

static void addTransformerRules(spec::ModelSpec &model) {
  addRule(model, "vision.class_token", "visual.class_embedding");
  addRule(model, "vision.patch_embed", "visual.conv1");
  addRule(model, "vision.positions.weight", "visual.positional_embedding");
  addRule(model, "vision.pre_norm", "visual.ln_pre");
  addRule(model, "vision.post_norm", "visual.ln_post");
  addRule(model, "vision.projection.weight", "visual.proj");
  lastRule(model).set_transposed(true);
  addBlockRules(model, "vision", {"visual."});
}

static void addNetworkRules(spec::ModelSpec &model) {
  auto addPair = [&](const std::string &canonical, const std::string &name,
                     const std::string &number) {
    addRule(model, canonical + "conv" + number, name + "conv" + number);
    addRule(model, canonical + "norm" + number, name + "bn" + number);
    model.add_ignored_tensors(name + "bn" + number + ".num_batches_tracked");
  };
  for (const char *number : {"1", "2", "3"}) {
    addPair("vision.stem.", "visual.", number);
    for (const std::string stage : {"1", "2", "3", "4"})
      addPair("vision.stage" + stage + ".{}.", "visual.layer" + stage + ".{}.",
              number);
  }
  for (const std::string stage : {"1", "2", "3", "4"}) {
    const std::string canonical = "vision.stage" + stage + ".{}.shortcut";
    const std::string name = "visual.layer" + stage + ".{}.downsample.";
    addRule(model, canonical, name + "0");
    addRule(model, canonical + "_norm", name + "1");
    model.add_ignored_tensors(name + "1.num_batches_tracked");
  }
  addRule(model, "vision.pool.positions.weight",
          "visual.attnpool.positional_embedding");
  for (auto [part, name] :
       {std::pair("query", "q_proj"), std::pair("key", "k_proj"),
        std::pair("value", "v_proj"), std::pair("output", "c_proj")})
    addRule(model, std::string("vision.pool.attention.") + part,
            std::string("visual.attnpool.") + name);
}

static void addTextRules(spec::ModelSpec &model, bool projectionBias) {
  addTextRule(model, "text.tokens", "token_embedding");
  addTextRule(model, "text.positions.weight", "positional_embedding");
  addTextRule(model, "text.final_norm", "ln_final");
  // A matrix that is multiplied from the right, or a linear layer.
  if (projectionBias) {
    addTextRule(model, "text.projection", "text_projection");
  } else {
    addTextRule(model, "text.projection.weight", "text_projection");
    lastRule(model).set_transposed(true);
  }
  addBlockRules(model, "text", {"", "text."});
  addRule(model, "similarity.log_scale", "logit_scale");
  addRule(model, "similarity.bias", "logit_bias");
  // Numbers that OpenAI's own files hold beside the weights.
  for (const char *name : {"input_resolution", "context_length", "vocab_size",
                           "attn_mask", "text.attn_mask"})
    model.add_ignored_tensors(name);
}

//===----------------------------------------------------------------------===//
// The family
//===----------------------------------------------------------------------===//

extern const Family familyOpenClip;

/// A section that has to be there.
static const Json &sectionOf(ConfigSection &parent, const std::string &key) {
  static const Json empty = Json::object();
  const Json *section = parent.object(key);
  if (!section)
    parent.error(key, "expected an object, found nothing; take the " +
                          std::string(configName) +
                          " that belongs to these weights");
  return section ? *section : empty;
}

static spec::ModelSpec readOpenClip(const CheckpointConfig &config,
                                    ConfigLog &log) {
  ConfigSection file(config.json, config.file, "", log);
  const Json &values = sectionOf(file, "model_cfg");
  const Json *pictures = file.object("preprocess_cfg");
  file.finish();
  ConfigSection top(values, config.file, "model_cfg", log);
  int64_t projection = top.integer("embed_dim", 512, 1, maxFeatures);
  const Json *quick = top.find("quick_gelu");
  bool isQuick = quick && *quick == true;
  const Json *bias = top.find("init_logit_bias");
  for (const char *key : {"init_logit_scale", "nonscalar_logit_scale",
                          "custom_text", "output_dict"})
    top.ignore(key);
  expectDefault(top, "multimodal_cfg", nullptr, "a model with a decoder");
  const Json &vision = sectionOf(top, "vision_cfg");
  const Json &text = sectionOf(top, "text_cfg");
  top.finish();

  spec::ModelSpec model;
  model.set_family(std::string(familyOpenClip.name));
  spec::Component *tower = model.add_components();
  bool isNetwork =
      readVision({vision, config.file, "model_cfg.vision_cfg", log}, projection,
                 isQuick, *tower);
  spec::Component *words = model.add_components();
  readText({text, config.file, "model_cfg.text_cfg", log}, projection, isQuick,
           *words, *model.mutable_text());
  // A bias comes with the loss that takes each pair by itself.
  addSimilarity(model, bias ? spec::ContrastiveHead::SIGMOID
                            : spec::ContrastiveHead::SOFTMAX)
      .set_bias(bias != nullptr);
  isNetwork ? addNetworkRules(model) : addTransformerRules(model);
  addTextRules(model, words->text_transformer().projection_bias());
  static const Json none = Json::object();
  int64_t side = isNetwork ? tower->residual_network().image_size()
                           : tower->vision_transformer().image_size();
  *model.mutable_image() = toSpec(readImage(
      {pictures ? *pictures : none, config.file, "preprocess_cfg", log}, side));
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  const std::string section =
      component == "text" ? "model_cfg.text_cfg." : "model_cfg.vision_cfg.";
  for (auto [ours, theirs] : {std::pair("hidden_size", "width"),
                              std::pair("intermediate_size", "mlp_ratio"),
                              std::pair("max_tokens", "context_length"),
                              std::pair("vocabulary_size", "vocab_size")})
    if (field == ours)
      return section + theirs;
  if (field == "projection_size")
    return "model_cfg.embed_dim";
  return section + std::string(field);
}

const Family familyOpenClip = {"open_clip",         readOpenClip, configKey,
                               /*refusal=*/nullptr, configName,   weightsName};

} // namespace vlmc
