//===- DecoderConfig.cpp - Configs of language models ---------------------===//
//
// Defaults are those of the configuration classes of transformers 5; keys are
// taken in the form of versions 4 and 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/DecoderConfig.h"

#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"

#include <algorithm>
#include <cmath>

namespace vlmc {

namespace {
/// A decoder class of transformers.
struct DecoderClass {
  const char *name; ///< its model_type
  Json defaults;
  bool queryBias = false; ///< always
  bool headNorm = false;
  bool hasBiasKeys = false;      ///< attention_bias, mlp_bias
  bool hasAttentionBias = false; ///< attention_bias alone
  bool hasWindowKeys = false;    ///< use_sliding_window, max_window_layers
  /// LayerNorm and biases everywhere, an MLP without a gate; norms of heads by
  /// qk_layernorm.
  bool isBiased = false;
  /// Scaled embeddings, norms with 1 + w, GELU in its tanh form.
  bool isScaled = false;
  /// And norms behind the branches too, caps of scores and logits, a scale of
  /// scores by a key, a window in every other layer.
  bool isCapped = false;
  /// But without caps, and the window in all layers but each n-th, by a key;
  /// layers with it have rotary positions of their own.
  bool hasTwoRotaries = false;
};
} // namespace

static Json commonDefaults() {
  return {{"hidden_size", 4096},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"hidden_act", "silu"},
          {"rms_norm_eps", 1e-6}};
}

static Json with(Json more) {
  Json all = commonDefaults();
  all.update(more);
  return all;
}

static const std::vector<DecoderClass> &decoderClasses() {
  static const std::vector<DecoderClass> classes = [] {
    std::vector<DecoderClass> list;
    DecoderClass llama{"llama", with({{"vocab_size", 32000},
                                      {"intermediate_size", 11008},
                                      {"max_position_embeddings", 2048},
                                      {"eos_token_id", 2}})};
    llama.hasBiasKeys = true;
    list.push_back(llama);
    DecoderClass mistral{"mistral", with({{"vocab_size", 32000},
                                          {"intermediate_size", 14336},
                                          {"num_key_value_heads", 8},
                                          {"max_position_embeddings", 131072},
                                          {"sliding_window", 4096},
                                          {"eos_token_id", 2}})};
    list.push_back(mistral);
    DecoderClass qwen2{"qwen2", with({{"vocab_size", 151936},
                                      {"intermediate_size", 22016},
                                      {"num_key_value_heads", 32},
                                      {"max_position_embeddings", 32768},
                                      {"sliding_window", 4096}})};
    qwen2.queryBias = qwen2.hasWindowKeys = true;
    list.push_back(qwen2);
    DecoderClass qwen3{"qwen3", with({{"vocab_size", 151936},
                                      {"intermediate_size", 22016},
                                      {"num_key_value_heads", 32},
                                      {"head_dim", 128},
                                      {"max_position_embeddings", 32768},
                                      {"sliding_window", 4096}})};
    qwen3.headNorm = qwen3.hasBiasKeys = qwen3.hasWindowKeys = true;
    list.push_back(qwen3);
    Json gemma = {{"vocab_size", 256000},
                  {"head_dim", 256},
                  {"hidden_act", "gelu_pytorch_tanh"},
                  {"max_position_embeddings", 8192},
                  {"tie_word_embeddings", true},
                  {"eos_token_id", 1},
                  {"pad_token_id", 0}};
    DecoderClass gemma1{"gemma", with(gemma)};
    gemma1.defaults.update({{"hidden_size", 3072},
                            {"intermediate_size", 24576},
                            {"num_hidden_layers", 28},
                            {"num_attention_heads", 16},
                            {"num_key_value_heads", 16}});
    gemma1.hasAttentionBias = gemma1.isScaled = true;
    list.push_back(gemma1);
    DecoderClass gemma2{"gemma2", with(gemma)};
    gemma2.defaults.update({{"hidden_size", 2304},
                            {"intermediate_size", 9216},
                            {"num_hidden_layers", 26},
                            {"num_attention_heads", 8},
                            {"num_key_value_heads", 4},
                            {"hidden_activation", "gelu_pytorch_tanh"},
                            {"sliding_window", 4096},
                            {"query_pre_attn_scalar", 256},
                            {"attn_logit_softcapping", 50},
                            {"final_logit_softcapping", 30}});
    gemma2.hasAttentionBias = gemma2.isScaled = gemma2.isCapped = true;
    list.push_back(gemma2);
    // Its caps are of Gemma3ForCausalLM alone, which reads no pictures.
    DecoderClass gemma3{"gemma3_text", gemma2.defaults};
    gemma3.defaults.update(
        {{"vocab_size", 262208}, {"max_position_embeddings", 131072}});
    gemma3.defaults.erase("attn_logit_softcapping");
    gemma3.defaults.erase("final_logit_softcapping");
    gemma3.hasAttentionBias = gemma3.isScaled = gemma3.isCapped = true;
    gemma3.headNorm = gemma3.hasTwoRotaries = true;
    list.push_back(gemma3);
    DecoderClass persimmon{"persimmon",
                           with({{"vocab_size", 262144},
                                 {"intermediate_size", 16384},
                                 {"num_hidden_layers", 36},
                                 {"num_attention_heads", 64},
                                 {"hidden_act", "relu2"},
                                 {"max_position_embeddings", 16384},
                                 {"layer_norm_eps", 1e-5},
                                 {"qk_layernorm", true},
                                 {"eos_token_id", 2}})};
    persimmon.isBiased = true;
    list.push_back(persimmon);
    return list;
  }();
  return classes;
}

