//===- MptConfig.cpp - Configs of MPT decoders ----------------------------===//
//
// Defaults are those of configuration_mpt.py in transformers 5 and of
// llm-foundry. modeling_mpt.py of transformers takes no notice of
// alibi_bias_max, expansion_ratio, no_bias, norm_type, logit_scale and qk_ln:
// slopes are those of a bias of up to 8, MLPs four times as wide, and nothing
// has a bias. In llm-foundry (models/mpt) they count.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/MptConfig.h"

#include "frontend/families/DualEncoder.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vlmc {

namespace {
/// Whose class it is.
enum class Origin { Transformers, Mosaic, Unknown };

/// The keys of attention, in the spelling of attn_config.
struct Attention {
  bool hasSlopes = true;
  double biasMax = 8;
};
} // namespace

static Origin findOrigin(const Json &config) {
  auto type = config.find("model_type");
  if (type != config.end() && *type == "mosaic_gpt")
    return Origin::Mosaic;
  auto names = config.find("architectures");
  if (names == config.end() || !names->is_array())
    return Origin::Unknown;
  auto has = [&](const char *name) {
    return std::ranges::find(*names, Json(name)) != names->end();
  };
  return has("MPTForCausalLM") || has("MosaicGPT") ? Origin::Mosaic
         : has("MptForCausalLM")                   ? Origin::Transformers
                                                   : Origin::Unknown;
}

/// MosaicGPT has the keys of attention beside the others.
static Json attentionKeys(const Json &config) {
  Json keys = Json::object();
  for (auto [theirs, ours] :
       {std::pair("alibi", "alibi"),
        std::pair("alibi_bias_max", "alibi_bias_max"),
        std::pair("attn_clip_qkv", "clip_qkv"),
        std::pair("attn_qk_ln", "qk_ln"),
        std::pair("softmax_scale", "softmax_scale"),
        std::pair("prefix_lm", "prefix_lm"),
        std::pair("attn_uses_sequence_id", "attn_uses_sequence_id")})
    if (auto found = config.find(theirs); found != config.end())
      keys[ours] = *found;
  return keys;
}

static void readSizes(ConfigSection &section, bool isGpt, Origin origin,
                      spec::Decoder &decoder) {
  decoder.set_hidden_size(section.integer("d_model", 2048, 1, maxFeatures));
  decoder.set_layers(section.integer("n_layers", 24, 1, 4096));
  decoder.set_heads(section.integer("n_heads", 16, 1, maxFeatures));
  decoder.set_kv_heads(decoder.heads());
  decoder.set_vocabulary_size(section.integer("vocab_size", 50368, 1, maxId));
  decoder.set_max_tokens(section.integer("max_seq_len", 2048, 1, maxFeatures));
  if (decoder.hidden_size() % decoder.heads() != 0)
    section.error("n_heads", "expected a divisor of d_model " +
                                 std::to_string(decoder.hidden_size()) +
                                 ", found " + std::to_string(decoder.heads()) +
                                 "; mend the file");
  decoder.set_head_size(decoder.hidden_size() / decoder.heads());
  const char *ratio = isGpt ? "mlp_ratio" : "expansion_ratio";
  double times = section.number(ratio, 4, 1e-3, 1e3);
  decoder.set_intermediate_size(
      origin == Origin::Transformers
          ? 4 * decoder.hidden_size()
          : static_cast<int64_t>(static_cast<double>(decoder.hidden_size()) *
                                 times));
}

/// Key heads: as many as heads, one, or a number.
static void readKeyHeads(ConfigSection &section, spec::Decoder &decoder) {
  std::string type = section.string("attn_type", "multihead_attention");
  auto given = section.optionalInteger("kv_n_heads", 1, maxFeatures);
  if (type == "multiquery_attention")
    decoder.set_kv_heads(1);
  else if (type == "grouped_query_attention" && given)
    decoder.set_kv_heads(*given);
  else if (type != "multihead_attention")
    section.error("attn_type", "expected \"multihead_attention\", "
                               "\"multiquery_attention\" or, with kv_n_heads, "
                               "\"grouped_query_attention\", found \"" +
                                   type + "\"; others are not supported");
  if (decoder.heads() % decoder.kv_heads() != 0)
    section.error("kv_n_heads",
                  "expected a divisor of n_heads " +
                      std::to_string(decoder.heads()) + ", found " +
                      std::to_string(decoder.kv_heads()) + "; mend the file");
}

