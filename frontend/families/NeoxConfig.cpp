//===- NeoxConfig.cpp - Configs of GPT-NeoX decoders ----------------------===//
//
// Defaults are those of configuration_gpt_neox.py, the arithmetic that of
// modeling_gpt_neox.py in transformers 5.
//
//===----------------------------------------------------------------------===//
#include "frontend/families/NeoxConfig.h"

#include "frontend/families/Activations.h"
#include "frontend/families/DualEncoder.h"

namespace vlmc {

static const Json &neoxDefaults() {
  static const Json defaults = {{"attention_bias", true},
                                {"eos_token_id", 2},
                                {"hidden_act", "gelu"},
                                {"hidden_size", 6144},
                                {"intermediate_size", 24576},
                                {"layer_norm_eps", 1e-5},
                                {"max_position_embeddings", 2048},
                                {"num_attention_heads", 64},
                                {"num_hidden_layers", 44},
                                {"rotary_emb_base", 10000},
                                {"rotary_pct", 0.25},
                                {"tie_word_embeddings", false},
                                {"use_parallel_residual", true},
                                {"vocab_size", 50432}};
  return defaults;
}

DecoderFacts readNeox(const Json &config, const std::string &file,
                      const std::string &path, ConfigLog &log,
                      spec::Decoder &decoder) {
  Json values = neoxDefaults();
  values.update(config);
  // Its own names of these go first.
  values["rope_theta"] = values["rotary_emb_base"];
  values["partial_rotary_factor"] = values["rotary_pct"];
  ConfigSection section(values, file, path, log);
  readPlainSizes(section, "intermediate_size", decoder);
  readRotary(section, decoder.head_size(), decoder.max_tokens(), file, path,
             log, *decoder.mutable_rotary());
  decoder.set_activation(readActivation(section, "hidden_act", ""));
  decoder.set_norm_epsilon(section.number("layer_norm_eps", 1e-5, 0, 1));
  decoder.set_layer_norm(true);
  decoder.set_plain_mlp(true);
  decoder.set_mlp_bias(true);
  const bool bias = section.flag("attention_bias", true);
  decoder.set_query_bias(bias);
  decoder.set_output_bias(bias);
  decoder.set_parallel_residual(section.flag("use_parallel_residual", true));
  decoder.set_tied_head(section.flag("tie_word_embeddings", false));
  for (const char *key : {"rotary_emb_base", "rotary_pct", "hidden_dropout",
                          "classifier_dropout"})
    section.ignore(key);
  DecoderFacts facts;
  readTokens(section, facts);
  section.finish();
  return facts;
}

/// Query, key and value of a head stand one behind the other, head by head.
static void addFusedRules(spec::ModelSpec &model,
                          const std::vector<std::string> &layers,
                          int64_t heads) {
  int64_t part = 0;
  for (const char *name : {"query", "key", "value"}) {
    addRule(model, std::string("text.layers.{}.attention.") + name, layers,
            "attention.query_key_value");
    spec::WeightRule &rule = *model.mutable_weights()->rbegin();
    rule.set_part(part++);
    rule.set_parts(3);
    rule.set_groups(heads);
  }
}

void addNeoxRules(spec::ModelSpec &model,
                  const std::vector<std::string> &bodies,
                  const std::vector<std::string> &heads,
                  const std::vector<std::string> &layers) {
  addRule(model, "text.tokens", bodies, "embed_in");
  addRule(model, "text.final_norm", bodies, "final_layer_norm");
  for (const spec::Component &component : model.components())
    if (component.name() == "text")
      addFusedRules(model, layers, component.decoder().heads());
  const char *parts[][2] = {{"norm1", "input_layernorm"},
                            {"norm2", "post_attention_layernorm"},
                            {"attention.output", "attention.dense"},
                            {"mlp.up", "mlp.dense_h_to_4h"},
                            {"mlp.down", "mlp.dense_4h_to_h"}};
  for (auto [ours, theirs] : parts)
    addRule(model, std::string("text.layers.{}.") + ours, layers, theirs);
  addRule(model, "text.head", heads, "");
  // Buffers of old files.
  for (const std::string &layer : layers)
    for (const char *buffer : {"bias", "masked_bias", "rotary_emb"})
      model.add_ignored_tensors(layer + "attention." + buffer);
}

} // namespace vlmc