static const DecoderClass *findClass(const Json &config,
                                     const std::string &where, ConfigLog &log) {
  auto type = config.find("model_type");
  std::string known;
  for (const DecoderClass &decoder : decoderClasses()) {
    // Without a type it is a Llama, as in the configs of LLaVA.
    if (type == config.end() || *type == decoder.name)
      return &decoder;
    known += (known.empty() ? "\"" : ", \"") + std::string(decoder.name) + "\"";
  }
  log.errors.push_back(where +
                       ".model_type: expected a decoder that vlmc "
                       "knows (" +
                       known + "), found " + describe(*type) +
                       "; other decoders are not supported");
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Rotary positions
//===----------------------------------------------------------------------===//

static void readLlama3(ConfigSection &section, spec::RotaryEmbedding &rotary) {
  rotary.set_low_frequency_factor(
      section.number("low_freq_factor", 1, 1e-6, 1e6));
  rotary.set_high_frequency_factor(
      section.number("high_freq_factor", 4, 1e-6, 1e6));
}

/// sin and cos are scaled by how much longer the context has become.
static double yarnScale(double factor, double scale) {
  return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

static void readYarn(ConfigSection &section, const Json &values,
                     spec::RotaryEmbedding &rotary) {
  rotary.set_beta_fast(section.number("beta_fast", 32, 1e-6, 1e6));
  rotary.set_beta_slow(section.number("beta_slow", 1, 1e-6, 1e6));
  double scale = section.number("mscale", 0, 0, 1e6);
  double all = section.number("mscale_all_dim", 0, 0, 1e6);
  double attention = section.number("attention_factor", 0, 0, 1e6);
  if (attention > 0)
    rotary.set_attention_scale(attention);
  else if (scale > 0 && all > 0)
    rotary.set_attention_scale(yarnScale(rotary.factor(), scale) /
                               yarnScale(rotary.factor(), all));
  section.ignore("truncate");
  auto truncate = values.find("truncate");
  rotary.set_exact_range(truncate != values.end() && *truncate == false);
}

static void readFactors(ConfigSection &section, const std::string &key,
                        int64_t count,
                        google::protobuf::RepeatedField<double> &factors) {
  const Json *given = section.find(key);
  auto isPositive = [](const Json &each) {
    return each.is_number() && each.get<double>() > 0;
  };
  if (!given || !given->is_array() ||
      given->size() != static_cast<size_t>(count) ||
      !std::ranges::all_of(*given, isPositive))
    return section.error(
        key,
        "expected " + std::to_string(count) +
            " positive numbers, half of what is turned of a head, found " +
            (!given              ? "nothing"
             : given->is_array() ? std::to_string(given->size()) + " values"
                                 : describe(*given)) +
            "; mend the file");
  for (const Json &each : *given)
    factors.Add(each.get<double>());
}

/// cos and sin are scaled by how much longer the context has become.
static void readLongRope(ConfigSection &section,
                         spec::RotaryEmbedding &rotary) {
  readFactors(section, "short_factor", rotary.size() / 2,
              *rotary.mutable_short_factors());
  readFactors(section, "long_factor", rotary.size() / 2,
              *rotary.mutable_long_factors());
  double factor = rotary.factor();
  auto original = static_cast<double>(rotary.original_max_tokens());
  double usual =
      factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
  double given = section.number("attention_factor", 0, 0, 1e6);
  rotary.set_attention_scale(given > 0 ? given : usual);
}

void readRotary(ConfigSection &decoder, int64_t headSize, int64_t maxTokens,
                const std::string &file, const std::string &path,
                ConfigLog &log, spec::RotaryEmbedding &rotary) {
  double theta = decoder.number("rope_theta", 10000, 1e-6, 1e12);
  const Json *given = decoder.object("rope_parameters");
  const Json *scaling = decoder.object("rope_scaling");
  std::string name = given ? "rope_parameters" : "rope_scaling";
  static const Json none = Json::object();
  // A rope_scaling that says something goes first, as in transformers.
  if (scaling && !scaling->empty())
    name = "rope_scaling";
  const Json &found = name == "rope_scaling" && scaling ? *scaling
                      : given                           ? *given
                                                        : none;
  ConfigSection section(found, file, (path.empty() ? "" : path + ".") + name,
                        log);
  rotary.set_theta(section.number("rope_theta", theta, 1e-6, 1e12));
  double part = decoder.number("partial_rotary_factor", 1, 1e-6, 1);
  part = section.number("partial_rotary_factor", part, 1e-6, 1);
  rotary.set_size(static_cast<int64_t>(static_cast<double>(headSize) * part) /
                  2 * 2);
  std::string old = section.string("type", "default");
  std::string kind = section.string("rope_type", old);
  // Beside the scaling, as Phi-3 has it, it goes first.
  auto inside =
      section.optionalInteger("original_max_position_embeddings", 1, maxId);
  auto beside =
      decoder.optionalInteger("original_max_position_embeddings", 1, maxId);
  if (kind == "dynamic")
    beside = inside = maxTokens;
  rotary.set_original_max_tokens(beside   ? *beside
                                 : inside ? *inside
                                          : maxTokens);
  if (kind != "default") {
    double usual = kind == "longrope" || kind == "yarn"
                       ? static_cast<double>(maxTokens) /
                             static_cast<double>(rotary.original_max_tokens())
                       : 1;
    rotary.set_factor(section.number("factor", usual, 1e-6, 1e6));
  }
  if (kind == "linear")
    rotary.set_kind(spec::RotaryEmbedding::LINEAR);
  else if (kind == "llama3") {
    rotary.set_kind(spec::RotaryEmbedding::LLAMA3);
    readLlama3(section, rotary);
  } else if (kind == "yarn") {
    rotary.set_kind(spec::RotaryEmbedding::YARN);
    readYarn(section, found, rotary);
  } else if (kind == "dynamic") {
    rotary.set_kind(spec::RotaryEmbedding::DYNAMIC);
  } else if (kind == "longrope") {
    rotary.set_kind(spec::RotaryEmbedding::LONGROPE);
    readLongRope(section, rotary);
  } else if (kind != "default")
    section.error("rope_type",
                  "expected \"default\", \"dynamic\", \"linear\", \"llama3\", "
                  "\"longrope\" or \"yarn\", found \"" +
                      kind + "\"; others are not supported");
  section.finish();
}

//===----------------------------------------------------------------------===//
// The decoder
//===----------------------------------------------------------------------===//

static void readSizes(ConfigSection &section, spec::Decoder &decoder) {
  decoder.set_hidden_size(section.integer("hidden_size", 1, 1, maxFeatures));
  decoder.set_intermediate_size(
      section.integer("intermediate_size", 1, 1, maxFeatures));
  decoder.set_layers(section.integer("num_hidden_layers", 1, 1, 4096));
  decoder.set_heads(section.integer("num_attention_heads", 1, 1, maxFeatures));
  decoder.set_kv_heads(
      section.optionalInteger("num_key_value_heads", 1, maxFeatures)
          .value_or(decoder.heads()));
  decoder.set_head_size(section.optionalInteger("head_dim", 1, 4096)
                            .value_or(decoder.hidden_size() / decoder.heads()));
  decoder.set_vocabulary_size(section.integer("vocab_size", 1, 1, maxId));
  decoder.set_max_tokens(
      section.integer("max_position_embeddings", 1, 1, maxId));
  decoder.set_activation(readActivation(section, "hidden_act", ""));
  decoder.set_norm_epsilon(section.number("rms_norm_eps", 1e-6, 0, 1));
  if (decoder.heads() % decoder.kv_heads() != 0)
    section.error("num_key_value_heads",
                  "expected a divisor of num_attention_heads " +
                      std::to_string(decoder.heads()) + ", found " +
                      std::to_string(decoder.kv_heads()) + "; mend the file");
}

/// Gemma's arithmetic.
static void readScales(ConfigSection &section, const Json &values,
                       const DecoderClass &found, spec::Decoder &decoder) {
  decoder.set_norm_offset(1);
  decoder.set_embedding_scale(
      std::sqrt(static_cast<double>(decoder.hidden_size())));
  // Of version 4, and without effect in 5; and what only texts without pictures
  // could show.
  for (const char *key : {"hidden_activation", "use_bidirectional_attention",
                          "cache_implementation", "num_image_tokens"})
    section.ignore(key);
  if (!found.isCapped)
    return;
  decoder.set_branch_norm(true);
  decoder.set_attention_scale(
      1 / std::sqrt(section.number("query_pre_attn_scalar", 256, 1e-6, 1e9)));
  auto cap = [&](const char *key) {
    section.ignore(key);
    // null is no cap.
    return values.contains(key) && values[key].is_null()
               ? 0
               : section.number(key, 0, 1e-6, 1e6);
  };
  if (found.hasTwoRotaries) {
    section.ignore("attn_logit_softcapping");
    section.ignore("final_logit_softcapping");
    if (values.value("use_bidirectional_attention", Json(false)) == true)
      section.error("use_bidirectional_attention",
                    "expected false, found true; decoders whose tokens all see "
                    "each other are not supported");
    return;
  }
  decoder.set_attention_softcap(cap("attn_logit_softcapping"));
  decoder.set_logit_softcap(cap("final_logit_softcapping"));
}

/// Rotary positions of layers without a window and of those with one: by kind
/// of layer in rope_parameters of version 5; in version 4 rope_scaling is of
/// the former alone.
static void readTwoRotaries(ConfigSection &section, const Json &values,
                            const std::string &file, const std::string &path,
                            ConfigLog &log, spec::Decoder &decoder) {
  const Json *given = section.object("rope_parameters");
  const Json *scaling = section.object("rope_scaling");
  struct Kind {
    const char *name, *key;
    double theta;
    spec::RotaryEmbedding *rotary;
  };
  for (const Kind &kind :
       {Kind{"full_attention", "rope_theta", 1e6, decoder.mutable_rotary()},
        Kind{"sliding_attention", "rope_local_base_freq", 1e4,
             decoder.mutable_window_rotary()}}) {
    section.ignore(kind.key);
    auto own = given ? given->find(kind.name) : Json::const_iterator();
    const bool isGiven = given && own != given->end() && own->is_object();
    Json parameters = isGiven ? *own : Json{{"rope_type", "default"}};
    if (kind.rotary == decoder.mutable_rotary() && scaling)
      parameters.update(*scaling);
    Json flat = {{"rope_parameters", parameters}, {"rope_theta", kind.theta}};
    if (values.contains(kind.key) && !values[kind.key].is_null())
      flat["rope_theta"] = values[kind.key];
    ConfigSection part(flat, file, path, log);
    readRotary(part, decoder.head_size(), decoder.max_tokens(), file, path, log,
               *kind.rotary);
  }
}

/// Which layers have the window, by layer_types or by their number.
static void readWindow(ConfigSection &section, const Json &values,
                       const DecoderClass &decoderClass,
                       spec::Decoder &decoder) {
  int64_t window =
      section.optionalInteger("sliding_window", 1, maxId).value_or(0);
  std::vector<std::string> types = section.strings("layer_types");
  int64_t first = 0, pattern = 6;
  if (decoderClass.hasTwoRotaries) {
    section.ignore("_sliding_window_pattern");
    pattern = section.optionalInteger("sliding_window_pattern", 1, maxId)
                  .value_or(pattern);
    if (!window)
      section.error("sliding_window", "expected the tokens of a window, found "
                                      "none; mend the file");
  }
  if (decoderClass.hasWindowKeys) {
    first = section.optionalInteger("max_window_layers", 0, maxId).value_or(28);
    if (!section.optionalFlag("use_sliding_window").value_or(false))
      window = 0;
  }
  for (int64_t i = 0; i < decoder.layers() && window; ++i) {
    bool slides = i >= first && !(decoderClass.isCapped && i % 2 == 1);
    if (decoderClass.hasTwoRotaries)
      slides = (i + 1) % pattern != 0;
    if (static_cast<size_t>(i) < types.size())
      slides = types[static_cast<size_t>(i)] == "sliding_attention";
    if (slides)
      decoder.add_window_layers(i);
  }
  if (decoder.window_layers_size() > 0)
    decoder.set_window(window);
  else
    decoder.clear_window_rotary();
}

void readTokens(ConfigSection &section, DecoderFacts &facts) {
  if (const Json *end = section.find("eos_token_id"))
    for (const Json &id : end->is_array() ? *end : Json::array({*end}))
      if (id.is_number_integer())
        facts.endTokens.push_back(id.get<int64_t>());
  facts.padToken = section.optionalInteger("pad_token_id", -1, maxId);
}

DecoderFacts readDecoder(const Json &config, const std::string &file,
                         const std::string &path, bool tied, ConfigLog &log,
                         spec::Decoder &decoder) {
  DecoderFacts facts;
  const DecoderClass *found = findClass(config, file + ": " + path, log);
  if (!found)
    return facts;
  Json values = found->defaults;
  values.update(config);
  // Files of old versions say "gelu", and mean its tanh form.
  if (found->isCapped)
    values["hidden_act"] = values["hidden_activation"];
  else if (found->isScaled && values["hidden_act"] == "gelu")
    values["hidden_act"] = "gelu_pytorch_tanh";
  ConfigSection section(values, file, path, log);
  readSizes(section, decoder);
  if (found->isScaled)
    readScales(section, values, *found, decoder);
  if (found->hasTwoRotaries)
    readTwoRotaries(section, values, file, path, log, decoder);
  else
    readRotary(section, decoder.head_size(), decoder.max_tokens(), file, path,
               log, *decoder.mutable_rotary());
  // `dynamic` is made for sequences that are so many times as long.
  if (decoder.rotary().kind() == spec::RotaryEmbedding::DYNAMIC)
    decoder.set_max_tokens(std::min(
        maxId, static_cast<int64_t>(static_cast<double>(decoder.max_tokens()) *
                                    std::max(1.0, decoder.rotary().factor()))));
  bool bias = (found->hasBiasKeys || found->hasAttentionBias) &&
              section.optionalFlag("attention_bias").value_or(false);
  decoder.set_query_bias(found->queryBias || bias);
  decoder.set_output_bias(bias);
  decoder.set_mlp_bias(found->hasBiasKeys &&
                       section.optionalFlag("mlp_bias").value_or(false));
  decoder.set_head_norm(found->headNorm);
  if (found->isBiased) {
    decoder.set_query_bias(true);
    decoder.set_output_bias(true);
    decoder.set_mlp_bias(true);
    decoder.set_layer_norm(true);
    decoder.set_plain_mlp(true);
    decoder.set_norm_epsilon(section.number("layer_norm_eps", 1e-5, 0, 1));
    decoder.set_head_norm(section.optionalFlag("qk_layernorm").value_or(true));
    for (const char *key : {"hidden_dropout", "attention_dropout"})
      section.ignore(key);
  }
  decoder.set_tied_head(
      tied || section.optionalFlag("tie_word_embeddings").value_or(false));
  readWindow(section, values, *found, decoder);
  readTokens(section, facts);
  section.ignore("pretraining_tp");
  section.finish();
  return facts;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

void addDecoderRules(spec::ModelSpec &model,
                     const std::vector<std::string> &bodies,
                     const std::vector<std::string> &heads,
                     std::vector<std::string> layers) {
  if (layers.empty())
    for (const std::string &body : bodies)
      layers.push_back(body + "layers.{}.");
  for (const spec::Component &component : model.components())
    if (component.name() == "text" && component.decoder().branch_norm())
      for (auto [ours, theirs] :
           {std::pair("attention.norm", "post_attention_layernorm"),
            std::pair("norm2", "pre_feedforward_layernorm"),
            std::pair("mlp.norm", "post_feedforward_layernorm")})
        addRule(model, std::string("text.layers.{}.") + ours, layers, theirs);
  addRule(model, "text.tokens", bodies, "embed_tokens");
  addRule(model, "text.final_norm", bodies, "norm");
  const char *parts[][2] = {{"norm1", "input_layernorm"},
                            {"norm2", "post_attention_layernorm"},
                            {"attention.query", "self_attn.q_proj"},
                            {"attention.key", "self_attn.k_proj"},
                            {"attention.value", "self_attn.v_proj"},
                            {"attention.output", "self_attn.o_proj"},
                            {"attention.query_norm", "self_attn.q_norm"},
                            {"attention.key_norm", "self_attn.k_norm"},
                            {"mlp.gate", "mlp.gate_proj"},
                            {"mlp.up", "mlp.up_proj"},
                            {"mlp.down", "mlp.down_proj"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("text.layers.{}.") + ours, layers, theirs);
  addRule(model, "text.head", heads, "");
  for (const std::string &layer : layers)
    model.add_ignored_tensors(layer + "self_attn.rotary_emb");
}

std::string decoderKey(std::string_view field) {
  for (auto [ours, theirs] :
       {std::pair("head_size", "head_dim"),
        std::pair("heads", "num_attention_heads"),
        std::pair("kv_heads", "num_key_value_heads"),
        std::pair("layers", "num_hidden_layers"),
        std::pair("max_tokens", "max_position_embeddings"),
        std::pair("vocabulary_size", "vocab_size")})
    if (field == ours)
      return std::string("text_config.") + theirs;
  return "text_config." + std::string(field);
}

void addLanguageModelRules(spec::ModelSpec &model) {
  const std::vector<std::string> heads = {"language_model.lm_head", "lm_head"};
  addDecoderRules(
      model,
      {"language_model.model.", "model.language_model.", "language_model."},
      heads);
  for (const spec::Component &component : model.components())
    if (component.has_decoder() && component.decoder().tied_head())
      for (const std::string &head : heads)
        model.add_ignored_tensors(head);
}

void readPlainSizes(ConfigSection &section, const std::string &intermediate,
                    spec::Decoder &decoder) {
  decoder.set_hidden_size(section.integer("hidden_size", 1, 1, maxFeatures));
  decoder.set_intermediate_size(
      section.integer(intermediate, 1, 1, maxFeatures));
  decoder.set_layers(section.integer("num_hidden_layers", 1, 1, 4096));
  decoder.set_heads(section.integer("num_attention_heads", 1, 1, maxFeatures));
  decoder.set_kv_heads(decoder.heads());
  decoder.set_vocabulary_size(section.integer("vocab_size", 1, 1, maxId));
  decoder.set_max_tokens(
      section.integer("max_position_embeddings", 1, 1, maxFeatures));
  if (decoder.hidden_size() % decoder.heads() != 0)
    section.error("num_attention_heads",
                  "expected a divisor of hidden_size " +
                      std::to_string(decoder.hidden_size()) + ", found " +
                      std::to_string(decoder.heads()) + "; mend the file");
  decoder.set_head_size(decoder.hidden_size() / decoder.heads());
}

bool readModelTie(ConfigSection &top, const Json &config) {
  top.ignore("tie_word_embeddings");
  auto own = config.find("tie_word_embeddings");
  return own == config.end() || *own == true;
}

} // namespace vlmc
