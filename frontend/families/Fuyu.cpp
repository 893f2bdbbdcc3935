//===- Fuyu.cpp - The Fuyu family -----------------------------------------===//
//
// Early fusion: the patches of a picture of any aspect go through one linear
// layer into a Persimmon decoder, each line ended by a token. FuyuForCausalLM,
// FuyuImageProcessor and FuyuProcessor of transformers, whose published config
// is flat: the decoder's keys are at the top.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"
#include "frontend/families/ImageSpec.h"

#include <algorithm>
#include <filesystem>

namespace vlmc {

/// Keys of the decoder that flat files hold at the top (`init_kwargs` of
/// FuyuConfig's text config).
static constexpr const char *flatKeys[] = {
    "attention_dropout",   "eos_token_id",      "hidden_act",
    "hidden_dropout",      "hidden_size",       "initializer_range",
    "intermediate_size",   "layer_norm_eps",    "max_position_embeddings",
    "num_attention_heads", "num_hidden_layers", "qk_layernorm",
    "rope_scaling",        "rope_theta",        "use_cache",
    "vocab_size"};

/// The decoder's config, wherever it is.
static Json findText(ConfigSection &top, const Json &config) {
  const Json *given = top.object("text_config");
  Json text = Json::object();
  if (given)
    text = *given;
  for (const char *key : flatKeys) {
    top.ignore(key);
    if (auto found = config.find(key); !given && found != config.end())
      text[key] = *found;
  }
  text["model_type"] = text.value("model_type", Json("persimmon"));
  // The part of a head that turns was no key in old files.
  if (!text.contains("partial_rotary_factor") &&
      !text.contains("rope_parameters"))
    text["partial_rotary_factor"] = 0.5;
  return text;
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

/// The processor's object: in a file of its own, or inside the processor's.
static Json readProcessor(const std::string &folder, std::string &file,
                          ConfigLog &log) {
  for (const char *name :
       {"processor_config.json", "preprocessor_config.json"}) {
    std::string path = (std::filesystem::path(folder) / name).string();
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
      continue;
    Result<Json> json = readJsonFile(path);
    if (!json || !json->is_object()) {
      log.errors.push_back(json ? path + ": expected an object"
                                : json.message());
      return Json::object();
    }
    const bool isInside = json->contains("image_processor");
    if (!isInside && name == std::string("processor_config.json"))
      continue;
    file = path;
    return isInside ? (*json)["image_processor"] : *json;
  }
  file = (std::filesystem::path(folder) / "preprocessor_config.json").string();
  return Json::object();
}

/// {"height": H, "width": W}.
static std::pair<int64_t, int64_t>
readSides(ConfigSection &section, const std::string &key,
          std::pair<int64_t, int64_t> fallback) {
  const Json *size = section.find(key);
  if (!size)
    return fallback;
  auto side = [&](const char *name) {
    bool isThere = size->is_object() && size->contains(name) &&
                   (*size)[name].is_number_integer();
    int64_t value = isThere ? (*size)[name].get<int64_t>() : 0;
    return value >= 1 && value <= 65536 ? value : 0;
  };
  int64_t height = side("height"), width = side("width");
  if (height && width)
    return {height, width};
  section.error(key, "expected {\"height\": H, \"width\": W} from 1 to 65536, "
                     "found " +
                         describe(*size) + "; mend the file");
  return fallback;
}

static void readChannels(ConfigSection &section, const std::string &key,
                         std::array<double, 3> &values) {
  const Json *found = section.find(key);
  values = {0.5, 0.5, 0.5};
  if (!found)
    return;
  bool isList = found->is_array() && found->size() == 3;
  for (size_t i = 0; i < 3; ++i) {
    const Json &value = isList ? (*found)[i] : *found;
    if (!value.is_number())
      return section.error(key, "expected a number or 3 of them, found " +
                                    describe(*found) + "; mend the file");
    values[i] = value.get<double>();
  }
}

/// FuyuImageProcessor: shrunk to fit, padded at the right and the bottom with
/// the value 1, cut into patches.
static void readImage(const std::string &folder, int64_t patch, ConfigLog &log,
                      spec::ModelSpec &model) {
  std::string file;
  Json json = readProcessor(folder, file, log);
  ConfigSection section(json, file, "", log);
  ImageProcessing image;
  std::string type = section.string("image_processor_type", "");
  image.backend =
      type.ends_with("Pil") ? ImageBackend::Pil : ImageBackend::Torchvision;
  image.doResize = section.flag("do_resize", image.doResize);
  image.doRescale = section.flag("do_rescale", image.doRescale);
  image.doNormalize = section.flag("do_normalize", image.doNormalize);
  image.rescaleFactor = section.number("rescale_factor", 1.0 / 255, -1e9, 1e9);
  readChannels(section, "image_mean", image.mean);
  readChannels(section, "image_std", image.std);
  auto [height, width] = readSides(section, "size", {1080, 1920});
  auto [down, across] = readSides(section, "patch_size", {30, 30});
  image.resample = static_cast<Resample>(section.integer("resample", 2, 0, 5));
  image.shortestEdge.reset();
  image.maxHeight = height;
  image.maxWidth = width;
  image.onlyShrinks = true;
  image.doCenterCrop = false;
  image.patchSize = patch;
  if (down != patch || across != patch)
    section.error("patch_size", "expected patch_size " + std::to_string(patch) +
                                    " of config.json for both sides, found " +
                                    std::to_string(down) + " x " +
                                    std::to_string(across) + "; mend the file");
  if (height % patch || width % patch)
    section.error("size", "expected multiples of patch_size " +
                              std::to_string(patch) + ", found " +
                              std::to_string(height) + " x " +
                              std::to_string(width) + "; mend the file");
  bool pads = true;
  pads = section.flag("do_pad", pads);
  if (!pads)
    section.error("do_pad", "expected true, found false; pictures of whole "
                            "patches alone are not supported");
  if (section.number("padding_value", 1, -1e9, 1e9) != 1)
    section.error("padding_value", "expected 1.0, found another number; other "
                                   "borders are not supported");
  if (std::string mode = section.string("padding_mode", "constant");
      mode != "constant")
    section.error("padding_mode", "expected \"constant\", found \"" + mode +
                                      "\"; other borders are not supported");
  for (const char *key : {"processor_class", "data_format", "do_convert_rgb"})
    section.ignore(key);
  section.finish();
  *model.mutable_image() = toSpec(image);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static void addFuyuRules(spec::ModelSpec &model, int64_t heads) {
  const std::vector<std::string> bodies = {
      "language_model.model.", "model.language_model.", "language_model."};
  std::vector<std::string> layers;
  for (const std::string &body : bodies)
    layers.push_back(body + "layers.{}.");
  addRule(model, "projector.patches",
          {"vision_embed_tokens", "model.vision_embed_tokens"}, "");
  addRule(model, "text.tokens", bodies, "embed_tokens");
  addRule(model, "text.final_norm", bodies, "final_layernorm");
  addRule(model, "text.head", {"language_model.lm_head", "lm_head"}, "");
  const std::string canonical = "text.layers.{}.";
  // One tensor, head by head: query, key and value.
  for (const std::string kind : {"weight", "bias"})
    for (int64_t part = 0; part < 3; ++part) {
      const char *parts[] = {"query.", "key.", "value."};
      addRule(model, canonical + "attention." + (parts[part] + kind), layers,
              "self_attn.query_key_value." + kind);
      spec::WeightRule &rule = *model.mutable_weights()->rbegin();
      rule.set_part(part);
      rule.set_parts(3);
      rule.set_groups(heads);
    }
  const char *names[][2] = {{"norm1", "input_layernorm"},
                            {"norm2", "post_attention_layernorm"},
                            {"attention.output", "self_attn.dense"},
                            {"attention.query_norm", "self_attn.q_layernorm"},
                            {"attention.key_norm", "self_attn.k_layernorm"},
                            {"mlp.up", "mlp.dense_h_to_4h"},
                            {"mlp.down", "mlp.dense_4h_to_h"}};
  for (auto [ours, theirs] : names)
    addRule(model, canonical + ours, layers, theirs);
  for (const std::string &layer : layers)
    model.add_ignored_tensors(layer + "self_attn.rotary_emb");
}

//===----------------------------------------------------------------------===//
// The family
//===----------------------------------------------------------------------===//

extern const Family familyFuyu;

static spec::ModelSpec readFuyu(const CheckpointConfig &config,
                                ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(familyFuyu.name));
  int64_t patch = top.integer("patch_size", 30, 1, 65536);
  int64_t image = top.integer("image_token_id", 71011, 0, maxId);
  top.integer("num_channels", 3, 3, 3);
  top.ignore("image_size"); // pictures have any
  bool isTied = false;
  isTied = top.flag("tie_word_embeddings", isTied);
  Json words = findText(top, config.json);
  spec::Component *text = model.add_components();
  text->set_name("text");
  spec::Decoder &decoder = *text->mutable_decoder();
  DecoderFacts facts =
      readDecoder(words, config.file, "text_config", isTied, log, decoder);
  decoder.set_features("projector");
  spec::Component *component = model.add_components();
  component->set_name("projector");
  spec::PatchProjector &projector = *component->mutable_patch_projector();
  projector.set_patch_size(patch);
  projector.set_channels(3);
  projector.set_output_size(decoder.hidden_size());
  readGenerationConfig(facts, config.folder, log, *model.mutable_generation());
  model.mutable_generation()->set_image_token_id(image);
  for (const char *key : {"pad_token_id", "bos_token_id", "initializer_range"})
    top.ignore(key);
  top.finish();
  addFuyuRules(model, decoder.heads());
  if (decoder.tied_head())
    for (const char *name : {"language_model.lm_head", "lm_head"})
      model.add_ignored_tensors(name);
  model.mutable_text()->set_max_tokens(decoder.max_tokens());
  if (log.errors.empty())
    readImage(config.folder, patch, log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "projector")
    return field == "patch_size" ? "patch_size" : "text_config.hidden_size";
  return decoderKey(field);
}

const Family familyFuyu = {"fuyu", readFuyu, configKey};

} // namespace vlmc
