//===- Chameleon.cpp - The Chameleon family -------------------------------===//
//
// Early fusion: a picture becomes ids of the decoder's own vocabulary, by a
// convolutional encoder and a codebook; the decoder, a Llama with LayerNorms on
// the heads of queries and keys, then reads them as it reads words.
// arXiv:2405.09818; ChameleonForConditionalGeneration, ChameleonImageProcessor
// and ChameleonProcessor of transformers. Defaults are those of
// configuration_chameleon.py.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"
#include "frontend/families/DualEncoder.h"
#include "frontend/families/Family.h"
#include "frontend/families/GenerationConfig.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace vlmc {

//===----------------------------------------------------------------------===//
// The decoder
//===----------------------------------------------------------------------===//

/// Keys of the decoder, which stand at the top, with their defaults; null where
/// there is none.
static const Json &decoderDefaults() {
  static const Json defaults = {{"attention_bias", false},
                                {"attention_dropout", nullptr},
                                {"bos_token_id", nullptr},
                                {"eos_token_id", 2},
                                {"hidden_act", "silu"},
                                {"hidden_size", 4096},
                                {"initializer_range", nullptr},
                                {"intermediate_size", 11008},
                                {"max_position_embeddings", 4096},
                                {"mlp_bias", false},
                                {"num_attention_heads", 32},
                                {"num_hidden_layers", 32},
                                {"num_key_value_heads", 32},
                                {"pad_token_id", nullptr},
                                {"rms_norm_eps", 1e-5},
                                {"rope_parameters", nullptr},
                                {"rope_scaling", nullptr},
                                {"rope_theta", nullptr},
                                {"use_cache", nullptr},
                                {"vocab_size", 65536}};
  return defaults;
}

static DecoderFacts readWords(ConfigSection &top,
                              const CheckpointConfig &config, ConfigLog &log,
                              spec::Decoder &decoder) {
  Json words = {{"model_type", "llama"}};
  for (const auto &[key, fallback] : decoderDefaults().items()) {
    top.ignore(key);
    auto given = config.json.find(key);
    const Json &value = given == config.json.end() ? fallback : *given;
    if (!value.is_null())
      words[key] = value;
  }
  bool isTied = top.optionalFlag("tie_word_embeddings").value_or(false);
  DecoderFacts facts =
      readDecoder(words, config.file, "", isTied, log, decoder);
  decoder.set_head_norm(true);
  decoder.set_head_layer_norm(true);
  if (top.optionalFlag("swin_norm").value_or(false)) {
    decoder.set_branch_norm(true);
    decoder.set_no_pre_norm(true);
  }
  // Of training: files hold each head's weights.
  top.ignore("model_parallel_size");
  return facts;
}

//===----------------------------------------------------------------------===//
// The vocabulary
//===----------------------------------------------------------------------===//

/// The code that the name of a token stands for: digits as letters from A on,
/// between "IMGIMG" and a last character.
static std::optional<int64_t> codeOf(std::string_view name) {
  std::string digits;
  for (char c : name.substr(6, name.size() - 7))
    digits += c >= 'A' && c <= 'J' ? char('0' + (c - 'A')) : c;
  int64_t code = 0;
  auto [end, fault] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code);
  if (fault != std::errc() || end != digits.data() + digits.size() || code < 0)
    return std::nullopt;
  return code;
}