static Attention readAttention(const Json &keys, const std::string &file,
                               const std::string &path, Origin origin,
                               ConfigLog &log, spec::Decoder &decoder) {
  ConfigSection section(keys, file, path, log);
  Attention attention;
  for (const char *key :
       {"attn_pdrop", "attn_impl", "fused_qkv", "attn_config"})
    section.ignore(key);
  // null is none of both.
  auto optional = [&](const char *key) {
    section.ignore(key);
    return keys.contains(key) && !keys[key].is_null()
               ? section.number(key, 0, 0, 1e6)
               : 0;
  };
  decoder.set_query_clip(optional("clip_qkv"));
  decoder.set_attention_scale(optional("softmax_scale"));
  for (const char *key :
       {"prefix_lm", "attn_uses_sequence_id", "qk_gn", "rope"})
    if (section.optionalFlag(key).value_or(false) &&
        origin != Origin::Transformers)
      section.error(key, "expected false, found true; this is not supported");
  const bool alibi =
      section.optionalFlag("alibi").value_or(origin != Origin::Mosaic);
  const double most = section.number("alibi_bias_max", 8, 1e-3, 1e3);
  const bool hasNorms = section.optionalFlag("qk_ln").value_or(false);
  if (origin != Origin::Transformers) {
    readKeyHeads(section, decoder);
    attention.hasSlopes = alibi;
    attention.biasMax = most;
    decoder.set_query_norm(hasNorms);
  } else {
    section.ignore("attn_type");
  }
  if (section.optionalInteger("sliding_window_size", -1, maxId).value_or(-1) >=
      0)
    section.error("sliding_window_size", "expected -1, found a window; this is "
                                         "not supported");
  for (const char *key :
       {"rope_theta", "rope_impl", "rope_dail_config", "rope_hf_config"})
    section.ignore(key);
  if (keys.contains("fused_qkv") && keys["fused_qkv"] == false)
    section.error("fused_qkv",
                  "expected true, found false; this is not supported");
  section.finish();
  return attention;
}

/// As gen_slopes() of llm-foundry: of so many heads as are a power of two, each
/// second one first where there are fewer.
static void addSlopes(double most, spec::Decoder &decoder) {
  auto heads = static_cast<uint64_t>(decoder.heads());
  const uint64_t power = std::bit_ceil(heads);
  std::vector<uint64_t> order;
  for (uint64_t first : {power == heads ? 1U : 2U, 1U})
    for (uint64_t i = first; i <= power && order.size() < heads;
         i += power == heads ? 1 : 2)
      order.push_back(i);
  const auto step = static_cast<float>(most / static_cast<double>(power));
  for (uint64_t i : order)
    decoder.add_distance_slopes(1.0F / std::exp2(static_cast<float>(i) * step));
}

/// Slopes by distance, a table of positions, or, with slopes of 0, nothing.
static void readPositions(ConfigSection &section, const Attention &attention,
                          Origin origin, spec::Decoder &decoder) {
  const bool isLearned = section.optionalFlag("learned_pos_emb").value_or(true);
  if (attention.hasSlopes || origin == Origin::Transformers)
    return addSlopes(attention.biasMax, decoder);
  if (isLearned)
    return decoder.set_position_offset(0);
  for (int64_t head = 0; head < decoder.heads(); ++head)
    decoder.add_distance_slopes(0);
}

/// Biases and norms, and what becomes of logits.
static void readForm(ConfigSection &section, Origin origin,
                     spec::Decoder &decoder) {
  const bool counts = origin != Origin::Transformers;
  const bool hasNone =
      section.optionalFlag("no_bias").value_or(origin != Origin::Mosaic);
  const bool bias = counts && !hasNone;
  decoder.set_query_bias(bias);
  decoder.set_output_bias(bias);
  decoder.set_mlp_bias(bias);
  std::string norm = section.string("norm_type", "low_precision_layernorm");
  const bool isRms =
      counts && (norm == "rmsnorm" || norm == "low_precision_rmsnorm");
  if (counts && !isRms && norm != "layernorm" &&
      norm != "low_precision_layernorm")
    section.error("norm_type", "expected \"layernorm\" or \"rmsnorm\", with "
                               "\"low_precision_\" before it or not, found \"" +
                                   norm + "\"; others are not supported");
  decoder.set_layer_norm(!isRms);
  decoder.set_unbiased_norm(!isRms && !bias);
  decoder.set_norm_epsilon(section.number("layer_norm_epsilon", 1e-5, 0, 1));
  if (const Json *scale = section.find("logit_scale"); scale && counts) {
    if (*scale == "inv_sqrt_d_model")
      decoder.set_logit_scale(
          1 / std::sqrt(static_cast<double>(decoder.hidden_size())));
    else if (scale->is_number() && scale->get<double>() >= 1e-6)
      decoder.set_logit_scale(scale->get<double>());
    else
      section.error("logit_scale",
                    "expected a positive number or \"inv_sqrt_d_model\", "
                    "found " +
                        describe(*scale) + "; mend the file");
  }
}

