//===- OptConfig.cpp - Configs of OPT decoders ----------------------------===//
//
// Defaults are those of configuration_opt.py, the arithmetic that of
// modeling_opt.py in transformers 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/OptConfig.h"

#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"

namespace vlmc {

/// Positions begin in the third row of their table.
static constexpr int64_t positionOffset = 2;

static const Json &optDefaults() {
  static const Json defaults = {{"activation_function", "relu"},
                                {"do_layer_norm_before", true},
                                {"enable_bias", true},
                                {"eos_token_id", 2},
                                {"ffn_dim", 3072},
                                {"hidden_size", 768},
                                {"layer_norm_elementwise_affine", true},
                                {"max_position_embeddings", 2048},
                                {"num_attention_heads", 12},
                                {"num_hidden_layers", 12},
                                {"pad_token_id", 1},
                                {"tie_word_embeddings", true},
                                {"vocab_size", 50272}};
  return defaults;
}

static void readSizes(ConfigSection &section, spec::Decoder &decoder) {
  readPlainSizes(section, "ffn_dim", decoder);
  int64_t outer = section.optionalInteger("word_embed_proj_dim", 1, maxFeatures)
                      .value_or(decoder.hidden_size());
  if (outer != decoder.hidden_size())
    decoder.set_embedding_size(outer);
}

DecoderFacts readOpt(const Json &config, const std::string &file,
                     const std::string &path, ConfigLog &log,
                     spec::Decoder &decoder) {
  Json values = optDefaults();
  values.update(config);
  ConfigSection section(values, file, path, log);
  readSizes(section, decoder);
  decoder.set_activation(readActivation(section, "activation_function", ""));
  decoder.set_norm_epsilon(1e-5);
  decoder.set_layer_norm(true);
  decoder.set_plain_mlp(true);
  decoder.set_position_offset(positionOffset);
  const bool isBefore = section.flag("do_layer_norm_before", true);
  decoder.set_post_norm(!isBefore);
  decoder.set_no_final_norm(!isBefore ||
                            section.flag("_remove_final_layer_norm", false));
  section.ignore("_remove_final_layer_norm");
  const bool bias = section.flag("enable_bias", true);
  decoder.set_query_bias(bias);
  decoder.set_output_bias(bias);
  decoder.set_mlp_bias(bias);
  if (!section.flag("layer_norm_elementwise_affine", true))
    section.error("layer_norm_elementwise_affine",
                  "expected true, found false; norms without weights are not "
                  "supported");
  decoder.set_tied_head(section.flag("tie_word_embeddings", true));
  section.ignore("init_std");
  section.ignore("layerdrop");
  section.ignore("prefix");
  DecoderFacts facts;
  readTokens(section, facts);
  section.finish();
  return facts;
}

void addOptRules(spec::ModelSpec &model, const std::vector<std::string> &bodies,
                 const std::vector<std::string> &heads) {
  const char *parts[][2] = {
      {"tokens", "embed_tokens"},
      {"positions", "embed_positions"},
      {"project_in", "project_in"},
      {"project_out", "project_out"},
      {"final_norm", "final_layer_norm"},
      {"layers.{}.norm1", "layers.{}.self_attn_layer_norm"},
      {"layers.{}.norm2", "layers.{}.final_layer_norm"},
      {"layers.{}.attention.query", "layers.{}.self_attn.q_proj"},
      {"layers.{}.attention.key", "layers.{}.self_attn.k_proj"},
      {"layers.{}.attention.value", "layers.{}.self_attn.v_proj"},
      {"layers.{}.attention.output", "layers.{}.self_attn.out_proj"},
      {"layers.{}.mlp.up", "layers.{}.fc1"},
      {"layers.{}.mlp.down", "layers.{}.fc2"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("text.") + ours, bodies, theirs);
  addRule(model, "text.head", heads, "");
}

std::string optKey(std::string_view field) {
  if (field == "embedding_size")
    return "text_config.word_embed_proj_dim";
  if (field == "intermediate_size")
    return "text_config.ffn_dim";
  return decoderKey(field);
}

} // namespace vlmc