/// The ids of codes, the ids whose logits are hidden, and the placeholder's.
static void readVocabulary(ConfigSection &top, spec::ModelSpec &model) {
  const Json *map = top.object("vocabulary_map");
  if (!map)
    return top.error("vocabulary_map", "expected an object of tokens and ids, "
                                       "found nothing; mend the file");
  std::map<int64_t, int64_t> ids; // by code
  std::vector<int64_t> hidden;
  spec::Decoder &decoder = *model.mutable_components(1)->mutable_decoder();
  auto &tokenizer = *model.mutable_components(0)->mutable_picture_tokenizer();
  for (const auto &[name, value] : map->items()) {
    const bool isPicture = name.starts_with("IMGIMG");
    if (!isPicture && name != "<image>")
      continue;
    std::optional<int64_t> code =
        name.size() > 7 && isPicture ? codeOf(name) : std::nullopt;
    if (!value.is_number_integer() || value < 0 ||
        value >= decoder.vocabulary_size() || (isPicture && !code))
      return top.error("vocabulary_map." + name,
                       "expected an id below vocab_size " +
                           std::to_string(decoder.vocabulary_size()) +
                           " and a name with a number in letters, found " +
                           describe(value) + "; mend the file");
    auto id = value.get<int64_t>();
    if (!isPicture) {
      model.mutable_generation()->set_image_token_id(id);
      continue;
    }
    ids[*code] = id;
    hidden.push_back(id);
  }
  if (!model.generation().has_image_token_id())
    top.error("vocabulary_map",
              "expected the token <image>, found none; mend the file");
  if (ids.empty() || ids.rbegin()->first + 1 < tokenizer.codes())
    top.error("vocabulary_map",
              "expected tokens IMGIMG... for all of the " +
                  std::to_string(tokenizer.codes()) +
                  " codes (vq_config.num_embeddings), found them for " +
                  (ids.empty()
                       ? "none"
                       : "those up to " + std::to_string(ids.rbegin()->first)) +
                  "; mend the file");
  for (int64_t code = 0; code < tokenizer.codes(); ++code)
    tokenizer.add_ids(ids.count(code) ? ids[code] : 0);
  std::ranges::sort(hidden);
  for (size_t i = 0; i < hidden.size(); ++i) {
    if (i == 0 || hidden[i] > hidden[i - 1] + 1) {
      decoder.add_masked_ids(hidden[i]);
      decoder.add_masked_ids(hidden[i] + 1);
    }
    *decoder.mutable_masked_ids()->rbegin() = hidden[i] + 1;
  }
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

/// A list of positive numbers.
static std::vector<int64_t> readNumbers(ConfigSection &section,
                                        const Json &values, const char *key) {
  section.ignore(key);
  std::vector<int64_t> numbers;
  auto found = values.find(key);
  if (found == values.end() || found->is_null())
    return numbers;
  bool isRight = found->is_array();
  for (size_t i = 0; isRight && i < found->size(); ++i) {
    const Json &number = (*found)[i];
    isRight = number.is_number_integer() && number >= 1 && number <= 65536;
    if (isRight)
      numbers.push_back(number.get<int64_t>());
  }
  if (!isRight)
    section.error(key, "expected integers from 1 to 65536, found " +
                           describe(*found) + "; mend the file");
  return numbers;
}

static void readTokenizer(const Json *given, const CheckpointConfig &config,
                          ConfigLog &log, spec::PictureTokenizer &encoder) {
  Json values = {{"channel_multiplier", {1, 1, 2, 2, 4}},
                 {"attn_type", "vanilla"}};
  if (given)
    values.update(*given);
  ConfigSection section(values, config.file, "vq_config", log);
  section.string("model_type", "");
  encoder.set_image_size(section.integer("resolution", 512, 1, 65536));
  encoder.set_channels(section.integer("in_channels", 3, 1, 64));
  encoder.set_width(section.integer("base_channels", 128, 1, maxFeatures));
  encoder.set_blocks(section.integer("num_res_blocks", 2, 1, 4096));
  encoder.set_latent_size(
      section.integer("latent_channels", 256, 1, maxFeatures));
  encoder.set_code_size(section.integer("embed_dim", 256, 1, maxFeatures));
  encoder.set_codes(section.integer("num_embeddings", 8192, 1, maxFeatures));
  for (int64_t factor : readNumbers(section, values, "channel_multiplier"))
    encoder.add_multipliers(factor);
  section.ignore("attn_type");
  const bool attends = values["attn_type"] == "vanilla";
  encoder.set_middle_attention(attends);
  for (int64_t side : readNumbers(section, values, "attn_resolutions"))
    if (attends)
      encoder.add_attention_sizes(side);
  if (section.optionalFlag("double_latent").value_or(false))
    section.error("double_latent", "expected false, found true; transformers "
                                   "reads no such pictures either");
  encoder.set_groups(32);
  encoder.set_norm_epsilon(1e-6);
  encoder.set_decoder("text");
  for (const char *key : {"dropout", "initializer_range", "beta"})
    section.ignore(key);
  section.finish();
}

static void readImage(const CheckpointConfig &config, int64_t side,
                      ConfigLog &log, spec::ModelSpec &model) {
  ImageProcessorClass known;
  known.names = {"ChameleonImageProcessor"};
  known.defaults.resample = Resample::Lanczos;
  known.defaults.shortestEdge = 512;
  known.defaults.cropHeight = known.defaults.cropWidth = 512;
  known.defaults.rescaleFactor = 0.0078;
  known.defaults.mean = known.defaults.std = {1, 1, 1};
  readTowerImage(config.folder, known, side, log, model);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// One residual block, ours to theirs.
static void addBlockRules(spec::ModelSpec &model, const std::string &ours,
                          const std::vector<std::string> &prefixes,
                          const std::string &theirs) {
  for (const char *part : {"norm1", "conv1", "norm2", "conv2"})
    addRule(model, ours + "." + part, prefixes, theirs + "." + part);
  addRule(model, ours + ".shortcut", prefixes, theirs + ".nin_shortcut");
}

static void addAttentionRules(spec::ModelSpec &model, const std::string &ours,
                              const std::vector<std::string> &prefixes,
                              const std::string &theirs) {
  for (auto [part, name] : {std::pair("norm", "norm"), std::pair("query", "q"),
                            std::pair("key", "k"), std::pair("value", "v"),
                            std::pair("output", "proj_out")})
    addRule(model, ours + "." + part, prefixes, theirs + "." + name);
}

static void addNames(spec::ModelSpec &model) {
  const std::vector<std::string> bodies = {"model.", ""};
  const std::vector<std::string> vq = {"model.vqmodel.", "vqmodel."};
  const std::string ours = "tokenizer.", theirs = "encoder.";
  const spec::PictureTokenizer &encoder =
      model.components(0).picture_tokenizer();
  addRule(model, ours + "first", vq, theirs + "conv_in");
  for (int level = 0; level < encoder.multipliers_size(); ++level) {
    const std::string number = std::to_string(level);
    const std::string own = ours + "levels." + number;
    const std::string down = theirs + "down." + number;
    for (int64_t i = 0; i < encoder.blocks(); ++i) {
      const std::string block = "." + std::to_string(i);
      addBlockRules(model, own + ".blocks" + block, vq,
                    down + ".block" + block);
      addAttentionRules(model, own + ".attention" + block, vq,
                        down + ".attn" + block);
    }
    addRule(model, own + ".halve", vq, down + ".downsample.conv");
  }
  addBlockRules(model, ours + "middle.0", vq, theirs + "mid.block_1");
  addAttentionRules(model, ours + "middle.attention", vq,
                    theirs + "mid.attn_1");
  addBlockRules(model, ours + "middle.1", vq, theirs + "mid.block_2");
  addRule(model, ours + "norm", vq, theirs + "norm_out");
  addRule(model, ours + "last", vq, theirs + "conv_out");
  addRule(model, ours + "projection", vq, "quant_conv");
  addRule(model, ours + "codes", vq, "quantize.embedding");
  // What turns ids into pictures.
  for (const std::string &prefix : vq)
    for (const char *part : {"post_quant_conv", "decoder"})
      model.add_ignored_tensors(prefix + part);
  if (model.components(1).decoder().no_pre_norm())
    for (auto [norm, name] :
         {std::pair("attention.norm", "input_layernorm"),
          std::pair("mlp.norm", "post_attention_layernorm")})
      addRule(model, std::string("text.layers.{}.") + norm,
              {"model.layers.{}.", "layers.{}."}, name);
  addDecoderRules(model, bodies, {"lm_head"});
  if (model.components(1).decoder().tied_head())
    model.add_ignored_tensors("lm_head");
}

//===----------------------------------------------------------------------===//
// The family
//===----------------------------------------------------------------------===//

extern const Family familyChameleon;

static spec::ModelSpec readChameleon(const CheckpointConfig &config,
                                     ConfigLog &log) {
  ConfigSection top(config.json, config.file, "", log);
  spec::ModelSpec model;
  model.set_family(std::string(familyChameleon.name));
  spec::Component *tokenizer = model.add_components();
  tokenizer->set_name("tokenizer");
  auto &encoder = *tokenizer->mutable_picture_tokenizer();
  readTokenizer(top.object("vq_config"), config, log, encoder);
  spec::Component *text = model.add_components();
  text->set_name("text");
  DecoderFacts facts = readWords(top, config, log, *text->mutable_decoder());
  text->mutable_decoder()->set_features("tokenizer");
  readGenerationConfig(facts, config.folder, log, *model.mutable_generation());
  readVocabulary(top, model);
  top.ignore("image_token_id"); // that of vocabulary_map counts
  top.finish();
  addNames(model);
  model.mutable_text()->set_max_tokens(text->decoder().max_tokens());
  if (log.errors.empty())
    readImage(config, encoder.image_size(), log, model);
  return model;
}

static std::string configKey(std::string_view component,
                             std::string_view field) {
  if (component == "text")
    return decoderKey(field).substr(std::string_view("text_config.").size());
  for (auto [ours, theirs] : {std::pair("image_size", "resolution"),
                              std::pair("channels", "in_channels"),
                              std::pair("width", "base_channels"),
                              std::pair("multipliers", "channel_multiplier"),
                              std::pair("latent_size", "latent_channels"),
                              std::pair("code_size", "embed_dim"),
                              std::pair("groups", "base_channels"),
                              std::pair("codes", "num_embeddings")})
    if (field == ours)
      return std::string("vq_config.") + theirs;
  return "vq_config." + std::string(field);
}

const Family familyChameleon = {"chameleon", readChameleon, configKey};

} // namespace vlmc