DecoderFacts readMpt(const Json &config, const std::string &file,
                     const std::string &path, ConfigLog &log,
                     spec::Decoder &decoder) {
  const Origin origin = findOrigin(config);
  const bool isGpt =
      config.contains("model_type") && config["model_type"] == "mosaic_gpt";
  Json values = config;
  // The names that transformers has for all models.
  for (auto [theirs, own] : {std::pair("hidden_size", "d_model"),
                             std::pair("num_attention_heads", "n_heads"),
                             std::pair("num_hidden_layers", "n_layers")})
    if (values.contains(theirs) && !values.contains(own))
      values[own] = values[theirs];
  ConfigSection section(values, file, path, log);
  readSizes(section, isGpt, origin, decoder);
  static const Json none = Json::object();
  const Json *given = section.object("attn_config");
  Attention attention =
      isGpt ? readAttention(attentionKeys(values), file, path, origin, log,
                            decoder)
            : readAttention(given ? *given : none, file, path + ".attn_config",
                            origin, log, decoder);
  readPositions(section, attention, origin, decoder);
  readForm(section, origin, decoder);
  decoder.set_activation(spec::GELU);
  decoder.set_plain_mlp(true);
  decoder.set_tied_head(
      section.optionalFlag("tie_word_embeddings").value_or(true));
  for (const char *key : {"hidden_size",
                          "num_attention_heads",
                          "num_hidden_layers",
                          "auto_map",
                          "attn_pdrop",
                          "attn_impl",
                          "resid_pdrop",
                          "emb_pdrop",
                          "init_device",
                          "init_config",
                          "verbose",
                          "embedding_fraction",
                          "ffn_config",
                          "fc_type",
                          "use_pad_tok_in_ffn",
                          "low_precision_layernorm",
                          "param_init_fn",
                          "init_div_is_residual",
                          "init_std",
                          "emb_init_std",
                          "emb_init_uniform_lim",
                          "init_gain",
                          "fan_mode",
                          "init_nonlinearity",
                          "tokenizer_name",
                          "norm_eps"})
    section.ignore(key);
  if (isGpt)
    for (const char *key :
         {"alibi", "alibi_bias_max", "attn_clip_qkv", "attn_qk_ln",
          "softmax_scale", "prefix_lm", "attn_uses_sequence_id"})
      section.ignore(key);
  if (auto inner = values.find("ffn_config");
      inner != values.end() && inner->is_object() &&
      inner->value("ffn_type", "mptmlp") != "mptmlp")
    section.error("ffn_config.ffn_type", "expected \"mptmlp\", found " +
                                             describe((*inner)["ffn_type"]) +
                                             "; others are not supported");
  DecoderFacts facts;
  readTokens(section, facts);
  section.finish();
  return facts;
}

/// Query, key and value of all heads stand one behind the other.
static void addFusedRules(spec::ModelSpec &model,
                          const std::vector<std::string> &layers,
                          const spec::Decoder &decoder) {
  int64_t part = 0;
  for (auto [name, heads] : {std::pair("query", decoder.heads()),
                             std::pair("key", decoder.kv_heads()),
                             std::pair("value", decoder.kv_heads())}) {
    addRule(model, std::string("text.layers.{}.attention.") + name, layers,
            "attn.Wqkv");
    spec::WeightRule &rule = *model.mutable_weights()->rbegin();
    rule.set_part(part);
    rule.set_parts(decoder.heads() + 2 * decoder.kv_heads());
    rule.set_span(heads);
    part += heads;
  }
}

/// A rule whose last names are those of all prefixes with each of `names`.
static void addNamesOf(spec::ModelSpec &model, const std::string &canonical,
                       const std::vector<std::string> &prefixes,
                       const std::vector<std::string> &names) {
  spec::WeightRule &rule = *model.add_weights();
  rule.set_canonical(canonical);
  for (const std::string &prefix : prefixes)
    for (const std::string &name : names)
      rule.add_names(prefix + name);
}

void addMptRules(spec::ModelSpec &model, const std::vector<std::string> &bodies,
                 const std::vector<std::string> &heads,
                 const std::vector<std::string> &layers) {
  addRule(model, "text.tokens", bodies, "wte");
  addRule(model, "text.positions", bodies, "wpe");
  addNamesOf(model, "text.final_norm", bodies, {"norm_f", "ln_f"});
  for (const spec::Component &component : model.components())
    if (component.name() == "text")
      addFusedRules(model, layers, component.decoder());
  const std::pair<const char *, std::vector<std::string>> parts[] = {
      {"norm1", {"norm_1", "ln_1"}},
      {"norm2", {"norm_2", "ln_2"}},
      {"attention.query_norm", {"attn.q_ln"}},
      {"attention.key_norm", {"attn.k_ln"}},
      {"attention.output", {"attn.out_proj"}},
      {"mlp.up", {"ffn.up_proj", "mlp.mlp_up"}},
      {"mlp.down", {"ffn.down_proj", "mlp.mlp_down"}}};
  for (const auto &[ours, theirs] : parts)
    addNamesOf(model, std::string("text.layers.{}.") + ours, layers, theirs);
  addRule(model, "text.head", heads, "");
}

} // namespace vlmc
