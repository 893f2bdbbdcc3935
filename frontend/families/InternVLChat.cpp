//===- InternVLChat.cpp - InternVL in the layout of its own code ----------===//
//
// Checkpoints of OpenGVLab (InternVL 1.5 and 2, arXiv:2404.16821): llm_config
// and vision_config, a fused projection of query, key and value in the tower
// and in InternLM2, pictures cut by the code that comes with them. They are
// brought to the form of transformers' InternVLConfig and read as that. Source:
// modeling_internvl_chat.py, modeling_internlm2.py and modeling_intern_vit.py
// of those checkpoints.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/InternVL.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

namespace fs = std::filesystem;

static constexpr const char *pictureToken = "<IMG_CONTEXT>";

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static spec::WeightRule &addPart(spec::ModelSpec &model,
                                 const std::string &canonical,
                                 const std::string &name, int64_t part,
                                 int64_t parts) {
  addRule(model, canonical, name);
  spec::WeightRule &rule = *model.mutable_weights(model.weights_size() - 1);
  rule.set_part(part);
  rule.set_parts(parts);
  return rule;
}

static void addTowerNames(spec::ModelSpec &model, int64_t allLayers) {
  const std::string embeddings = "vision_model.embeddings.",
                    layer = "vision_model.encoder.layers.{}.";
  addRule(model, "vision.class_token", embeddings + "class_embedding");
  addRule(model, "vision.positions.weight", embeddings + "position_embedding");
  addRule(model, "vision.patch_embed", embeddings + "patch_embedding");
  const char *parts[][2] = {{"norm1", "norm1"},
                            {"norm2", "norm2"},
                            {"attention.scale", "ls1"},
                            {"mlp.scale", "ls2"},
                            {"attention.query_norm", "attn.q_norm"},
                            {"attention.key_norm", "attn.k_norm"},
                            {"attention.output", "attn.proj"},
                            {"mlp", "mlp"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("vision.layers.{}.") + ours, layer + theirs);
  const char *fused[] = {"query", "key", "value"};
  for (int64_t i = 0; i < 3; ++i)
    addPart(model, std::string("vision.layers.{}.attention.") + fused[i],
            layer + "attn.qkv", i, 3);
  const int64_t blocks =
      model.components(0).vision_transformer().blocks().layers();
  for (int64_t i = blocks; i < allLayers; ++i)
    model.add_ignored_tensors("vision_model.encoder.layers." +
                              std::to_string(i));
}

/// Behind the queries of each group of heads stand its key and its value.
static void addInternLM2Names(spec::ModelSpec &model) {
  const std::string body = "language_model.model.", layer = body + "layers.{}.";
  const spec::Decoder &decoder = model.components(1).decoder();
  addRule(model, "text.tokens", body + "tok_embeddings");
  addRule(model, "text.final_norm", body + "norm");
  addRule(model, "text.head", "language_model.output");
  const char *parts[][2] = {
      {"norm1", "attention_norm"},          {"norm2", "ffn_norm"},
      {"attention.output", "attention.wo"}, {"mlp.gate", "feed_forward.w1"},
      {"mlp.up", "feed_forward.w3"},        {"mlp.down", "feed_forward.w2"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("text.layers.{}.") + ours, layer + theirs);
  const int64_t queries = decoder.heads() / decoder.kv_heads();
  const std::pair<const char *, int64_t> fused[] = {
      {"query", 0}, {"key", queries}, {"value", queries + 1}};
  for (auto [ours, part] : fused) {
    spec::WeightRule &rule =
        addPart(model, std::string("text.layers.{}.attention.") + ours,
                layer + "attention.wqkv", part, queries + 2);
    rule.set_groups(decoder.kv_heads());
    rule.set_span(part == 0 ? queries : 0);
  }
  model.add_ignored_tensors(layer + "attention.rotary_emb");
  if (decoder.tied_head())
    model.add_ignored_tensors("language_model.output");
}

static void addOuterNames(spec::ModelSpec &model, int64_t allLayers) {
  addTowerNames(model, allLayers);
  addRule(model, "projector.norm", "mlp1.0");
  addRule(model, "projector.layers.0", "mlp1.1");
  addRule(model, "projector.layers.1", "mlp1.3");
}

static void addNamesOfInternLM2(spec::ModelSpec &model, int64_t allLayers) {
  addOuterNames(model, allLayers);
  addInternLM2Names(model);
}

static void addNamesOfOthers(spec::ModelSpec &model, int64_t allLayers) {
  addOuterNames(model, allLayers);
  addDecoderRules(model, {"language_model.model."}, {"language_model.lm_head"});
  if (model.components(1).decoder().tied_head())
    model.add_ignored_tensors("language_model.lm_head");
}

//===----------------------------------------------------------------------===//
// The config
//===----------------------------------------------------------------------===//

/// Keys of the code and of training.
static constexpr const char *keysWithoutEffect[] = {"auto_map",
                                                    "attn_implementation",
                                                    "_attn_implementation",
                                                    "hidden_size",
                                                    "max_dynamic_patch",
                                                    "min_dynamic_patch",
                                                    "system_message",
                                                    "template",
                                                    "tie_word_embeddings",
                                                    "use_backbone_lora",
                                                    "use_llm_lora",
                                                    "use_thumbnail",
                                                    "force_image_size",
                                                    "dynamic_image_size"};

/// The id of an added token, from the files in which a tokenizer has it.
static std::optional<int64_t> findAddedToken(const std::string &folder,
                                             const std::string &content) {
  auto open = [&](const char *name) {
    Result<Json> file = readJsonFile((fs::path(folder) / name).string());
    return file && file->is_object() ? *file : Json::object();
  };
  const Json added = open("added_tokens.json");
  if (added.contains(content) && added[content].is_number_integer())
    return added[content].get<int64_t>();
  const Json config = open("tokenizer_config.json");
  if (auto decoder = config.find("added_tokens_decoder");
      decoder != config.end() && decoder->is_object())
    for (const auto &[id, token] : decoder->items())
      if (token.is_object() && token.value("content", Json()) == content &&
          !id.empty() && id.size() < 10 &&
          id.find_first_not_of("0123456789") == id.npos)
        return std::stoll(id);
  const Json tokenizer = open("tokenizer.json");
  if (auto tokens = tokenizer.find("added_tokens");
      tokens != tokenizer.end() && tokens->is_array())
    for (const Json &token : *tokens)
      if (token.is_object() && token.value("content", Json()) == content &&
          token.value("id", Json()).is_number_integer())
        return token["id"].get<int64_t>();
  return std::nullopt;
}

static Json visionConfig(const Json &given) {
  Json values = given;
  values["model_type"] = "internvl_vision";
  for (auto [theirs, ours] : {std::pair("qkv_bias", "attention_bias"),
                              std::pair("qk_normalization", "use_qk_norm")})
    if (auto found = values.find(theirs); found != values.end()) {
      values[ours] = *found;
      values.erase(theirs);
    }
  // The defaults of its class that are others than transformers'.
  static const Json defaults = {
      {"attention_bias", false},    {"use_qk_norm", true},
      {"hidden_size", 3200},        {"num_attention_heads", 25},
      {"intermediate_size", 12800}, {"num_hidden_layers", 48},
      {"image_size", 224},          {"norm_type", "rms_norm"}};
  for (const auto &[key, value] : defaults.items())
    values.emplace(key, value);
  for (const char *key : {"auto_map", "drop_path_rate", "dropout",
                          "use_flash_attn", "attn_implementation"})
    values.erase(key);
  return values;
}

/// InternLM2 is a Llama with a bias at will.
static Json wordsConfig(const Json &given, bool &isInternLM2) {
  Json values = given;
  isInternLM2 = values.value("model_type", Json()) == "internlm2";
  if (isInternLM2) {
    values["model_type"] = "llama";
    Json bias = values.value("bias", Json(true));
    values.erase("bias");
    values["attention_bias"] = bias;
  }
  for (const char *key : {"auto_map", "attn_implementation"})
    values.erase(key);
  return values;
}

/// Tiles of the nearest aspect, and the whole picture behind them.
static ImageProcessing readPictures(ConfigSection &top, const Json &config,
                                    int64_t side) {
  ImageProcessing image;
  image.shortestEdge.reset();
  image.height = image.width = side;
  image.doCenterCrop = false;
  image.mean = {0.485, 0.456, 0.406};
  image.std = {0.229, 0.224, 0.225};
  image.stretchesTiles = true;
  int64_t least = top.integer("min_dynamic_patch", 1, 1, 64);
  int64_t most =
      top.integer("max_dynamic_patch", std::max<int64_t>(6, least), least, 64);
  if (config.value("dynamic_image_size", Json(false)) != true)
    least = most = 1;
  if (most > 1 && config.value("use_thumbnail", Json(false)) != true)
    top.error("use_thumbnail", "expected true, as pictures are cut "
                               "(dynamic_image_size), found false; tiles "
                               "without the whole picture are not supported");
  for (int64_t tiles = least; tiles <= most; ++tiles)
    for (int64_t across = 1; across <= tiles; ++across)
      if (tiles % across == 0)
        image.grid.push_back({tiles / across * side, across * side});
  return image;
}

static spec::ModelSpec readInternVLChat(const CheckpointConfig &config,
                                        ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  const Json none = Json::object();
  const Json *tower = top.object("vision_config");
  const Json *words = top.object("llm_config");
  if (!words)
    top.error("llm_config", "expected the config of the language model, found "
                            "nothing; complete the file");
  bool isInternLM2 = false;
  Json whole = {
      {"model_type", "internvl"},
      {"vision_config", visionConfig(tower ? *tower : none)},
      {"text_config", wordsConfig(words ? *words : none, isInternLM2)},
      {"downsample_ratio", top.number("downsample_ratio", 0.5, 1.0 / 64, 1)}};
  whole["tie_word_embeddings"] =
      whole["text_config"].value("tie_word_embeddings", Json(false)) == true;
  whole["vision_feature_layer"] = top.integer("select_layer", -1, -4096, 4096);
  if (int64_t side =
          top.optionalInteger("force_image_size", 1, 65536).value_or(0))
    whole["vision_config"]["image_size"] = side;
  std::string version = top.string("ps_version", "v1");
  if (version != "v1" && version != "v2")
    top.error("ps_version", "expected \"v1\" or \"v2\", found \"" + version +
                                "\"; others are not supported");
  top.ignore("pad2square");
  if (config.json.value("pad2square", Json(false)) == true)
    top.error("pad2square", "expected false, found true; padded pictures are "
                            "not supported");
  InternVLLayout layout;
  layout.family = "internvl_chat";
  layout.wordsPath = "llm_config";
  layout.isTransposed = version == "v1";
  layout.addNames = isInternLM2 ? addNamesOfInternLM2 : addNamesOfOthers;
  const Json &side = whole["vision_config"]["image_size"];
  if (side.is_number_integer() && side > 0 && side <= 65536)
    layout.image = readPictures(top, config.json, side.get<int64_t>());
  std::optional<int64_t> token = findAddedToken(config.folder, pictureToken);
  if (!token)
    log.errors.push_back(
        config.folder + ": expected the added token '" + pictureToken +
        "' in added_tokens.json, tokenizer_config.json or tokenizer.json, "
        "found none; complete the tokenizer");
  whole["image_token_id"] = token.value_or(0);
  for (const char *key : keysWithoutEffect)
    top.ignore(key);
  top.finish();
  if (!log.errors.empty())
    return {};
  return readInternVLModel({config.folder, config.file, whole}, layout, log);
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  std::string key = internVLConfigKey(component, field);
  constexpr std::string_view path = "text_config.";
  return key.starts_with(path) ? "llm_config." + key.substr(path.size()) : key;
}

extern const Family familyInternVLChat;
const Family familyInternVLChat = {"internvl_chat", readInternVLChat,
                                   configKey};

} // namespace vlmc
